"""One case before the judges: asking the engine, comparing numbers, keeping the books.

    trial = Trial(bench, check_id, case)
    trial.base                   what the engine makes of the case, {"grads.0.weight": …}
    trial.ask(other)             the same of another case
    trial.truth(other)           what it has to be, with bounds
    trial.compare(got, near)     what is wrong of it
    trial.finding(…)             the finding, with every call that led to it

`Declined` says that a case cannot be judged (the engine does not take it, or it is not of the
kind), `Faulty` that a call ended as something other than a result. NaN is not equal to anything: it
is wrong wherever the truth has a finite bound. Where it has none (the truth may overflow) a number
is not compared; `Ledger` counts those.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Entry, Finding, Outcome
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.step import Expected, truth

TAME = ("loss.", "layer.")
"""Recipes of one step that do not look for kinks: a slope that rounding decides is a loss there."""
PLAIN = ("loss.", "layer.", "optimizer.", "plain")
"""Recipes that provoke nothing: how sharp comparisons are is told by them first."""
FINEST, COARSEST, BINS = -80, 48, 16
"""The histogram of log₂ e/|v|: from, to, bins to an octave."""


class Declined(OracleError):  # noqa: N818 - no error: there is nothing to judge
    """The engine does not take a case, or a judgement has nothing to say of it."""


class Skipped(Declined):
    """The engine does not take a case that it claims."""


class Faulty(OracleError):  # noqa: N818 - the engine's error, not ours
    """A call ended as something other than a result."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


@dataclass
class Ledger:
    """What was judged, and how sharply."""

    calls: int = 0
    entries: int = 0
    unbounded: int = 0
    """Numbers that no bound was known for."""
    undecided: int = 0
    jumps: int = 0
    """Slopes at kinks that rounding decides, of so many."""
    sharp: dict[str, Array] = field(default_factory=dict)
    """A histogram of log₂ e/|v| for each dtype."""
    plain: dict[str, Array] = field(default_factory=dict)
    """The same of the plain recipes alone."""

    def note(self, dtype: str, v: Array, e: Array, *, plain: bool = False) -> None:
        """Count numbers that were compared, in a plain recipe or another."""
        self.entries += len(v)
        with np.errstate(all="ignore"):
            ratio = np.log2((e / np.abs(v)).astype(np.float64))
            ratio = ratio[(v != 0) & (e > 0) & ~np.isnan(ratio)]
            place = ((np.clip(ratio, FINEST, COARSEST) - FINEST) * BINS).astype(int)
        counts = np.bincount(place, minlength=(COARSEST - FINEST) * BINS + 1)
        for noted in (self.sharp, self.plain) if plain else (self.sharp,):
            noted[dtype] = noted.get(dtype, 0) + counts

    def sharpness(self, *, plain: bool = False) -> dict[str, float]:
        """Return the median of bound / |value|, for each dtype, to a 16th of an octave.

        Of all recipes, or of the plain ones.
        """
        medians = {}
        for dtype, counts in (self.plain if plain else self.sharp).items():
            total = np.cumsum(counts)
            if total[-1]:
                place = int(np.searchsorted(total, total[-1] / 2))
                medians[dtype] = float(2 ** ((place + 1) / BINS + FINEST))
        return medians


