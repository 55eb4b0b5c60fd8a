"""Numbers that carry something along while the engine's own kernels compute with them.

The kernels run on arrays of objects. Here are objects whose value is a decimal number, either so
long that its rounding does not count (PRECISION digits) or rounded to K decimals after every
operation. Each operation states its value and its partial derivatives once; the classes differ in
what they make of them:

    Number     nothing: just the value
    Dual       slopes ∂(this)/∂(each source), by the chain rule, forwards
    Bounded    a bound of the error that float64 makes in the same computation
    Formula    the expression itself, to be shown

The slopes owe nothing to the hand-written backward pass: that is what makes them a check of it.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from typing import Any, Self

import numpy as np

from manualnn.elementary import Array

PRECISION = 50
"""Digits of a number that is not rounded to K decimals: three times those of float64."""

# Without traps 1/0 is Infinity and 0/0 is NaN, as in NumPy; the exponents never overflow.
CONTEXT = Context(prec=PRECISION, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])

ZERO, ONE, MINUS_ONE = Decimal(0), Decimal(1), Decimal(-1)


@dataclass(frozen=True)
class Arithmetic:
    """How results are rounded: to `decimals` decimals after every operation, or not to speak of.

    With decimals, a result is computed to PRECISION digits and then rounded to the nearest decimal
    number of that many places, a tie to the even digit. Numbers that are given (x, t, parameters)
    are read as the decimal number they are written as, and rounded too. Constants of a formula
    (a learning rate, an ε) are never rounded.
    """

    decimals: int | None = None

    def rounded(self, value: Decimal) -> Decimal:
        """Return the value as this arithmetic writes it down."""
        if self.decimals is None or not value.is_finite():
            return value
        if value.adjusted() + self.decimals >= PRECISION - 1:
            return value  # it has no digits that far to the right
        # Adding 0 turns -0 into 0.
        return value.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_EVEN) + 0

    def constant(self, value: Any) -> Decimal:
        """Return a constant of a formula, exactly; a float means the decimal it is written as."""
        if isinstance(value, Fraction):
            return Decimal(value.numerator) / Decimal(value.denominator)
        if isinstance(value, int | np.integer):
            return Decimal(int(value))
        return Decimal(float(value)) if self.decimals is None else Decimal(repr(float(value)))

    def given(self, value: Any) -> Decimal:
        """Return a number of the run."""
        return self.rounded(self.constant(value))


class Number:
    """A real number for an array of objects."""

    __slots__ = ("arithmetic", "value")

    def __init__(self, value: Decimal, arithmetic: Arithmetic) -> None:
        self.value = value
        self.arithmetic = arithmetic

    def derive(self, op: str, value: Decimal, *parts: tuple["Self", Decimal]) -> "Self":  # noqa: ARG002
        """Return the result of an operation; parts are its operands and ∂value/∂operand."""
        return type(self)(self.arithmetic.rounded(value), self.arithmetic)

    def lift(self, other: Any) -> "Self":
        """Return an operand as a number of this kind."""
        if isinstance(other, type(self)):
            return other
        return type(self)(self.arithmetic.constant(other), self.arithmetic)

    def __add__(self, other: Any) -> "Self":
        b = self.lift(other)
        return self.derive("+", self.value + b.value, (self, ONE), (b, ONE))

    def __sub__(self, other: Any) -> "Self":
        b = self.lift(other)
        return self.derive("-", self.value - b.value, (self, ONE), (b, MINUS_ONE))

    def __mul__(self, other: Any) -> "Self":
        b = self.lift(other)
        return self.derive("*", self.value * b.value, (self, b.value), (b, self.value))

    def __truediv__(self, other: Any) -> "Self":
        b = self.lift(other)
        quotient = self.value / b.value
        return self.derive("/", quotient, (self, 1 / b.value), (b, -quotient / b.value))

    def __radd__(self, other: Any) -> "Self":
        return self.lift(other) + self

    def __rsub__(self, other: Any) -> "Self":
        return self.lift(other) - self

    def __rmul__(self, other: Any) -> "Self":
        return self.lift(other) * self

    def __rtruediv__(self, other: Any) -> "Self":
        return self.lift(other) / self

    def __neg__(self) -> "Self":
        return self.derive("neg", -self.value, (self, MINUS_ONE))

    def __pos__(self) -> "Self":
        return self

    def __abs__(self) -> "Self":
        slope = ZERO if self.value == 0 else ONE.copy_sign(self.value)
        return self.derive("abs", abs(self.value), (self, slope))

    def __gt__(self, other: Any) -> bool:
        return self.value > self.lift(other).value

    def __lt__(self, other: Any) -> bool:
        return self.value < self.lift(other).value

    def exp(self) -> "Self":
        """Return e to this power."""
        value = self.value.exp()
        return self.derive("exp", value, (self, value))

    def log(self) -> "Self":
        """Return the natural logarithm."""
        return self.derive("log", self.value.ln(), (self, 1 / self.value))

    def log1p(self) -> "Self":
        """Return the natural logarithm of 1 + this."""
        value = _with_room(self.value, lambda x: (1 + x).ln())
        return self.derive("log1p", value, (self, 1 / (1 + self.value)))

    def sqrt(self) -> "Self":
        """Return the square root."""
        value = self.value.sqrt()
        return self.derive("sqrt", value, (self, 1 / (2 * value)))

    def tanh(self) -> "Self":
        """Return the hyperbolic tangent."""
        value = _with_room(self.value, _tanh)
        return self.derive("tanh", value, (self, 1 - value * value))


def _with_room(x: Decimal, function: Callable[[Decimal], Decimal]) -> Decimal:
    """Return function(x) ≈ x near 0, where the digits that 1 + x would lose are added."""
    if x.adjusted() < -PRECISION:
        return x
    with localcontext() as context:
        context.prec += max(0, -x.adjusted())
        result = function(x)
    return +result


def _tanh(x: Decimal) -> Decimal:
    decay = (-2 * abs(x)).exp()
    return ((1 - decay) / (1 + decay)).copy_sign(x)


class Dual(Number):
    """A number with its slopes ∂(this)/∂source; a source is whatever tells one from the others.

    Slopes are kept for the sources that the number depends on, so a layer of any width is
    differentiated for all its inputs and parameters in one pass. A sum collects the slopes of its
    terms when it is asked for them: a sum of k terms costs k, not k².
    """

    __slots__ = ("collected", "summands")

    def __init__(
        self, value: Decimal, arithmetic: Arithmetic, slopes: dict[Hashable, Decimal] | None = None
    ) -> None:
        super().__init__(value, arithmetic)
        self.collected = {} if slopes is None else slopes
        self.summands: tuple[Self, ...] = ()

    @property
    def slopes(self) -> dict[Hashable, Decimal]:
        """The slopes, none for a constant."""
        if self.summands:
            waiting = list(reversed(self.summands))
            self.summands = ()
            while waiting:
                term = waiting.pop()
                waiting += reversed(term.summands)
                self.collect(ONE, term.collected)
        return self.collected

    def derive(self, op: str, value: Decimal, *parts: tuple["Self", Decimal]) -> "Self":
        """Apply the chain rule: Σ ∂value/∂operand ∂operand/∂source."""
        result = type(self)(self.arithmetic.rounded(value), self.arithmetic)
        if op == "+":
            result.summands = tuple(operand for operand, _ in parts)
        else:
            for operand, partial in parts:
                result.collect(partial, operand.slopes)
        return result

    def collect(self, factor: Decimal, slopes: dict[Hashable, Decimal]) -> None:
        """Add factor times the slopes of an operand."""
        rounded = self.arithmetic.rounded
        for source, slope in slopes.items():
            term = slope if factor is ONE else rounded(factor * slope)
            before = self.collected.get(source)
            self.collected[source] = term if before is None else rounded(before + term)


UNIT = Decimal(2) ** -53
"""Unit roundoff u of float64: the largest relative error of one operation."""
TINIEST = Decimal(2) ** -1022
"""Smallest normal float64: below it a result may be off by its whole size (see `sigmoid`)."""
ULPS = Decimal(8)
"""Largest error of NumPy's exp, log and tanh in units of u: 4 units in the last place."""


