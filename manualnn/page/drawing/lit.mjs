// Which lines and units of the drawing light up, and the factors that stand at them.

import { isSameKey } from "./figures.mjs";

// Return {key, edges, units, factors} of the drawing's state: the chosen parameter, the lines and
// units on its paths (on `only`, if one path is pointed at), and a Map from a line or a unit of the
// layout to the factors there. The factor into a unit from another column stands at the line; the
// factors between the stages of one unit, and ∂L/∂y at the term of the error, at the unit. While a
// step is told, the chosen parameter's paths are not lit.
export function litBy({ selected, hovered, paths, only, sample, isTold }, layout) {
  const key = hovered ?? (isTold && !only ? null : selected);
  const lit = { key, edges: new Set(), units: new Set(), factors: new Map() };
  if (!key) return lit;
  const columnOf = (stage) => layout.columns.findIndex(({ stages }) => stages.includes(stage));
  const unitAt = (column, j) => layout.units.find((unit) => unit.column === column && unit.j === j);
  const first = columnOf(key.layer);
  const own = [...layout.edges, ...layout.biases].find((item) => isSameKey(item.key, key));
  if (own) lit.edges.add(own);

  const goOn = (column, isTaken) => { // light what leads on from lit units of a column
    for (const edge of layout.edges) {
      if (edge.to.column !== column || !lit.units.has(edge.from) || !isTaken(edge.to)) continue;
      lit.edges.add(edge);
      lit.units.add(edge.to);
    }
  };
  if (own?.from) lit.units.add(own.from); // its value is the first factor
  const head = unitAt(first, key.index[0]);
  if (head) lit.units.add(head);
  const route = only && new Map(only.units.map(([stage, j]) => [columnOf(stage), j]));
  for (let column = first + 1; column < layout.columns.length; column++) {
    goOn(column, (unit) => !route?.has(column) || route.get(column) === unit.j);
  }

  for (const path of only ? [only] : (paths ?? [])) {
    if (path.sample === sample) addFactors(path);
  }
  return lit;

  function addFactors({ units, factors }) {
    const put = (place, factor) => {
      if (!place) return;
      const there = lit.factors.get(place) ?? [];
      const isNew = there.every(({ name }) => name !== factor.name);
      if (isNew) lit.factors.set(place, [...there, factor]);
    };
    // factors lead from the error back to the parameter, units from the parameter to the outputs.
    const onward = [...factors].reverse();
    put(own, onward[0]);
    for (let i = 1; i < units.length; i++) {
      const [from, to] = [units[i - 1], units[i]].map(([stage, j]) => unitAt(columnOf(stage), j));
      const edge = layout.edges.find((line) => line.from === from && line.to === to);
      put(from === to ? to : edge, onward[i]);
    }
    const [, output] = units.at(-1);
    put(unitAt(layout.columns.length - 2, output), factors[0]);
  }
}
