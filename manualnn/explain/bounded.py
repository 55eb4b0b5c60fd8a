"""Numbers with a bound of the error of float64 in the same computation."""

from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

from manualnn.explain.numbers import ZERO, Arithmetic, Number

UNIT = Decimal(2) ** -53
"""Unit roundoff u of float64: the largest relative error of one operation."""
TINIEST = Decimal(2) ** -1022
"""Smallest normal float64: below it, an error may be as large as the result (see `sigmoid`)."""
ULPS = Decimal(8)
"""Largest error of NumPy's exp, log and tanh in units of u: 4 units in the last place."""


class KinkWithinRoundingError(ArithmeticError):
    """A comparison may have the other result in float64."""


class Bounded(Number):
    """An exact number with a bound of the error of float64 in its place, to first order in u.

    A sum of k terms, added in any order, has the bound (k − 1) u Σ |term|, plus the errors of the
    terms. Other operations add u |result|, or the error bound of the function's implementation.
    """

    __slots__ = ("inherited_error", "size", "terms")

    def __init__(
        self,
        value: Decimal,
        arithmetic: Arithmetic,
        inherited: Decimal = ZERO,
        terms: int = 1,
        size: Decimal | None = None,
    ) -> None:
        super().__init__(value, arithmetic)
        self.inherited_error = inherited
        self.terms = terms
        self.size = abs(value) if size is None else size

    @property
    def error(self) -> Decimal:
        """The bound of the error."""
        return self.inherited_error + (self.terms - 1) * (UNIT * self.size + TINIEST)

    def lift(self, other: Any) -> "Self":
        """Return an operand as a number of this kind; a fraction has the error of one rounding."""
        lifted = super().lift(other)
        if isinstance(other, Fraction):
            lifted.inherited_error = UNIT * abs(lifted.value)
        return lifted

    def derive(self, op: str, value: Decimal, *parts: tuple["Self", Decimal]) -> "Self":
        """Return the result with Σ |∂value/∂operand| error(operand) and its own rounding."""
        if op in {"+", "-"}:
            (a, _), (b, _) = parts
            inherited = a.inherited_error + b.inherited_error
            return type(self)(value, self.arithmetic, inherited, a.terms + b.terms, a.size + b.size)
        error = sum((abs(partial) * operand.error for operand, partial in parts), ZERO)
        if op in {"*", "/", "sqrt"}:
            error += UNIT * abs(value) + TINIEST
        elif op == "exp":
            # The float kernels subtract the row's maximum from the argument, which rounds it again.
            error += UNIT * (ULPS + 2 * abs(parts[0][0].value)) * abs(value) + TINIEST
        elif op in {"Φ", "φ"}:
            error += UNIT * (2 * ULPS + parts[0][0].value ** 2) * abs(value) + TINIEST
        elif op not in {"neg", "abs"}:
            error += UNIT * ULPS * abs(value) + TINIEST
        return type(self)(value, self.arithmetic, error)

    def __gt__(self, other: Any) -> bool:
        b = self.lift(other)
        if 0 < abs(self.value - b.value) <= self.error + b.error:
            raise KinkWithinRoundingError
        return self.value > b.value
