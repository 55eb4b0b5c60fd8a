r"""Explanations in Markdown with LaTeX formulas.

Formulas are ```math blocks. GitHub passes these to its formula renderer unchanged: it reads no
brace, underscore or backslash as Markdown. Names are code spans.
"""

from collections.abc import Sequence
from itertools import chain

from manualnn.explain.model import PathStep, Quantity
from manualnn.explain.render.notation import LATEX
from manualnn.explain.render.page import Page
from manualnn.tables import format_markdown

MAX_QUANTITIES = 8
"""Most quantities in one block of formulas."""


class MarkdownPage(Page):
    """Markdown as GitHub renders it."""

    notation = LATEX

    def __init__(self, decimals: int | None) -> None:
        super().__init__(decimals)
        self._blocks: list[str] = []

    def heading(self, text: str, level: int) -> None:
        self._blocks.append(f"{'#' * level} {text}")

    def paragraph(self, text: str) -> None:
        self._blocks.append(text.replace("|", r"\|"))

    formula_names = paragraph

    def code(self, lines: list[str]) -> None:
        self._blocks.append("\n".join(["```text", *lines, "```"]))

    def table(self, header: list[str], rows: Sequence[list[str]]) -> None:
        self._blocks.append("\n".join(format_markdown(header, rows, padded=False)))

    def quantities(self, quantities: Sequence[Quantity]) -> None:
        for start in range(0, len(quantities), MAX_QUANTITIES):
            lines = map(self._quantity, quantities[start : start + MAX_QUANTITIES])
            self._formulas(list(chain.from_iterable(lines)))

    def path(self, path: PathStep) -> None:
        units, (names, numbers, value) = self.path_lines(path)
        self._formulas([rf"{units}:\quad & {names}", f"&= {numbers}", f"&= {value}"])

    def finish(self) -> str:
        return "\n\n".join(self._blocks) + "\n"

    def _quantity(self, quantity: Quantity) -> list[str]:
        first, *others = self.steps(quantity)
        return [f"{quantity.symbol.latex} &= {first}", *(f" &= {step}" for step in others)]

    def _formulas(self, lines: list[str]) -> None:
        body = " \\\\\n".join(lines)
        self._blocks.append(f"```math\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n```")