class KinkWithinRoundingError(ArithmeticError):
    """Float64 may take the other side of a comparison."""


class Bounded(Number):
    """An exact number with a bound of the error of float64 at its place, to first order in u.

    A sum of k terms may be added in any order: its bound is (k − 1) u Σ |term|, plus the terms' own
    errors. Other operations add u |result|, or what the function's implementation allows.
    """

    __slots__ = ("inherited", "size", "terms")

    def __init__(
        self,
        value: Decimal,
        arithmetic: Arithmetic,
        inherited: Decimal = ZERO,
        terms: int = 1,
        size: Decimal | None = None,
    ) -> None:
        super().__init__(value, arithmetic)
        self.inherited = inherited
        self.terms = terms
        self.size = abs(value) if size is None else size

    @property
    def error(self) -> Decimal:
        """The bound."""
        return self.inherited + (self.terms - 1) * (UNIT * self.size + TINIEST)

    def lift(self, other: Any) -> "Self":
        """Return an operand; a fraction is one rounding away from its float."""
        lifted = super().lift(other)
        if isinstance(other, Fraction):
            lifted.inherited = UNIT * abs(lifted.value)
        return lifted

    def derive(self, op: str, value: Decimal, *parts: tuple["Self", Decimal]) -> "Self":
        """Return the result with Σ |∂value/∂operand| error(operand) and its own rounding."""
        if op in {"+", "-"}:
            (a, _), (b, _) = parts
            inherited, terms, size = a.inherited + b.inherited, a.terms + b.terms, a.size + b.size
            return type(self)(value, self.arithmetic, inherited, terms, size)
        error = sum((abs(partial) * operand.error for operand, partial in parts), ZERO)
        if op in {"*", "/", "sqrt"}:
            error += UNIT * abs(value) + TINIEST
        elif op == "exp":
            # The float kernels shift the argument by its row's maximum, which rounds it again.
            error += UNIT * (ULPS + 2 * abs(parts[0][0].value)) * abs(value) + TINIEST
        elif op not in {"neg", "abs"}:
            error += UNIT * ULPS * abs(value) + TINIEST
        return type(self)(value, self.arithmetic, error)

    def __gt__(self, other: Any) -> bool:
        b = self.lift(other)
        if 0 < abs(self.value - b.value) <= self.error + b.error:
            raise KinkWithinRoundingError
        return self.value > b.value


def objects(values: Array, make: Callable[[tuple[int, ...], Any], Any]) -> Array:
    """Return the array of make(index, value)."""
    result = np.empty(values.shape, dtype=object)
    for index, value in np.ndenumerate(values):
        result[index] = make(index, value)
    return result
