"""Formulas: what a kernel computed, as an expression that can be shown with names or numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

from manualnn.explain.numbers import Arithmetic, Number

MAX_TERMS = 8
"""A longer sum is shown with its first and last terms only."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """The name of a quantity, in plain text and in LaTeX."""

    text: str
    latex: str


LOSS = Symbol("L", "L")


def word(name: str) -> Symbol:
    """Return the symbol of what is called by a word, such as lr or exp_avg."""
    return Symbol(name, rf"\mathrm{{{name}}}".replace("_", r"\_"))


def derivative(top: Symbol, bottom: Symbol) -> Symbol:
    """Return the name of ∂top/∂bottom."""
    latex = rf"\frac{{\partial {top.latex}}}{{\partial {bottom.latex}}}"
    return Symbol(f"∂{top.text}/∂{bottom.text}", latex)


class Formula(Number):
    """A number that remembers the operation it came from, or its name.

    `literal` marks a plain 0 or 1 that a kernel was handed (a one-hot δ, a fresh optimizer state):
    what it makes superfluous is left out of the expression.
    """

    __slots__ = ("args", "literal", "op", "symbol")

    def __init__(
        self,
        value: Decimal,
        arithmetic: Arithmetic,
        symbol: Symbol | None = None,
        op: str = "",
        args: "tuple[Formula, ...]" = (),
    ) -> None:
        super().__init__(value, arithmetic)
        self.symbol = symbol
        self.op = op
        self.args = args
        self.literal: int | None = None

    def lift(self, other: Any) -> "Self":
        """Return an operand; a plain 0 or 1 is literal, and fractions stay fractions."""
        if isinstance(other, Fraction):
            quotient = self.lift(other.numerator) / self.lift(other.denominator)
            quotient.value = self.arithmetic.constant(other)  # a constant is not rounded
            return quotient
        lifted = super().lift(other)
        if not isinstance(other, Number) and other in {0, 1}:
            lifted.literal = int(other)
        return lifted

    def __pow__(self, exponent: int) -> "Self":
        result = self
        for _ in range(exponent - 1):
            result *= self
        return result

    def derive(self, op: str, value: Decimal, *parts: tuple["Self", Decimal]) -> "Self":
        """Return the result as an expression."""
        args = [operand for operand, _ in parts]
        kept: Self | None = _without_superfluous(op, args)
        if kept is not None:
            return kept
        if op == "*" and args[0] is args[1]:
            op, args = "square", args[:1]
        rounded = self.arithmetic.rounded(value)
        return type(self)(rounded, self.arithmetic, None, op, tuple(args))


def _without_superfluous(op: str, args: list[Any]) -> Any:
    """Return what 1·a, 0·a, 0 + a, a − 0, 0 − a, a / 1 and −0 come to; else None."""
    a, b = args[0], args[-1]
    zero = next((f for f in args if f.literal == 0), None)
    if op in {"*", "neg"} and zero is not None:
        return zero
    if op == "+" and zero is not None:
        return b if a is zero else a
    if op == "-" and zero is not None:
        return a if b is zero else -b
    if op in {"*", "/"} and b.literal == 1:
        return a
    if op == "*" and a.literal == 1:
        return b
    return None


def short(value: Decimal | float, decimals: int | None = None) -> str:
    """Return a number as it is shown: six significant digits, or K decimals."""
    if decimals is not None and Decimal(value).is_finite():
        return f"{value:.{decimals}f}"
    # Adding 0 turns -0 into 0.
    return f"{float(value) + 0.0:.6g}".replace("inf", "∞").replace("nan", "NaN")


def latex_number(text: str) -> str:
    """Return a shown number in LaTeX."""
    mantissa, e, exponent = text.partition("e")
    if e:
        return rf"{mantissa} \times 10^{{{int(exponent)}}}"
    return text.replace("∞", r"\infty").replace("NaN", r"\mathrm{NaN}")


SUM, SIGN, PRODUCT, ATOM = range(4)
"""How tightly an expression holds together: what is looser than its place asks for is bracketed."""


class _Text:
    """Plain text: 1 / (1 + exp(-0.3))."""

    times = "·"
    quotient_levels = (PRODUCT, ATOM)

    def leaf(self, formula: Formula, *, names: bool) -> str:
        if names and formula.symbol:
            return formula.symbol.text
        return shown(formula)

    def more(self, count: int) -> str:
        return f"… ({count} more) …"

    def bracket(self, inner: str) -> str:
        return f"({inner})"

    def quotient(self, a: str, b: str) -> str:
        return f"{a} / {b}"

    def function(self, name: str, inner: str) -> str:
        forms = {
            "sqrt": f"√({inner})",
            "abs": f"|{inner}|",
            "rectified": f"max({inner}, 0)",
            "positive": f"[{inner} > 0]",
        }
        return forms.get(name, f"{name}({inner})")

    def square(self, inner: str) -> str:
        return f"{inner}²"


class _Latex(_Text):
    r"""LaTeX: \frac{1}{1 + \exp\left(-0.3\right)}."""

    times = r" \cdot "
    quotient_levels = (SUM, SUM)

    def leaf(self, formula: Formula, *, names: bool) -> str:
        if names and formula.symbol:
            return formula.symbol.latex
        return latex_number(shown(formula))

    def more(self, count: int) -> str:
        return rf"\cdots \text{{({count} more)}} \cdots"

    def bracket(self, inner: str) -> str:
        return rf"\left({inner}\right)"

    def quotient(self, a: str, b: str) -> str:
        return rf"\frac{{{a}}}{{{b}}}"

    def function(self, name: str, inner: str) -> str:
        forms = {
            "sqrt": rf"\sqrt{{{inner}}}",
            "abs": rf"\left\lvert {inner} \right\rvert",
            "log1p": rf"\log\left(1 + {inner}\right)",
            "rectified": rf"\max\left({inner}, 0\right)",
            "positive": rf"\left[{inner} > 0\right]",
        }
        return forms.get(name, rf"\{name}\left({inner}\right)")

    def square(self, inner: str) -> str:
        atom = inner.startswith(r"\left(") or inner.replace(".", "").isdigit()
        return f"{inner if atom else self.bracket(inner)}^2"


def shown(formula: Formula) -> str:
    """Return the number that a formula comes to; a constant of a formula with all its digits."""
    decimals = formula.arithmetic.decimals
    constant = formula.op == "" and formula.symbol is None
    return short(formula.value, None if constant else decimals)


def to_text(formula: Formula, *, names: bool = False) -> str:
    """Return a formula in plain text, with the quantities' names or with their numbers."""
    return _render(_opened(formula), _Text(), names=names)[0]


