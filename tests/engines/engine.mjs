// An engine in JavaScript, which speaks manualnn/oracle/PROTOCOL.md: every layer, four losses, SGD,
// Adam and AdamW, in float64.
//
//     manualnn check "node engine.mjs"

import { createInterface } from "node:readline";

const CLAIMS = {
  name: "plain JavaScript",
  version: "1",
  layers: {
    Linear: "any", Identity: {}, Sigmoid: {}, Tanh: {}, ReLU: {}, LeakyReLU: "any",
    Softplus: "any", Softmax: {}, LogSoftmax: {}, Dropout: "any",
  },
  losses: { MSELoss: "any", L1Loss: "any", HuberLoss: "any", CrossEntropyLoss: "any" },
  optimizers: { SGD: "any", Adam: "any", AdamW: "any" },
  returns: ["loss", "grads", "params", "outputs", "input_grad", "state"],
  accepts_state: true,
  max_steps: 100000,
};

const sum = (row) => row.reduce((total, v) => total + v, 0);
const each = (f, ...arrays) => Array.isArray(arrays[0]) // f of every entry, whatever the depth
  ? arrays[0].map((_, i) => each(f, ...arrays.map((a) => a[i])))
  : f(...arrays);
const numbers = (array) => each(Number, array); // "NaN" and "Infinity" come as strings
const sigmoid = (z) => 1 / (1 + Math.exp(-z));

// A layer: y of x; dx of dy, the gradients of its own parameters left in `grads`.
const pointwise = (f, slope) => ({
  forward: (o, own, x) => each((z) => f(z, o), x),
  backward: (o, own, x, y, dy) => each((z, a, d) => d * slope(z, a, o), x, y, dy),
});
const softplus = (s) => Math.max(s, 0) + Math.log1p(Math.exp(-Math.abs(s)));
const logSoftmax = (row) => {
  const highest = Math.max(...row);
  const total = Math.log(sum(row.map((z) => Math.exp(z - highest))));
  return row.map((z) => z - highest - total);
};
const dropout = (own, x) => (own.mask ? each((m, z) => m * z, own.mask, x) : x);

const LAYERS = {
  Linear: {
    forward: (o, { weight, bias }, x) =>
      x.map((row) => weight.map((w, i) => sum(w.map((v, j) => v * row[j])) + (bias ? bias[i] : 0))),
    backward: (o, { weight, bias }, x, y, dy, grads) => {
      grads.weight = weight.map((w, i) => w.map((_, j) => sum(dy.map((d, n) => d[i] * x[n][j]))));
      if (bias) grads.bias = bias.map((_, i) => sum(dy.map((d) => d[i])));
      return dy.map((d) => weight[0].map((_, j) => sum(weight.map((w, i) => d[i] * w[j]))));
    },
  },
  Identity: pointwise((z) => z, () => 1),
  Sigmoid: pointwise(sigmoid, (z, a) => a * (1 - a)),
  Tanh: pointwise(Math.tanh, (z, a) => 1 - a * a),
  ReLU: pointwise((z) => (z > 0 ? z : 0), (z) => (z > 0 ? 1 : 0)),
  LeakyReLU: pointwise(
    (z, { negative_slope: k = 0.01 }) => (z > 0 ? z : k * z),
    (z, a, { negative_slope: k = 0.01 }) => (z > 0 ? 1 : k),
  ),
  Softplus: pointwise(
    (z, { beta = 1, threshold = 20 }) => (beta * z > threshold ? z : softplus(beta * z) / beta),
    (z, a, { beta = 1, threshold = 20 }) => (beta * z > threshold ? 1 : sigmoid(beta * z)),
  ),
  Softmax: {
    forward: (o, own, x) => x.map((row) => {
      const highest = Math.max(...row);
      const powers = row.map((z) => Math.exp(z - highest));
      const total = sum(powers);
      return powers.map((p) => p / total);
    }),
    backward: (o, own, x, y, dy) => y.map((a, n) => {
      const mean = sum(each((p, d) => p * d, a, dy[n]));
      return each((p, d) => p * (d - mean), a, dy[n]);
    }),
  },
  LogSoftmax: {
    forward: (o, own, x) => x.map(logSoftmax),
    backward: (o, own, x, y, dy) => y.map((a, n) => {
      const total = sum(dy[n]);
      return each((log, d) => d - Math.exp(log) * total, a, dy[n]);
    }),
  },
  Dropout: {
    forward: (o, own, x) => dropout(own, x),
    backward: (o, own, x, y, dy) => dropout(own, dy),
  },
};

// A loss: L and dy of the outputs y and the targets t.
const elementwise = (term, slope) => (o, y, t) => {
  const divisor = { sum: 1, batchmean: y.length }[o.reduction] ?? y.length * y[0].length;
  const error = each((a, b) => a - b, y, t);
  const total = sum(each((e) => term(e, o), error).map(sum));
  return [total / divisor, each((e) => slope(e, o) / divisor, error)];
};

