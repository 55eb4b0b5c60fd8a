// The story: the steps of one pass and one update, in their order.
//
// A step is {phase, title, sentence, rows, more, focus, key}. `rows(view)` are the traced numbers
// that it shows, `more` says how many it leaves out, `focus` is what the drawing lights up, and
// `key` the parameter that it is about. A view is {run, pass, updated, names, T, n, shown}: n is
// the sample, T the arithmetic of the numbers, `shown` writes a number.

import { derivativeFormulas } from "../../page/derivatives.mjs";
import { entryAt, splitKey } from "../../page/engine.mjs";
import { outputsOf } from "../../page/layers.mjs";
import { FORWARD, SLOPE, TERM, carried, division, isAround, meaning, rule } from "./words.mjs";

export const PHASES = [
  "Start", "Forward", "Error", "Slopes", "Backward", "Gradients", "Update", "Repeat",
];

const SINGLE_UNITS = 24; // most units of all layers that get a step each
const SINGLE_PARAMETERS = 32; // most parameters that get a step each
const ROWS = 12; // most rows of a step

export function steps(run) {
  const widths = unitCounts(run);
  const last = run.layers.length - 1;
  const list = [{
    phase: "Start", title: "The network before it has learned",
    sentence: () => "The weights and biases are given; usually they are random at first. The inputs " +
      "and the targets are the data. Choose a weight in the drawing to see how it acts on the error.",
    rows: () => [], focus: none,
  }];
  const total = widths.slice(1).reduce((sum, width) => sum + width, 0);
  run.layers.forEach((layer, i) => {
    groups(widths[i + 1], total <= SINGLE_UNITS).forEach((units) => list.push(forwardStep(run, i, units)));
  });
  groups(widths[last + 1], widths[last + 1] <= 4).forEach((units) => list.push(termStep(run, units)));
  list.push(
    {
      phase: "Error", title: "The error of the network",
      sentence: () => `${division(run)} This one number says how wrong the network is.`,
      rows: ({ pass }) => [pass.loss], focus: { units: [[last + 2, 0]], edges: [] },
    },
    outputSlopesStep(run, widths[last + 1]),
  );
  for (let i = last; i >= firstLearned(run); i -= 1) list.push(slopesStep(run, i));
  for (let i = last; i > firstLearned(run); i -= 1) list.push(backwardStep(run, i, widths[i]));
  const keys = parameterKeys(run);
  const single = keys.flatMap(({ indices }) => indices).length <= SINGLE_PARAMETERS;
  [...keys].reverse().forEach((array) => list.push(...gradientSteps(run, array, single)));
  keys.forEach((array) => list.push(updateStep(run, array)));
  list.push({
    phase: "Repeat", title: "The same again, with the new weights",
    sentence: ({ nextError, pass, T, shown }) => {
      const before = T.value(pass.loss);
      if (nextError === undefined) return "The curve below shows the errors of all iterations.";
      return `With the new weights the error is ${shown(nextError)}; it was ${shown(before)}. ` +
        "Forward, backward, update: this is repeated until the error is small enough, or the number " +
        "of iterations is reached.";
    },
    rows: () => [], focus: none,
  });
  return list;
}

const none = { units: [], edges: [] };
// Many at once would show nothing.
const few = (items) => (items.length <= ROWS ? items : []);
const range = (width, layer) => few(Array.from({ length: width }, (_, j) => [layer, j]));

export function unitCounts(run) {
  const widths = [run.x[0].length];
  for (const layer of run.layers) widths.push(outputsOf(layer, widths[widths.length - 1]));
  return widths;
}

// The first layer with parameters: below it nothing needs a gradient.
const firstLearned = (run) => Math.min(...Object.keys(run.parameters).map((key) => splitKey(key)[0]));

const isRandom = (run, i) => Object.keys(run.masks ?? {}).some((key) => splitKey(key)[0] === i);

// The parameters: for each array, its keys.
export function parameterKeys(run) {
  return Object.entries(run.parameters).map(([array, values]) => {
    const [layer, name] = splitKey(array);
    const indices = values.flatMap((row, j) => (Array.isArray(row) ? row.map((_, k) => [j, k]) : [[j]]));
    return { array, layer, name, indices };
  });
}

