"""Observations: the engine's results for some calls, with the truth of each call.

    observation = observe(bench, calls)     calls of a fresh engine; None if one has no result
    observation.wrong                       {quantity: mask of wrong entries} of the last call

Quantities that have no truth are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.step import truth


class Numbers(Protocol):
    """The truth of a call, or numbers that stand in for it."""

    @property
    def kind(self) -> Precision:
        """The arithmetic of the engine, and its conventions."""
        ...

    def quantities(self) -> dict[str, Bounded]:
        """Return every array under its full name, in the order of a step."""
        ...


@dataclass(frozen=True, eq=False)
class Observation:
    """Calls in order, the engine's outcomes, and the truth of each call."""

    calls: tuple[Case, ...]
    outcomes: tuple[Outcome, ...]
    truths: tuple[Numbers, ...]

    @property
    def case(self) -> Case:
        """The case of the last call."""
        return self.calls[-1]

    @cached_property
    def got(self) -> dict[str, Array]:
        """The result of the last call, in the order in which a step computes it."""
        return in_order(self.outcomes[-1].quantities(), self.expected)

    @cached_property
    def expected(self) -> dict[str, Bounded]:
        """The truth of the last call."""
        return self.truths[-1].quantities()

    @cached_property
    def compared(self) -> tuple[dict[str, tuple[Array, Bounded]], ...]:
        """The result and the truth of each quantity, for every call."""
        pairs = zip(self.outcomes, self.truths, strict=True)
        return tuple(_paired(outcome.quantities(), near.quantities()) for outcome, near in pairs)

    @cached_property
    def is_finite(self) -> bool:
        """True if no result holds NaN or infinity."""
        every = (got for call in self.compared for got, _ in call.values())
        return all(np.isfinite(got).all() for got in every)

    @cached_property
    def wrong(self) -> dict[str, Array]:
        """The mask of the wrong entries, for each quantity of the last result."""
        return {name: refutes(self.expected[name], array) for name, array in self.got.items()}

    @cached_property
    def wrong_names(self) -> list[str]:
        """The quantities of the last result that have wrong entries."""
        return [name for name, mask in self.wrong.items() if mask.any()]

    def before_update(self) -> "Observation | None":
        """Return the observation without state and parameters; None if an earlier step has them."""
        if any(case.steps > 1 for case in self.calls):
            return None
        return replace(self, outcomes=tuple(map(_before_update, self.outcomes)))

    @property
    def is_wrong(self) -> bool:
        """True if the last result has a wrong entry."""
        return bool(self.wrong_names)


def observe(
    bench: EngineClient, calls: Sequence[Case], *, fresh: bool = True
) -> Observation | None:
    """Return the observation of some calls; None if a call has no result.

    Without `fresh`, the engine is fresh only if that is cheap or if there are several calls.
    """
    if fresh or bench.is_python or len(calls) > 1:
        bench.fresh()
    outcomes, truths = [], []
    for case in calls:
        outcomes.append(bench.run(case))
        if outcomes[-1].result is None:
            return None
        truths.append(truth(case, Precision.of(case.dtype, bench.capabilities)))
    return Observation(tuple(calls), tuple(outcomes), tuple(truths))


def _before_update(outcome: Outcome) -> Outcome:
    result = {k: v for k, v in (outcome.result or {}).items() if k not in {"state", "params"}}
    return replace(outcome, result=result)


def in_order(named: Mapping[str, Any], expected: Mapping[str, Bounded]) -> dict[str, Array]:
    """Return the arrays in the order of a step, without those that have no truth."""
    return {name: np.asarray(named[name]) for name in expected if name in named}


def _paired(
    named: Mapping[str, Any], expected: Mapping[str, Bounded]
) -> dict[str, tuple[Array, Bounded]]:
    return {name: (a, expected[name]) for name, a in in_order(named, expected).items()}
