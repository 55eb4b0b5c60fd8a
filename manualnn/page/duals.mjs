// Dual numbers: numbers of `base` with their derivatives, carried forwards by the chain rule.
//
// A dual number is {value, slopes}: a Map from the names of sources to ∂(this)/∂(source). Only
// sources that it depends on are in it, whatever the number. Each operation states its partial
// derivatives, and knows nothing of the backward pass: so the two can be compared.

import { complete, stable, textbook } from "./arithmetic.mjs";

export function duals(base) {
  const wide = base.unrounded ?? base;
  const { one } = base;
  const NONE = new Map();
  const leaf = (value) => ({ value, slopes: NONE });

  // Σ partial · slope over the operands; `parts` are pairs of operand and partial derivative.
  function derived(value, ...parts) {
    if (parts.every(([operand]) => operand.slopes.size === 0)) return leaf(value);
    const slopes = new Map();
    for (const [operand, partial] of parts) {
      for (const [source, slope] of operand.slopes) {
        const term = partial === one ? slope : base.mul(partial, slope);
        const before = slopes.get(source);
        slopes.set(source, before === undefined ? term : base.add(before, term));
      }
    }
    return { value, slopes };
  }

  const A = complete({
    decimals: base.decimals,
    read: (x) => leaf(base.read(x)),
    constant: (x) => leaf(base.constant(x)),
    value: (a) => base.value(a.value),
    number: leaf, // a number of the base, which depends on no source
    source: (value, name) => ({ value, slopes: new Map([[name, one]]) }),
    round: (a) => a,
    greater: (a, b) => base.greater(a.value, b.value),
    ratio: (p, q) => leaf(base.ratio(p, q)),
    sum: (terms) => derived(base.sum(terms.map((a) => a.value)), ...terms.map((a) => [a, one])),
    add: (a, b) => derived(base.add(a.value, b.value), [a, one], [b, one]),
    sub: (a, b) => derived(base.sub(a.value, b.value), [a, one], [b, base.neg(one)]),
    mul: (a, b) => derived(base.mul(a.value, b.value), [a, b.value], [b, a.value]),
    div(a, b) {
      const ratio = wide.div(a.value, b.value);
      const toA = wide.div(one, b.value);
      const toB = b.slopes.size ? wide.neg(wide.div(ratio, b.value)) : one;
      return derived(base.round(ratio), [a, toA], [b, toB]);
    },
    neg: (a) => derived(base.neg(a.value), [a, base.neg(one)]),
    abs: (a) => derived(base.abs(a.value), [a, base.constant(base.sign(a.value))]),
    exp(a) {
      const power = wide.exp(a.value);
      return derived(base.round(power), [a, power]);
    },
    log: (a) => derived(base.log(a.value), [a, wide.div(one, a.value)]),
    log1p: (a) => derived(base.log1p(a.value), [a, wide.div(one, wide.add(one, a.value))]),
    sqrt(a) {
      const root = wide.sqrt(a.value);
      return derived(base.round(root), [a, wide.div(one, wide.add(root, root))]);
    },
    normalCdf: (a) => derived(base.normalCdf(a.value), [a, wide.normalPdf(a.value)]),
    normalPdf(a) {
      const value = wide.normalPdf(a.value);
      return derived(base.round(value), [a, wide.neg(wide.mul(a.value, value))]);
    },
    tanh(a) {
      const value = wide.tanh(a.value);
      return derived(base.round(value), [a, wide.sub(one, wide.mul(value, value))]);
    },
  });
  return { ...A, ...(base.overflows ? stable(A) : textbook(A)) };
}
