// Layers that normalise: the rows of a batch, or its columns by running averages. The form of a layer
// is that of layers.mjs.

import { columns, rows } from "./rows.mjs";

// Rows, or runs of `size(o, width)` entries of rows, with mean 0 and mean square 1, then a factor
// and a summand for each column; without `centers`, the mean stays.
function normalizing({ centers = true, size = (o, width) => width, eps = (o) => o.eps ?? 1e-5 }) {
  const mean = (A, part) => A.mul(A.sum(part), A.ratio(1, part.length));

  function normalize(A, o, part) {
    const shift = centers ? mean(A, part) : null;
    const d = part.map((v) => (shift ? A.sub(v, shift) : v));
    const variance = mean(A, d.map((v) => A.mul(v, v)));
    const over = A.div(A.one, A.sqrt(A.add(variance, A.constant(eps(o)))));
    return { normal: d.map((v) => A.mul(v, over)), over };
  }

  function through(A, o, part, g) {
    const { normal, over } = normalize(A, o, part);
    const along = mean(A, g.map((v, j) => A.mul(v, normal[j])));
    const left = g.map((v, j) => A.sub(v, A.mul(normal[j], along)));
    const shift = centers ? mean(A, g) : null;
    return left.map((v) => A.mul(shift ? A.sub(v, shift) : v, over));
  }

  const byParts = (o, f, ...row) => {
    const k = size(o, row[0].length);
    const starts = row[0].map((_, j) => j).filter((j) => j % k === 0);
    return starts.flatMap((j) => f(...row.map((array) => array.slice(j, j + k))));
  };
  const normalOf = (A, o, x) =>
    x.map((row) => byParts(o, (part) => normalize(A, o, part).normal, row));

  return {
    forward: (A, o, { weight, bias }, x) => normalOf(A, o, x).map((row) => row.map((v, i) => {
      const y = weight ? A.mul(v, weight[i]) : v;
      return bias ? A.add(y, bias[i]) : y;
    })),
    backward(A, o, { weight, bias }, x, y, dy, grads) {
      const columnsOf = (array) => columns(array, array[0].length);
      if (weight) {
        const products = rows((d, v) => d.map((e, i) => A.mul(e, v[i])), dy, normalOf(A, o, x));
        grads.weight = columnsOf(products).map((column) => A.sum(column));
      }
      if (bias) grads.bias = columnsOf(dy).map((column) => A.sum(column));
      const given = weight ? dy.map((d) => d.map((e, i) => A.mul(e, weight[i]))) : dy;
      return rows((row, g) => byParts(o, (part, h) => through(A, o, part, h), row, g), x, given);
    },
  };
}

const runningOvers = (A, { eps = 1e-5 }, own) =>
  own.running_var.map((v) => A.div(A.one, A.sqrt(A.add(v, A.constant(eps)))));

function running(A, o, own, x) {
  const overs = runningOvers(A, o, own);
  return x.map((row) => row.map((v, i) => A.mul(A.sub(v, own.running_mean[i]), overs[i])));
}

export const NORMALIZATIONS = {
  LayerNorm: normalizing({}),
  RMSNorm: normalizing({ centers: false, eps: (o) => o.eps ?? Number.EPSILON }),
  GroupNorm: normalizing({ size: (o, width) => width / o.num_groups }),
  // As in prediction: by running averages. In training it mixes the samples of a batch.
  BatchNorm1d: {
    isElementwise: true,
    forward: (A, o, own, x) => running(A, o, own, x).map((row) => row.map((v, i) => {
      const y = own.weight ? A.mul(v, own.weight[i]) : v;
      return own.bias ? A.add(y, own.bias[i]) : y;
    })),
    backward(A, o, own, x, y, dy, grads) {
      const { weight, bias } = own;
      const [normal, overs] = [running(A, o, own, x), runningOvers(A, o, own)];
      if (weight) {
        const products = rows((d, v) => d.map((e, i) => A.mul(e, v[i])), dy, normal);
        grads.weight = columns(products, overs.length).map((column) => A.sum(column));
      }
      if (bias) grads.bias = columns(dy, overs.length).map((column) => A.sum(column));
      return dy.map((d) => d.map((e, i) => A.mul(weight ? A.mul(e, weight[i]) : e, overs[i])));
    },
  },
};
