// Local derivatives of a pass: of each layer's outputs with respect to its inputs and parameters.
//
// They come from dual numbers that go through the forward kernels alone, so that the sum over all
// paths is independent of the hand-written backward pass. Rounded numbers are those of a hand
// computation, which uses the formulas of backward: there the dual numbers go through the backward
// kernels.

import { floats } from "./arithmetic.mjs";
import { duals } from "./duals.mjs";
import { divisorOf, entryAt, mapEntries, ofLayer, ownArrays, termsOf } from "./engine.mjs";
import { LAYERS } from "./layers.mjs";
import { LEAST_ROOM, LOSSES, hasNumbers } from "./losses.mjs";

// Layer i: units(n, j, k) is ∂(output j)/∂(input k) of sample n, and parameter(name, index, n, j) is
// ∂(output j)/∂(parameter); null where there is no edge. With i = layers.length:
// units(n, 0, k) is ∂L/∂y[n,k]. `A` is the arithmetic of the pass; the results are numbers of its
// base.
export function localDerivatives(run, pass, i, A) {
  const isRounded = A.decimals !== undefined;
  if (i === run.layers.length) {
    const slopes = mapEntries(pass.slopes.at(-1), A.bare);
    let found;
    const lossOf = () => (found ??= isRounded ? slopes : throughLoss(run, pass, A));
    // Where float64 reaches a bound of BCELoss, torch's backward is on purpose another derivative
    // than that of the forward pass. The page tells that one everywhere.
    const isBound = (n, k) => {
      const y = A.value(pass.outputs.at(-1)[n][k]);
      return run.loss.type === "BCELoss" && (A.base ?? A) === floats && y * (1 - y) < LEAST_ROOM;
    };
    return {
      units: (n, j, k) => (isBound(n, k) ? slopes : lossOf())[n][k], parameter: () => null,
    };
  }
  let found; // for each output, a Map from its sources to derivatives
  const slopesOf = (n, j) => (found ??= (isRounded ? backwards : forwards)(run, pass, i, A))[n][j];
  const rows = new Map(); // the same of the parameters, of a Linear layer for one output at a time
  const isLinear = run.layers[i].type === "Linear";
  const rowOf = (n, j) => {
    if (isRounded) return slopesOf(n, j);
    const sources = isLinear ? j : ALL;
    if (!rows.has(sources)) rows.set(sources, forwards(run, pass, i, A, sources));
    return rows.get(sources)[n][isLinear ? 0 : j];
  };
  return {
    units(n, j, k) {
      const slopes = slopesOf(n, j);
      // A unit with a constant output (the flat side of ReLU) stays in the graph, with slope 0.
      return slopes.size || j !== k ? slopes.get(k) ?? null : (A.base ?? A).zero;
    },
    parameter: (name, index, n, j) => rowOf(n, j).get(nameOf(name, index)) ?? null,
  };
}

const [INPUTS, ALL] = ["inputs", "parameters"];
const nameOf = (name, index) => `${name}[${index}]`;

// The sources are the inputs, or ALL parameters, or with a number the parameters of that output
// alone, because a wide Linear layer has too many parameters to follow all at once.
function forwards(run, pass, i, A, sources = INPUTS) {
  const D = duals(A.base ?? A);
  const number = (a) => D.number(A.bare(a));
  const source = (name, first = []) => (a, [...rest]) =>
    D.source(A.bare(a), nameOf(name, [...first, ...rest]));
  const params = mapArraysOf(pass.params, i, (array, name) => {
    if (sources === INPUTS) return mapEntries(array, number);
    if (sources === ALL) return mapEntries(array, source(name));
    return [mapEntries(array[sources], source(name, [sources]))];
  });
  const x = mapEntries(i ? pass.outputs[i - 1] : pass.x, (a, [, k]) => (sources === INPUTS
    ? D.source(A.bare(a), k) : number(a)));
  const o = run.layers[i];
  const y = LAYERS[o.type].forward(D, o, ownArrays(run, params, i, D), x);
  return mapEntries(y, ({ slopes }) => slopes);
}

// The kernel is linear in dy: a dual number for each entry of dy gives all derivatives at once.
function backwards(run, pass, i, A) {
  const base = A.base ?? A;
  const D = duals(base);
  const number = (a) => D.number(A.bare(a));
  const params = mapArraysOf(pass.params, i, (array) => mapEntries(array, number));
  const [x, y] = [i ? pass.outputs[i - 1] : pass.x, pass.outputs[i]];
  const dy = mapEntries(y, (_, [n, j]) => D.source(base.zero, [n, j]));
  const o = run.layers[i];
  const grads = {};
  const dx = LAYERS[o.type].backward(D, o, ownArrays(run, params, i, D),
    mapEntries(x, number), mapEntries(y, number), dy, grads);
  const found = mapEntries(y, () => new Map());
  const note = (source) => ({ slopes }, index) => {
    for (const [[n, j], slope] of slopes) found[n][j].set(source(index), slope);
  };
  mapEntries(dx, note(([, k]) => k));
  for (const [name, array] of Object.entries(grads)) {
    mapEntries(array, note((index) => nameOf(name, index)));
  }
  return found;
}

function throughLoss(run, pass, A) {
  const D = duals(A.base ?? A);
  const y = mapEntries(pass.outputs.at(-1), (a, [n, k]) => D.source(A.bare(a), `${n},${k}`));
  const t = hasNumbers(run) ? mapEntries(pass.t, (a) => D.number(A.bare(a))) : pass.t;
  const terms = termsOf(run, y, t, D).flat();
  const { slopes } = D.div(D.sum(terms), D.ratio(...divisorOf(run, y, t)));
  return mapEntries(y, (_, [n, k]) => slopes.get(`${n},${k}`) ?? (A.base ?? A).zero);
}

// The formulas of the local derivatives of output j of sample n: the backward kernel, as if
// ∂L/∂(output j) were 1 and all others 0. `T` is the traced arithmetic of the pass.
export function derivativeFormulas(run, pass, i, [n, j], T) {
  const sample = (array) => array && [array[n]];
  const [x, y] = [i ? pass.outputs[i - 1] : pass.x, pass.outputs[i]].map(sample);
  const dy = [y[0].map((_, k) => (k === j ? T.one : T.zero))];
  const own = ownArrays(run, pass.params, i, T);
  const o = run.layers[i];
  const grads = {};
  const random = Object.keys(ofLayer(run.masks ?? {}, i));
  const ofSample = Object.fromEntries(random.map((name) => [name, sample(own[name])]));
  const [dx] = LAYERS[o.type].backward(T, o, { ...own, ...ofSample }, x, y, dy, grads);
  return {
    units: (k) => dx[k],
    parameter: (name, index) => entryAt(grads[name], index),
  };
}

// f(array, name) of a layer's own parameters, by the keys of `parameters`.
function mapArraysOf(params, i, f) {
  const ours = Object.entries(ofLayer(params, i));
  return Object.fromEntries(ours.map(([name, array]) => [`${i}.${name}`, f(array, name)]));
}
