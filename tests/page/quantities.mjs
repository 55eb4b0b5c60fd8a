// Answers questions about the page's engine, a JSON line each: all quantities of a run by name, the
// results of decimal numbers, and texts of numbers.

import { createInterface } from "node:readline";
import { exact, floats, rounded, traced } from "../../manualnn/page/arithmetic.mjs";
import { derivativeFormulas, localDerivatives } from "../../manualnn/page/derivatives.mjs";
import { mapEntries, propagate, splitKey, update } from "../../manualnn/page/engine.mjs";
import * as plain from "../../manualnn/page/decimal.mjs";
import { formula, symbol } from "../../manualnn/page/mathml.mjs";
import { namesOf } from "../../manualnn/page/names.mjs";
import * as normal from "../../manualnn/page/normal.mjs";
import { formatNumber, formulaText } from "../../manualnn/page/notation.mjs";
import { pathsOf } from "../../manualnn/page/drawing/paths.mjs";

function described(A, a) {
  const value = A.value(a);
  if (!a.op) return { value, formula: null, mathml: [] };
  const numbers = { numbers: true };
  return {
    value,
    formula: { names: formulaText(a), numbers: formulaText(a, numbers) },
    mathml: [symbol(a.symbol), formula(a), formula(a, numbers)],
  };
}

function quantities({ run, decimals, gradient, epochs }) {
  const base = decimals === null ? exact : rounded(decimals);
  const T = traced(base);
  const names = namesOf(run);
  const pass = propagate(run, T);
  const all = {};
  const note = (a) => { all[a.symbol] = described(T, a); };
  mapEntries(Object.values(pass).filter(Array.isArray), (a) => a.symbol && note(a));
  note(pass.loss);

  // Python's ∂L/∂y are dual numbers as well, and not those of backward, unless they are rounded.
  const ofLoss = localDerivatives(run, pass, run.layers.length, T);
  mapEntries(pass.outputs.at(-1), (_, [n, k]) => {
    all[names.slope(run.layers.length - 1, n, k)].value = base.value(ofLoss.units(n, 0, k));
  });

  const derivatives = {};
  run.layers.forEach((o, i) => {
    const local = localDerivatives(run, pass, i, T);
    const ours = Object.entries(pass.params).filter(([key]) => splitKey(key)[0] === i);
    mapEntries(pass.outputs[i], (_, [n, j]) => {
      const formulas = derivativeFormulas(run, pass, i, [n, j], T);
      const add = (source, value, shown) => {
        if (value === null) return;
        const edge = names.edge(i, source, n, j);
        const formulas = described(T, shown.op || shown.symbol ? T.name(shown, edge) : shown);
        // Dual numbers and the backward kernel know nothing of each other.
        derivatives[edge] = { ...formulas, backward: formulas.value, value: base.value(value) };
      };
      (i ? pass.outputs[i - 1] : pass.x)[n].forEach((__, k) =>
        add(k, local.units(n, j, k), formulas.units(k)));
      for (const [key, array] of ours) {
        const [, name] = splitKey(key);
        mapEntries(array, (__, index) => {
          add({ name, index }, local.parameter(name, index, n, j), formulas.parameter(name, index));
        });
      }
    });
  });

  // Python's update is that of its own gradient, which float64 has rounded.
  const given = !gradient ? pass : { ...pass, grads: Object.fromEntries(
    Object.entries(gradient).map(([key, array]) => [key, mapEntries(array, (g, index) =>
      T.name(T.read(g), names.gradient(...splitKey(key), index)))])) };
  const { params, state } = update(run, given, null, T);
  const gradients = {};
  for (const [key, array] of Object.entries(pass.params)) {
    const [layer, name] = splitKey(key);
    mapEntries(array, (p, index) => {
      const entry = (arrays) => described(T, index.reduce((part, i) => part[i], arrays[key]));
      const kept = Object.entries(state).filter(([word, arrays]) => word !== "step" && arrays[key]);
      gradients[p.symbol] = {
        ...pathsOf(run, pass, { layer, name, index }, T),
        backward: entry(pass.grads),
        updated: entry(params),
        state: Object.fromEntries(kept.map(([word, arrays]) => [word, entry(arrays)])),
      };
    });
  }

  const errors = [];
  let [theta, kept] = [undefined, null];
  for (let k = 0; decimals !== null && k <= epochs; k++) {
    const one = propagate(run, base, theta);
    errors.push(base.value(one.loss));
    if (!Number.isFinite(errors.at(-1))) break;
    ({ params: theta, state: kept } = update(run, one, kept, base));
  }
  return { quantities: all, derivatives, gradients, errors, floats: propagate(run, floats).grads };
}

const parts = (a) => (typeof a === "object" ? [String(a.n), a.e] : String(a));
const computed = ({ op, args }) =>
  parts({ ...plain, ...normal }[op](...args.map(([n, e]) => ({ n: BigInt(n), e }))));

const ANSWERS = {
  quantities,
  decimals: ({ questions }) => questions.map(computed),
  texts: ({ numbers, digits }) => numbers.map((x) => formatNumber(x, { digits })),
};
const spelt = (_, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v);

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  const answer = ANSWERS[question.about](question);
  process.stdout.write(`${JSON.stringify(answer, spelt)}\n`);
}
