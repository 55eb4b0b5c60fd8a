// Answers questions about the drawing, a JSON line each, as far as it needs no document.

import { createInterface } from "node:readline";
import { floats } from "../../manualnn/page/arithmetic.mjs";
import { keyAfter, nearestKey } from "../../manualnn/page/drawing/choose.mjs";
import { propagate } from "../../manualnn/page/engine.mjs";
import { verdict } from "../../manualnn/page/drawing/listing.mjs";
import { figuresOf, shortNumber, textOf } from "../../manualnn/page/drawing/figures.mjs";
import { chooseUnits, columnsOf, layoutOf } from "../../manualnn/page/drawing/layout.mjs";
import { litBy } from "../../manualnn/page/drawing/lit.mjs";
import { measuredSlope } from "../../manualnn/page/drawing/nudge.mjs";
import { pathsOf } from "../../manualnn/page/drawing/paths.mjs";

const place = ({ x, y, w, h }) => ({ x, y, w, h });

function layoutFor({ run, width, most = 12, wanted = [], sample = 0, isBlind = false }) {
  const pass = isBlind ? null : propagate(run, floats);
  const { strength } = figuresOf({ run, pass, A: floats, colourBy: "value", sample });
  return layoutOf(run, chooseUnits(columnsOf(run), strength, most, wanted), width);
}

const ANSWERS = {
  layout(question) {
    const layout = layoutFor(question);
    const labels = [...layout.edges.filter(({ fits }) => fits), ...layout.biases]
      .filter(({ label }) => label);
    return {
      ...layout,
      units: layout.units.map((unit) => ({ ...unit, box: place(unit) })),
      labels: labels.map(({ key, label }) => ({ key: textOf(key), box: place(label) })),
      nearest: (question.points ?? []).map(([x, y]) => nearestKey(layout, x, y, question.reach)),
      lines: layout.edges.map(({ key, from, to, ...rest }) =>
        ({ ...rest, key: key && textOf(key), from: [from.column, from.j], to: [to.column, to.j] })),
      biases: layout.biases.map(({ key }) => textOf(key)), edges: undefined,
    };
  },
  lit({ selected, only = null, ...question }) {
    const layout = layoutFor(question);
    const paths = pathsOf(question.run, propagate(question.run, floats), selected, floats).paths;
    const alone = only === null ? null : paths[only];
    const state = { selected, hovered: null, paths, only: alone, sample: 0 };
    const { edges, units, factors } = litBy(state, layout);
    const unitName = ({ column, j }) => `${column}.${j}`;
    const name = ({ key, from, to, ...unit }) => {
      if (key) return textOf(key);
      return from ? `${unitName(from)}-${unitName(to)}` : unitName(unit);
    };
    return {
      edges: [...edges].map(name).sort(), units: [...units].map(name).sort(),
      factors: Object.fromEntries(
        [...factors].map(([item, all]) => [name(item), all.map((f) => f.name)]),
      ),
    };
  },
  paths({ run, key, most }) {
    return pathsOf(run, propagate(run, floats), key, floats, most);
  },
  walk({ run, from, presses, vertical }) {
    const keys = layoutFor({ run, width: 1000 }).edges.map(({ key }) => key)
      .concat(layoutFor({ run, width: 1000 }).biases.map(({ key }) => key)).filter(Boolean);
    let here = from;
    return presses.map((pressed) => {
      const next = keyAfter(keys, here, pressed, vertical);
      here = next ?? here;
      return next ? textOf(next) : next === null ? null : "unmoved";
    });
  },
  measure: ({ run, key }) => measuredSlope(run, key),
  short: ({ value, room }) => shortNumber(Number(value), room),
  verdict: ({ sum, backward, size, decimals }) => verdict(Number(sum), backward, size, decimals),
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(ANSWERS[question.ask](question))}\n`);
}
