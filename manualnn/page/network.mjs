// The drawing of a network as SVG: units with their numbers, weights as lines, what is chosen.
//
// `build` makes the elements of a layout once; `refresh` writes numbers and classes into them
// whenever something changes, so that the keyboard's focus stays where it is.

import { keyAfter, nearestKey } from "./choose.mjs";
import { element, svg } from "./dom.mjs";
import { figuresOf, isSameKey, shortNumber, textOf } from "./figures.mjs";
import { chooseUnits, columnsOf, layoutOf } from "./layout.mjs";
import { litBy } from "./lit.mjs";
import { numberText, textOnPlate, unitRow } from "./shapes.mjs";

const PLAIN = { read: (v) => v, value: (v) => v };
const REACH = { mouse: 10, pen: 14, touch: 22 }; // distance at which a pointer chooses a line, in px
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
// Options: sample, maxUnits, interactive, onSelect(key | null), onHover(key | null),
// marks = {weights: [key…], units: [[layer, j]…], loss: true}: what is wrong.
export function drawNetwork(container, run, options = {}) {
  const { maxUnits = 12, interactive = true, marks = {} } = options;
  const state = {
    run, pass: null, A: PLAIN, colourBy: "value", sample: options.sample ?? 0,
    selected: null, hovered: null, paths: null, only: null, focus: null,
  };
  let [width, layout, parts, figures] = [0, null, null, null];
  let active = null; // the key that Tab reaches

  const box = element("div", { class: "nn-box" });
  const [caption, legend] = ["nn-caption", "nn-legend"].map((name) => element("p", { class: name }));
  container.classList.add("nn");
  container.replaceChildren(box, ...(interactive ? [caption] : []), legend);

  // ------------------------------------------------------------------ elements

  function build() {
    const most = width < NARROW ? Math.min(maxUnits, FEW) : maxUnits;
    const columns = chooseUnits(columnsOf(state.run), figures.strength, most, wantedUnits());
    layout = layoutOf(state.run, columns, width);
    const groups = ["edges", "units", "labels", "chips"].map((name) => svg("g", { class: `nn-${name}` }));
    const { width: w, height: h, compact } = layout;
    parts = {
      svg: svg("svg", { width: w, height: h, viewBox: `0 0 ${w} ${h}` }, ...groups),
      edges: [], units: [], weights: new Map(), chips: groups[3],
    };
    parts.svg.classList.toggle("nn-compact", compact);
    parts.svg.setAttribute("role", interactive ? "group" : "img");
    for (const item of [...layout.edges, ...layout.biases]) addEdge(item, groups[0], groups[2]);
    for (const unit of layout.units) groups[1].append(addUnit(unit));
    for (const { text, x, y, w: breadth, h: tall, anchor } of layout.headers) {
      groups[2].append(...text.map((line, i) => svg("text", {
        class: "nn-title", x: anchor === "start" ? x - breadth / 2 : x, y: y - tall / 2 + 12 + 16 * i,
        style: `text-anchor: ${anchor}`,
      }, line)));
    }
    for (const { x, y, left } of layout.rests) {
      groups[1].append(svg("text", { class: "nn-rest", x, y: y - 4 }, `… ${left}`));
      groups[1].append(svg("text", { class: "nn-rest", x, y: y + 10 }, "more"));
    }
    if (!parts.weights.has(active)) active = parts.weights.keys().next().value ?? null;
    const hadFocus = box.contains(document.activeElement);
    box.replaceChildren(parts.svg);
    if (hadFocus) parts.weights.get(active)?.group.focus();
    if (interactive) listen();
  }

  function addEdge(item, lines, labels) {
    const { key, label } = item;
    const place = { x1: item.x1, y1: item.y1, x2: item.x2, y2: item.y2 };
    const group = svg("g", { class: key ? "nn-weight" : "nn-link" });
    if (key) group.append(svg("line", { class: "nn-halo", ...place }));
    group.append(svg("line", { class: "nn-line", ...place }));
    if (key && !item.from) group.append(svg("circle", { class: "nn-dot", cx: item.x, cy: item.y, r: 5 }));
    lines.append(group);
    const plate = label && svg("g", { class: "nn-label" });
    if (plate) labels.append(plate);
    parts.edges.push({ item, group, plate });
    if (!key) return;
    if (plate) plate.dataset.of = textOf(key);
    parts.weights.set(textOf(key), { key, group });
    if (!interactive) return;
    group.dataset.key = textOf(key);
    group.setAttribute("role", "button");
    group.addEventListener("focus", () => {
      takeTab(key);
      hover(key);
    });
    group.addEventListener("blur", () => hover(null));
  }

  function addUnit(unit) {
    const { x, y, w, h, kind } = unit;
    const rx = kind === "terms" ? 8 : kind === "loss" ? 18 : w / 2;
    const frame = svg("rect", { class: "nn-frame", x: x - w / 2, y: y - h / 2, width: w, height: h, rx });
    const [rows, title] = [svg("g"), svg("title")];
    const group = svg("g", { class: `nn-unit nn-${kind}` }, frame, rows, title);
    parts.units.push({ unit, group, rows, title });
    return group;
  }

  // ------------------------------------------------------------------ numbers and classes

  function refresh() {
    const lit = litBy(state, layout);
    const values = [...parts.weights.values()].map(({ key }) => Math.abs(figures.parameter(key)));
    const largest = Math.max(0, ...values.filter(Number.isFinite));
    parts.svg.classList.toggle("nn-dimmed", lit.key !== null);
    parts.svg.setAttribute("aria-label", describe());
    parts.chips.replaceChildren();
    for (const edge of parts.edges) refreshEdge(edge, lit, largest);
    for (const unit of parts.units) refreshUnit(unit, lit);
    caption.textContent = lit.key ? `${figures.sentence(lit.key)}.` : HINT;
    legend.replaceChildren(...legendOf(largest));
  }

  function refreshEdge({ item, group, plate }, lit, largest) {
    const { key, label } = item;
    const factors = lit.factors.get(item);
    const isLit = lit.edges.has(item);
    const isAlone = isSameKey(key, lit.key) || (isLit && state.only !== null);
    const value = key ? figures.parameter(key) : undefined;
    const name = key && (state.colourBy === "gradient" ? `∂L/∂${textOf(key)}` : textOf(key));
    const isWrong = key && marks.weights?.some((k) => isSameKey(k, key));
    group.classList.toggle("lit", isLit);
    if (plate) {
      const isShown = (item.fits ?? true) || isAlone || isWrong;
      plate.classList.toggle("lit", isLit);
      plate.classList.toggle("nn-factor", factors !== undefined);
      plate.classList.toggle("nn-hidden", !isShown);
      const texts = factors ? factors.map((factor) => numberText(factor, { isFactor: true })) : [];
      if (!factors && value !== undefined) texts.push(numberText({ name, value }, { room: layout.compact ? 6 : 7 }));
      if (isWrong) texts.unshift(svg("tspan", { class: "nn-cross" }, "✗ "));
      plate.replaceChildren(...(texts.length ? textOnPlate(label, texts, layout.compact) : []));
    }
    if (!key) return;
    const chosen = isSameKey(key, state.selected);
    group.classList.toggle("negative", value < 0);
    group.classList.toggle("chosen", chosen);
    group.classList.toggle("focus", Boolean(state.focus?.edges?.some((k) => isSameKey(k, key))));
    const share = largest && Number.isFinite(value) ? Math.abs(value) / largest : 0;
    group.style.setProperty("--width", `${(1 + 5 * share).toFixed(2)}px`);
    mark(group, isWrong, plate ? null : item);
    if (!interactive) return;
    group.setAttribute("aria-label", figures.sentence(key));
    group.setAttribute("aria-pressed", String(chosen));
    group.setAttribute("tabindex", textOf(key) === active ? "0" : "-1");
  }

  function refreshUnit({ unit, group, rows, title }, lit) {
    const { stages } = layout.columns[unit.column];
    const isOf = ([stage, j]) => j === unit.j && stages.includes(stage);
    const focus = state.focus?.units?.filter(isOf) ?? [];
    const all = figures.rows(stages, unit.j);
    const asked = all.filter(({ stage }) => focus.some(([i]) => i === stage));
    const shown = layout.compact ? [asked.at(-1) ?? all.at(-1)] : all;
    rows.replaceChildren(...shown.flatMap((row, i) => unitRow(unit, row, i - (shown.length - 1) / 2, { isFirst: i === 0, compact: layout.compact })));
    title.textContent = all.map(({ name, value }) => (value === undefined ? name : `${name} = ${value}`)).join("\n");
    group.classList.toggle("lit", lit.units.has(unit));
    group.classList.toggle("focus", focus.length > 0);
    const corner = { x: unit.x + unit.w / 2 - 7, y: unit.y - unit.h / 2 + 7 };
    mark(group, marks.units?.some(isOf) || (unit.kind === "loss" && marks.loss), corner);
    const factors = lit.factors.get(unit);
    if (!factors) return;
    const chip = svg("g", { class: "nn-chip" });
    const texts = factors.map((factor) => numberText(factor, { isFactor: true }));
    chip.append(...textOnPlate({ x: unit.x, y: unit.y + unit.h / 2 }, texts, layout.compact));
    parts.chips.append(chip);
  }

  // Mark what is wrong by colour, and by a cross unless its label has one.
  function mark(group, isWrong, place) {
    group.classList.toggle("wrong", Boolean(isWrong));
    group.querySelector(".nn-cross")?.remove();
    if (!isWrong || !place) return;
    group.append(svg("text", { class: "nn-cross", x: place.x, y: place.y + 5 }, "✗"));
  }

  // ------------------------------------------------------------------ words

  function describe() {
    const sizes = layout.columns.filter(({ link, kind }) => link === "weights" || kind === "input");
    const batch = state.run.x?.length > 1 ? `, sample ${state.sample} of ${state.run.x.length}` : "";
    return `Network ${sizes.map(({ size }) => size).join("-")}${batch}`;
  }

  function legendOf(largest) {
    const what = state.colourBy === "gradient" ? "gradient" : "weight";
    const swatch = (sign) => {
      const line = svg("line", { class: "nn-line", x1: 0, x2: 34, y1: 6, y2: 6 });
      const group = svg("g", { class: `nn-weight ${sign}`, style: "--width: 3px" }, line);
      return svg("svg", { width: 34, height: 12, "aria-hidden": "true" }, group);
    };
    const words = [swatch(""), ` positive ${what}`, swatch("negative"), ` negative ${what}, dashed`];
    words.push(`the thickest line is |${what}| = ${shortNumber(largest)}`, "numbers have at most 4 digits");
    if (state.colourBy === "gradient") words.push("∂z is short for ∂L/∂z");
    if (state.run.x?.length > 1) words.push(`sample ${state.sample} of ${state.run.x.length} (0 is the first)`);
    if (Object.values(marks).some((marked) => marked === true || marked.length)) words.push("✗ wrong");
    if (layout.rests.length) {
      const measure = state.pass ? "|value · ∂L/∂value|" : "Σ |w| of their weights";
      words.push(`of a large layer, the units with the largest ${measure}`);
    }
    return words.map((word) => (typeof word === "string" ? element("span", {}, word) : word));
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
    const at = (event, reach) => {
      const own = event.target.closest?.("[data-of]");
      if (own) return parts.weights.get(own.dataset.of).key;
      const { left, top } = parts.svg.getBoundingClientRect();
      return nearestKey(layout, event.clientX - left, event.clientY - top, reach);
    };
    parts.svg.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      const key = at(event, REACH.mouse);
      parts.svg.classList.toggle("nn-pointing", key !== null);
      hover(key);
    });
    parts.svg.addEventListener("pointerleave", () => hover(null));
    parts.svg.addEventListener("click", (event) => choose(at(event, REACH[event.pointerType] ?? REACH.mouse)));
    parts.svg.addEventListener("keydown", press);
  }

  function press(event) {
    const here = parts.weights.get(active).key;
    const keys = [...parts.weights.values()].map(({ key }) => key);
    const next = keyAfter(keys, here, event.key, layout.vertical);
    if (next !== undefined) move(next);
    else if (event.key === "Enter" || event.key === " ") choose(here);
    else if (event.key === "Escape") options.onSelect?.(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function move(key) {
    if (key) parts.weights.get(textOf(key)).group.focus();
  }

  function takeTab(key) {
    parts.weights.get(active).group.setAttribute("tabindex", "-1");
    active = textOf(key);
    parts.weights.get(active).group.setAttribute("tabindex", "0");
  }

  // ------------------------------------------------------------------ life

  // The units that a choice or a step is about; they are shown even in a large layer.
  function wantedUnits() {
    const ends = (key) => [[key.layer, key.index[0]], ...(key.index.length > 1 ? [[key.layer - 1, key.index[1]]] : [])];
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
    figures = figuresOf(state);
    if (!width) return;
    if (isOutdated(before)) build();
    refresh();
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
