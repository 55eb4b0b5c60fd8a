// The network of a finding's case, with a ✗ where the engine's numbers are wrong.

import { floats } from "../../../page/arithmetic.mjs";
import { element } from "../../../page/dom.mjs";
import { propagate, update } from "../../../page/engine.mjs";
import { drawNetwork } from "../../../page/drawing/network.mjs";

const MOST_UNITS = 8;

// Draw the case of a finding into a figure. The numbers in it are those of a correct step.
export function drawCase(figure, finding) {
  const run = lastStepOf(runOf(finding.case), finding.case);
  const marks = marksOf(finding);
  const sample = finding.entries.find(({ quantity }) => isOfUnits(quantity))?.index[0] ?? 0;
  const box = element("div");
  figure.hidden = false;
  figure.replaceChildren(box, element("figcaption", { class: "small muted" }, captionOf(marks, finding.case)));
  const drawing = drawNetwork(box, run, {
    interactive: false, maxUnits: MOST_UNITS, marks, sample,
  });
  drawing.update({ pass: propagate(run, floats), A: floats });
}

// JSON has no NaN and no infinity: a case has them as texts.
function numbersOf(value) {
  if (Array.isArray(value)) return value.map(numbersOf);
  return value === null ? NaN : Number(value);
}

function arraysOf(group) {
  const entries = Object.entries(group).map(([key, array]) => [key, numbersOf(array)]);
  return Object.fromEntries(entries);
}

function runOf({ layers, loss, optimizer, params, noise, x, t }) {
  const masks = noise ? { masks: arraysOf(noise) } : {};
  const parameters = arraysOf(params);
  return { layers, loss, optimizer, parameters, x: numbersOf(x), t: numbersOf(t), ...masks };
}

// A run of several updates is judged by its last one: the run with the parameters before it.
function lastStepOf(run, { steps, state: start }) {
  let [state, parameters] = [start && stateOf(start), run.parameters];
  for (let step = 1; step < steps; step += 1) {
    const before = { ...run, parameters };
    ({ params: parameters, state } = update(before, propagate(before, floats), state, floats));
  }
  return { ...run, parameters };
}

function stateOf({ step, ...groups }) {
  const named = Object.entries(groups).map(([name, group]) => [name, arraysOf(group)]);
  return { step: Number(step), ...Object.fromEntries(named) };
}

const isOfUnits = (quantity) => quantity === "outputs" || quantity === "input_grad";

// Which weights, units and whether the loss are wrong, as the drawing marks them.
function marksOf({ case: { layers }, entries }) {
  const marks = { weights: [], units: [], loss: false };
  for (const entry of entries) {
    const [, layer, name] = /\.(\d+)\.(.+)$/.exec(entry.quantity) ?? [];
    if (entry.quantity === "loss") marks.loss = true;
    else if (isOfUnits(entry.quantity)) {
      const stage = entry.quantity === "outputs" ? layers.length - 1 : -1;
      marks.units.push(...wrongIndices(entry).map((index) => [stage, index.at(-1)]));
    } else if (name === "weight" || name === "bias") {
      const keys = wrongIndices(entry).map((index) => ({ layer: Number(layer), name, index }));
      marks.weights.push(...keys);
    }
  }
  return marks;
}

// The indices of the wrong entries that the report knows.
function wrongIndices({ index, array }) {
  if (!array) return [index];
  const found = [];
  const visit = (part, place) => {
    if (Array.isArray(part)) part.forEach((next, i) => visit(next, [...place, i]));
    else if (part) found.push(place.map((i, axis) => array.start[axis] + i));
  };
  visit(array.wrong, []);
  return found;
}

function captionOf({ weights, units, loss }, { steps }) {
  const isMarked = weights.length + units.length > 0 || loss;
  const which = steps > 1 ? `the last of ${steps} correct steps` : "a correct step";
  const network = `The network of the case, with the numbers of ${which}`;
  return isMarked ? `${network}; ✗ marks where the engine is wrong.` : `${network}.`;
}
