// What is around a rule: groups of parameters with other options, and penalties and clipping of the
// gradients before it, over an arithmetic A. In order: g + ∂penalty, clip_value, max_norm, the rule.

import { RULES } from "./rules.mjs";

const EPSILON = 1e-6;

// The options of a parameter: its rule, the options `o` as they are and `c` as numbers of B, which is
// A or, for a rule that is not rounded, the arithmetic without rounding.
export function partOf({ groups = [], ...shared }, key, A) {
  const { params, ...own } = groups.find((group) => fits(key, group.params)) ?? {};
  const rule = RULES[own.type ?? shared.type];
  const base = own.type ? { lr: shared.lr ?? RULES[shared.type].defaults.lr } : shared;
  const penalty = (name) => own[name] ?? (key.endsWith("weight") ? shared[name] ?? 0 : 0);
  const o = {
    ...rule.defaults, type: shared.type, ...base, ...own, l1: penalty("l1"), l2: penalty("l2"),
    clip_value: shared.clip_value ?? null,
  };
  const B = o.type === "SGD" ? A : A.unrounded ?? A;
  return { rule, o, c: optionsOf(o, B), B };
}

// True if a name fits a pattern with *, ? and [seq], as in Python's fnmatch.
function fits(name, pattern) {
  const source = pattern.replace(/[.+^${}()|\\]/g, "\\$&").replaceAll("*", ".*")
    .replaceAll("?", ".").replaceAll("[!", "[^");
  return new RegExp(`^${source}$`, "s").test(name);
}

// g + λ₁ sign(p) + 2 λ₂ p, moved into the range of clip_value.
export function gradientBefore({ o, c, B }, p, g) {
  const { constant, mul } = B.unrounded ?? B;
  let found = g;
  if (o.l1 && B.sign(p)) found = B.sign(p) > 0 ? B.add(found, c.l1) : B.sub(found, c.l1);
  if (o.l2) found = B.add(found, B.mul(p, mul(constant(2), c.l2)));
  if (o.clip_value === null || !B.greater(B.abs(found), B.constant(o.clip_value))) return found;
  return B.sign(found) > 0 ? B.constant(o.clip_value, "clip_value")
    : B.constant(-o.clip_value, "(-clip_value)");
}

// max_norm / (‖g‖ + 10⁻⁶) of all gradients together, which is never rounded; null if it is 1.
export function clipFactor(run, pass, A) {
  const { max_norm: most = null, norm_type: type = 2 } = run.optimizer;
  if (most === null) return null;
  const B = A.unrounded ?? A;
  const entries = (nested) => [nested].flat(Infinity);
  const sizes = Object.entries(pass.params).flatMap(([key, array]) => {
    const part = partOf(run.optimizer, key, A);
    const grads = entries(pass.grads[key]);
    return entries(array).map((p, k) =>
      B.abs(gradientBefore(part, part.B.adopt(p), part.B.adopt(grads[k]))));
  });
  const norm = type === 1 ? B.sum(sizes) : B.sqrt(B.sum(sizes.map((a) => B.mul(a, a))));
  const factor = B.div(B.constant(most), B.add(norm, B.constant(EPSILON)));
  return B.greater(B.one, factor) ? B.name(B.number(B.bare(factor)), "clip") : null;
}

// The options of a rule as constants. An option of 0 has no name: the operation is left out.
function optionsOf(o, B) {
  const numbers = Object.entries(o).filter(([, value]) => typeof value === "number");
  const c = Object.fromEntries(numbers.map(([name, value]) => [name,
    value ? B.constant(value, name) : B.zero]));
  const pairs = { betas: ["β₁", "β₂"], etas: ["η₋", "η₊"], step_sizes: ["Γ₋", "Γ₊"] };
  for (const [name, symbols] of Object.entries(pairs)) {
    if (o[name]) c[name] = o[name].map((value, i) => B.constant(value, symbols[i]));
  }
  return c;
}
