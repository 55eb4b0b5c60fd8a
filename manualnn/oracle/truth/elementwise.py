"""Error bounds of functions of one entry, from their statement in the table of features.

    value_of(statement, o, z)             f(z) of bounded numbers z
    slope_of(statement, o, z, at_kink)    f′(z), from jets through the same formula

A computed z is z₀ + h with |h| ≤ e. Between kinks, Taylor's theorem bounds how far f(z) is from
f(z₀). With the constants of the row, |f(z₀ + h) − f(z₀)| ≤ |h| s, where

    s = min(L₁, |f′| + ½ e c),      c = min(L₂, |f″| + e L₃)

and likewise |f′(z₀ + h) − f′(z₀)| ≤ |h| c. L₁ and L₂ are Lipschitz constants of f and f′; L₃ bounds
|f‴| between kinks. The roundings of the row come on top, relative to the size that it states.

A condition whose two sides differ by less than their errors is undecided: the formula is then
evaluated with the other branch as well. Let d be the distance to the kink. Where f is continuous,
f(z) is at most d s + (e − d) s′ away, with s′ of the other branch. Where f jumps, and for f′, the
distance between the two branches is added. Options are evaluated as given and rounded to the dtype,
because programs use either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.jets import Jet, Jets
from manualnn.oracle.protocol.rows import Rounding, Statement
from manualnn.oracle.truth.bounded import Array, Bounded


@dataclass
class _Condition:
    """One comparison in a formula."""

    undecided: Array
    """Where rounding decides it."""
    distance: Array
    """From z to the kink."""
    at_kink: Array
    """Where z is exactly on the kink."""


class _Branches(Jets):
    """Jets that note each condition of a formula; the condition `reversed_` takes its other branch.

    Only its undecided entries do.
    """

    def __init__(self, z: Bounded, order: int, reversed_: int | None = None) -> None:
        super().__init__(z.kind.wide, order)
        self.z, self.kind = z, z.kind
        self.reversed = reversed_
        self.conditions: list[_Condition] = []

    def compare(self, operation: Callable[[Any, Any], Any], a: Jet, b: Any) -> Any:
        """Return on which side of a condition each entry is."""
        holds = super().compare(operation, a, b)
        rounding: Any = 0.0
        if isinstance(b, Jet) or b != 0:  # the sign of a rounded number is right
            sides = (a.c[0], b.c[0] if isinstance(b, Jet) else b)
            rounding = self.kind.u * sum(self.kind.size(side) for side in sides)
        undecided = self._note(a - b, rounding)
        return np.where(undecided, ~holds, holds) if self._is_reversed else holds

    def absolute(self, x: Jet) -> Jet:
        """Return |x|; its derivative at 0 is 0."""
        undecided = self._note(x, 0.0)
        positive, negative = x.c[0] > 0, x.c[0] < 0
        if self._is_reversed:
            positive, negative = (
                np.where(undecided, ~positive, positive),
                np.where(undecided, positive, negative),
            )
        one = self.m.number(1)
        sign = np.where(positive, one, np.where(negative, -one, self.m.number(0)))
        return x * Jet(self, (sign, *[0] * (len(x.c) - 1)))

    @property
    def _is_reversed(self) -> bool:
        return self.reversed == len(self.conditions) - 1

    def _note(self, difference: Jet, rounding: Any) -> Array:
        """Note the condition that a difference decides, and return where it is undecided."""
        kind = self.kind
        apart, steepness = kind.size(difference.c[0]), kind.size(difference.c[1])
        reach = self.z.e * steepness + rounding
        # Negated, so that NaN is undecided.
        undecided = ~(apart > reach) & ~(reach == 0) & (not kind.decided)
        distance = np.asarray(kind.rough.divide(apart, steepness))
        self.conditions.append(_Condition(undecided, distance, apart == 0))
        return undecided


class _Evaluation:
    """A formula's derivatives at z, in each branch that rounding may lead to."""

    def __init__(
        self, statement: Statement, o: Options, z: Bounded, rest: Sequence[Any], order: int
    ) -> None:
        self.kind, self.z = z.kind, z
        self.exact = o.in_numbers(z.kind.wide.number)
        if statement.bounds is None:
            raise OracleError("a statement without bounds has no generic error bound.")
        self.bounds = statement.bounds(o)

        def evaluate(branches: _Branches, options: Options) -> list[Array]:
            return branches.derivatives(lambda m, z: statement.formula(m, options, z, *rest), z.v)

        branches = _Branches(z, order)
        self.derivatives = evaluate(branches, self.exact)
        self.conditions = branches.conditions
        self.others = [
            evaluate(_Branches(z, order, k), self.exact) if condition.undecided.any() else None
            for k, condition in enumerate(self.conditions)
        ]
        rounded = o.in_numbers(lambda value: z.kind.wide.number(z.kind.dtype.type(value)))
        self.option_error: list[Array] | None = None
        if rounded != self.exact:
            pairs = zip(evaluate(_Branches(z, order), rounded), self.derivatives, strict=True)
            self.option_error = [z.kind.size(a - b) for a, b in pairs]

    def steepness(self, derivatives: list[Array], k: int) -> Array:
        """Return a bound on the k-th derivative within e of z, on one branch."""
        change = self.steepness(derivatives, 2) / 2 if k == 1 else self._constant(2)
        bound = self.kind.size(derivatives[k]) + self.times_e(change)
        return np.minimum(bound, self._constant(k - 1))

    def times_e(self, factor: Any) -> Array:
        """Return e times a factor, 0 where e is 0 even if the factor is infinite."""
        return np.where(self.z.e == 0, 0.0, self.z.e * factor)

    def _constant(self, i: int) -> Any:
        constant = self.bounds[i]
        return np.inf if constant is None else float(constant)


