"""Planned updates: the NumPy calls of a rule on the same arrays, recorded once and then repeated.

The second update of the same arrays records the NumPy calls that it makes, in a `PlannedUpdate`.
Later updates repeat these calls without the Python code around them.
"""

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.tracing import Call, Trace

if TYPE_CHECKING:
    from manualnn.optimizers.base import Optimizer

BLOCK = 32_768
"""Number of entries that a rule updates at a time.

A block of this size stays in the cache from one line of the rule to the next. It is large enough
that the cost of a call does not count.

All blocks run in one thread. The threads of the BLAS keep spinning for a while after each matrix
product. A second thread on the same cores was measured to save no time, or to cost some."""

Arrays = list[Array]
Rates = tuple[Any, ...]
"""Numbers, or arrays without dimensions that hold one number each."""
Shapes = Mapping[str, tuple[int, ...]]
"""The shapes of the parameters by name, in the order of the vectors."""


class State(dict[str, Any]):
    """{"step": number of updates, name: vector of shape (P,), …}; the names are torch's.

    It also holds the plan of the last update, which the next update repeats, and the parts of a
    rule with groups.
    """

    __slots__ = ("parts", "planned")

    def __init__(self, *items: Any) -> None:
        dict.__init__(self, *items)
        self.planned: dict[bool, PlannedUpdate] = {}
        self.parts: dict[bool, Any] = {}

    def __reduce__(self) -> tuple[type["State"], tuple[dict[str, Any]]]:
        """Pickle and copy the items alone."""
        return State, (dict(self),)


class PlannedUpdate:
    """An update of the same arrays in every step: its NumPy calls are recorded once (`tracing`)."""

    def __init__(self, rule: "Optimizer", vectors: Arrays, shapes: Shapes, *, moves: bool) -> None:
        self._rule = rule
        self._shapes = shapes
        self._moves = moves
        self._names = rule.vectors()
        # Weak references, because the arrays may be deleted before the second update.
        self._last = [weakref.ref(v) for v in vectors]
        self._vectors: list[Any] = []
        self._rates: Arrays = []
        self._calls: list[Any] = []

    def fits(self, rule: "Optimizer", theta: Array, g: Array, state: dict[str, Any]) -> bool:
        """Return True for the same arrays and the same rule; its learning rate may differ."""
        vectors = self._vectors or [last() for last in self._last]
        if vectors[0] is not theta or vectors[1] is not g:
            return False
        i = 2
        for name in self._names:
            if vectors[i] is None or state.get(name) is not vectors[i]:
                return False
            i += 1
        if rule is not self._rule:
            if type(rule) is not type(self._rule):
                return False
            if vars(rule) | {"lr": 0} != vars(self._rule) | {"lr": 0}:
                return False
            self._rule = rule
        return True

    def run(self, state: dict[str, Any]) -> None:
        """Do one step."""
        state["step"] += 1
        rates = self._rule.rates(state["step"])
        # Another number of rates means that the rule does something else from now on.
        if not self._calls or len(rates) != len(self._rates):
            self._calls = [call.prepare() for call in self.record(rates)]
            return
        for array, rate in zip(self._rates, rates):  # noqa: B905 - strict takes time
            array[()] = rate
        for call in self._calls:
            call()

    def record(self, rates: Rates) -> list[Call]:
        """Do one step with these rates, and return the NumPy calls that it made."""
        trace = Trace()
        self._vectors = [last() for last in self._last]
        theta = self._vectors[0]
        self._rates = [np.array(rate, theta.dtype) for rate in rates]
        scratch = np.empty((self._rule.scratch_count, min(theta.size, BLOCK)), theta.dtype)
        vectors, traced_rates, own = (
            [trace.wrap(array) for array in arrays]
            for arrays in (self._vectors, self._rates, scratch)
        )
        self._rule.pass_over(vectors, tuple(traced_rates), own, self._shapes, moves=self._moves)
        return trace.finish()