@dataclass
class Trial:
    """A case, and what was asked because of it."""

    bench: EngineClient
    check: str
    case: Case
    ledger: Ledger = field(default_factory=Ledger)
    calls: list[Case] = field(default_factory=list)
    """Since the engine was fresh, or since the judgement began."""
    known: dict[int, tuple[Case, Expected]] = field(default_factory=dict)

    @cached_property
    def base(self) -> dict[str, Any]:
        """What the engine makes of the case itself, asked once."""
        return self._answer(self.bench.run(self.case))

    def asked(self) -> dict[str, Any]:
        """Return `base` and count it among the calls."""
        self.calls.append(self.case)
        return self.base

    def ask(self, case: Case) -> dict[str, Any]:
        """Return what the engine makes of a case; Declined or Faulty where it makes nothing."""
        if reason := self.bench.capabilities.refuses(case):
            raise Declined(reason)
        self.calls.append(case)
        return self._answer(self.bench.run(case))

    def ask_raw(self, case: Case) -> Mapping[str, Any]:
        """Return what the engine makes of the case's own arrays, as it returns it."""
        if reason := self.bench.capabilities.refuses(case):
            raise Declined(reason)
        self.calls.append(case)
        outcome = self.bench.run_raw(case)
        self._answer(outcome)
        return outcome.quantities()

    def fresh(self) -> None:
        """Forget all history."""
        self.bench.fresh()
        self.calls.clear()

    def varies(self, case: Case, answer: Mapping[str, Any]) -> bool:
        """Return whether fresh engines differ among themselves in a case: no history's fault."""
        calls = list(self.calls)
        varied = False
        for _ in range(12 if self.bench.in_process else 4):
            self.bench.fresh()
            varied = varied or bool(unlike(self.ask(case), answer))
        self.calls[:] = calls
        return varied

    def _answer(self, outcome: Outcome) -> dict[str, Any]:
        self.ledger.calls += 1
        if outcome.skipped is not None:
            raise Skipped(outcome.skipped)
        if outcome.fault is not None:
            raise Faulty(outcome)
        named = outcome.quantities()
        step = (outcome.result or {}).get("state", {}).get("step")
        return named if step is None else named | {"state.step": step}

    def truth(self, case: Case) -> Expected:
        """Return what a case has to be; worked out once."""
        if id(case) not in self.known:
            expected = truth(case, Precision.of(case.dtype, self.bench.capabilities))
            self.known[id(case)] = case, expected  # the case too, so that its id stays its own
        return self.known[id(case)][1]

    @cached_property
    def verdict(self) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        """What of the case itself is wrong, by the truth, and what is right."""
        expected = self.truth(self.case)
        if self.case.recipe.startswith(TAME):
            undecided, jumps = expected.undecided
            self.ledger.undecided += undecided
            self.ledger.jumps += jumps
        return self.compare(self.base, expected.quantities(), expected)

    def compare(
        self, got: Mapping[str, Any], near: Mapping[str, Bounded], expected: Expected
    ) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        """Return the first wrong entry of every quantity that is wrong, and what is right."""
        names = [name for name in near if name in got]
        slack = expected.kind.slack
        values = {n: np.asarray(near[n].v, np.longdouble) for n in names}
        # What is beyond the dtype's range may as well be infinite, and so may what is near its
        # edge: something that it is made of may have been beyond.
        edge = expected.kind.max / 2**8
        bounds = {
            n: np.where(np.abs(v) < edge, np.asarray(near[n].e, np.longdouble) * slack, np.inf)
            for n, v in values.items()
        }
        entries, right = differing(got, values, bounds)
        if names:
            v = np.concatenate([values[n].ravel() for n in names])
            e = np.concatenate([bounds[n].ravel() for n in names])
            bounded = np.isfinite(e) & np.isfinite(v)
            self.ledger.unbounded += int(np.count_nonzero(~bounded))
            plain = self.case.recipe.startswith(PLAIN)
            self.ledger.note(expected.kind.dtype.name, v[bounded], e[bounded], plain=plain)
        if got.get("state.step", expected.steps) != expected.steps:
            slip = Entry("state.step", (), got["state.step"], expected.steps, 0)
            at = next((i for i, e in enumerate(entries) if e.quantity.startswith("params")), None)
            entries = (*entries[:at], slip, *entries[at:]) if at is not None else (*entries, slip)
        return entries, right

    def finding(
        self, message: str, entries: Iterable[Entry] = (), right: Iterable[str] = ()
    ) -> Finding:
        """Return the finding that follows from the calls so far."""
        calls = tuple(self.calls)
        return Finding(
            self.check,
            self.case,
            calls,
            message=message,
            entries=tuple(entries),
            right=tuple(right),
        )


def differing(
    got: Mapping[str, Any], values: Mapping[str, Array], bounds: Mapping[str, Array]
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Return the first entry of every quantity in values that is further off than its bound."""
    names = [name for name in values if name in got]
    if not names:
        return (), ()
    v = np.concatenate([values[n].ravel() for n in names])
    e = np.concatenate([bounds[n].ravel() for n in names])
    g = np.concatenate([np.asarray(got[n]).ravel() for n in names])
    with np.errstate(all="ignore"):
        bad = ~(np.abs(g - v) <= e) & np.isfinite(e) & np.isfinite(v)
    if not bad.any():
        return (), tuple(names)
    entries, right, start = [], [], 0
    for name in names:
        end = start + values[name].size
        wrong = np.flatnonzero(bad[start:end])
        if len(wrong):
            i = int(wrong[0])
            index = tuple(int(j) for j in np.unravel_index(i, values[name].shape))
            at = start + i
            entry = Entry(name, index, float(g[at]), float(v[at]), float(e[at]))
            entries.append(replace(entry, wrong=len(wrong), size=end - start))
        else:
            right.append(name)
        start = end
    return tuple(entries), tuple(right)


def same(a: Any, b: Any) -> bool:
    """Return whether two arrays hold the same numbers, NaN for NaN; 0 and −0 are one."""
    return np.array_equal(a, b, equal_nan=True)


def unlike(got: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Return the first entry of every quantity that is not bit for bit the other's."""
    entries = []
    for name in other:
        if name in got and not same(got[name], other[name]):
            a, b = np.asarray(got[name]), np.asarray(other[name])
            wrong = np.argwhere(~((a == b) | (np.isnan(a) & np.isnan(b))))
            index = tuple(int(j) for j in wrong[0])
            entries.append(
                Entry(name, index, float(a[index]), float(b[index]), 0, len(wrong), a.size)
            )
    return tuple(entries)
