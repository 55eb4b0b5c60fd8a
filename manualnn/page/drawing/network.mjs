// The drawing of a network as SVG: units with their numbers, weights as lines, what is chosen.
//
// `build` lays out and makes the elements once; `refresh` writes numbers and classes into them
// whenever something changes, so that the keyboard's focus stays where it is.

import { keyAfter, nearestKey } from "./choose.mjs";
import { element } from "../dom.mjs";
import { typeset } from "../typeset.mjs";
import { figuresOf, isSameKey, textOf } from "./figures.mjs";
import { chooseUnits, columnsOf, layoutOf } from "./layout.mjs";
import { litBy } from "./lit.mjs";
import { fillPicture, legendOf, makePicture } from "./picture.mjs";

const PLAIN = { read: (v) => v, value: (v) => v };
const REACH = { mouse: 10, pen: 14, touch: 22 }; // px from a line at which a pointer chooses it
const HINT = "Choose a weight: point at it, tap it, or use Tab and the arrow keys.";
const NARROW = 480; // below this width a column shows at most FEW units
const FEW = 5;

// Draw a network into a container, and return {update(changes), element}. Changes:
//   run, pass, A         the run, its pass and the arithmetic of the pass's numbers
//   sample               the sample of the batch to show
//   colourBy             "value" or "gradient": what the numbers, widths and colours show
//   selected             the chosen parameter {layer, name, index}, or null
//   paths, only          its paths, and the one among them to show alone (paths.mjs)
//   focus                {units: [[layer, j]…], edges: [key…]}: what the story is about
//   isTold               true while the story is followed: then the chosen one's paths step back
// Options: sample, maxUnits, interactive, onSelect(key | null), onHover(key | null),
// marks = {weights: [key…], units: [[layer, j]…], loss: true}: what is wrong.
export function drawNetwork(container, run, options = {}) {
  const { maxUnits = 12, interactive = true, marks = {} } = options;
  const state = {
    run, pass: null, A: PLAIN, colourBy: "value", sample: options.sample ?? 0,
    selected: null, hovered: null, paths: null, only: null, focus: null, isTold: false,
  };
  let [width, layout, picture, figures] = [0, null, null, null];
  let active = null; // the key that Tab reaches
  let labelled = null; // the figures that the weights' labels say

  const box = element("div", { class: "nn-box scroll" });
  const caption = element("p", { class: "nn-caption" });
  const legend = element("p", { class: "nn-legend" });
  container.classList.add("nn");
  container.replaceChildren(box, ...(interactive ? [caption] : []), legend);

  function build() {
    const most = width < NARROW ? Math.min(maxUnits, FEW) : maxUnits;
    const columns = chooseUnits(columnsOf(state.run), figures.strength, most, wantedUnits());
    layout = layoutOf(state.run, columns, width);
    picture = makePicture(layout);
    labelled = null;
    picture.svg.setAttribute("role", interactive ? "group" : "img");
    if (state.selected) active = textOf(state.selected);
    if (!picture.weights.has(active)) active = picture.weights.keys().next().value ?? null;
    const hadFocus = box.contains(document.activeElement);
    box.replaceChildren(picture.svg);
    if (interactive) listen();
    if (hadFocus) picture.weights.get(active)?.group.focus();
  }

  function refresh() {
    const lit = litBy(state, layout);
    const keys = [...picture.weights.values()].map(({ key }) => key);
    const sizes = keys.map((key) => Math.abs(figures.parameter(key))).filter(Number.isFinite);
    const view = { state, layout, figures, lit, largest: Math.max(0, ...sizes), marks };
    fillPicture(picture, view);
    picture.svg.setAttribute("aria-label", describe());
    const said = lit.key ?? state.selected;
    const isPointed = said && state.hovered && !isSameKey(said, state.selected);
    const task = isPointed ? " Click or press Enter to choose it." : "";
    caption.replaceChildren(...typeset(said ? `${figures.sentence(said)}.${task}` : HINT));
    legend.replaceChildren(...legendOf(view));
    if (!interactive) return;
    for (const [name, { key, group }] of picture.weights) {
      if (labelled !== figures) group.setAttribute("aria-label", figures.sentence(key));
      group.setAttribute("aria-pressed", String(isSameKey(key, state.selected)));
      group.setAttribute("tabindex", name === active ? "0" : "-1");
    }
    labelled = figures;
  }

  function describe() {
    const sizes = layout.columns.filter(({ link, kind }) => link === "weights" || kind === "input");
    const samples = state.run.x?.length ?? 1;
    const batch = samples > 1 ? `, sample ${state.sample} of ${samples}` : "";
    return `Network ${sizes.map(({ size }) => size).join("-")}${batch}`;
  }

  // ------------------------------------------------------------------ choosing

  function hover(key) {
    if (isSameKey(key, state.hovered) || key === state.hovered) return;
    state.hovered = key;
    if (options.onHover) options.onHover(key);
    refresh();
  }

  function choose(key) {
    if (key) move(key);
    options.onSelect?.(isSameKey(key, state.selected) ? null : key);
  }

  function listen() {
    for (const [name, { key, group }] of picture.weights) {
      group.dataset.key = name;
      group.setAttribute("role", "button");
      group.addEventListener("focus", () => {
        takeTab(key);
        hover(key);
      });
      group.addEventListener("blur", () => hover(null));
    }
    const at = (event, reach) => {
      const own = event.target.closest?.("[data-of]");
      if (own) return picture.weights.get(own.dataset.of).key;
      const { left, top } = picture.svg.getBoundingClientRect();
      return nearestKey(layout, event.clientX - left, event.clientY - top, reach);
    };
    picture.svg.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      const key = at(event, REACH.mouse);
      picture.svg.classList.toggle("nn-pointing", key !== null);
      hover(key);
    });
    picture.svg.addEventListener("pointerleave", () => hover(null));
    picture.svg.addEventListener("click", (event) =>
      choose(at(event, REACH[event.pointerType] ?? REACH.mouse)));
    picture.svg.addEventListener("keydown", press);
  }

  function press(event) {
    const here = picture.weights.get(active).key;
    const keys = [...picture.weights.values()].map(({ key }) => key);
    const next = keyAfter(keys, here, event.key, layout.vertical);
    if (next !== undefined) move(next);
    else if (event.key === "Enter" || event.key === " ") choose(here);
    else if (event.key === "Escape") options.onSelect?.(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function move(key) {
    if (key) picture.weights.get(textOf(key)).group.focus();
  }

  function takeTab(key) {
    picture.weights.get(active).group.setAttribute("tabindex", "-1");
    active = textOf(key);
    picture.weights.get(active).group.setAttribute("tabindex", "0");
  }

  // ------------------------------------------------------------------ life

  // The units that a choice or a step is about; they are shown even in a large layer.
  function wantedUnits() {
    const ends = ({ layer, index: [j, k] }) =>
      (k === undefined ? [[layer, j]] : [[layer, j], [layer - 1, k]]);
    const keys = [state.selected, ...(state.focus?.edges ?? [])].filter(Boolean);
    return [...keys.flatMap(ends), ...(state.focus?.units ?? []), ...(state.only?.units ?? [])];
  }

  function isOutdated(before) {
    if (!layout || before.sample !== state.sample || !before.pass !== !state.pass) return true;
    const columnOf = (stage) => layout.columns.find(({ stages }) => stages.includes(stage));
    return wantedUnits().some(([stage, j]) => columnOf(stage)?.shown.includes(j) === false);
  }

  function update(changes = {}) {
    const before = { ...state };
    Object.assign(state, changes);
    const isOther = ["run", "pass", "A", "colourBy", "sample"].some((k) => before[k] !== state[k]);
    if (isOther || !figures) figures = figuresOf(state);
    if (!width) return;
    if (isOutdated(before)) build();
    refresh();
    reveal();
  }

  // Scroll inside the box, and only there, to what a choice or a step is about.
  function reveal() {
    const [wanted] = wantedUnits();
    const place = layout.units.find(({ column, j }) =>
      j === wanted?.[1] && layout.columns[column].stages.includes(wanted[0]));
    if (!place || layout.width <= width) return;
    const isVisible = Math.abs(place.x - box.scrollLeft - width / 2) < width / 2 - place.w;
    if (!isVisible) box.scrollLeft = place.x - width / 2;
  }

  new ResizeObserver(([{ contentRect }]) => {
    if (Math.abs(contentRect.width - width) < 1) return;
    width = contentRect.width;
    figures = figuresOf(state);
    build();
    refresh();
  }).observe(box);
  return { update, element: container };
}
