"""Hypotheses: known bugs that are run to see which of them gives the engine's own numbers.

    reproduces(factory, observation)   True if a wrong engine gives every number of an observation
    resembles(factory, observation)    the same for a bug of precision: errors of the same size
    surviving(bugs, observation, …)    the bugs that reproduce the observation

A hypothesis is the textbook engine with one known bug. It runs in longdouble, so that its numbers
show the bug without rounding errors. It has to give every number that the engine returned, in every
call: right numbers, and wrong numbers to three digits of their error. Where a result is not finite,
longdouble may still be finite, so the hypothesis runs again in the case's data type.

The engine rounds its own wrong formula, but the bounds are those of the right formula. So a bound
is taken relative to the hypothesis' own numbers and made FACTOR times as wide; or it is FACTOR
times the rounding error of the hypothesis, measured by running it in the case's data type.

A bug is kept only if it passes every case that the engine passes. On wrong entries it has to be
closer to the engine's number than the truth is. Otherwise any bug would explain an error just above
the bound.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.observation import Observation, in_order
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.truth.bounded import Bounded
from manualnn.oracle.truth.compare import true_values

FACTOR = 4
"""A wrong formula may have more roundings than the right one: twice as many, and twice for terms
that the right formula does not have."""
EXPLAINED = 1e-3
"""Largest share of an error that a bug may leave unexplained."""
BITS = 3
"""Engines of the same precision have errors that differ by less than 2^BITS."""


def surviving(bugs: Iterable[Bug], observation: Observation, budget: Budget) -> list[Bug]:
    """Return the bugs that reproduce an observation; none if time ran out before the end."""
    found = []
    for bug in bugs:
        if budget.over:
            return []
        explains = reproduces if bug.exact else resembles
        if any(explains(factory, observation) for factory in bug.engines):
            found.append(bug)
    return found


def reproduces(factory: Any, observation: Observation) -> bool:
    """Return True if a hypothesis gives all numbers of all calls of an observation."""
    finite = all(
        np.isfinite(array).all()
        for outcome in observation.outcomes
        for array in outcome.quantities().values()
    )
    answers = _answers(factory, np.longdouble if finite else None, observation)
    if answers is None:
        return False
    rounded: list[dict[str, Array]] | None = None
    for i, outcome in enumerate(observation.outcomes):
        expected = observation.truths[i].quantities()
        for name, got in in_order(outcome.quantities(), expected).items():
            h = answers[i].get(name)
            if h is None or h.shape != got.shape:
                return False
            if _agrees(got, h, expected[name]):
                continue
            if not _may_be_rounding(got, h, expected[name]):
                return False
            rounded = rounded or _answers(factory, None, observation) or answers
            if not _agrees(got, h, expected[name], rounded[i].get(name, h)):
                return False
    return all(factory.admits(outcome.quantities()) for outcome in observation.outcomes)


def resembles(factory: Any, observation: Observation) -> bool:
    """Return True if a hypothesis has errors in the same places as the engine, and as large."""
    answers = _answers(factory, None, observation)
    if answers is None:
        return False
    for i, outcome in enumerate(observation.outcomes):
        expected = observation.truths[i].quantities()
        for name, array in in_order(outcome.quantities(), expected).items():
            h = answers[i].get(name)
            if h is None or h.shape != array.shape:
                return False
            own, other = _excess(array, expected[name]), _excess(h, expected[name])
            if (own > 1) != (other > 1):
                return False
            if own > 1 and own != other and not 2**-BITS <= own / other <= 2**BITS:
                return False
    return True


def _answers(factory: Any, dtype: Any, observation: Observation) -> list[dict[str, Array]] | None:
    """Return the results of a new engine for the calls; None if it gives none."""
    answers = []
    try:
        engine = factory(dtype=dtype)
        for case, truth in zip(observation.calls, observation.truths, strict=True):
            kind = truth.kind
            engine.conventions, engine.loss_factor = kind.conventions, kind.loss_factor
            result = engine.step(case.copy())
            answers.append(in_order(Outcome(result=result).quantities(), truth.quantities()))
    except Exception:  # noqa: BLE001 - a wrong engine may raise anything
        return None
    return answers


def _agrees(got: Array, h: Array, near: Bounded, rounded: Array | None = None) -> bool:
    """Return True if an array of the engine equals the hypothesis' array `h`, except for rounding.

    `rounded` is the hypothesis in the case's data type, which shows how much it rounds.
    """
    got, h = np.asarray(got, np.longdouble), np.asarray(h, np.longdouble)
    v, e = true_values(near), near.bounds
    with np.errstate(all="ignore"):
        finite = np.isfinite(got)
        if not np.array_equal(got[~finite], h[~finite], equal_nan=True):
            return False
        usable = np.isfinite(e) & finite
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
        is_closer = _largest(left[off]) <= max(_largest(np.abs(got - v)[off]) / 2, FACTOR * own)
        return bool(is_closer and np.all(left <= allowed))


def _may_be_rounding(got: Array, h: Array, near: Bounded) -> bool:
    """Return True if the largest difference may be one of rounding.

    The numbers of `h` may be terms of the size of the truth that cancel.
    """
    with np.errstate(all="ignore"):
        distance = np.abs(np.asarray(got, np.longdouble) - h)
        size = max(_largest(np.abs(h)), _largest(np.abs(true_values(near))))
        return bool(_largest(distance) <= near.kind.u**0.5 * size)


def _excess(got: Array, near: Bounded) -> Any:
    """Return the largest error of an array, in units of its bound."""
    with np.errstate(all="ignore"):
        error = np.abs(np.asarray(got, np.longdouble) - true_values(near)) / near.bounds
        return _largest(error) if np.isfinite(got).all() else np.inf


def _largest(array: Array) -> Any:
    """Return the largest number of an array; np.nanmax warns where all is NaN."""
    return np.fmax.reduce(array.ravel(), initial=0)