def value_of(statement: Statement, o: Options, z: Bounded, *rest: Any) -> Bounded:
    """Return f(z) for the options o; the rest are further arguments of the formula."""
    found = _Evaluation(statement, o, z, rest, 2)
    steepness = found.steepness(found.derivatives, 1)
    e = found.times_e(steepness)
    for condition, other in zip(found.conditions, found.others, strict=True):
        if other is None:
            continue
        beyond = found.steepness(other, 1)
        if found.bounds[0] is None:
            reached = z.kind.size(other[0] - found.derivatives[0]) + found.times_e(beyond)
        else:
            d = np.minimum(condition.distance, z.e)
            reached = d * steepness + (z.e - d) * beyond
        e = np.where(condition.undecided, np.maximum(e, reached), e)
    return _rounded(found, statement.value_rounding, 0, e, rest)


def slope_of(
    statement: Statement, o: Options, z: Bounded, *rest: Any, at_kink: float | None = None
) -> Bounded:
    """Return f′(z); `at_kink` is the slope at a kink if it is not the one of the statement.

    Where rounding decides between two slopes, the entry is counted as undecided.
    """
    found = _Evaluation(statement, o, z, rest, 2)
    kind, slope = z.kind, found.derivatives[1]
    slopes = [slope]
    if at_kink is not None:
        for condition in found.conditions:
            slope = np.where(condition.at_kink, kind.wide.number(at_kink), slope)
        slopes.append(kind.wide.number(at_kink))
    found.derivatives[1] = slope
    e = found.times_e(found.steepness(found.derivatives, 2))
    undecided = np.zeros(z.v.shape, bool)
    for condition, other in zip(found.conditions, found.others, strict=True):
        if other is None:
            continue
        jump = kind.size(other[1] - slope)
        for reachable in slopes:
            jump = np.maximum(jump, kind.size(reachable - slope))
        reached = jump + found.times_e(found.steepness(other, 2))
        if found.bounds[1] is not None:
            reached = np.minimum(reached, z.e * float(found.bounds[1]))
        else:
            undecided |= condition.undecided
        e = np.where(condition.undecided, np.maximum(e, reached), e)
    if found.conditions and found.bounds[1] is None:
        kind.jumps.append((int(np.count_nonzero(undecided)), undecided.size))
    return _rounded(found, statement.slope_rounding, 1, e, rest)


def _rounded(
    found: _Evaluation, rounding: Rounding, k: int, e: Array, rest: Sequence[Any]
) -> Bounded:
    """Return the k-th derivative with the roundings of the row."""
    kind, z = found.kind, found.z
    if found.option_error is not None:
        e = e + found.option_error[k]
    e = np.where(z.e < np.inf, e, np.inf)  # what overflowed may be NaN
    v = found.derivatives[k]
    count = rounding.operations + rounding.functions * kind.ulps
    if count:
        size = kind.size(v) + e
        if rounding.size is not None:
            size = np.maximum(size, kind.size(rounding.size(kind.wide, found.exact, z.v, *rest)))
        e = e + kind.rounding(count, size, v)
    return Bounded(v, e, kind, known=not np.any(e))
