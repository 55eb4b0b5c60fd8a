"""Explanations as plain text; the base class of every output format."""

import textwrap
from collections.abc import Sequence

from manualnn.explain.model import PathStep, Quantity
from manualnn.explain.render.notation import Notation, format_deviation
from manualnn.output.tables import align_columns

MAX_SHOWN = 12
"""Most quantities in one list, unless the document is full."""
MAX_ROWS, MAX_COLUMNS, COLUMNS = 8, 12, 6
"""Most samples and numbers of each in the tables of the samples after the first; numbers in one."""
ONE_LINE = 98
"""A quantity and its formulas go on in a new line after at most this many characters."""


class TextPage:
    """A document under construction, with a method for each kind of block.

    Prose has at most 100 columns. Words between backticks are names. Unless the page is `full`,
    long lists are cut, and equations that it has already are not repeated.
    """

    kind: type[Notation] = Notation

    def __init__(self, decimals: int | None, digits: int, *, full: bool) -> None:
        self.decimals = decimals
        self.full = full
        self.notation = self.kind(digits)
        self.lines: list[str] = []
        self._equations: list[list[str]] = []

    def finish(self) -> str:
        """Return the document."""
        return "\n".join(line.rstrip() for line in self.lines) + "\n"

    def add(self, lines: list[str], *, apart: bool = True) -> None:
        """Add a block of lines, after a blank line if it stands apart from the lines before."""
        if lines:
            self.lines += ([""] if self.lines and apart else []) + lines

    def _is_indented(self) -> bool:
        """Return True after indented lines: other prose and equations follow without a blank."""
        return bool(self.lines) and self.lines[-1].startswith("  ")

    def heading(self, text: str, level: int) -> None:
        """Add a heading of level 1 to 3."""
        text = text.replace("`", "")
        if level == 1:
            self.add([text.upper(), "=" * len(text)])
        elif level == 2:
            self.add([text.upper(), "-" * len(text)])
        else:
            self.add([text])

    def paragraph(self, text: str) -> None:
        """Add a paragraph of prose."""
        self.add(textwrap.wrap(text.replace("`", ""), 100), apart=self._is_indented())

    def formula_names(self, text: str) -> None:
        """Add a paragraph about the names in formulas; none here, because prose has the same."""

    def equations(self, lines: list[str]) -> None:
        """Add equations as the source states them."""
        if self.full or lines not in self._equations:
            self.code(lines)
            self._equations.append(lines)

    def code(self, lines: list[str]) -> None:
        """Add lines with their blanks."""
        self.add([f"      {line}" for line in lines], apart=self._is_indented())

    def drawing(self, lines: list[str]) -> None:
        """Add a drawing."""
        self.add([f"  {line}" for line in lines])

    def table(self, header: list[str], rows: Sequence[list[str]]) -> None:
        """Add a table."""
        cells = [[cell.replace("`", "") for cell in row] for row in (header, *rows)]
        self.add([f"  {line}" for line in align_columns(cells)])

    def quantities(self, quantities: list[Quantity], noun: str = "") -> None:
        """Add quantities with their formulas; with a noun for them, a long list is cut."""
        shown = self.most(quantities) if noun else quantities
        self.formulas(shown)
        self.left_out(len(quantities) - len(shown), noun)

    def first_sample(self, quantities: list[Quantity], samples: int, noun: str) -> None:
        """Add quantities of every sample with their formulas; only the first unless it is full."""
        shown = quantities if self.full else quantities[: len(quantities) // samples]
        self.quantities(shown, noun)

    def other_samples(self, lists: Sequence[list[Quantity]], samples: int) -> None:
        """Add tables of the values of the samples after the first, unless the page is full."""
        if self.full or samples == 1:
            return
        # One list of units for each sample.
        rows = [
            [q for a in lists for q in a[n * len(a) // samples : (n + 1) * len(a) // samples]]
            for n in range(min(samples, MAX_ROWS + 1))
        ]
        self.heading("The other samples", 3)
        for start in range(0, min(len(rows[0]), MAX_COLUMNS), COLUMNS):
            first, *others = (row[start : min(start + COLUMNS, MAX_COLUMNS)] for row in rows)
            names = [f"`{q.symbol.text.replace('[0,', '[n,')}`" for q in first]
            cells = [[str(n), *map(self.number, row)] for n, row in enumerate(others, 1)]
            self.table(["n", *names], cells)
        self.left_out(samples - len(rows), "sample")
        self.left_out(len(rows[0]) - MAX_COLUMNS, "number", " of each sample")

    def left_out(self, count: int, noun: str, reason: str = "") -> None:
        """Add how many more there are, if any."""
        if count > 0:
            self.paragraph(f"… {plural(count, f'more {noun}')} left out{reason}.")

    def formulas(self, quantities: Sequence[Quantity]) -> None:
        """Add quantities, each with its formula: first with names, then with numbers."""
        lines = []
        for quantity in quantities:
            name, steps = quantity.symbol.text, self.steps(quantity)
            first, *others = [" = ".join([name, *steps])]
            if len(first) > ONE_LINE:
                first, *others = [f"{name} = {steps[0]}", " = ".join(["", *steps[1:]]).lstrip()]
            if others and len(name) + 1 + len(others[0]) > ONE_LINE:
                others = [f"= {step}" for step in steps[1:]]
            lines += [f"  {first}", *(f"  {' ' * len(name)} {other}" for other in others)]
        self.add(lines)

    def path(self, path: PathStep) -> None:
        """Add a path and the product of its factors."""
        units, (names, *steps) = self.path_lines(path)
        self.add([f"  {units}", f"    {names}", *(f"    = {step}" for step in steps)])

    # ------------------------------------------------------------------ in the page's notation

    def most(self, quantities: list[Quantity]) -> list[Quantity]:
        """Return the quantities that a list shows."""
        return quantities if self.full else quantities[:MAX_SHOWN]

    def cells(self, quantity: Quantity) -> list[str]:
        """Return the value of a quantity, and with decimals its deviation."""
        more = [] if self.decimals is None else [format_deviation(quantity.deviation)]
        return [self.number(quantity), *more]

    def number(self, quantity: Quantity) -> str:
        """Return the value of a quantity, formatted but in no notation yet."""
        return self.notation.format(quantity.value, self.decimals if quantity.rounded else None)

    def value(self, quantity: Quantity) -> str:
        """Return the value of a quantity, and with decimals its deviation."""
        notation = self.notation
        value = notation.number(self.number(quantity))
        if self.decimals is None:
            return value
        deviation = notation.number(format_deviation(quantity.deviation))
        return notation.deviation.format(value, deviation)

    def steps(self, quantity: Quantity) -> list[str]:
        """Return the formula with names, the formula with numbers and the value, if different."""
        notation, formula = self.notation, quantity.formula
        steps: list[str] = []
        if formula is not None:
            steps = [notation.formula(formula, names=True), notation.formula(formula)]
        plain = notation.number(self.number(quantity))
        return [*(s for s in dict.fromkeys(steps) if s != plain), self.value(quantity)]

    def path_lines(self, path: PathStep) -> tuple[str, list[str]]:
        """Return the units of a path, and its product with names, with numbers, and its value."""
        notation = self.notation
        units = notation.arrow.join(map(notation.symbol, path.units))
        names = [notation.symbol(factor.symbol) for factor in path.factors]
        numbers = [notation.factor(notation.format(f.value, self.decimals)) for f in path.factors]
        products = map(notation.factor_separator.join, (names, numbers))
        return units, [*products, self.value(path.product)]


def deviation(quantity: Quantity) -> str:
    """Return the deviation of a quantity in brackets; nothing without decimals."""
    shown = format_deviation(quantity.deviation)
    return f" (deviation {shown})" if shown else ""


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
