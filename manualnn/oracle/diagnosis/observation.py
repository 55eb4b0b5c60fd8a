"""What an engine answers to some calls, beside what is true of each.

    trial = observe(bench, calls)      asked of a fresh engine; None where one has no answer
    trial.wrong                         {quantity: mask of wrong entries}, of the last call
    fails(bench, case)                  whether its answer to one case is wrong

An entry is wrong where it is farther from the truth than its bound, or not finite where the bound
is. Where there is no bound, nothing is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.step import Expected, truth


@dataclass(frozen=True, eq=False)
class Observation:
    """Calls in order, the answers to them, and the truth of each."""

    calls: tuple[Case, ...]
    outcomes: tuple[Outcome, ...]
    truths: tuple[Expected, ...]

    @property
    def case(self) -> Case:
        """The last call."""
        return self.calls[-1]

    @cached_property
    def got(self) -> dict[str, Array]:
        """The last answer, in the order in which a step computes it."""
        return ordered(self.outcomes[-1].quantities(), self.expected)

    @cached_property
    def expected(self) -> dict[str, Bounded]:
        """What is true of the last call."""
        return self.truths[-1].quantities()

    @cached_property
    def wrong(self) -> dict[str, Array]:
        """For each quantity of the last answer, which entries are wrong."""
        return {name: refutes(self.expected[name], array) for name, array in self.got.items()}

    @cached_property
    def bad(self) -> list[str]:
        """The quantities of the last answer that are wrong somewhere."""
        return [name for name, mask in self.wrong.items() if mask.any()]

    @property
    def fails(self) -> bool:
        """Whether anything of the last answer is wrong."""
        return bool(self.bad)


def observe(
    bench: EngineClient, calls: Sequence[Case], *, fresh: bool = True
) -> Observation | None:
    """Return a trial of these calls; None where one of them has no answer."""
    if fresh:
        bench.fresh()
    outcomes, truths = [], []
    for case in calls:
        outcomes.append(bench.run(case))
        if outcomes[-1].result is None:
            return None
        truths.append(truth(case, Precision.of(case.dtype, bench.capabilities)))
    return Observation(tuple(calls), tuple(outcomes), tuple(truths))


def fails(bench: EngineClient, case: Case, *, fresh: bool = False) -> bool | None:
    """Return whether the engine's answer to a case is wrong; None where there is no answer."""
    trial = observe(bench, [case], fresh=fresh)
    return None if trial is None else trial.fails


def ordered(named: dict[str, Any], expected: dict[str, Bounded]) -> dict[str, Array]:
    """Return arrays in the order of a step; those that there is no truth of are left out."""
    return {name: np.asarray(named[name]) for name in expected if name in named}
