// All paths from a parameter to the error. By the chain rule the derivative ∂L/∂w is the sum, over
// all paths from w to L, of the product of the local derivatives on the path.
//
// A deep network has more paths than anyone can list. Sums over all of them need one pass through
// the layers from the outputs back (dynamic programming); the strongest are found best first.

import { localDerivatives } from "../derivatives.mjs";
import { entryAt } from "../engine.mjs";
import { LAYERS } from "../layers.mjs";
import { namesOf } from "../names.mjs";
import { textOf } from "./figures.mjs";

const graphs = new WeakMap(); // of passes, because every weight that is pointed at needs its own

// Return the paths of a parameter, in numbers:
//   paths     at most `most`, each {sample, units: [[layer, j]…], factors: [{name, value}…], product};
//             factors lead from the error back to the parameter; all paths in their order if they
//             are not more than `most`, else those with the largest |product|
//   count     the number of all paths, over all samples
//   size      Σ |product| of all paths
//   share     Σ |product| of the listed paths, as a part of that of all
//   sum       the sum of the products of all paths
//   backward  ∂L/∂(parameter) by the backward pass
export function pathsOf(run, pass, key, arithmetic, most = 12) {
  const A = arithmetic.base ?? arithmetic; // products and sums need no formulas
  const graph = graphOf(run, pass, arithmetic);
  const { layer, name, index } = key;
  const isLinear = run.layers[layer].type === "Linear";
  const starts = pass.outputs[layer].flatMap((row, n) => row.flatMap((_, j) => {
    const leads = !isLinear || j === index[0];
    const slope = leads ? graph.derivatives(layer).parameter(name, index, n, j) : null;
    return slope === null ? [] : [{ layer, sample: n, units: [[layer, j]], factors: [slope], j }];
  }));
  const all = starts.map(({ sample, j, factors }) =>
    through(A, factors[0], graph.sums(layer)[sample][j]));
  const count = all.reduce((total, sums) => total + sums.count, 0);
  const size = all.reduce((total, sums) => total + sums.size, 0);

  const found = bestFirst(graph, starts, Math.min(most, count), A);
  const isWhole = found.length === count;
  if (isWhole) found.sort((a, b) => a.sample - b.sample || inOrder(a.units, b.units));
  const products = found.map(({ factors }) => factors.reduceRight((a, b) => A.mul(a, b)));
  const sum = isWhole ? products.reduce((a, b) => A.add(a, b))
    : all.map(({ total }) => total).reduce((a, b) => A.add(a, b));
  const listed = products.reduce((total, product) => total + Math.abs(A.value(product)), 0);
  return {
    paths: found.map((path, i) => withNames(run, key, path, A.value(products[i]), A)),
    count, size, share: size ? listed / size : 1, sum: A.value(sum),
    backward: arithmetic.value(entryAt(pass.grads[`${layer}.${name}`], index)),
  };
}

const inOrder = (a, b) => a.reduce((order, [, j], i) => order || j - b[i][1], 0);

function withNames(run, key, { sample, units, factors }, product, A) {
  const names = namesOf(run);
  const name = ([layer, j]) => names.unit(layer, sample, j);
  const sources = [textOf(key), ...units.map(name)];
  const edges = units.map((unit, i) => `∂${name(unit)}/∂${sources[i]}`);
  const symbols = [...edges, `∂L/∂${name(units.at(-1))}`].reverse();
  const values = [...factors].reverse().map((factor) => A.value(factor));
  const named = symbols.map((symbol, i) => ({ name: symbol, value: values[i] }));
  return { sample, units, factors: named, product };
}

// The local derivatives of the layers and of the loss, and the sums over all paths from each output
// of a layer.
function graphOf(run, pass, arithmetic) {
  if (graphs.has(pass)) return graphs.get(pass);
  const A = arithmetic.base ?? arithmetic;
  const last = run.layers.length - 1;
  const [derivatives, sums] = [new Map(), new Map()];
  const graph = {
    last,
    slope: (n, j) => graph.derivatives(last + 1).units(n, 0, j),
    derivatives(i) {
      if (!derivatives.has(i)) derivatives.set(i, localDerivatives(run, pass, i, arithmetic));
      return derivatives.get(i);
    },
    // The edges from unit k of layer i to layer i + 1: {j, slope}.
    edges(i, n, k) {
      const { isElementwise } = LAYERS[run.layers[i + 1].type];
      const heads = isElementwise ? [k] : pass.outputs[i + 1][n].map((_, j) => j);
      return heads.map((j) => ({ j, slope: graph.derivatives(i + 1).units(n, j, k) }))
        .filter(({ slope }) => slope !== null);
    },
    sums(i) {
      if (!sums.has(i)) {
        sums.set(i, pass.outputs[i].map((row, n) => row.map((_, k) => (i === last
          ? single(A, graph.slope(n, k))
          : graph.edges(i, n, k).map(({ j, slope }) => through(A, slope, graph.sums(i + 1)[n][j]))
            .reduce((a, b) => join(A, a, b))))));
      }
      return sums.get(i);
    },
  };
  graphs.set(pass, graph);
  return graph;
}

// Sums over paths: their number, Σ product, Σ |product|, and the largest |product|.
const single = (A, slope) => {
  const size = Math.abs(A.value(slope));
  return { count: 1, total: slope, size, largest: size };
};
const through = (A, slope, { count, total, size, largest }) => {
  const factor = Math.abs(A.value(slope));
  return { count, total: A.mul(slope, total), size: factor * size, largest: factor * largest };
};
const join = (A, a, b) => ({
  count: a.count + b.count, total: A.add(a.total, b.total), size: a.size + b.size,
  largest: Math.max(a.largest, b.largest),
});

// Best-first search. The strongest continuation from every unit is known, so that the search
// extends only paths that it returns later.
function bestFirst(graph, starts, most, A) {
  const reach = (path) => Math.abs(path.size) * graph.sums(path.layer)[path.sample][path.j].largest;
  const begin = (path) => ({ ...path, size: A.value(path.factors[0]) });
  const open = starts.map(begin).map((path) => ({ ...path, reach: reach(path) }));
  const found = [];
  while (found.length < most) {
    const best = open.reduce((b, path, i) => (path.reach > open[b].reach ? i : b), 0);
    const [path] = open.splice(best, 1);
    const { layer, sample, j, units, factors, size } = path;
    if (layer === graph.last) {
      found.push({ sample, units, factors: [...factors, graph.slope(sample, j)] });
      continue;
    }
    for (const edge of graph.edges(layer, sample, j)) {
      const longer = {
        layer: layer + 1, sample, j: edge.j, units: [...units, [layer + 1, edge.j]],
        factors: [...factors, edge.slope], size: size * A.value(edge.slope),
      };
      open.push({ ...longer, reach: reach(longer) });
    }
  }
  return found;
}
