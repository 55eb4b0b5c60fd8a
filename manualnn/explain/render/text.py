"""Explanations as plain text."""

import textwrap
from collections.abc import Sequence

from manualnn.explain.model import PathStep, Quantity
from manualnn.explain.render.notation import TEXT
from manualnn.explain.render.page import Page
from manualnn.tables import align_columns

ONE_LINE = 60
"""A quantity and its formulas stand on one line if they have at most this many characters."""


class TextPage(Page):
    """Plain text, at most 100 columns wide except for formulas and tables."""

    notation = TEXT

    def __init__(self, decimals: int | None) -> None:
        super().__init__(decimals)
        self._lines: list[str] = []

    def heading(self, text: str, level: int) -> None:
        text = text.replace("`", "")
        if level == 1:
            self._add([text.upper(), "=" * len(text)])
        elif level == 2:
            self._add(["", text.upper(), "-" * len(text)])
        else:
            self._add([text])

    def paragraph(self, text: str) -> None:
        # Consecutive paragraphs follow each other without a blank line.
        wrapped = textwrap.wrap(text.replace("`", ""), 100)
        follows_indented = self._lines[-1:] and self._lines[-1].startswith("  ")
        self._add(wrapped, apart=bool(follows_indented))

    def formula_names(self, text: str) -> None:
        """Add nothing: formulas in plain text have the same names as the prose."""

    def code(self, lines: list[str]) -> None:
        self._add([f"      {line}" for line in lines])

    def table(self, header: list[str], rows: Sequence[list[str]]) -> None:
        cells = [[cell.replace("`", "") for cell in row] for row in (header, *rows)]
        self._add([f"  {line}" for line in align_columns(cells)])

    def quantities(self, quantities: Sequence[Quantity]) -> None:
        self._add([line for quantity in quantities for line in self._quantity(quantity)])

    def path(self, path: PathStep) -> None:
        units, (names, numbers, value) = self.path_lines(path)
        self._add([f"  {units}", f"    {names}", f"    = {numbers}", f"    = {value}"])

    def finish(self) -> str:
        return "\n".join(line.rstrip() for line in self._lines) + "\n"

    def _quantity(self, quantity: Quantity) -> list[str]:
        name, steps = quantity.symbol.text, self.steps(quantity)
        together = " = ".join([name, *steps])
        if len(together) <= ONE_LINE:
            return [f"  {together}"]
        names = [name, *[" " * len(name)] * (len(steps) - 1)]
        return [f"  {name} = {step}" for name, step in zip(names, steps, strict=True)]

    def _add(self, lines: list[str], *, apart: bool = True) -> None:
        """Append lines, after a blank line if they stand apart from the lines before."""
        if lines:
            self._lines += ([""] if self._lines and apart else []) + lines