const LOSSES = {
  MSELoss: elementwise((e) => e * e, (e) => 2 * e),
  L1Loss: elementwise(Math.abs, Math.sign),
  HuberLoss: elementwise(
    (e, { delta = 1 }) =>
      (Math.abs(e) <= delta ? 0.5 * e * e : delta * (Math.abs(e) - 0.5 * delta)),
    (e, { delta = 1 }) => Math.max(-delta, Math.min(delta, e)),
  ),
  CrossEntropyLoss(o, y, t) {
    const { ignore_index: ignored = -100, label_smoothing: smooth = 0 } = o;
    const classes = y[0].length;
    const w = o.weight ?? y[0].map(() => 1);
    const labelled = !Array.isArray(t[0]);
    const kept = t.map((label) => !labelled || label !== ignored);
    const q = t.map((label, n) => w.map((v, c) => {
      const p = labelled ? Number(label === c) : label[c];
      return kept[n] ? v * (p * (1 - smooth) + smooth / classes) : 0;
    }));
    let divisor = o.reduction === "sum" ? 1 : y.length;
    if (labelled && (o.reduction ?? "mean") === "mean") {
      divisor = sum(t.map((label, n) => (kept[n] ? w[label] : 0)));
    }
    const log = y.map(logSoftmax);
    const value = sum(each((p, l) => (p === 0 ? 0 : -p * l), q, log).map(sum)) / divisor;
    const dy = q.map((p, n) => {
      const total = sum(p);
      return each((v, l) => (Math.exp(l) * total - v) / divisor, p, log[n]);
    });
    return [value, dy];
  },
};

// A rule: the new p of p and g, at step t; `kept(name)` is the state's array, `keep` renews it.
function adam(o, p, g, kept, keep, t) {
  const { lr = 0.001, betas: [b1, b2] = [0.9, 0.999], eps = 1e-8 } = o;
  const m = keep("exp_avg", each((a, d) => b1 * a + (1 - b1) * d, kept("exp_avg"), g));
  let v = keep("exp_avg_sq", each((a, d) => b2 * a + (1 - b2) * d * d, kept("exp_avg_sq"), g));
  if (o.amsgrad) v = keep("max_exp_avg_sq", each(Math.max, kept("max_exp_avg_sq"), v));
  const step = lr / (1 - b1 ** t);
  const correction = 1 - b2 ** t;
  return each((a, b, c) => a - step * (b / (Math.sqrt(c / correction) + eps)), p, m, v);
}

const ascent = (o, g) => (o.maximize ? each((d) => -d, g) : g);
const decayed = (o, p, g) =>
  (o.weight_decay ? each((a, d) => ascent(o, d) + o.weight_decay * a, p, g) : ascent(o, g));

const RULES = {
  SGD(o, p, g, kept, keep, t) {
    const { lr = 0.001, momentum = 0, dampening = 0 } = o;
    let d = decayed(o, p, g);
    if (momentum) {
      const old = kept("momentum_buffer");
      const b = t === 1 ? d : each((a, c) => momentum * a + (1 - dampening) * c, old, d);
      keep("momentum_buffer", b);
      d = o.nesterov ? each((c, a) => c + momentum * a, d, b) : b;
    }
    return each((a, c) => a - lr * c, p, d);
  },
  Adam: (o, p, g, ...rest) => adam(o, p, decayed(o, p, g), ...rest),
  AdamW(o, p, g, ...rest) {
    const { lr = 0.001, weight_decay: decay = 0.01 } = o;
    return adam(o, each((a) => a * (1 - lr * decay), p), ascent(o, g), ...rest);
  },
};

function step({ layers, loss, optimizer, noise, params: start, state: before, steps = 1, ...c }) {
  const [x, t] = [numbers(c.x), numbers(c.t)];
  const params = Object.fromEntries(Object.entries(start).map(([k, a]) => [k, numbers(a)]));
  const state = { step: 0, ...before };
  let result;
  for (let i = 0; i < steps; i++) {
    const own = layers.map((_, k) => ({
      weight: params[`${k}.weight`], bias: params[`${k}.bias`], mask: noise?.[`${k}.mask`],
    }));
    const ys = [x];
    layers.forEach((o, k) => ys.push(LAYERS[o.type].forward(o, own[k], ys[k])));
    let [value, dy] = LOSSES[loss.type](loss, ys.at(-1), t);
    const grads = {};
    for (let k = layers.length - 1; k >= 0; k--) {
      const gradients = {};
      dy = LAYERS[layers[k].type].backward(layers[k], own[k], ys[k], ys[k + 1], dy, gradients);
      for (const [name, g] of Object.entries(gradients)) grads[`${k}.${name}`] = g;
    }
    result = { loss: value, outputs: ys.at(-1), grads, input_grad: dy };
    if (!optimizer) continue;
    state.step += 1;
    for (const [key, p] of Object.entries(params)) {
      const kept = (name) => (state[name]?.[key] ? numbers(state[name][key]) : each(() => 0, p));
      const keep = (name, array) => ((state[name] = { ...state[name], [key]: array })[key]);
      params[key] = RULES[optimizer.type](optimizer, p, grads[key], kept, keep, state.step);
    }
    Object.assign(result, { params, state });
  }
  return result;
}

// JSON has no NaN and no infinity: JSON.stringify would write null for each of them.
const spelt = (_, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v);

for await (const line of createInterface({ input: process.stdin })) {
  const { type, seq, case: asked } = JSON.parse(line);
  if (type === "stop") break;
  let answer = { type: "hello", ...CLAIMS };
  if (type === "run") {
    try {
      answer = { type: "ok", seq, result: step(asked) };
    } catch (error) {
      answer = { type: "errored", seq, trace: error.stack };
    }
  }
  process.stdout.write(`${JSON.stringify(answer, spelt)}\n`);
}
