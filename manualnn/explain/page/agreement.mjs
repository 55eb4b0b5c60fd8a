// The page's numbers compared with those that Python wrote into the file.

import { entryAt } from "../../page/engine.mjs";
import { parameterKeys } from "./story.mjs";

// Return {count, worst: {name, here, there, difference}}. A difference is relative to the largest
// number of its kind, because a sum that almost cancels has rounding errors of its terms' size. A
// kind whose numbers are all almost 0 is compared with the rounding errors of the others.
export function agreement(explanation, { pass, updated, names, run, T }, errors) {
  const here = new Map();
  const note = (name, number) => here.set(name, T.value(number));
  pass.outputs.forEach((rows, i) => rows.forEach((row, n) => row.forEach((a, j) => {
    note(names.unit(i, n, j), a);
    note(names.slope(i, n, j), pass.slopes[i][n][j]);
  })));
  pass.terms.forEach((row, n) => row.forEach((a, k) => note(names.term(n, k), a)));
  note("L", pass.loss);
  for (const { layer, name, array, indices } of parameterKeys(run)) {
    for (const index of indices) {
      const parameter = names.parameter(layer, name, index);
      note(`∂L/∂${parameter}`, entryAt(pass.grads[array], index));
      note(`${parameter}′`, entryAt(updated.params[array], index));
    }
  }
  errors.forEach((error, k) => here.set(`L after ${k}`, error));

  let count = 0;
  let worst = { difference: 0 };
  const lists = written(explanation);
  const largest = (list) =>
    Math.max(...list.map(({ value }) => Math.abs(value)).filter(Number.isFinite), 0);
  const floor = (largest(lists.flat()) || 1) * 2 ** -52;
  for (const quantities of lists) {
    const size = Math.max(largest(quantities), floor);
    for (const { symbol, value } of quantities) {
      if (!here.has(symbol)) continue;
      count += 1;
      const found = here.get(symbol);
      const there = Number(value);
      const difference = Object.is(found, there) || found === there
        ? 0 : Math.abs(found - there) / size;
      if (!(difference <= worst.difference)) worst = { name: symbol, here: found, there, difference };
    }
  }
  return { count, worst };
}

// The lists of quantities of an explanation, each of one kind.
function written({ layers, loss, gradients, errors }) {
  return [
    ...layers.flatMap(({ outputs, carried }) => [outputs, carried]), loss.terms, [loss.total],
    loss.slopes, gradients.map(({ backward }) => backward), gradients.map(({ updated }) => updated),
    errors,
  ];
}

export function agreementText({ count, worst }) {
  const compared = `When it was opened, this page compared ${count} of its numbers with those that ` +
    "Python wrote into the file";
  if (worst.difference === 0) return `${compared}: all are equal.`;
  if (worst.difference < 1e-9) {
    return `${compared}: the largest relative difference is ${worst.difference.toExponential(1)}, ` +
      "which is a rounding error.";
  }
  return `${compared}, and they disagree: ${worst.name} is ${worst.here} here and ${worst.there} there. ` +
    "Do not trust this page; please report it.";
}
