// Choosing a parameter of the drawing: the nearest to a point, and the next for an arrow key.

import { textOf } from "./figures.mjs";

// Return the parameter whose edge or dot is nearest to a point, within reach, or null.
export function nearestKey(layout, x, y, reach) {
  let best = { distance: reach, key: null };
  const consider = (distance, key) => {
    if (distance < best.distance) best = { distance, key };
  };
  for (const { key, x1, y1, x2, y2 } of layout.edges) {
    if (!key) continue;
    const length = (x2 - x1) ** 2 + (y2 - y1) ** 2;
    const f = Math.max(0, Math.min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length));
    consider(Math.hypot(x - x1 - f * (x2 - x1), y - y1 - f * (y2 - y1)), key);
  }
  for (const bias of layout.biases) consider(Math.hypot(x - bias.x, y - bias.y) - 6, bias.key);
  return best.key;
}

// Return the parameter to which a key leads from `from`, null at an end, or undefined if the key
// does not move. Arrows along the layers lead to the next layer, arrows across to the next
// parameter of the same layer, bias before weights, and Home and End to the first and the last.
export function keyAfter(keys, from, pressed, vertical) {
  const [back, on, before, after] = vertical
    ? ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]
    : ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
  const order = [...keys].sort((a, b) => a.layer - b.layer || a.index[0] - b.index[0]
    || (a.index[1] ?? -1) - (b.index[1] ?? -1));
  const place = order.findIndex((key) => textOf(key) === textOf(from));
  const layers = [...new Set(order.map(({ layer }) => layer))];
  const firstOf = (step) => {
    const layer = layers[layers.indexOf(from.layer) + step];
    return order.find((key) => key.layer === layer);
  };
  const moves = {
    [back]: () => firstOf(-1), [on]: () => firstOf(1),
    [before]: () => order[place - 1], [after]: () => order[place + 1],
    Home: () => order[0], End: () => order.at(-1),
  };
  return moves[pressed] && (moves[pressed]() ?? null);
}
