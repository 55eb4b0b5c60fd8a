// The drawing together with the list of a weight's paths: choose a weight, see its paths light up,
// follow one of them, and compare their sum with what the backward pass gave.

import { element } from "../dom.mjs";
import { isSameKey, textOf } from "./figures.mjs";
import { leadOf, listOf, restOf, totalOf } from "./listing.mjs";
import { drawNetwork } from "./network.mjs";
import { makeSlider, measuredSlope } from "./nudge.mjs";
import { pathsOf } from "./paths.mjs";

const INVITATION = "Choose a weight or a bias in the drawing. All its paths to the error light up, "
  + "and their factors stand here.";
const MOST_DRAWN = 64; // paths whose factors stand in the drawing

const isEqual = (a, b) => a.length === b.length && a.every((item, i) => item === b[i]);

// Draw a network, and list the paths of the chosen weight. `boxes` = {drawing, paths}, two
// elements. Options as for `drawNetwork`, and onEdit(key, value) for a slider that moves the chosen
// weight. Return {update(changes)}; changes as for `drawNetwork`, without `paths` and `only`, and
// isEditable: false hides the slider. A run with other layers needs a new call.
export function exploreNetwork(boxes, run, options = {}) {
  const state = {
    run, pass: null, A: null, selected: null, sample: options.sample ?? 0, isEditable: true,
  };
  let [hovered, pinned, listed] = [null, null, null]; // listed: the key whose paths are listed
  let slider = null; // of the chosen weight
  let basis = []; // what the list was made of
  let found = { of: [], paths: new Map() }; // the paths found so far, of a run and its pass

  const drawing = drawNetwork(boxes.drawing, run, {
    ...options,
    onHover(key) {
      hovered = key;
      if (key && !state.selected) list(key);
      drawing.update({ paths: drawn(hovered ?? state.selected), only: null });
    },
  });
  const [head, content] = [element("div"), element("div")];
  boxes.paths.replaceChildren(head, content);
  boxes.paths.classList.add("paths");
  say(INVITATION);

  function pathsFor(key, most) {
    if (!key || !state.pass) return null;
    const of = [state.run, state.pass, state.A];
    if (!isEqual(of, found.of)) found = { of, paths: new Map() };
    const name = `${textOf(key)} ${most}`;
    if (!found.paths.has(name)) found.paths.set(name, pathsOf(state.run, state.pass, key, state.A, most));
    return found.paths.get(name);
  }

  // Paths for the drawing: all or none, because a part of the factors would mislead.
  function drawn(key) {
    const { count, paths } = pathsFor(key) ?? {};
    if (!(count <= MOST_DRAWN)) return null;
    return count === paths.length ? paths : pathsFor(key, MOST_DRAWN).paths;
  }

  function say(text) {
    content.replaceChildren(element("p", { class: "path-hint" }, text));
    basis = [];
  }

  // Light one path alone, or all. A path of another sample needs the numbers of that sample.
  function show(path) {
    const all = drawn(state.selected ?? listed);
    const key = path ? (state.selected ?? listed) : state.selected;
    drawing.update({ only: path, paths: all, selected: key, sample: path?.sample ?? state.sample });
  }

  function list(key) {
    listed = key;
    const whole = pathsFor(key);
    if (!whole) return;
    const { decimals } = state.A;
    const samples = state.run.x.length;
    const isChosen = isSameKey(key, state.selected);
    const now = [whole, isChosen];
    if (isEqual(now, basis)) return markPinned(); // a step changes none of it
    basis = now;
    const measured = isChosen && decimals === undefined ? measuredSlope(state.run, key) : null;
    const pinnedPath = () => (pinned === null ? null : whole.paths[pinned]);
    const paths = listOf(whole, {
      decimals, samples,
      light: (i) => show(whole.paths[i]),
      unlight: () => show(pinnedPath()),
      pin(i) {
        pinned = pinned === i ? null : i;
        markPinned();
        show(pinnedPath());
      },
    });
    const parts = [leadOf(key, whole, samples), paths, restOf(whole)];
    content.replaceChildren(...parts.filter(Boolean), totalOf(key, whole, { decimals, measured }));
    markPinned();
  }

  function markPinned() {
    for (const button of content.querySelectorAll("[data-path]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.path) === pinned));
    }
  }

  // The slider stays the same element while a reader moves it.
  function offerSlider(before) {
    const { selected, isEditable, run: now } = state;
    if (!selected || !isEditable || !options.onEdit) slider = null;
    else if (slider && isSameKey(selected, before)) slider.show(now);
    else slider = makeSlider(now, selected, options.onEdit);
    const node = slider?.node ?? null;
    if (head.firstChild !== node) head.replaceChildren(...[node].filter(Boolean));
  }

  function update(changes = {}) {
    const before = state.selected;
    Object.assign(state, changes);
    const shown = state.selected ?? (isSameKey(before, listed) ? null : listed);
    if (!isSameKey(before, state.selected)) pinned = null;
    offerSlider(before);
    if (shown) list(shown);
    else if (before) say(INVITATION);
    listed = shown;
    const only = pinned === null ? null : pathsFor(state.selected)?.paths[pinned] ?? null;
    drawing.update({ ...changes, paths: drawn(hovered ?? state.selected), only });
  }

  return { update };
}
