"""A drawing of a small network for the terminal, in Unicode.

Columns of units stand between wires. In front of a unit stand its weights, one for each wire that
ends there, and below them its bias. Wires are lines of Braille dots, 2 × 4 dots a character.
"""

from typing import NamedTuple

from manualnn.explain.model import ExplanationData, Quantity

MAX_WIDTH, MAX_HEIGHT = 96, 24
"""Largest drawing, in characters."""
LEAST_GAP, MOST_GAP = 6, 16
"""Characters between two columns."""
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a Braille character: left and right column, from top to bottom."""


class Unit(NamedTuple):
    """A unit of the drawing."""

    name: str
    ends: tuple[str, ...] = ()
    """Its weights and its bias, a line each."""

    @property
    def lines(self) -> list[str]:
        """Its name behind the weights that lead to it, which a bracket holds together."""
        if not self.ends:
            return [self.name]
        width, last = max(map(len, self.ends)), len(self.ends) - 1
        corners = ["┐", *"┤" * (last - 1), "┘"] if last else [""]
        corners[self.centre] = ("┬" if last else "─") if self.centre == 0 else "┼"
        corners[self.centre] += f" {self.name}"
        return [f"{end:{width}} {corner}" for end, corner in zip(self.ends, corners, strict=True)]

    @property
    def centre(self) -> int:
        """The line of its name."""
        return max(0, (len(self.ends) - 1) // 2)


def draw_network(e: ExplanationData) -> list[str]:
    """Return the lines of the drawing, or none if the network is too large for it.

    A layer that acts on every unit alone continues the line of the units before it.
    """
    parameters, samples = e.spec["parameters"], e.loss.samples
    columns = [[Unit(name) for name in _names(e.inputs, samples)]]
    for step in e.layers:
        names = _names(step.outputs, samples)
        is_linear = e.spec["layers"][step.index]["type"] == "Linear"
        if not is_linear and len(names) == len(columns[-1]):
            columns[-1] = [
                unit._replace(name=f"{unit.name} → {name}")
                for unit, name in zip(columns[-1], names, strict=True)
            ]
            continue
        weights = parameters[f"{step.index}.weight"] if is_linear else [[] for _ in names]
        ends = [[f"·{weight:.3g}" for weight in row] for row in weights]
        for row, bias in zip(ends, parameters.get(f"{step.index}.bias", ()), strict=False):
            row.append(f"{bias:+.3g}")
        columns.append([Unit(name, tuple(row)) for name, row in zip(names, ends, strict=True)])
    columns.append([Unit("L")])
    return _join(columns)


def _names(units: list[Quantity], samples: int) -> list[str]:
    """Return the names of a layer's units, for any sample n."""
    names = [unit.symbol.text for unit in units[: len(units) // samples]]
    return names if samples == 1 else [name.replace("[0,", "[n,") for name in names]


def _join(columns: list[list[Unit]]) -> list[str]:
    """Return the columns, centred and connected by wires."""
    texts = [[line for unit in units for line in (*unit.lines, "")][:-1] for units in columns]
    height, widths = max(map(len, texts)), [max(map(len, text)) for text in texts]
    gap = min(MOST_GAP, (MAX_WIDTH - sum(widths)) // (len(columns) - 1) - 2)
    if height > MAX_HEIGHT or gap < LEAST_GAP:
        return []
    rows, centres = [""] * height, list[int]()
    for units, text, width in zip(columns, texts, widths, strict=True):
        top = (height - len(text)) // 2
        column = [*[""] * top, *text, *[""] * height]
        wires, after = list[tuple[int, int]](), list[int]()
        for unit in units:
            last = max(0, len(unit.ends) - 1)
            wires += [(start, top + min(i, last)) for i, start in enumerate(centres)]
            after.append(top + unit.centre)
            top += last + 2
        if centres:
            rows = [f"{r} {w} " for r, w in zip(rows, _draw(wires, gap, height), strict=True)]
        rows = [row + line.ljust(width) for row, line in zip(rows, column, strict=False)]
        centres = after
    return [row.rstrip() for row in rows]


def _draw(wires: list[tuple[int, int]], width: int, height: int) -> list[str]:
    """Return straight lines of dots from rows on the left to rows on the right."""
    cells = [[0x2800] * width for _ in range(height)]
    for start, end in wires:
        for x in range(2 * width):
            y = round(4 * start + 1.5 + 4 * (end - start) * x / (2 * width - 1))
            cells[y // 4][x // 2] |= DOTS[x % 2][y % 4]
    return ["".join(chr(cell) if cell > 0x2800 else " " for cell in row) for row in cells]
