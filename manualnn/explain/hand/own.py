"""What follows from a reader's own numbers: formulas evaluated with them, with error bounds."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import methodcaller

from manualnn.explain.bounded import Bounded
from manualnn.explain.formula import Formula, sum_terms
from manualnn.explain.model import Quantity
from manualnn.explain.numbers import ONE, ZERO, Arithmetic

NOISE = Decimal(2) ** -50
"""Relative error allowed in numbers that float64 computed: eight units in the last place."""
LEAST_DIGITS = 3
"""Digits of a number at least, for a hand that rounds to digits."""
FLOAT_DIGITS = 15
"""Digits of a number at least, that a program and not a hand has computed."""
STRICT = Decimal("0.05")
"""Rounding error allowed in a 0 that is written without decimals."""


def half_unit(number: Decimal) -> Decimal:
    """Return half a unit in the last digit that a number was written with.

    An integer below 5 is read more strictly, to a tenth: else 1 would be right for 0.6.
    """
    half = Decimal((0, (5,), int(number.as_tuple().exponent) - 1))
    return half if half < STRICT else min(half, max(STRICT, abs(number) / 10))


@dataclass(frozen=True)
class Rounding(Arithmetic):
    """Exact numbers, with an allowance for the rounding of each operation by hand."""

    absolute: Decimal = ZERO
    relative: Decimal = ZERO


def hands(given: Mapping[str, Decimal]) -> tuple[Rounding, ...]:
    """Return a hand that rounds to decimals and one that rounds to digits.

    The number of decimals or digits is the largest among the reader's numbers. Of fewer than three
    digits nearly anything would follow, so that only decimals count.
    """
    decimals = min(map(half_unit, given.values()), default=ZERO)
    digits = max((len(number.as_tuple().digits) for number in given.values()), default=1)
    by_decimals = Rounding(absolute=decimals)
    if digits < LEAST_DIGITS:
        return (by_decimals,)
    return by_decimals, Rounding(relative=Decimal((0, (5,), -digits)))


class Carried(Bounded):
    """A number with a bound of the error of float64 or of a hand that rounds every operation."""

    __slots__ = ()

    def derive(self, op: str, value: Decimal, *parts: "tuple[Carried, Decimal]") -> "Carried":
        """Return the result with the errors of the operands and its own.

        A sum of numbers with K decimals has K decimals: it is not rounded.
        """
        result = super().derive(op, value, *parts)
        rounding = self.arithmetic
        if isinstance(rounding, Rounding):
            result.inherited_error += rounding.relative * abs(value)
            if op not in {"+", "-", "neg", "abs"}:
                result.inherited_error += rounding.absolute
        return result


class OwnNumbers:
    """The numbers that a reader has, or would have from the numbers before them.

    Parameters
    ----------
    known : mapping of Quantity
        All quantities by their names.
    inputs : set of str
        Names of the numbers of the run. They are exact, unless the reader's differ.
    given : mapping of Decimal
        The reader's numbers.
    hand : Rounding
        How the reader rounds.

    """

    def __init__(
        self,
        known: Mapping[str, Quantity],
        inputs: set[str],
        given: Mapping[str, Decimal],
        hand: Rounding,
    ) -> None:
        self.known = known
        self.inputs = inputs
        self.given = given
        self._arithmetic = hand
        self._found: dict[str, Carried] = {}
        self._ancestors: dict[str, set[str]] = {}

    def constant(self, value: int) -> Carried:
        """Return an exact number."""
        return Carried(Decimal(value), self._arithmetic)

    def number(self, name: str) -> Carried:
        """Return a quantity as the reader has it: given, or computed from the numbers before it."""
        if name not in self._found:
            quantity = self.known[name]
            given = self.given.get(name)
            if given is not None and not (name in self.inputs and is_right(quantity, given)):
                found = Carried(given, self._arithmetic, _uncertainty(quantity, given))
            elif quantity.formula is None or name in self.inputs:
                found = Carried(Decimal(quantity.value), self._arithmetic)
            else:
                found = self.evaluate(quantity.formula)
            self._found[name] = found
        return self._found[name]

    def evaluate(self, formula: Formula, instead: Mapping[str, Carried] | None = None) -> Carried:
        """Return the value of a formula with the reader's numbers, some of them replaced."""
        return self._operate(formula.without_symbol() if formula.op else formula, instead or {})

    def follows(self, name: str, formula: Formula) -> bool:
        """Return True if the reader's number follows from a formula, but for rounding.

        It follows from numbers that were given, and not only from those of the run; a number with
        the digits of float64 may also have the rounding errors of float64. The error bounds of a
        few digits allow nearly anything at the end of a long computation. So rounding explains at
        most five units in the last digit, or a tenth of the number.
        """
        given, expected = self.given[name], self.evaluate(formula)
        if len(given.as_tuple().digits) < FLOAT_DIGITS and not self._changed(formula):
            return False
        most = max(10 * half_unit(given), abs(expected.value) / 10)
        return abs(expected.value - given) <= half_unit(given) + min(expected.error, most)

    def _changed(self, formula: Formula) -> bool:
        """Return True if a formula depends on a number of the reader's, other than the run's."""
        return any(
            name not in self.inputs or not is_right(self.known[name], self.given[name])
            for name in self.ancestors(formula)
        )

    def ancestors(self, formula: Formula) -> set[str]:
        """Return the names of the given numbers that a formula depends on, also through others."""
        found: set[str] = set()
        for name in leaves(formula):
            if name in self.given:
                found.add(name)
            elif name in self.known and (inner := self.known[name].formula):
                if name not in self._ancestors:
                    self._ancestors[name] = self.ancestors(inner)
                found |= self._ancestors[name]
        return found

    def _operate(self, formula: Formula, instead: Mapping[str, Carried]) -> Carried:
        name = formula.symbol.text if formula.symbol else ""
        if name in instead:
            return instead[name]
        if name in self.known:
            return self.number(name)
        if name and formula.op:  # the state of a rule: its name stands for its formula
            formula = formula.without_symbol()
        if not formula.op:
            return Carried(formula.value, self._arithmetic)
        if formula.op in {"+", "-"}:
            total: Carried | None = None
            for sign, term in reversed(list(sum_terms(formula))):
                number = self._operate(term, instead)
                total = (
                    number if total is None else total - number if "-" in sign else total + number
                )
            return total or Carried(ZERO, self._arithmetic)
        args = [self._operate(operand, instead) for operand in formula.args]
        result: Carried = _OPERATIONS.get(formula.op, methodcaller(formula.op))(*args)
        return result