const at = (arrays, { layer, name, index }) => entryAt(arrays[`${layer}.${name}`], index);

// [[0], [1], …] if each unit gets a step, else [[0, 1, …]].
function groups(width, single) {
  const units = Array.from({ length: width }, (_, j) => j);
  return single ? units.map((j) => [j]) : [units];
}

// The `ROWS` strongest of some items, in their own order.
function mostOf(items, strength, most = ROWS) {
  if (items.length <= most) return items;
  const order = items.map((item, i) => [Math.abs(strength(item)) || 0, i]).sort((a, b) => b[0] - a[0]);
  const kept = order.slice(0, most).map(([, i]) => i).sort((a, b) => a - b);
  return kept.map((i) => items[i]);
}

const leftOut = (count, what, measure) => (count > ROWS
  ? `${(count - ROWS).toLocaleString("en")} more ${what} are left out: those with ${measure}.` : "");

// The keys of layer i's parameters.
const keysOf = (run, i) => parameterKeys(run).filter(({ layer }) => layer === i)
  .flatMap(({ layer, name, indices }) => indices.map((index) => ({ layer, name, index })));

const focusOn = (keys, units = []) => ({ units, edges: keys.length <= 64 ? keys : [] });

function forwardStep(run, i, units) {
  const layer = run.layers[i];
  const single = units.length === 1;
  const linear = layer.type === "Linear";
  return {
    phase: "Forward",
    title: ({ names, n }) => (single
      ? `${layer.type}: ${names.unit(i, n, units[0])}` : `Layer ${i}: ${layer.type}`),
    sentence: () => FORWARD[layer.type](layer, isRandom(run, i)),
    rows: ({ pass, T, n }) => mostOf(units, (j) => T.value(pass.slopes[i][n][j]))
      .map((j) => pass.outputs[i][n][j]),
    more: leftOut(units.length, "units", "smaller derivatives of the error"),
    focus: {
      units: few(units).flatMap((j) => (linear ? [[i, j]] : [[i - 1, j], [i, j]])),
      edges: linear && single ? keysOf(run, i).filter(({ index: [j] }) => j === units[0]) : [],
    },
  };
}

function termStep(run, units) {
  const last = run.layers.length - 1;
  return {
    phase: "Error",
    title: ({ names, n }) => (units.length === 1
      ? `The term of ${names.unit(last, n, units[0])}` : "The terms of the outputs"),
    sentence: () => `${TERM[run.loss.type]} This is what the output adds to the error.`,
    rows: ({ pass, T, n }) => mostOf(units, (k) => T.value(pass.terms[n][k]))
      .map((k) => pass.terms[n][k]),
    more: leftOut(units.length, "terms", "smaller values"),
    focus: { units: few(units).map((k) => [last + 1, k]), edges: [] },
  };
}

function outputSlopesStep(run, width) {
  const last = run.layers.length - 1;
  return {
    phase: "Slopes", title: "The error and the outputs",
    sentence: () => "How fast would the error change if an output grew? Where the derivative is " +
      "positive, the error grows with the output. Where it is negative, the error falls.",
    rows: ({ pass, T, n }) => mostOf(pass.slopes[last][n], T.value),
    more: leftOut(width, "outputs", "smaller derivatives"),
    focus: { units: range(width, last), edges: [] },
  };
}

function slopesStep(run, i) {
  const layer = run.layers[i];
  return {
    phase: "Slopes", title: `The slopes of layer ${i}: ${layer.type}`,
    sentence: () => SLOPE[layer.type](layer, isRandom(run, i)),
    rows: (view) => localRows(view, i),
    more: isSmall(run, i) ? "" : "Of this layer, the derivatives of its strongest units are shown.",
    focus: { units: range(unitCounts(run)[i + 1], i), edges: [] },
  };
}

function isSmall(run, i) {
  const widths = unitCounts(run);
  return widths[i] * widths[i + 1] <= ROWS;
}

