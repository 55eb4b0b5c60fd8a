// The explanation's page: one state, and what is shown of it.
//
// Every change makes a new state; then all numbers are computed again by the page's engine and all
// parts are shown again. The explanation that Python wrote gives the run to start with; its numbers
// are only compared with the page's own.

import { floats, rounded, traced } from "../../page/arithmetic.mjs";
import { localDerivatives } from "../../page/derivatives.mjs";
import { download, element } from "../../page/dom.mjs";
import { entryAt, liftParameters, propagate, splitKey, update } from "../../page/engine.mjs";
import { exploreNetwork } from "../../page/drawing/explore.mjs";
import { isSameKey, textOf } from "../../page/drawing/figures.mjs";
import { namesOf } from "../../page/names.mjs";
import { offerThemes } from "../../page/theme.mjs";
import { typeset } from "../../page/typeset.mjs";
import { agreement, agreementText } from "./agreement.mjs";
import { buildControls, edited, placeOf } from "./controls.mjs";
import { drawCurve } from "./curve.mjs";
import { descend, tracedState, courseOf } from "./descent.mjs";
import { allSteps, buildStage } from "./stage.mjs";
import { isSimpleDescent, parameterKeys, steps } from "./story.mjs";
import { updatesText, writtenNumber } from "./writing.mjs";

// What the fields show: a step changes none of it.
const CONTROLLED = ["run", "decimals", "iterations", "target", "sample", "selected"];

const byId = (id) => document.getElementById(id);
const explanation = JSON.parse(byId("explanation").textContent);
const start = {
  run: explanation.spec,
  decimals: explanation.decimals,
  iteration: 0,
  iterations: Math.max(explanation.errors.length - 1, countOf(explanation.spec) > 1000 ? 10 : 100),
  target: null,
  sample: 0,
  selected: strongestOfFirst(explanation), // so that paths are seen at once
  step: 0,
  isTold: false, // a step is followed, more recently than a weight was chosen
  colourBy: "value",
  logarithmic: false,
};
const names = namesOf(start.run);
const list = steps(start.run);
list.at(-1).extra = () => {
  const next = Math.min(state.iteration, descent.points.length - 1) + 1;
  return next < descent.points.length && element("button", {
    type: "button",
    click: () => {
      change({ iteration: next, step: 1 });
      byId("step-slider").focus(); // the button is gone
    },
  }, `Tell iteration ${next}`);
};
let state = start;
let shownState = null; // the one that the page shows
let descent = { points: [] };
let view;

const stage = buildStage({
  tools: byId("story-tools"), article: byId("step"), announcement: byId("announcement"),
}, list, goTo);
const controls = buildControls({
  fields: byId("fields"), descent: byId("descent-tools"), network: byId("network-tools"),
}, start.run, names, {
  entry: (name, value) => compute({ run: edited(state.run, name, value), iteration: 0 }),
  option: (name, value) => (name === "lr" ? setRate(value) : compute({ [name]: value })),
  rate: (of) => setRate(of(state.run.optimizer.lr)),
  choose: (name) => change({ selected: keyOf(name) }),
  reset: () => {
    compute({ ...start, step: state.step, colourBy: state.colourBy });
    controls.reset(withName(state));
  },
  saved: () => download("run.json", `${JSON.stringify(state.run, null, 2)}\n`),
});
const network = exploreNetwork(
  { drawing: byId("drawing"), paths: byId("paths") }, start.run, {
    onSelect: select,
    onEdit: (key, value) => compute({ run: edited(state.run, textOf(key), value), iteration: 0 }),
  },
);

// The weight with the largest gradient in the first array of parameters that has one, or the first
// weight; null without any.
function strongestOfFirst({ spec, backward }) {
  const strongest = parameterKeys(spec).map(({ array, layer, name, indices }) => {
    const size = (index) => Math.abs(entryAt(backward[array], index)) || 0;
    const index = indices.reduce((a, b) => (size(b) > size(a) ? b : a));
    return { size: size(index), key: { layer, name, index } };
  });
  return (strongest.find(({ size }) => size > 0) ?? strongest[0])?.key ?? null;
}

function countOf(run) {
  return parameterKeys(run).reduce((count, { indices }) => count + indices.length, 0);
}

function keyOf(name) {
  const { array, index } = placeOf(start.run, name);
  const [layer, parameter] = splitKey(array);
  return parameter ? { layer, name: parameter, index } : null;
}

const format = () => (state.decimals === null ? {} : { decimals: state.decimals });
const shown = (value) => writtenNumber(value, format());
const withName = (current) =>
  ({ ...current, selectedName: current.selected && textOf(current.selected) });

// A chosen weight is shown with its paths; among the gradients, its own step follows.
function select(key) {
  const own = list.findIndex((step) => isSameKey(step.key, key));
  const follow = key && own >= 0 && list[state.step].phase === "Gradients";
  change({ selected: key, step: follow ? own : state.step, isTold: false });
}

// A weight that the page itself chose, at the start or by a step, gives way to the next step.
function goTo(step) {
  const { key, focus } = list[step];
  const left = state.step === 0 ? start.selected : list[state.step].key;
  const selected = key ?? (isSameKey(state.selected, left) ? null : state.selected);
  const isTold = !key && focus.units.length + focus.edges.length > 0;
  change({ step, selected, isTold });
}

