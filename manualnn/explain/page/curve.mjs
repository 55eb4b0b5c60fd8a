// The error's curve: error against the number of updates, as SVG.

import { svg } from "../../page/dom.mjs";

const HEIGHT = 240;
const PLOT = { left: 62, right: 14, top: 20, bottom: 40 };

// Draw the errors of a descent of at most `iterations` updates. `iteration` is marked; `choose(k)`
// is called when a reader points at iteration k. The scale is logarithmic if a reader wishes, or if
// the error grows so much that its beginning would not be seen.
export function drawCurve(container, options) {
  const { errors, iterations, iteration, target, logarithmic, shown, choose } = options;
  const width = Math.max(280, container.clientWidth);
  const right = width - PLOT.right;
  const bottom = HEIGHT - PLOT.bottom;
  const finite = errors.filter(Number.isFinite);
  if (!finite.length) return void container.replaceChildren();
  const values = target === null ? finite : [...finite, target];
  const isPositive = Math.min(...values) > 0;
  const grows = Math.max(...finite) > 1000 * finite[0];
  const scale = isPositive && (logarithmic || grows) ? powersOfTen(values) : linear(values);
  const x = (k) => PLOT.left + ((right - PLOT.left) * k) / Math.max(1, iterations);
  const y = (error) => bottom - (bottom - PLOT.top) * scale.place(error);
  const at = Math.min(iteration, finite.length - 1);
  const line = finite.map((error, k) => `${k ? "L" : "M"}${x(k).toFixed(1)},${y(error).toFixed(1)}`);
  const text = (content, attributes) => svg("text", attributes, content);
  const ended = errors.length > finite.length;
  container.replaceChildren(svg("svg", {
    class: "curve", viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img",
    "aria-label": `Curve of the error: ${shown(finite[0])} before the first update, ` +
      `${shown(finite[finite.length - 1])} after ${finite.length - 1}.`,
    click: (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      const k = ((event.clientX - box.left) * width / box.width - PLOT.left) /
        (right - PLOT.left) * iterations;
      choose(Math.max(0, Math.min(finite.length - 1, Math.round(k))));
    },
  },
  scale.ticks.map((tick) => svg("g", { class: "grid" },
    svg("line", { x1: PLOT.left, x2: right, y1: y(tick), y2: y(tick) }),
    text(scale.label(tick, shown), { x: PLOT.left - 8, y: y(tick) + 4, "text-anchor": "end" }))),
  ticks(0, iterations, Math.max(2, Math.floor(width / 90))).filter(Number.isInteger).map((tick) =>
    text(tick, { x: x(tick), y: bottom + 18, "text-anchor": "middle" })),
  text("updates", { x: right, y: HEIGHT - 5, "text-anchor": "end" }),
  text(`error${scale.isLogarithmic ? ", logarithmic" : ""}`, { x: PLOT.left + 14, y: 11 }),
  target !== null && svg("g", { class: "target" },
    svg("line", { x1: PLOT.left, x2: right, y1: y(target), y2: y(target) }),
    text("target error", { x: right, y: y(target) - 5, "text-anchor": "end" })),
  svg("path", { class: "error-line", d: line.join("") }),
  finite.length <= 60 && finite.map((error, k) => svg("circle", { cx: x(k), cy: y(error), r: 2.2 })),
  ended && text("diverged", { class: "ended", x: x(finite.length - 1) + 6, y: PLOT.top + 10 }),
  svg("circle", { class: "here", cx: x(at), cy: y(finite[at]), r: 6 })));
}

function powersOfTen(values) {
  const from = Math.max(-323, Math.floor(Math.log10(Math.min(...values)))); // 10⁻³²³ is the least
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values))));
  const step = Math.ceil((to - from) / 5);
  const powers = [];
  for (let power = from; power <= Math.min(to, 308); power += step) powers.push(10 ** power);
  return {
    isLogarithmic: true,
    ticks: powers,
    place: (value) => (Math.log10(value) - from) / (to - from),
    label: (tick, shown) => shown(tick).replace("1 × ", ""),
  };
}

function linear(values) {
  const from = Math.min(0, ...values);
  const high = Math.max(...values);
  const marks = ticks(from, high > from ? high : from + 1, 5);
  const to = Math.max(high, ...marks.slice(-1));
  const part = high > 1e300 ? 4 : 1; // because the difference of two floats may be none
  return {
    isLogarithmic: false,
    ticks: marks,
    place: (value) => (value / part - from / part) / (to / part - from / part),
    label: (tick, shown) => shown(tick),
  };
}

// At most about `count` round numbers from `low` to `high`.
function ticks(low, high, count) {
  const rough = high / count - low / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const marks = [];
  const end = Math.min(high + 1e-9 * step, Number.MAX_VALUE);
  for (let k = Math.ceil(low / step); k * step <= end; k += 1) {
    marks.push(Number((k * step).toPrecision(12)));
  }
  return marks;
}
