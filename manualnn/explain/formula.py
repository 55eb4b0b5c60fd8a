"""Formulas: numbers that remember the operation they came from, and the symbols of quantities.

A kernel of the engine that runs on formulas returns its result as an expression. `Notation` writes
the expression with the names of its quantities or with their numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

from manualnn.explain.numbers import Arithmetic, Number


@dataclass(frozen=True, slots=True)
class Symbol:
    """The name of a quantity, in plain text and in LaTeX."""

    text: str
    latex: str


LOSS = Symbol("L", "L")


def word(name: str) -> Symbol:
    """Return the symbol of a quantity that has a word as its name, such as lr or exp_avg."""
    return Symbol(name, rf"\mathrm{{{name}}}".replace("_", r"\_"))


def derivative(top: Symbol, bottom: Symbol) -> Symbol:
    """Return the symbol of ∂top/∂bottom."""
    latex = rf"\frac{{\partial {top.latex}}}{{\partial {bottom.latex}}}"
    return Symbol(f"∂{top.text}/∂{bottom.text}", latex)


class Formula(Number):
    """A number with its symbol, or with the operation that made it and the operands.

    `literal` marks a plain 0 or 1 that a kernel was passed (a one-hot δ, a new optimizer state).
    Operations with a literal that change nothing, such as 1·a, are left out of the expression.
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
        """Return an operand as a formula; a plain 0 or 1 is literal, a fraction a quotient."""
        if isinstance(other, Fraction):
            quotient = self.lift(other.numerator) / self.lift(other.denominator)
            quotient.value = self.arithmetic.read_constant(other)  # a constant is not rounded
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
        simpler: Self | None = _simplify(op, args)
        if simpler is not None:
            return simpler
        if op == "*" and args[0] is args[1]:
            op, args = "square", args[:1]
        rounded = self.arithmetic.round(value)
        return type(self)(rounded, self.arithmetic, None, op, tuple(args))

    def without_symbol(self) -> "Formula":
        """Return the expression without its own symbol, which would replace all of it."""
        return Formula(self.value, self.arithmetic, None, self.op, self.args)


def with_value(formula: Any, value: Decimal) -> Any:
    """Return a formula's expression for a value that was computed another way.

    If `formula` is a plain number, as in a run too large for formulas, return the value alone.
    """
    if not isinstance(formula, Formula):
        return value
    return Formula(value, formula.arithmetic, formula.symbol, formula.op, formula.args)


def sum_terms(formula: Formula) -> Iterator[tuple[str, Formula]]:
    """Yield sign ("" for the first) and term of a sum, the last term first.

    A loop, because a long sum is nested too deeply for recursion.
    """
    while formula.op in {"+", "-"} and not formula.symbol:
        yield formula.op, formula.args[1]
        formula = formula.args[0]
    yield "", formula


def _simplify(op: str, args: list[Any]) -> Any:
    """Return the value of 1·a, 0·a, 0 + a, a − 0, 0 − a, a / 1, 0 / a or −0; None for others."""
    a, b = args[0], args[-1]
    zero = next((f for f in args if f.literal == 0), None)
    if zero is not None and (op in {"*", "neg"} or (op == "/" and a is zero and b.value)):
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
