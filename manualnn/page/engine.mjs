// The page's engine: one training step, over any arithmetic of arithmetic.mjs.
//
//     const pass = propagate(run, floats);
//     const { params, state } = update(run, pass, null, floats);
//
// A run is the `spec` of explanation.json: {layers, loss, optimizer, parameters, x, t}, with `masks`
// of dropout. It has JavaScript's numbers, all else has those of the arithmetic. In a traced
// arithmetic every quantity has its name, and its formula in the quantities before it.

import { clipFactor, gradientBefore, partOf } from "./around.mjs";
import { fromShortest, greatestDivisor, plus, times } from "./decimal.mjs";
import { LAYERS } from "./layers.mjs";
import { LOSSES, hasNumbers } from "./losses.mjs";
import { namesOf } from "./names.mjs";

// f of every entry, whatever the depth, with the entry's index.
export const mapEntries = (array, f, index = []) => (Array.isArray(array)
  ? array.map((entry, i) => mapEntries(entry, f, [...index, i]))
  : f(array, index));

// The entry of nested arrays at an index such as [1, 2].
export const entryAt = (array, index) => index.reduce((part, i) => part[i], array);

const mapArrays = (arrays, f) =>
  Object.fromEntries(Object.entries(arrays).map(([key, array]) => [key, f(array, key)]));

// Place and name of a key of `parameters`: "0.weight" → [0, "weight"].
export function splitKey(key) {
  const [layer, ...name] = key.split(".");
  return [Number(layer), name.join(".")];
}

// The parameters of a run as numbers of A.
const readParameters = (run, A) =>
  mapArrays(run.parameters, (array) => mapEntries(array, A.read));

// Parameters in numbers of A's base as numbers of A.
export const liftParameters = (params, A) =>
  mapArrays(params, (array) => mapEntries(array, (a) => A.number(a)));

// Forward and backward. `params` are numbers of A in place of the run's parameters. Returns
//     x, t, params            as they were read
//     outputs                 of each layer, [n][j]
//     terms, loss             the term of each output, before the reduction, and L
//     slopes, inputSlopes     ∂L/∂(output of each layer), ∂L/∂x
//     grads                   ∂L/∂(parameter), by key
export function propagate(run, A, params = readParameters(run, A)) {
  const names = namesOf(run);
  const named = (array, name) =>
    (A.base ? mapEntries(array, (a, index) => A.name(a, name(index))) : array);
  const reread = (array, name) => named(mapEntries(array, (a) => A.number(A.bare(a))), name);
  const read = (array, name) => named(mapEntries(array, A.read), name);

  const x = read(run.x, ([n, j]) => names.unit(-1, n, j));
  const t = hasNumbers(run) ? read(run.t, ([n, k]) => names.target(n, k)) : run.t;
  const ours = mapArrays(params, (array, key) => {
    const [layer, name] = splitKey(key);
    return reread(array, (index) => names.parameter(layer, name, index));
  });
  const own = run.layers.map((_, i) => ownArrays(run, ours, i, A));

  const outputs = [];
  run.layers.forEach((o, i) => {
    const y = LAYERS[o.type].forward(A, o, own[i], i ? outputs[i - 1] : x);
    outputs.push(named(y, ([n, j]) => names.unit(i, n, j)));
  });
  const y = outputs.at(-1);
  const terms = termsOf(run, y, t, A);
  const D = divisorOf(run, y, t);
  const value = A.div(A.sum(terms.flat()), A.ratio(...D));

  const slopes = [];
  const grads = {};
  let dy = slopesOf(run, y, t, D, A);
  // Some slopes are constants, such as 1/D, and not rounded yet.
  if (A.decimals !== undefined) dy = mapEntries(dy, (d) => A.round(d));
  for (let i = run.layers.length - 1; i >= 0; i--) {
    dy = slopes[i] = named(dy, ([n, j]) => names.slope(i, n, j));
    const found = {};
    const input = i ? outputs[i - 1] : x;
    const o = run.layers[i];
    dy = LAYERS[o.type].backward(A, o, own[i], input, outputs[i], dy, found);
    for (const [name, array] of Object.entries(found)) {
      grads[`${i}.${name}`] = named(array, (index) => names.gradient(i, name, index));
    }
  }
  return {
    x, t, params: ours, outputs, slopes, grads,
    terms: named(withFactor(run, terms, A), ([n, k]) => names.term(n, k)),
    loss: named(value, () => "L"),
    inputSlopes: named(dy, ([n, j]) => names.slope(-1, n, j)),
  };
}

// The term of every output, times the weight of its sample.
export function termsOf(run, y, t, A) {
  const terms = LOSSES[run.loss.type].terms(A, run.loss, y, t);
  const { sample_weights: weights } = run;
  if (!weights) return terms;
  return mapEntries(terms, (term, [n]) => A.mul(term, A.ratio(...quotient(weights[n], 1, true))));
}

