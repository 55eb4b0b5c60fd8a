"""Outcomes of nearby cases: whether a case shows the failure, shows its absence, or shows nothing.

    judge = NumbersJudge(bench, own, budget)    `own` is the observation of the failure
    judge(case)                                 True: fails; False: passes; None: unknown

A case fails if the same group of quantities is wrong first, and by far more than rounding. It
passes if every number is right, and an error of the relative size seen so far would have shown.
All else is unknown: the engine does not claim the case, gives no result, or there is no time; the
truth has no bound there; the bounds are wide; the truth is 0, or the error is hardly beyond its
bound; or another quantity is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from manualnn.oracle.cases.resize import is_valid
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.observation import Observation, observe
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.truth.compare import group_of, true_values


class Judge(Protocol):
    """Judges whether cases show a failure."""

    first: str
    """The quantity that is wrong first; empty for a failure without wrong numbers."""

    def __call__(self, case: Case) -> bool | None:
        """Return True if the case fails, False if it passes, None if that is unknown."""


VISIBLE = 16
"""An error counts if it is so many times its bound, and a bound if it is so much smaller."""


class NumbersJudge:
    """Judges cases of an engine whose numbers are wrong."""

    def __init__(
        self,
        bench: EngineClient,
        own: Observation,
        budget: Budget,
        rebase: Callable[[Observation], Observation] = lambda seen: seen,
    ) -> None:
        """`rebase` replaces the truth of an observation by the numbers of known bugs."""
        self.bench, self.budget, self.rebase = bench, budget, rebase
        self.focus(own)
        self.observations: list[Observation] = []
        """All observations that were made for the outcomes."""

    def focus(self, own: Observation) -> None:
        """Make an observation the example of the failure."""
        self.own, self.first = own, own.wrong_names[0]
        self.group = group_of(self.first)
        self.least = _relative_errors(own)
        """The smallest relative error of a failure so far, for each group of quantities."""

    def __call__(self, case: Case) -> bool | None:
        """Return the outcome of a case."""
        if self.budget.over or self.bench.capabilities.refuses(case) or not is_valid(case):
            return None
        seen = observe(self.bench, [case], fresh=False)
        if seen is None:
            return None
        self.observations.append(seen)
        return self.outcome(self.rebase(seen))

    def outcome(self, seen: Observation) -> bool | None:
        """Return the outcome that an observation shows."""
        if not seen.is_wrong:
            return False if self._would_show(seen) else None
        # The error of an earlier step is an error of every quantity of a later one.
        several = max(seen.case.steps, self.own.case.steps) > 1
        same = several or group_of(seen.wrong_names[0]) == self.group
        if not same or _excess(seen) < VISIBLE:
            return None
        for group, error in _relative_errors(seen).items():
            self.least[group] = min(self.least.get(group, 1.0), error)
        return True

    def _would_show(self, seen: Observation) -> bool:
        """Return True if errors as small as the smallest would be wrong by these bounds."""
        groups = {group_of(name) for name in seen.got}
        # Without momentum there is no buffer that could be wrong: then the parameters show it.
        judged = {self.group} if self.group in groups else groups & self.least.keys()
        return bool(judged) and all(
            _sharpness(seen, group) * VISIBLE <= self.least[group] for group in judged
        )


@dataclass
class BehaviourJudge:
    """Judges cases of an engine that fails without wrong numbers; `shows` repeats its check."""

    bench: EngineClient
    budget: Budget
    shows: Callable[[Case], bool]
    first: str = ""

    def __call__(self, case: Case) -> bool | None:
        """Return the outcome of a case."""
        if self.budget.over or self.bench.capabilities.refuses(case) or not is_valid(case):
            return None
        return self.shows(case)


def _size(seen: Observation, name: str) -> float:
    """Return the largest true number of an array; of a parameter, the largest true update."""
    v = true_values(seen.expected[name])
    if name.startswith("params.") and seen.case.steps == 1:
        v = v - seen.case.params[name.removeprefix("params.")]
    return float(np.abs(v).max(initial=0))


def _relative_errors(seen: Observation) -> dict[str, float]:
    """Return the largest error of every wrong group, relative to the size of the array."""
    found: dict[str, float] = {}
    for name in seen.wrong_names:
        error = np.abs(seen.got[name] - true_values(seen.expected[name]))[seen.wrong[name]]
        size, group = _size(seen, name), group_of(name)
        ratio = float(error.max()) / size if size and np.isfinite(error).all() else 1.0
        found[group] = max(found.get(group, 0.0), min(ratio, 1.0))
    return found


def _excess(seen: Observation) -> float:
    """Return the largest error in units of its bound."""
    found = 0.0
    for name in seen.wrong_names:
        near, mask = seen.expected[name], seen.wrong[name]
        error = np.abs(seen.got[name] - true_values(near))[mask]
        bounds = np.asarray(near.bounds)[mask]
        ratio = np.where(np.isfinite(error), error / np.maximum(bounds, near.kind.eta), np.inf)
        found = max(found, float(ratio.max()))
    return found


def _sharpness(seen: Observation, group: str) -> float:
    """Return the largest error bound of a group, relative to the size of its array."""
    sizes = {name: _size(seen, name) for name in seen.got if group_of(name) == group}
    found = (float(np.max(seen.expected[n].bounds)) / size for n, size in sizes.items() if size)
    return max(found, default=np.inf)
