// Gradient descent: one pass and one update after the other, and what to say about the errors.

import { mapEntries, propagate, update } from "../../page/engine.mjs";
import { updatesText } from "./writing.mjs";

const SLICE = 40; // milliseconds of work, after which the page may react

// Descend in slices, the first of them at once. `points[k]` = {error, run, params, state} after k
// updates: the run with the parameters of that moment, which `params` has as numbers of A.
// `stopped` says why it ended, and is null before.
// `report` is called after every slice but the first.
export function descend(run, A, { iterations, target }, report) {
  const descent = { points: [], stopped: null, cancelled: false };
  let point = { run, state: null };
  const work = () => {
    if (descent.cancelled) return;
    const end = performance.now() + SLICE;
    while (!descent.stopped && performance.now() < end) {
      const pass = propagate(point.run, A, point.params);
      descent.points.push({ ...point, error: A.value(pass.loss) });
      descent.stopped = reason(descent.points, iterations, target);
      if (!descent.stopped) {
        const { params, state } = update(point.run, pass, point.state, A);
        point = { run: { ...run, parameters: plain(params, A) }, params, state };
      }
    }
    if (!descent.stopped) setTimeout(() => (work(), descent.cancelled || report()));
  };
  work();
  return descent;
}

function reason(points, iterations, target) {
  const done = points.length - 1;
  const { error } = points[done];
  if (!Number.isFinite(error)) return "diverged";
  if (done && target !== null && error <= target) return "target";
  return done === iterations ? "iterations" : null;
}

// The parameters as JavaScript's numbers.
const plain = (arrays, A) => Object.fromEntries(
  Object.entries(arrays).map(([key, array]) => [key, mapEntries(array, A.value)]),
);

// The rule's state as traced numbers, by name.
export function tracedState(state, run, T) {
  if (state === null) return null;
  const B = run.optimizer.type === "SGD" ? T : T.unrounded ?? T;
  const lift = (name, arrays) => Object.fromEntries(Object.entries(arrays).map(([key, array]) =>
    [key, mapEntries(array, (a) => B.name(B.number(a), name))]));
  return Object.fromEntries(Object.entries(state).map(([name, arrays]) =>
    [name, name === "step" ? arrays : lift(name, arrays)]));
}

// Has the error come to rest: does its last tenth change by almost nothing, unlike its first tenth?
function isFlat(errors) {
  const tenth = Math.ceil(errors.length / 10);
  const change = (k) => Math.abs(errors[k] - errors[k + tenth]);
  const atEnd = change(errors.length - 1 - tenth);
  return errors.length > 10 && atEnd < 1e-4 * Math.abs(errors.at(-1)) && 10 * atEnd < change(0);
}

// What the descent shows about the learning constant, an option of the rule. `shown` writes an error.
export function courseOf({ points, stopped }, { lr, maximize }, target, shown) {
  const errors = points.map((point) => point.error);
  const finite = errors.filter(Number.isFinite);
  if (!finite.length) return "The error is no finite number: make the numbers smaller.";
  const [first, last] = [finite[0], finite.at(-1)];
  const done = finite.length - 1;
  const smaller = "The learning constant is too large: make it smaller.";
  const course = `With α = ${lr} the error goes from ${shown(first)} to ${shown(last)} in ${updatesText(done)}`;
  if (stopped === "diverged") {
    return `It diverges. ${course}, and then it is no finite number. ${smaller}`;
  }
  if (maximize) return `${course}: the rule maximizes it.`;
  if (last > 1000 * first) return `It diverges. ${course}. ${smaller}`;
  if (stopped === "target") return `${course}: the target error is reached.`;
  if (last > first) return `The error grows. ${course}. ${smaller}`;
  if (last === first) return `${course}: it does not change.`;
  if (target !== null) {
    return `${course}. That is more than the target error: more iterations are needed.`;
  }
  if (isFlat(errors)) return `${course}. It no longer falls: this may be a minimum or a flat place.`;
  if (last > first / 2) return `${course}. The steps are small: more iterations are needed.`;
  const rises = errors.some((error, k) => k && error > errors[k - 1]);
  return rises ? `${course}, but it rises in between.` : `${course}: it falls all the way.`;
}
