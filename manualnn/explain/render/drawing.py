"""A drawing of a small network for the terminal, in Unicode.

Columns of units stand between wires. In front of a unit stand its weights, one for each wire that
ends there, and below them its bias. Wires are lines of Braille dots, 2 × 4 dots a character.
"""

from typing import Any, NamedTuple

MAX_WIDTH, MAX_HEIGHT = 96, 24
"""Largest drawing, in characters."""
LEAST_GAP, MOST_GAP = 6, 16
"""Characters between two columns."""
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a Braille character: left and right column, from top to bottom."""


class _Unit(NamedTuple):
    """The lines of a unit in a column; the first `wires` of them end a wire each."""

    lines: list[str]
    wires: int

    @property
    def centre(self) -> int:
        """The line of the unit's name."""
        return max(0, (len(self.lines) - 1) // 2)


def draw_network(spec: dict[str, Any], names: list[list[str]], loss: str = "L") -> list[str]:
    """Return the lines of the drawing, or none if the network is too large for it.

    `names` are those of each layer's units. A layer without weights continues the lines of the
    units before it.
    """
    parameters = spec["parameters"]
    columns: list[list[tuple[str, list[str], int]]] = []  # name, weights and bias, wires
    columns.append([(name, [], 0) for name in names[0]])
    for i, units in enumerate(names[1:]):
        if (weights := parameters.get(f"{i}.weight")) is not None:
            bias = parameters.get(f"{i}.bias")
            ends = [[f"·{w:.3g}" for w in row] for row in weights]
            wires = len(weights[0])
            if bias is not None:
                ends = [
                    [*end, f"+{b:.3g}".replace("+-", "-")]
                    for end, b in zip(ends, bias, strict=True)
                ]
            columns.append([(n, end, wires) for n, end in zip(units, ends, strict=True)])
        else:
            columns[-1] = [
                (f"{name} → {after}", end, wires)
                for (name, end, wires), after in zip(columns[-1], units, strict=True)
            ]
    columns.append([(loss, [], len(names[-1]))])
    return _join([[_Unit(_lines(name, end), wires) for name, end, wires in c] for c in columns])


def _lines(name: str, ends: list[str]) -> list[str]:
    """Return a name behind the weights that lead to it, held together by a bracket."""
    if not ends:
        return [name]
    width = max(map(len, ends))
    last, centre = len(ends) - 1, (len(ends) - 1) // 2
    lines = []
    for i, end in enumerate(ends):
        line = end + " " * (width - len(end)) + " "
        corner = "┐" if i == 0 else "┘" if i == last else "┤"
        if i == centre:
            corner = "─" if last == 0 else "┬" if i == 0 else "┼"
            corner += f" {name}"
        lines.append(line + corner)
    return lines


def _join(columns: list[list[_Unit]]) -> list[str]:
    """Return the columns, centred and connected by wires."""
    texts: list[list[str]] = []
    tops: list[list[int]] = []
    for units in columns:
        tops.append([])
        texts.append([])
        for unit in units:
            if texts[-1]:
                texts[-1].append("")
            tops[-1].append(len(texts[-1]))
            texts[-1] += unit.lines
    height = max(map(len, texts))
    widths = [max(map(len, text)) for text in texts]
    gap = min(MOST_GAP, (MAX_WIDTH - sum(widths)) // (len(columns) - 1) - 2)
    if height > MAX_HEIGHT or gap < LEAST_GAP:
        return []
    rows = [""] * height
    centres: list[int] = []
    for units, text, top, width in zip(columns, texts, tops, widths, strict=True):
        above = (height - len(text)) // 2
        if centres:
            ends = [
                (start, above + first + min(i, len(unit.lines) - 1))
                for unit, first in zip(units, top, strict=True)
                for i, start in enumerate(centres)
            ]
            wires = _draw_wires(ends, gap, height)
            rows = [f"{row} {wire} " for row, wire in zip(rows, wires, strict=True)]
        padded = [""] * above + text + [""] * (height - above - len(text))
        rows = [row + line.ljust(width) for row, line in zip(rows, padded, strict=True)]
        centres = [above + first + unit.centre for unit, first in zip(units, top, strict=True)]
    return [row.rstrip() for row in rows]


def _draw_wires(ends: list[tuple[int, int]], width: int, height: int) -> list[str]:
    """Return straight lines of dots from rows on the left to rows on the right."""
    cells = [[0x2800] * width for _ in range(height)]
    for start, end in ends:
        for x in range(2 * width):
            y = round(4 * start + 1.5 + 4 * (end - start) * x / (2 * width - 1))
            cells[y // 4][x // 2] |= DOTS[x % 2][y % 4]
    return ["".join(chr(cell) if cell > 0x2800 else " " for cell in row) for row in cells]
