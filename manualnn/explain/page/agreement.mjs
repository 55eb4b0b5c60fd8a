// The page's numbers compared with those that Python wrote into the file.

import { exact } from "../../page/arithmetic.mjs";
import { localDerivatives } from "../../page/derivatives.mjs";
import { entryAt, propagate, update } from "../../page/engine.mjs";
import { parameterKeys } from "./story.mjs";

const CLOSE = 1e-9;
const EXACT_ERRORS = 10; // updates that are repeated with 50 digits

// Return {count, worst, rounded}: the number of numbers, that which differs most, and those which
// differ because float64 rounds them: with 50 digits, as Python has them, the page gets the same.
// Each is {name, here, there, difference}. A difference is relative to the largest number of its
// kind, because a sum that almost cancels has rounding errors of its terms' size. A kind whose
// numbers are all almost 0 is compared with the rounding errors of the others.
export function agreement(explanation, view, errors) {
  const here = numbersOf(view);
  errors.forEach((error, k) => here.set(`L after ${k}`, error));
  let exactly; // computed where it is asked for
  const isRounded = (name, there, size) => {
    if (explanation.decimals !== null) return false;
    exactly ??= exactNumbers(view);
    return exactly.some((found) => Math.abs(found.get(name) - there) <= CLOSE * size);
  };
  const rounded = [];
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
      const one = { name: symbol, here: found, there, difference };
      if (difference <= worst.difference) continue;
      if (!(difference <= CLOSE) && isRounded(symbol, there, size)) rounded.push(one);
      else worst = one;
    }
  }
  return { count, worst, rounded };
}

// The numbers of a pass and its update, by name.
function numbersOf({ pass, updated, names, run, T }) {
  const found = new Map();
  const note = (name, number) => found.set(name, T.value(number));
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
  return found;
}

// The numbers with 50 digits; and ∂L/∂y once more, as the derivative of the forward pass, which is
// another one where a loss bounds its slope.
function exactNumbers({ run, names }) {
  const pass = propagate(run, exact);
  const last = run.layers.length;
  const ofLoss = localDerivatives(run, pass, last, exact);
  const slopes = pass.slopes.at(-1).flatMap((row, n) => row.map((_, k) =>
    [names.slope(last - 1, n, k), exact.value(ofLoss.units(n, 0, k))]));
  const updated = update(run, pass, null, exact);
  const found = numbersOf({ run, names, T: exact, pass, updated });
  let { params, state } = updated;
  for (let k = 1; k <= EXACT_ERRORS; k += 1) {
    const next = propagate(run, exact, params);
    found.set(`L after ${k}`, exact.value(next.loss));
    ({ params, state } = update(run, next, state, exact));
  }
  return [found, new Map(slopes)];
}

// The lists of quantities of an explanation, each of one kind.
function written({ layers, loss, gradients, errors }) {
  return [
    ...layers.flatMap(({ outputs, carried }) => [outputs, carried]), loss.terms, [loss.total],
    loss.slopes, gradients.map(({ backward }) => backward), gradients.map(({ updated }) => updated),
    errors,
  ];
}

export function agreementText({ count, worst, rounded }) {
  const compared = `When it was opened, this page compared ${count} of its numbers with those that ` +
    "Python wrote into the file";
  if (!(worst.difference < CLOSE)) {
    return `${compared}, and they disagree: ${worst.name} is ${worst.here} here and ${worst.there} there. ` +
      "Do not trust this page; please report it.";
  }
  const most = worst.difference === 0 ? "all are equal." : "the largest relative difference is " +
    `${worst.difference.toExponential(1)}, which is a rounding error.`;
  if (!rounded.length) return `${compared}: ${most}`;
  const [{ name, here, there }] = rounded;
  const number = rounded.length === 1 ? "One of them is" : `${rounded.length} of them are`;
  return `${compared}. ${number} rounded by float64: ${name} is ${here} here, as in the library, and ` +
    `${there} there, with 50 digits; with 50 digits this page gets the same. Of the others, ${most}`;
}