function setRate(lr) {
  const rate = Number(lr.toPrecision(12)); // 0.1 · 3 shall not become 0.30000000000000004
  compute({ run: { ...state.run, optimizer: { ...state.run.optimizer, lr: rate } } });
}

// Change what the numbers depend on, and compute them again.
function compute(changes) {
  state = { ...state, ...changes };
  descent.cancelled = true;
  const A = state.decimals === null ? floats : rounded(state.decimals);
  const { iterations, target, run } = state;
  descent = descend(run, A, { iterations, target }, showDescent);
  look();
}

// Change only what is shown of them.
function change(changes) {
  const { iteration, sample } = state;
  state = { ...state, ...changes };
  if (state.iteration !== iteration || state.sample !== sample) look();
  else show();
}

// Compute the pass of the current iteration, with its formulas.
function look() {
  const at = Math.min(state.iteration, descent.points.length - 1);
  const { run, params, state: ruleState } = descent.points[at];
  const T = traced(state.decimals === null ? floats : rounded(state.decimals));
  const pass = propagate(run, T, params && liftParameters(params, T));
  const local = new Map();
  view = {
    run, pass, names, T, n: Math.min(state.sample, run.x.length - 1),
    updated: update(run, pass, tracedState(ruleState, run, T), T),
    format: format(), shown, iteration: at,
    nextError: descent.points[at + 1]?.error,
    local: (i) => {
      if (!local.has(i)) local.set(i, localDerivatives(run, pass, i, T));
      return local.get(i);
    },
  };
  showDescent();
  show();
}

function show() {
  const step = list[state.step];
  stage.show(state.step, view);
  network.update({
    run: view.run, pass: view.pass, A: view.T, sample: view.n, colourBy: state.colourBy,
    selected: state.selected, focus: step.focus, isTold: state.isTold,
    isEditable: view.iteration === 0,
  });
  if (shownState === null || CONTROLLED.some((name) => shownState[name] !== state[name])) {
    controls.show(withName(state));
  }
  shownState = state;
}

function showDescent() {
  const done = descent.stopped !== null;
  compare(done);
  byId("descent").setAttribute("aria-busy", String(!done));
  const errors = descent.points.map((point) => point.error);
  const at = Math.min(state.iteration, errors.length - 1);
  const { target, iterations, logarithmic, run } = state;
  byId("descent-message").textContent = done
    ? courseOf(descent, run.optimizer, target, shown) : "Computing …";
  drawCurve(byId("curve"), {
    errors, iterations: done ? errors.length - 1 : iterations, iteration: at, target,
    logarithmic, shown,
    choose: (iteration) => change({ iteration }),
  });
  const slider = byId("iteration");
  slider.max = errors.length - 1;
  slider.value = at;
  slider.setAttribute("aria-valuetext", `after ${updatesText(at)} the error is ${shown(errors[at])}`);
  byId("iteration-label").textContent = at === 0
    ? "Iteration 0: the story above shows the first pass"
    : `Iteration ${at}: the story above shows the pass after ${updatesText(at)}`;
  byId("errors").replaceChildren(...rowsOf(errors).map((k) => (k === null
    ? element("tr", {}, element("td", { colspan: 2 }, "…"))
    : element("tr", {}, element("th", { scope: "row" }, String(k)), element("td", {
      class: "number", "data-q": `L(${k})`, "data-value": String(errors[k]),
    }, shown(errors[k]))))));
}

// Compare with Python's numbers, once, before a reader changes anything.
function compare(done) {
  const errors = descent.points.map((point) => point.error);
  const isEnough = done || errors.length >= explanation.errors.length;
  const isFirst = view?.run === start.run && state.decimals === start.decimals;
  if (!isEnough || !isFirst || byId("agreement").hasChildNodes()) return;
  byId("agreement").replaceChildren(...typeset(agreementText(agreement(explanation, view, errors))));
}

// The first and the last entries of a long list.
function rowsOf(errors) {
  const every = errors.map((_, k) => k);
  return every.length <= 24 ? every : [...every.slice(0, 16), null, ...every.slice(-4)];
}

byId("iteration").addEventListener("input", (event) => {
  change({ iteration: Number(event.target.value) });
});
for (const input of document.querySelectorAll("[name=colour]")) {
  input.addEventListener("change", () => change({ colourBy: input.value }));
}
byId("logarithmic").addEventListener("change", (event) => {
  state = { ...state, logarithmic: event.target.checked };
  showDescent();
});
addEventListener("resize", showDescent);
addEventListener("beforeprint", () => {
  byId("all-steps").replaceChildren(...allSteps(list, view));
});
addEventListener("afterprint", () => byId("all-steps").replaceChildren());

if (!isSimpleDescent(start.run.optimizer)) {
  const { type } = start.run.optimizer;
  byId("rule").textContent = `${type} makes a step of every weight from its gradients`;
  byId("rate").textContent = `${type} makes the steps; the learning constant α scales them.`;
}
byId("notes").replaceChildren(...explanation.notes.map((note) => element("p", {}, typeset(note))));
offerThemes(byId("theme"));
byId("main").hidden = false;
compute({});
controls.reset(withName(state));