// ∂L/∂y. With weights each sample has a divisor of its own, D / w.
function slopesOf({ loss: o, sample_weights: weights }, y, t, D, A) {
  const { slopes } = LOSSES[o.type];
  const share = ([over, under]) => (p, q = 1) => A.ratio(p * under, q * over);
  if (!weights) return slopes(A, o, y, t, share(D), A.ratio(...D));
  return y.map((row, n) => {
    if (!weights[n]) return row.map(() => A.zero);
    const [p, q] = quotient(weights[n], 1, true);
    const own = lowest(BigInt(D[0]) * BigInt(q), BigInt(D[1]) * BigInt(p));
    return slopes(A, o, [row], [t[n]], share(own), A.ratio(...own))[0];
  });
}

// The divisor D of the reduction as a fraction [p, q]. A constant factor of the loss divides it:
// with 1/2, the sum of (y − t)² becomes that of (y − t)² / 2. With weights D is the sum of what
// each sample adds to it, times its weight.
export function divisorOf(run, y, t) {
  const { loss: o, sample_weights: weights } = run;
  const { divisor } = LOSSES[o.type];
  if (!weights || o.reduction === "sum") return quotient(divisor(o, y, t) || 1, o.factor ?? 1);
  let total = fromShortest(0);
  weights.forEach((w, n) => {
    total = plus(total, times(fromShortest(w), fromShortest(divisor(o, [y[n]], [t[n]]))));
  });
  return fractionOf(total, fromShortest(o.factor ?? 1));
}

// a / b in lowest terms. Numbers such as 0.1 are the decimal numbers that people write.
function quotient(a, b, isFraction = false) {
  if (b === 1 && !isFraction) return [a, b];
  return fractionOf(fromShortest(a), fromShortest(b));
}

function fractionOf(over, under) {
  const shift = Math.max(0, -over.e, -under.e);
  const [p, q] = [over, under].map(({ n, e }) => n * 10n ** BigInt(e + shift));
  return lowest(p, q);
}

function lowest(p, q) {
  const common = greatestDivisor(p, q);
  return [Number(p / common), Number(q / common)];
}

function withFactor({ loss: { factor = 1 } }, terms, A) {
  if (factor === 1) return terms;
  return mapEntries(terms, (term) => A.div(term, A.ratio(...quotient(1, factor))));
}

// The arrays of one layer by name: its parameters, its buffers, and what is random in it.
export function ownArrays(run, params, i, A) {
  const constants = { ...run.buffers, ...run.masks };
  const random = mapArrays(ofLayer(constants, i), (array, name) => readMask(run, array, i, name, A));
  return { ...ofLayer(params, i), ...random };
}

// The arrays of layer i by their names in it.
export function ofLayer(arrays, i) {
  const keys = Object.keys(arrays).filter((key) => splitKey(key)[0] === i);
  return Object.fromEntries(keys.map((key) => [splitKey(key)[1], arrays[key]]));
}

const readMask = (run, array, i, name, A) => mapEntries(array, (m, index) =>
  A.name(A.constant(Number(m)), namesOf(run).parameter(i, name, index)));

// The parameters after one update, and the state of the rule: {step, name: {key: array}}, null at
// first. Rounding would turn the squares that most rules divide by into 0, so that of these rules
// only the new parameter is rounded.
export function update(run, pass, state, A) {
  const names = namesOf(run);
  const next = { step: (state?.step ?? 0) + 1 };
  const clip = clipFactor(run, pass, A);

  function updated(entry, key, index, part) {
    const { rule, o, c, B } = part;
    const p = B.adopt(entry);
    const before = (name) => state?.[name]?.[key] && entryAt(state[name][key], index);
    const kept = (name, first = B.zero) => before(name) ?? first;
    const entries = {};
    const keep = (name, value) => {
      entries[name] = B.name(value, name);
      return value.symbol ? value : entries[name];
    };
    const penalized = gradientBefore(part, p, B.adopt(entryAt(pass.grads[key], index)));
    const g = gradientOf(part, p, clip === null ? penalized : B.mul(penalized, clip));
    const step = rule.step(B, o, c, g, kept, keep, next.step, p);
    const [layer, name] = splitKey(key);
    const after = A.name(A.round(B.sub(p, step)), names.updated(layer, name, index));
    return { after, entries };
  }

  // g ← −g if maximize; g ← g + weight_decay θ.
  function gradientOf({ rule, o, c, B }, p, g) {
    const uphill = o.maximize ? B.neg(g) : g;
    const isDecayed = o.weight_decay && !rule.isDecoupled && !o.decoupled_weight_decay;
    return isDecayed ? B.add(uphill, B.mul(p, c.weight_decay)) : uphill;
  }

  const params = mapArrays(pass.params, (array, key) => {
    const part = partOf(run.optimizer, key, A);
    const both = mapEntries(array, (p, index) => updated(p, key, index, part));
    const first = [both].flat(Infinity)[0];
    for (const name of Object.keys(first?.entries ?? {})) {
      next[name] = { ...next[name], [key]: mapEntries(both, ({ entries }) => entries[name]) };
    }
    return mapEntries(both, ({ after }) => after);
  });
  return { params, state: next };
}