def _rectify(a: Carried) -> Carried:
    return a if a.value > 0 else Carried(ZERO, a.arithmetic, max(ZERO, a.value + a.error))


def _step(a: Carried) -> Carried:
    """Return [a > 0]; its error is 1 if the sign of a is not sure."""
    return Carried(ONE if a.value > 0 else ZERO, a.arithmetic, Decimal(abs(a.value) <= a.error > 0))


_OPERATIONS: dict[str, Callable[..., Carried]] = {
    "*": operator.mul,
    "/": operator.truediv,
    "neg": operator.neg,
    "abs": abs,
    "square": lambda a: a * a,
    "rectified": _rectify,
    "positive": _step,
    "Φ": methodcaller("normal_cdf"),
    "φ": methodcaller("normal_pdf"),
}
"""The operations of formulas; all others are methods of numbers."""


def leaves(formula: Formula) -> set[str]:
    """Return the names of the quantities in a formula."""
    found: set[str] = set()
    waiting = [formula.without_symbol() if formula.op else formula]
    while waiting:
        part = waiting.pop()
        if part.symbol and not part.op:
            found.add(part.symbol.text)
        waiting += part.args
    return found


def _uncertainty(quantity: Quantity, given: Decimal) -> Decimal:
    """Return how far the number that a reader went on with may be from the one written down."""
    if not is_right(quantity, given):
        return half_unit(given)
    return max(abs(Decimal(value) - given) for value in _right_values(quantity))


def is_right(quantity: Quantity, given: Decimal) -> bool:
    """Return True if the true value rounds to a number, or the one rounded by hand is the same."""
    return any(
        abs(value - given) <= half_unit(given) + NOISE * abs(value)
        for value in _right_values(quantity)
    )


def _right_values(quantity: Quantity) -> list[Decimal]:
    """Return the value in full precision, and the one rounded by hand; only finite ones."""
    values = quantity.value, quantity.value - (quantity.deviation or 0)
    return [Decimal(value) for value in values if math.isfinite(value)]
