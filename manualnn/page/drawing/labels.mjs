// Where the numbers of the weights stand on their lines.

const FRACTIONS = Array.from({ length: 19 }, (_, i) => 0.05 * (i + 1));
const MOST_LABELS = 24; // weights between two columns

const overlaps = (a, b) =>
  2 * Math.abs(a.x - b.x) < a.w + b.w && 2 * Math.abs(a.y - b.y) < a.h + b.h;

const pointOn = ({ x1, y1, x2, y2 }, f) =>
  ({ x: x1 + f * (x2 - x1), y: y1 + f * (y2 - y1) });

// Place the labels of all edges between two columns so that none covers another. Where that fails,
// none is shown until its edge is chosen, because a part of the numbers would mislead.
export function placeLabels(edges, obstacles, [w, h]) {
  const box = (edge, f) => ({ ...pointOn(edge, f), w, h });
  const costOf = (edge, f) => Math.abs(f - 0.5)
    + edges.filter((other) => other !== edge && crosses(other, box(edge, f))).length;
  const choices = edges[0]?.link !== "weights" || edges.length > MOST_LABELS ? null
    : edges.map((edge) => FRACTIONS.map((f) => ({ edge, cost: costOf(edge, f), ...box(edge, f) }))
      .filter((place) => !obstacles.some((other) => overlaps(place, other)))
      .sort((a, b) => a.cost - b.cost));
  const found = choices && search(choices);
  for (const edge of edges) Object.assign(edge, { label: box(edge, 0.5), fits: Boolean(found) });
  for (const { edge, x, y } of found ?? []) edge.label = { x, y, w, h };
}

// Choose one of each list of boxes so that none overlaps, the first ones preferred. Search depth
// first, always in the shortest list. Return null if there is no such choice, or if the search
// takes too long.
function search(lists) {
  let budget = 1500;
  const extend = (open, chosen) => {
    if (!open.length) return chosen;
    const next = open.reduce((a, b) => (b.length < a.length ? b : a));
    const others = open.filter((list) => list !== next);
    for (const place of next) {
      if (budget-- < 0) return null;
      const free = others.map((list) => list.filter((other) => !overlaps(place, other)));
      const found = free.every(({ length }) => length) && extend(free, [...chosen, place]);
      if (found) return found;
    }
    return null;
  };
  return extend(lists, []);
}

// Does a line touch a box? Clip the line's fraction to the box, one side after the other.
function crosses({ x1, y1, x2, y2 }, { x, y, w, h }) {
  let [first, last] = [0, 1];
  for (const [from, to, middle, size] of [[x1, x2, x, w], [y1, y2, y, h]]) {
    const [low, high] = [middle - size / 2 - from, middle + size / 2 - from];
    const step = to - from;
    if (Math.abs(step) < 1e-9) {
      if (low > 0 || high < 0) return false;
      continue;
    }
    first = Math.max(first, Math.min(low / step, high / step));
    last = Math.min(last, Math.max(low / step, high / step));
  }
  return first <= last;
}
