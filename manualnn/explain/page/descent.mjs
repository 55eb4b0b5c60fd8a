// Gradient descent: one pass and one update after the other, and what to say about the errors.

import { mapEntries, propagate, update } from "../../page/engine.mjs";

const SLICE = 40; // milliseconds of work, after which the page may react

// Descend in slices, the first of them at once. `points[k]` = {error, run, state} after k updates:
// the run with the parameters of that moment. `stopped` says why it ended, and is null before.
// `report` is called after every slice but the first.
export function descend(run, A, { iterations, target }, report) {
  const descent = { points: [], stopped: null, cancelled: false };
  let point = { run, state: null };
  const work = () => {
    if (descent.cancelled) return;
    const end = performance.now() + SLICE;
    while (!descent.stopped && performance.now() < end) {
      const pass = propagate(point.run, A);
      descent.points.push({ ...point, error: A.value(pass.loss) });
      descent.stopped = reason(descent.points, iterations, target);
      if (!descent.stopped) {
        const { params, state } = update(point.run, pass, point.state, A);
        point = { run: { ...run, parameters: plain(params, A) }, state };
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

// The parameters as JavaScript's numbers. Those of rounded numbers are read back as they were.
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

// What the descent shows about the learning constant, in one or two sentences.
export function courseOf({ points, stopped }, lr, target, shown) {
  const errors = points.map((point) => point.error);
  const finite = errors.filter(Number.isFinite);
  const updates = (k) => `${k} update${k === 1 ? "" : "s"}`;
  const [first] = errors;
  const last = finite[finite.length - 1];
  const done = finite.length - 1;
  if (stopped === "diverged") {
    return done < 1
      ? `Diverged: with ${shown(lr)} the error is no finite number after the first update. ` +
        "The constant is too large: make it smaller."
      : `Diverged: with ${shown(lr)} the error grows from ${shown(first)} to ${shown(last)} after ` +
        `${updates(done)}, and then it is no finite number. The constant is too large: make it smaller.`;
  }
  if (stopped === "target") {
    return `The target error ${shown(target)} is reached after ${updates(done)}: the error fell ` +
      `from ${shown(first)} to ${shown(last)}.`;
  }
  const course = `With ${shown(lr)} the error goes from ${shown(first)} to ${shown(last)} in ` +
    `${updates(done)}`;
  if (last > first) {
    return `The error grows: with ${shown(lr)} it goes from ${shown(first)} to ${shown(last)} after ` +
      `${updates(done)}. The constant is too large: make it smaller.`;
  }
  if (target !== null) {
    return `${course}, which is still more than the target ${shown(target)}: more iterations are ` +
      "needed, or a larger constant.";
  }
  const rises = errors.some((error, k) => k && error > errors[k - 1]);
  if (last === first) return `${course}: it does not change.`;
  if (rises) return `${course}, but it rises on the way: the constant is near its largest useful value.`;
  if (last > first / 2) return `${course}: a small step each time, so more iterations are needed.`;
  return `${course}: it falls in every update.`;
}
