// Layers over an arithmetic A: the output y of the input x; ∂L/∂x of dy = ∂L/∂y, with the gradients
// of the layer's own parameters left in `grads`. Rows are samples. Names, options and their
// defaults are torch's.

import { NORMALIZATIONS } from "./normalizations.mjs";
import { columns, rows } from "./rows.mjs";

// A layer that acts on every entry: a of z, and dz of da.
const pointwise = (forward, backward) => ({
  isElementwise: true,
  forward: (A, o, own, x) => x.map((row) => row.map((z) => forward(A, z, o))),
  backward: (A, o, own, x, y, dy) =>
    rows((z, a, da) => da.map((d, j) => backward(A, z[j], a[j], d, o)), x, y, dy),
});

const rowwise = (forward, backward) => ({
  forward: (A, o, own, x) => x.map((z) => forward(A, z)),
  backward: (A, o, own, x, y, dy) => rows((a, da) => backward(A, a, da), y, dy),
});

// Slope 1 for z > 0 and s elsewhere, s(own, o, n, j) being a number of A.
const rectifier = (A, s) => ({
  forward: (own, o, x) => x.map((row, n) => row.map((z, j) =>
    A.add(A.mul(A.minimum(z, A.zero), s(own, o, n, j)), A.maximum(z, A.zero)))),
  backward: (own, o, x, dy) => dy.map((row, n) => row.map((d, j) =>
    (A.greater(x[n][j], A.zero) ? d : A.mul(d, s(own, o, n, j))))),
});

const learned = ({ weight }, o, n, j) => weight[weight.length === 1 ? 0 : j];

// Without slopes it is in use, not in training, and has their mean.
const random = (A) => ({ slope }, { lower = 1 / 8, upper = 1 / 3 }, n, j) =>
  (slope ? slope[n][j] : A.constant((lower + upper) / 2));

const addedRows = (A, a, b) => rows((u, v) => u.map((value, j) => A.add(value, v[j])), a, b);

// The arrays of layer i in a Residual, by their names in that layer.
const arraysWithin = (own, i) => Object.fromEntries(Object.entries(own)
  .filter(([name]) => name.startsWith(`${i}.`)).map(([name, array]) => [name.slice(`${i}.`.length), array]));

// The input of a Residual's chain, and the output of every layer in it.
const chainOutputs = (A, o, own, x) => o.layers.reduce((outputs, inner, i) =>
  [...outputs, LAYERS[inner.type].forward(A, inner, arraysWithin(own, i), outputs[i])], [x]);

const halves = (row) => [row.slice(0, row.length / 2), row.slice(row.length / 2)];

const ALPHA = 1.7580993408473766; // scale · alpha of SELU, as torch has it
const alphaScale = (p) => (p < 1 ? 1 / Math.sqrt((ALPHA * ALPHA * p + 1) * (1 - p)) : 0);

const masked = (A, mask, x) =>
  (mask ? rows((m, z) => z.map((v, j) => A.mul(m[j], v)), mask, x) : x);

const [SELU_ALPHA, SELU_SCALE] = [1.6732632423543772, 1.0507009873554805];

// With slope 0 at both bounds: of two equal numbers, A takes the second as the larger one, and the
// first as the smaller one.
const clip = (A, z, low, high) =>
  A.minimum(A.constant(high), A.maximum(z, A.constant(low)));

// With slope 1 at both bounds.
const cut = (A, z, limit) => (A.greater(A.constant(-limit), z)
  ? A.constant(-limit) : A.minimum(z, A.constant(limit)));

const isInside = (A, z, low, high) =>
  (A.greater(z, A.constant(low)) && A.greater(A.constant(high), z) ? A.one : A.zero);

const hardGate = (A, z) => {
  const shifted = A.add(z, A.constant(3));
  if (!A.greater(shifted, A.zero)) return A.zero;
  return A.greater(A.constant(6), shifted) ? A.div(shifted, A.constant(6)) : A.one;
};

const isBeyond = (A, z, limit) =>
  (A.greater(A.abs(z), A.constant(limit)) ? A.one : A.zero);

const [GELU_ROOT, GELU_CUBIC] = [0.7978845608028654, 0.044715];