// The derivatives of layer i's outputs that paths use; in a large layer, of its strongest units and
// inputs alone.
function localRows(view, i) {
  const { names, pass, run, n, T } = view;
  const inputs = i ? pass.outputs[i - 1][n] : pass.x[n];
  const inputSlopes = i ? pass.slopes[i - 1][n] : pass.inputSlopes[n];
  const whole = isSmall(run, i);
  const choose = (slopes) =>
    mostOf(slopes.map((_, j) => j), (j) => T.value(slopes[j]), whole ? ROWS : 3);
  const from = choose(inputSlopes);
  return choose(pass.slopes[i][n]).flatMap((j) => {
    const formulas = whole ? derivativeFormulas(run, pass, i, [n, j], T) : null;
    const row = (source, value, written) => value !== null && {
      op: "", args: [], ...(written?.symbol ? { op: "=", args: [written] } : written),
      value, symbol: names.edge(i, source, n, j),
    };
    const sources = run.layers[i].type === "Linear"
      ? [...from.map((k) => ({ name: "weight", index: [j, k] })), { name: "bias", index: [j] }]
      : mostOf(keysOf(run, i), (key) => T.value(at(pass.grads, key)));
    const parameters = sources.filter(({ name }) => pass.params[`${i}.${name}`]);
    return [
      ...parameters.map((source) => row(source, view.local(i).parameter(source.name, source.index, n, j),
        formulas?.parameter(source.name, source.index))),
      ...(i > firstLearned(run) ? from : []).map((k) =>
        row(k, view.local(i).units(n, j, k), formulas?.units(k))),
    ].filter(Boolean);
  });
}

function backwardStep(run, i, width) {
  const linear = run.layers[i].type === "Linear";
  return {
    phase: "Backward", title: `Back through layer ${i}: ${run.layers[i].type}`,
    sentence: ({ names, n }) => carried(linear, width <= 3
      ? range(width, i).map(([, j]) => names.unit(i - 1, n, j)) : ["these units"]),
    rows: ({ pass, T, n }) => mostOf(pass.slopes[i - 1][n], T.value),
    more: leftOut(width, "units", "smaller derivatives"),
    focus: focusOn(keysOf(run, i).filter(({ name }) => name === "weight"), range(width, i - 1)),
  };
}

function gradientSteps(run, { layer, name, array, indices }, single) {
  const keys = indices.map((index) => ({ layer, name, index }));
  const slope = (view, key) => view.T.value(at(view.pass.grads, key));
  if (!single) {
    return [{
      phase: "Gradients", title: `The gradients of ${array}`,
      sentence: () => "Each gradient says how fast the error changes with its parameter. Choose a " +
        "parameter in the drawing to see its paths.",
      rows: (view) => mostOf(keys, (key) => slope(view, key)).map((key) => at(view.pass.grads, key)),
      more: leftOut(keys.length, "parameters", "smaller gradients"),
      focus: focusOn(keys),
    }];
  }
  return keys.map((key) => ({
    phase: "Gradients", key,
    title: ({ names }) => `The gradient of ${names.parameter(layer, name, key.index)}`,
    sentence: (view) => meaning(view.names.parameter(layer, name, key.index), slope(view, key),
      view.shown, run.optimizer.maximize),
    rows: ({ pass }) => [at(pass.grads, key)],
    focus: {
      units: run.layers[layer].type === "Linear" ? [[layer, key.index[0]]]
        : range(unitCounts(run)[layer + 1], layer),
      edges: [key],
    },
  }));
}

// Is the step of a rule lr · ∂L/∂W, and nothing else?
export const isSimpleDescent = (o) =>
  o.type === "SGD" && !o.momentum && !o.weight_decay && !o.maximize && !isAround(o);

function updateStep(run, { layer, name, array, indices }) {
  const keys = indices.map((index) => ({ layer, name, index }));
  return {
    phase: "Update", title: `The step of ${array}`,
    sentence: ({ updated }) => (isSimpleDescent(run.optimizer)
      ? "Every parameter takes a step against its gradient. The learning constant α says how long " +
        "the step is: W′ = W − α · ∂L/∂W."
      : rule(run.optimizer, updated.state)),
    rows: ({ pass, updated, T }) => mostOf(keys, (key) => T.value(at(pass.grads, key)))
      .flatMap((key) => [
        ...Object.entries(updated.state ?? {})
          .filter(([state, arrays]) => state !== "step" && arrays[array])
          .map(([, arrays]) => at(arrays, key)),
        at(updated.params, key),
      ]),
    more: leftOut(keys.length, "parameters", "smaller gradients"),
    focus: focusOn(keys),
  };
}
