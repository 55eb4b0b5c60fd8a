"""Known mistakes, each run as a hypothesis: which of them computes what the engine computed.

    reproduces(factory, trial)      whether that wrong engine gives every number of the trial
    resembles(factory, trial)       the same for a mistake of precision: the sizes of its errors
    surviving(bugs, trials, …)      the bugs that reproduce every trial

A hypothesis runs in longdouble, so that its numbers are what the mistake amounts to without
rounding. It has to give every number that the engine returned, in every call: the right ones, and
the wrong ones to three digits of what is wrong about them. The engine rounds in another formula
than the right one, of which the bounds are: they are taken relative to the hypothesis' own numbers
and FACTOR times as wide; or FACTOR times what the hypothesis itself loses in the case's dtype. A
trial that the engine passes, a hypothesis has to pass; where the engine is wrong, it has to be
nearer to the engine's number than the truth is, else any mistake that the case does not show would
do for an error that is hardly beyond the bound.

Where a result is not finite, longdouble may well be: the hypothesis then runs in the case's dtype.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.observation import Observation, ordered
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.truth.bounded import Bounded
from manualnn.oracle.truth.compare import error_bounds, true_values

FACTOR = 4
"""For a wrong formula may take a few roundings more than the right one: twice the number, and
twice for terms that the right one has not."""
EXPLAINED = 1e-3
"""The share of an error that may be left unexplained."""
BITS = 3
"""By how many powers of two the errors of two engines of the same precision may differ."""


def surviving(bugs: Iterable[Bug], trials: Sequence[Observation], budget: Budget) -> list[Bug]:
    """Return the bugs that reproduce all trials; none if there was no time to ask them all."""
    kept = []
    for bug in bugs:
        if budget.over:
            return []
        alike = reproduces if bug.exact else resembles
        if any(all(alike(factory, trial) for trial in trials) for factory in bug.engines):
            kept.append(bug)
    return kept


def reproduces(factory: Any, trial: Observation) -> bool:
    """Return whether a hypothesis gives all numbers of all calls of a trial."""
    finite = all(
        np.isfinite(array).all()
        for outcome in trial.outcomes
        for array in outcome.quantities().values()
    )
    answers = _answers(factory, np.longdouble if finite else None, trial)
    if answers is None:
        return False
    rounded: list[dict[str, Array]] | None = None
    for i, (outcome, truth) in enumerate(zip(trial.outcomes, trial.truths, strict=True)):
        expected = truth.quantities()
        for name, got in ordered(outcome.quantities(), expected).items():
            h = answers[i].get(name)
            if h is None or h.shape != got.shape:
                return False
            if _agrees(got, h, expected[name]):
                continue
            if not _alike(got, h, expected[name].kind.u):
                return False
            rounded = rounded or _answers(factory, None, trial) or answers
            if not _agrees(got, h, expected[name], rounded[i].get(name, h)):
                return False
    return all(factory.admits(outcome.quantities()) for outcome in trial.outcomes)


def resembles(factory: Any, trial: Observation) -> bool:
    """Return whether a hypothesis, in the case's dtype, errs where the engine does, and as far."""
    answers = _answers(factory, None, trial)
    if answers is None:
        return False
    for outcome, truth, answer in zip(trial.outcomes, trial.truths, answers, strict=True):
        expected = truth.quantities()
        for name, array in ordered(outcome.quantities(), expected).items():
            near = expected[name]
            if name not in answer or answer[name].shape != array.shape:
                return False
            mine, theirs = _excess(array, near), _excess(answer[name], near)
            if (mine > 1) != (theirs > 1):
                return False
            if mine > 1 and mine != theirs and not 2**-BITS <= mine / theirs <= 2**BITS:
                return False
    return True


def _answers(factory: Any, dtype: Any, trial: Observation) -> list[dict[str, Array]] | None:
    """Return what a new engine makes of the calls; None where it makes nothing of them."""
    answers = []
    try:
        engine = factory(dtype=dtype)
        for case, truth in zip(trial.calls, trial.truths, strict=True):
            result = engine.step(case.copy())
            answers.append(ordered(Outcome(result=result).quantities(), truth.quantities()))
    except Exception:  # noqa: BLE001 - a wrong engine may go wrong in any way
        return None
    return answers


def _agrees(got: Array, h: Array, near: Bounded, rounded: Array | None = None) -> bool:
    """Return whether the engine got what the hypothesis gives.

    `rounded` is the same in the case's dtype, to see how much this hypothesis rounds.
    """
    got, h = np.asarray(got, np.longdouble), np.asarray(h, np.longdouble)
    v, e = true_values(near), error_bounds(near)
    with np.errstate(all="ignore"):
        if not _same_where_not_finite(got, h):
            return False
        usable = np.isfinite(e) & np.isfinite(got)
        if not usable.any():
            return True
        own = 0 if rounded is None else np.abs(rounded - h)[usable].max()
        got, h, v, e = got[usable], h[usable], v[usable], e[usable]
        size, unit = np.abs(h), 8 * near.kind.u
        ordinary = e.max() / max(np.abs(v).max(), near.kind.tiny) + unit
        relative = np.where(v != 0, np.minimum(e / np.abs(v), ordinary), ordinary)
        tight = FACTOR * np.maximum(np.maximum(e, relative * size) + unit * size, own)
        loose = FACTOR * max(ordinary * size.max(), own)
        explained = np.minimum(EXPLAINED * np.abs(got - v), loose)
        off = np.abs(got - v) > e
        allowed = np.where(off, np.maximum(tight, explained), tight)
        left = np.abs(got - h)
        nearer = _largest(left[off]) <= max(_largest(np.abs(got - v)[off]) / 2, FACTOR * own)
        return bool(nearer and np.all(left <= allowed))


def _alike(got: Array, h: Array, u: float) -> bool:
    """Whether the largest difference may still be one of rounding."""
    with np.errstate(all="ignore"):
        distance = np.abs(np.asarray(got, np.longdouble) - h)
        return bool(_largest(distance) <= u**0.5 * _largest(np.abs(h)))


def _same_where_not_finite(got: Array, h: Array) -> bool:
    odd = ~np.isfinite(got)
    same = (np.isnan(got) & np.isnan(h)) | (got == h)
    return bool(np.all(same[odd]))


def _excess(got: Array, near: Bounded) -> Any:
    """Return the largest error of an array, in units of its bound."""
    with np.errstate(all="ignore"):
        error = np.abs(np.asarray(got, np.longdouble) - true_values(near)) / error_bounds(near)
        return _largest(error) if np.isfinite(got).all() else np.inf


def _largest(array: Array) -> Any:
    """Return the largest number of an array; np.nanmax warns where all is NaN."""
    return np.fmax.reduce(array.ravel(), initial=0)
