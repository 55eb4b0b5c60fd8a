"""Page: a document under construction, with a method for each kind of block."""

from collections.abc import Sequence

from manualnn.explain.model import PathStep, Quantity
from manualnn.explain.render.notation import Notation, format_deviation, format_number


class Page:
    """Base class of the output formats. Words between backticks are names.

    A format defines the blocks. The pieces that all formats share are at the end of this class.
    """

    notation: Notation

    def __init__(self, decimals: int | None) -> None:
        self.decimals = decimals

    def heading(self, text: str, level: int) -> None:
        """Add a heading of level 1 to 3."""
        raise NotImplementedError

    def paragraph(self, text: str) -> None:
        """Add a paragraph of prose."""
        raise NotImplementedError

    def formula_names(self, text: str) -> None:
        """Add a paragraph about the names in formulas, if formulas have names of their own."""
        raise NotImplementedError

    def code(self, lines: list[str]) -> None:
        """Add equations as the source states them."""
        raise NotImplementedError

    def table(self, header: list[str], rows: Sequence[list[str]]) -> None:
        """Add a table."""
        raise NotImplementedError

    def quantities(self, quantities: Sequence[Quantity]) -> None:
        """Add quantities, each with its formula: first with names, then with numbers."""
        raise NotImplementedError

    def path(self, path: PathStep) -> None:
        """Add a path and the product of its factors."""
        raise NotImplementedError

    def finish(self) -> str:
        """Return the document."""
        raise NotImplementedError

    def number(self, quantity: Quantity) -> str:
        """Return the value of a quantity, formatted but in no notation yet."""
        return format_number(quantity.value, self.decimals if quantity.rounded else None)

    def value(self, quantity: Quantity) -> str:
        """Return the value of a quantity with its deviation, in the page's notation."""
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
        numbers = [notation.factor(format_number(f.value, self.decimals)) for f in path.factors]
        products = map(notation.factor_separator.join, (names, numbers))
        return units, [*products, self.value(path.product)]