// σ(2 s) = ½ (1 + tanh(s)) with s = √(2/π) (z + 0.044715 z³), and 2 ds/dz.
function gateByTanh(A, z) {
  const { add, constant, mul, one } = A;
  const cubic = mul(mul(z, z), constant(GELU_CUBIC));
  const scaled = (a) => mul(add(a, one), constant(2 * GELU_ROOT));
  return [A.sigmoid(mul(scaled(cubic), z)), scaled(mul(cubic, constant(3)))];
}

export const LAYERS = {
  Linear: {
    width: (o) => o.out_features,
    forward: (A, o, { weight, bias }, x) => x.map((row) => weight.map((w, i) => {
      const z = A.dot(row, w);
      return bias ? A.add(z, bias[i]) : z;
    })),
    backward(A, o, { weight, bias }, x, y, dy, grads) {
      const [into, from] = [columns(dy, weight.length), columns(x, weight[0].length)];
      grads.weight = into.map((d) => from.map((v) => A.dot(d, v)));
      if (bias) grads.bias = into.map((d) => A.sum(d));
      const away = columns(weight, weight[0].length);
      return dy.map((d) => away.map((w) => A.dot(d, w)));
    },
  },
  Identity: pointwise((A, z) => z, (A, z, a, da) => da),
  Sigmoid: pointwise(
    (A, z) => A.sigmoid(z),
    ({ mul, one, sub }, z, a, da) => mul(mul(sub(one, a), a), da),
  ),
  Tanh: pointwise(
    (A, z) => A.tanh(z),
    ({ mul, one, sub }, z, a, da) => mul(sub(one, mul(a, a)), da),
  ),
  ReLU: pointwise(
    (A, z) => A.rectified(z),
    (A, z, a, da) => A.mul(da, A.positive(a)),
  ),
  LeakyReLU: pointwise(
    ({ add, constant, maximum, minimum, mul, zero }, z, { negative_slope: s = 0.01 }) =>
      add(mul(minimum(z, zero), constant(s)), maximum(z, zero)),
    (A, z, a, da, { negative_slope: s = 0.01 }) =>
      (A.greater(z, A.zero) ? da : A.mul(da, A.constant(s))),
  ),
  Softplus: pointwise(
    (A, z, { beta = 1, threshold = 20 }) => {
      const scaled = A.mul(z, A.constant(beta));
      if (A.greater(scaled, A.constant(threshold))) return z;
      return A.div(A.softplus(scaled), A.constant(beta));
    },
    (A, z, a, da, { beta = 1, threshold = 20 }) => {
      const scaled = A.mul(z, A.constant(beta));
      const isLinear = A.greater(scaled, A.constant(threshold));
      return A.mul(da, isLinear ? A.one : A.sigmoid(scaled));
    },
  ),
  Softsign: pointwise(
    ({ abs, add, div, one }, z) => div(z, add(one, abs(z))),
    ({ abs, add, div, one }, z, a, da) => {
      const size = add(abs(z), one);
      return div(div(da, size), size);
    },
  ),
  ELU: pointwise(
    ({ add, constant, exp, greater, maximum, mul, one, sub, zero }, z, { alpha = 1 }) => {
      const below = greater(z, zero) ? zero : sub(exp(z), one);
      return add(mul(below, constant(alpha)), maximum(z, zero));
    },
    ({ constant, exp, greater, mul, zero }, z, a, da, { alpha = 1 }) =>
      (greater(z, zero) ? da : mul(mul(exp(z), constant(alpha)), da)),
  ),
  SELU: pointwise(
    ({ add, constant, exp, greater, maximum, mul, one, sub, zero }, z) => {
      const below = greater(z, zero) ? zero : sub(exp(z), one);
      return mul(add(mul(below, constant(SELU_ALPHA)), maximum(z, zero)), constant(SELU_SCALE));
    },
    ({ constant, exp, greater, mul, zero }, z, a, da) => {
      const scale = constant(SELU_SCALE); // not rounded, and 1 · scale would be
      return mul(greater(z, zero) ? scale : mul(mul(exp(z), constant(SELU_ALPHA)), scale), da);
    },
  ),
  CELU: pointwise(
    ({ add, constant, div, exp, greater, maximum, mul, one, sub, zero }, z, { alpha = 1 }) => {
      const below = greater(z, zero) ? zero : sub(exp(div(z, constant(alpha))), one);
      return add(mul(below, constant(alpha)), maximum(z, zero));
    },
    ({ constant, div, exp, greater, mul, zero }, z, a, da, { alpha = 1 }) =>
      (greater(z, zero) ? da : mul(exp(div(z, constant(alpha))), da)),
  ),
  SiLU: pointwise(
    (A, z) => A.mul(A.sigmoid(z), z),
    ({ add, mul, one, sigmoid, sub }, z, a, da) => {
      const gate = sigmoid(z);
      return mul(mul(add(mul(sub(one, gate), z), one), gate), da);
    },
  ),
  LogSigmoid: pointwise(
    (A, z) => A.neg(A.softplus(A.neg(z))),
    ({ add, div, exp, mul, one }, z, a, da) => mul(da, div(one, add(one, exp(z)))),
  ),
  Tanhshrink: pointwise(
    (A, z) => A.sub(z, A.tanh(z)),
    ({ mul, tanh }, z, a, da) => {
      const t = tanh(z);
      return mul(da, mul(t, t));
    },
  ),
  Hardtanh: pointwise(
    (A, z, { min_val: low = -1, max_val: high = 1 }) => clip(A, z, low, high),
    (A, z, a, da, { min_val: low = -1, max_val: high = 1 }) => A.mul(isInside(A, a, low, high), da),
  ),
  ReLU6: pointwise(
    (A, z) => clip(A, z, 0, 6),
    (A, z, a, da) => A.mul(isInside(A, a, 0, 6), da),
  ),
  Hardsigmoid: pointwise(
    hardGate,
    (A, z, a, da) => A.mul(A.mul(da, isInside(A, z, -3, 3)), A.ratio(1, 6)),
  ),
  Hardswish: pointwise(
    (A, z) => A.mul(z, hardGate(A, z)),
    (A, z, a, da) => {
      const second = A.mul(A.mul(z, isInside(A, z, -3, 3)), A.ratio(1, 6));
      return A.mul(da, A.add(hardGate(A, z), second));
    },
  ),
  Softshrink: pointwise(
    (A, z, { lambd = 0.5 }) => A.sub(z, cut(A, z, lambd)),
    (A, z, a, da, { lambd = 0.5 }) => A.mul(da, isBeyond(A, z, lambd)),
  ),
  Hardshrink: pointwise(
    (A, z, { lambd = 0.5 }) => A.mul(z, isBeyond(A, z, lambd)),
    (A, z, a, da, { lambd = 0.5 }) => A.mul(isBeyond(A, z, lambd), da),
  ),
  Threshold: pointwise(
    (A, z, { threshold, value }) =>
      (A.greater(z, A.constant(threshold)) ? z : A.constant(value)),
    (A, z, a, da, { threshold }) =>
      A.mul(da, A.greater(z, A.constant(threshold)) ? A.one : A.zero),
  ),
  Mish: pointwise(
    (A, z) => A.mul(z, A.tanh(A.softplus(z))),
    ({ add, mul, one, sigmoid, softplus, sub, tanh }, z, a, da) => {
      const gate = tanh(softplus(z));
      const slope = mul(mul(z, sigmoid(z)), sub(one, mul(gate, gate)));
      return mul(da, add(gate, slope));
    },
  ),
  GELU: pointwise(
    (A, z, { approximate = "none" }) =>
      A.mul(z, approximate === "tanh" ? gateByTanh(A, z)[0] : A.normalCdf(z)),
    (A, z, a, da, { approximate = "none" }) => {
      const { add, mul, normalCdf, normalPdf, one, sub } = A;
      if (approximate !== "tanh") return mul(da, add(normalCdf(z), mul(z, normalPdf(z))));
      const [gate, twiceSlope] = gateByTanh(A, z);
      const density = mul(mul(sub(one, gate), gate), twiceSlope);
      return mul(da, add(gate, mul(z, density)));
    },
  ),
  Softmax: rowwise(
    (A, z) => A.softmax(z),
    ({ mul, sub, sum }, a, da) => {
      const total = sum(da.map((d, j) => mul(d, a[j])));
      return da.map((d, j) => mul(sub(d, total), a[j]));
    },
  ),
  Softmin: rowwise(
    (A, z) => A.softmax(z.map(A.neg)),
    ({ mul, sub, sum }, a, da) => {
      const total = sum(da.map((d, j) => mul(a[j], d)));
      return da.map((d, j) => mul(a[j], sub(total, d)));
    },
  ),
  LogSoftmax: rowwise(
    (A, z) => A.logSoftmax(z),
    ({ exp, mul, sub, sum }, a, da) => {
      const total = sum(da);
      return da.map((d, j) => sub(d, mul(exp(a[j]), total)));
    },
  ),
  ...NORMALIZATIONS,
  // Without a mask it is in use, not in training, and changes nothing.
  Dropout: {
    isElementwise: true,
    forward: (A, o, { mask }, x) => masked(A, mask, x),
    backward: (A, o, { mask }, x, y, dy) => masked(A, mask, dy),
  },
  PReLU: {
    isElementwise: true,
    forward: (A, o, own, x) => rectifier(A, learned).forward(own, o, x),
    backward(A, o, own, x, y, dy, grads) {
      const terms = x.map((row, n) => row.map((z, j) => A.mul(A.minimum(z, A.zero), dy[n][j])));
      const sums = columns(terms, terms[0].length).map((column) => A.sum(column));
      grads.weight = own.weight.length === 1 ? [A.sum(sums)] : sums;
      return rectifier(A, learned).backward(own, o, x, dy);
    },
  },
  Residual: {
    forward: (A, o, own, x) => addedRows(A, x, chainOutputs(A, o, own, x).at(-1)),
    backward(A, o, own, x, y, dy, grads) {
      const outputs = chainOutputs(A, o, own, x);
      let d = dy;
      for (let i = o.layers.length - 1; i >= 0; i--) {
        const found = {};
        const inner = o.layers[i];
        d = LAYERS[inner.type].backward(A, inner, arraysWithin(own, i), outputs[i], outputs[i + 1], d, found);
        for (const [name, array] of Object.entries(found)) grads[`${i}.${name}`] = array;
      }
      return addedRows(A, d, dy);
    },
  },
  GLU: {
    width: (o, width) => width / 2,
    forward: ({ mul, sigmoid }, o, own, x) => x.map((z) => halves(z)[0].map((u, j) =>
      mul(sigmoid(halves(z)[1][j]), u))),
    backward: ({ mul, one, sigmoid, sub }, o, own, x, y, dy) => rows((z, da) => {
      const [u, v] = halves(z);
      const share = v.map(sigmoid);
      const left = da.map((d, j) => mul(d, share[j]));
      return [...left, ...left.map((d, j) => mul(mul(sub(one, share[j]), d), u[j]))];
    }, x, dy),
  },
  AlphaDropout: {
    isElementwise: true,
    forward: (A, { p = 0.5 }, { mask }, x) => (mask ? rows((m, z) => z.map((v, j) => {
      const c = alphaScale(p);
      const shift = A.add(A.mul(A.sub(m[j], A.one), A.constant(ALPHA * c)), A.constant(ALPHA * c * p));
      return A.add(A.mul(A.mul(m[j], v), A.constant(c)), shift);
    }), mask, x) : x),
    backward: (A, { p = 0.5 }, { mask }, x, y, dy) => (mask ? rows((m, da) => da.map((d, j) =>
      A.mul(A.mul(m[j], d), A.constant(alphaScale(p)))), mask, dy) : dy),
  },
  Flatten: pointwise((A, z) => z, (A, z, a, da) => da),
  RReLU: {
    isElementwise: true,
    forward: (A, o, own, x) => rectifier(A, random(A)).forward(own, o, x),
    backward: (A, o, own, x, y, dy) => rectifier(A, random(A)).backward(own, o, x, dy),
  },
};

// The number of a layer's outputs for `width` inputs.
export const outputsOf = (o, width) => LAYERS[o.type].width?.(o, width) ?? width;