def to_latex(formula: Formula, *, names: bool = False) -> str:
    """Return a formula in LaTeX, with the quantities' names or with their numbers."""
    return _render(_opened(formula), _Latex(), names=names)[0]


def _opened(formula: Formula) -> Formula:
    """Return a formula without its own name, which would stand for all of it."""
    if not (formula.op and formula.symbol):
        return formula
    return Formula(formula.value, formula.arithmetic, None, formula.op, formula.args)


def _render(formula: Formula, style: _Text, *, names: bool) -> tuple[str, int]:  # noqa: PLR0911
    """Return a formula, and how tightly it holds together."""

    def inner(argument: Formula, least: int) -> str:
        text, level = _render(argument, style, names=names)
        return text if level >= least else style.bracket(text)

    op, args = formula.op, formula.args
    if op == "" or formula.symbol:
        text = style.leaf(formula, names=names)
        loose = text.startswith("-") or r"\times" in text
        return text, SIGN if loose else ATOM
    if op in {"+", "-"}:
        return _sum(list(_terms(formula))[::-1], style, inner), SUM
    if op == "*":
        first, second = (inner(a, PRODUCT if i == 0 else ATOM) for i, a in enumerate(args))
        return f"{first}{style.times}{second}", PRODUCT
    if op == "/":
        a, b = (inner(*pair) for pair in zip(args, style.quotient_levels, strict=True))
        return style.quotient(a, b), PRODUCT
    if op == "neg":
        return f"-{inner(args[0], ATOM)}", SIGN
    if op == "square":
        return style.square(inner(args[0], ATOM)), PRODUCT
    return style.function(op, inner(args[0], SUM)), ATOM


def _terms(formula: Formula) -> Iterator[tuple[str, Formula]]:
    """Yield sign and term of a sum, from the last; long sums are too deep for recursion."""
    while formula.op in {"+", "-"} and not formula.symbol:
        yield formula.op, formula.args[1]
        formula = formula.args[0]
    yield "", formula


def _sum(terms: list[tuple[str, Formula]], style: _Text, inner: Any) -> str:
    left_out = len(terms) - MAX_TERMS
    if left_out > 1:
        terms = [*terms[: MAX_TERMS - 2], *terms[-2:]]
    pieces = []
    for i, (sign, term) in enumerate(terms):
        if left_out > 1 and i == MAX_TERMS - 2:
            pieces.append(f" + {style.more(left_out)}")
        pieces.append(f" {sign} " if sign else "")
        pieces.append(inner(term, PRODUCT if sign else SUM))
    return "".join(pieces)
