"""Notation: numbers, symbols and formulas as plain text and as LaTeX."""

import math
from decimal import Decimal
from typing import ClassVar

from manualnn.explain.formula import Formula, Symbol, sum_terms

MAX_TERMS = 8
"""A longer sum shows only its first and last terms."""

SUM, SIGN, PRODUCT, ATOM = range(4)
"""Precedence of an expression. It gets brackets where its place requires a higher precedence."""


def format_deviation(deviation: float | None) -> str:
    """Return a deviation from full precision; an empty text if there is none."""
    if deviation is None:
        return ""
    if not math.isfinite(deviation):
        return "—"
    return f"{deviation:+.1e}" if deviation else "0"


class Notation:
    """Plain text, such as 1 / (1 + exp(-0.3)); base class of every notation.

    The class attributes are templates: {} stands for the operands. Numbers that are not rounded to
    decimals have `digits` significant digits.
    """

    times = "·"
    factor_separator = " · "
    arrow = " → "
    bracket = "({})"
    quotient = "{} / {}"
    quotient_levels = (PRODUCT, ATOM)
    ellipsis = "… ({} more) …"
    deviation = "{}    deviation {}"
    function = "{}({})"
    functions: ClassVar = {
        "sqrt": "√({})",
        "abs": "|{}|",
        "rectified": "max({}, 0)",
        "positive": "[{} > 0]",
    }

    def __init__(self, digits: int = 6) -> None:
        self.digits = digits

    def format(self, value: Decimal | float, decimals: int | None = None) -> str:
        """Return a number with the significant digits of the notation, or with that many decimals.

        The text is the same in every notation; `number` turns it into this one.
        """
        if decimals is not None and Decimal(value).is_finite():
            return f"{value:z.{decimals}f}"
        # Adding 0 turns -0 into 0.
        return f"{float(value) + 0.0:.{self.digits}g}".replace("inf", "∞").replace("nan", "NaN")

    def symbol(self, symbol: Symbol) -> str:
        """Return a symbol in this notation."""
        return symbol.text

    def number(self, text: str) -> str:
        """Return a formatted number in this notation."""
        return text

    def square(self, base: str) -> str:
        """Return the square of an expression."""
        return f"{base}²"

    def factor(self, text: str) -> str:
        """Return a formatted number as a factor of a product."""
        shown = self.number(text)
        return self.bracket.format(shown) if _level(shown) < ATOM else shown

    def formula(self, formula: Formula, *, names: bool = False) -> str:
        """Return a formula with the names of its quantities, or with their numbers."""
        opened = formula.without_symbol() if formula.op and formula.symbol else formula
        return self._write(opened, names=names)[0]

    def format_leaf(self, formula: Formula) -> str:
        """Return the number of a formula; a constant keeps all its digits."""
        is_constant = formula.op == "" and formula.symbol is None
        return self.format(formula.value, None if is_constant else formula.arithmetic.decimals)

    def _write(self, formula: Formula, *, names: bool) -> tuple[str, int]:  # noqa: PLR0911
        """Return a formula and its precedence."""

        def operand(argument: Formula, least: int) -> str:
            text, level = self._write(argument, names=names)
            return text if level >= least else self.bracket.format(text)

        args = formula.args
        match "" if formula.symbol else formula.op:
            case "":
                named = formula.symbol if names else None
                text = self.symbol(named) if named else self.number(self.format_leaf(formula))
                return text, _level(text)
            case "+" | "-":
                terms = list(sum_terms(formula))[::-1]
                left_out = len(terms) - MAX_TERMS
                if left_out > 1:
                    terms = [*terms[: MAX_TERMS - 2], *terms[-2:]]
                pieces = [
                    f" {sign} {operand(t, PRODUCT)}" if sign else operand(t, SUM)
                    for sign, t in terms
                ]
                if left_out > 1:
                    pieces.insert(MAX_TERMS - 2, f" + {self.ellipsis.format(left_out)}")
                return "".join(pieces), SUM
            case "*":
                first, second = operand(args[0], PRODUCT), operand(args[1], ATOM)
                return f"{first}{self.times}{second}", PRODUCT
            case "/":
                return self.quotient.format(*map(operand, args, self.quotient_levels)), PRODUCT
            case "neg":
                return f"-{operand(args[0], ATOM)}", SIGN
            case "square":
                return self.square(operand(args[0], ATOM)), PRODUCT
            case op:
                inner = operand(args[0], SUM)
                template = self.functions.get(op)
                shown = template.format(inner) if template else self.function.format(op, inner)
                return shown, ATOM


class Latex(Notation):
    r"""LaTeX, such as \frac{1}{1 + \exp\left(-0.3\right)}."""

    times = factor_separator = r" \cdot "
    arrow = r" \to "
    bracket = r"\left({}\right)"
    quotient = r"\frac{{{}}}{{{}}}"
    quotient_levels = (SUM, SUM)
    ellipsis = r"\cdots \text{{({} more)}} \cdots"
    deviation = r"{} \qquad \text{{deviation }} {}"
    function = r"\{}\left({}\right)"
    functions: ClassVar = {
        "sqrt": r"\sqrt{{{}}}",
        "abs": r"\left\lvert {} \right\rvert",
        "log1p": r"\log\left(1 + {}\right)",
        "Φ": r"\Phi\left({}\right)",
        "φ": r"\varphi\left({}\right)",
        "rectified": r"\max\left({}, 0\right)",
        "positive": r"\left[{} > 0\right]",
    }

    def symbol(self, symbol: Symbol) -> str:
        """Return a symbol in LaTeX."""
        return symbol.latex

    def number(self, text: str) -> str:
        """Return a formatted number in LaTeX."""
        mantissa, e, exponent = text.partition("e")
        if e:
            return rf"{mantissa} \times 10^{{{int(exponent)}}}"
        return text.replace("∞", r"\infty").replace("NaN", r"\mathrm{NaN}")

    def square(self, base: str) -> str:
        """Return the square of an expression; a name gets brackets because it has an index."""
        is_atom = base.startswith(r"\left(") or base.replace(".", "").isdigit()
        return f"{base if is_atom else self.bracket.format(base)}^2"


def _level(text: str) -> int:
    """Return the precedence of a number or symbol."""
    return SIGN if text.startswith("-") or r"\times" in text else ATOM
