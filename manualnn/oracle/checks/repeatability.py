"""Repeatability checks: earlier calls and other engines must not change a result.

`repeat`, `history` and `interleaved` require the same bits from an engine with a history as from a
fresh engine. An engine whose fresh instances differ (because it sums in the order of a set, or of
its threads) has to stay within rounding of its own result instead.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible, Size
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.cases.partners import claims_of_partners
from manualnn.oracle.checks.judgement import check
from manualnn.oracle.checks.trial import Trial, is_per_sample
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.truth.bounded import Bounded
from manualnn.oracle.truth.compare import compare, find_differences

BATCH_SIZES = (7, 3, 7, 5)
"""Numbers of samples of consecutive calls: a smaller batch follows a larger batch."""


@check("repeat", "a second call with the same case gives the same bits", restarts=True)
def _repeat(trial: Trial) -> Finding | None:
    trial.fresh()
    first = trial.ask(trial.case)
    for _ in range(2):
        got = trial.ask(trial.case)
        entries = find_differences(got, first)
        if entries and not _is_nondeterministic(trial, trial.case, got, first):
            return trial.finding("a second call with the same case gives other numbers", entries)
    return None


@check("history", "earlier calls change no bit of a result", restarts=True)
def _history(trial: Trial) -> Finding | None:
    """Call with several batches, other parameters and another network, on one engine."""
    calls = _calls_in_a_row(trial.case, trial.bench.capabilities)
    alone = []
    for case in calls:
        trial.fresh()
        alone.append(trial.ask(case))
    trial.fresh()
    for i, case in enumerate(calls):
        got = trial.ask(case)
        entries = find_differences(got, alone[i])
        if entries and not _is_nondeterministic(trial, case, got, alone[i]):
            return _after_one_call(trial, calls[: i + 1], alone[i]) or trial.finding(
                f"call {i + 1} gives other numbers than the same case on a fresh engine", entries
            )
    return None


def _after_one_call(trial: Trial, calls: list[Case], alone: dict[str, Any]) -> Finding | None:
    """Return the finding of the last call after only one earlier call, if one is enough."""
    for before in reversed(calls[:-1]):
        trial.fresh()
        trial.ask(before)
        entries = find_differences(trial.ask(calls[-1]), alone)
        if entries:
            what = f"a batch of {calls[-1].n} after a batch of {before.n}"
            return trial.finding(f"{what} gives other numbers than on a fresh engine", entries)
    return None


def _is_nondeterministic(
    trial: Trial, case: Case, got: Mapping[str, Any], alone: Mapping[str, Any]
) -> bool:
    """Return True if fresh engines differ too, and `got` differs by no more than rounding."""
    if not trial.varies(case, alone):
        return False
    trial.renew()
    for call in trial.calls:  # bring the engine back to its state before
        trial.bench.run(call)
    near = trial.truth(case).quantities()
    values = {name: array for name, array in alone.items() if name in near}
    bounds = {name: 2 * _scale(near[name], alone[name]) * near[name].bounds for name in values}
    return not compare(got, values, bounds)[0]


def _scale(near: Bounded, array: Array) -> float:
    """Return the ratio of an engine's numbers to the true ones, if its numbers are too large.

    Rounding errors of numbers that are wrong by a factor are larger by that factor.
    """
    true = float(np.max(near.size, initial=0.0, where=near.bounded))
    largest = float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array)))
    return max(1.0, largest / true) if true else 1.0


def _calls_in_a_row(case: Case, claims: Capabilities) -> list[Case]:
    batches = [_resize_batch(case, n) for n in BATCH_SIZES if n <= (claims.max_batch or n)]
    other_params = case.map(
        lambda name, a: (a[::-1] if name.startswith("params") and a.ndim else a) * a.dtype.type(1)
    )
    other_targets = case.map(lambda name, a: a[::-1] if name == "t" else a)
    cases = [*batches, case, other_params, other_targets, case]
    other_network = _draw_network(case, claims)
    return [*cases, other_network, case] if other_network else cases


def _resize_batch(case: Case, n: int) -> Case:
    """Return the case with n samples: its own samples, repeated from the first if need be."""
    rows = np.resize(np.arange(case.n), n)
    return case.map(lambda name, a: a[rows] if is_per_sample(name) else a)


def _draw_network(case: Case, claims: Capabilities) -> Case | None:
    """Return a case of another network, always the same network for the same case."""
    rng = np.random.default_rng(int(f"0x{case.id[2:]}", 0))
    try:
        draft = Draft(rng, claims_of_partners(claims), Size())
        drawn = draft.training_case()
    except Impossible:
        return None
    return None if claims.refuses(drawn) else drawn


@check("interleaved", "calls of a second engine in between change no bit", restarts=True)
def _interleaved(trial: Trial) -> Finding | None:
    """Call two engines in turn. Each has to give the same numbers as alone."""
    case, other = trial.case, _resize_batch(trial.case, trial.case.n)
    other = other.but(x=other.x[::-1].copy(), t=other.t[::-1].copy())
    trial.fresh()
    alone = trial.ask(case)
    trial.fresh()
    with trial.bench.another() as second:
        for _ in range(2):
            got = trial.ask(case)
            entries = find_differences(got, alone)
            if entries and not _is_nondeterministic(trial, case, got, alone):
                message = "calls of another engine in between change the numbers of this engine"
                return trial.finding(message, entries)
            second.run(other)
    return None


CHECKS = (_repeat, _history, _interleaved)
