r"""Explanations in Markdown with LaTeX formulas.

Formulas are ```math blocks. GitHub passes these to its formula renderer unchanged: it reads no
brace, underscore or backslash as Markdown. Names are code spans.
"""

from collections.abc import Sequence

from manualnn.explain.model import PathStep, Quantity
from manualnn.explain.render.notation import Latex
from manualnn.explain.render.text import TextPage
from manualnn.output.tables import format_markdown

MAX_QUANTITIES = 8
"""Most quantities in one block of formulas."""


class MarkdownPage(TextPage):
    """Markdown as GitHub renders it."""

    kind = Latex

    def heading(self, text: str, level: int) -> None:
        self.add([f"{'#' * level} {text}"])

    def paragraph(self, text: str) -> None:
        self.add([text.replace("|", r"\|")])

    formula_names = paragraph

    def code(self, lines: list[str]) -> None:
        self.add(["```text", *lines, "```"])

    def drawing(self, lines: list[str]) -> None:
        if lines:
            self.code(lines)

    def table(self, header: list[str], rows: Sequence[list[str]]) -> None:
        self.add(format_markdown(header, rows, padded=False))

    def formulas(self, quantities: Sequence[Quantity]) -> None:
        for start in range(0, len(quantities), MAX_QUANTITIES):
            lines = []
            for quantity in quantities[start : start + MAX_QUANTITIES]:
                first, *others = self.steps(quantity)
                lines += [f"{quantity.symbol.latex} &= {first}", *(f" &= {s}" for s in others)]
            self._add_formulas(lines)

    def path(self, path: PathStep) -> None:
        units, (names, *steps) = self.path_lines(path)
        self._add_formulas([rf"{units}:\quad & {names}", *(f"&= {step}" for step in steps)])

    def _add_formulas(self, lines: list[str]) -> None:
        body = " \\\\\n".join(lines)
        self.add(["```math", r"\begin{aligned}", body, r"\end{aligned}", "```"])
