"""Agreement: whether an engine with a known bug gives the numbers of the engine that is judged.

    reproduces(engine, observation)      True if it gives all numbers
    resembles(engine, observation)       True if its rounding errors are alike
    compare_first(engine, observation)   a Verdict about the first wrong numbers

A hypothesis is the textbook engine with one known bug. It runs in longdouble, so that its numbers
show the bug without rounding errors. It has to give every number that the engine returned, in every
call: right numbers, and wrong numbers to three digits of their error. Where a result is not finite,
longdouble may still be finite, so the hypothesis runs again in the case's data type. After numbers
that are not finite in both, such numbers count no more.

The engine rounds its own wrong formula, but the bounds are those of the right formula. So a bound
is taken relative to the hypothesis' own numbers and made FACTOR times as wide; or it is FACTOR
times the rounding error of the hypothesis, measured by running it in the case's data type.

A hypothesis that gives the truth explains no wrong number. So at every wrong entry the hypothesis
has to be closer to the engine's number than half the distance of the truth. An error may be one of
rounding alone, because the terms of a wrong formula cancel. Then the hypothesis in the case's data
type has to be wrong at the same entry, by an error of about the same size.
"""

from enum import Enum
from typing import Any

import numpy as np

from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.bounded import Bounded
from manualnn.oracle.truth.compare import true_values

FACTOR = 4
"""A wrong formula may have more roundings than the right one: twice as many, and twice for terms
that the right formula does not have."""
EXPLAINED = 1e-3
"""Largest share of an error that a bug may leave unexplained."""
BITS = 3
"""Engines of the same precision have errors that differ by less than 2^BITS."""

Engine = type[Textbook]
Results = list[dict[str, Array]]


class Verdict(Enum):
    """The relation between a hypothesis and an observation."""

    SILENT = "the engine and the hypothesis give the truth"
    CONFIRMED = "the engine is wrong, and the hypothesis gives its numbers"
    PARTLY = "the hypothesis gives the first wrong numbers, but not all later ones"
    OPEN = "the first wrong numbers are true by the hypothesis; another bug may be the reason"
    DENIED = "the first wrong numbers are others by the hypothesis"
    REFUTED = "the engine is right where the hypothesis is wrong"


def reproduces(engine: Engine, observation: Observation) -> bool:
    """Return True if a wrong engine gives all numbers of all calls of an observation."""
    return matching(engine, observation) == sum(map(len, observation.compared)) and all(
        engine.admits(outcome.quantities()) for outcome in observation.outcomes
    )


def matching(engine: Engine, observation: Observation) -> int:
    """Return how many quantities an engine gives before the first one that it does not give."""
    answers = run(engine, np.longdouble if observation.is_finite else None, observation)
    if answers is None:
        return 0
    rounded: Results | None = None
    number, is_lost = 0, False
    for i, call in enumerate(observation.compared):
        for name, (got, near) in call.items():
            h = answers[i].get(name)
            if h is None or h.shape != got.shape:
                return number
            usable = _usable(got, h) if is_lost else got
            if not _agrees(usable, h, near):
                if not _may_be_rounding(usable, h, near):
                    return number
                rounded = rounded or run(engine, None, observation) or answers
                if not _agrees(usable, h, near, rounded[i].get(name, h)):
                    return number
            number += 1
            is_lost |= not np.isfinite(usable).all()
    return number


def resembles(engine: Engine, observation: Observation) -> bool:
    """Return True if an engine has errors in the same arrays as the observed one, and as large.

    Both engines round the same formula, in another order or with another exp. So errors that are
    not much larger than the bound need not be alike, except where the observed one is the largest.
    """
    answers = run(engine, None, observation)
    if answers is None:
        return False
    errors, is_lost = [], False
    for i, call in enumerate(observation.compared):
        for name, (got, near) in call.items():
            h = answers[i].get(name)
            if h is None or h.shape != got.shape:
                return False
            usable = _usable(got, h) if is_lost else got
            if not _is_alike(usable, h):
                return False
            is_lost |= not np.isfinite(usable).all()
            errors.append((excess(usable, near), excess(h, near)))
    own, other = max(errors, default=(0, 0))
    if own > 1 >= other:
        return False
    if not all(_are_alike(own, other) for own, other in errors):
        return False
    return all(engine.admits(outcome.quantities()) for outcome in observation.outcomes)


def _usable(got: Array, h: Array) -> Array:
    """Return an array of the engine, and the hypothesis' numbers where one of both is not finite.

    What a program makes of NaN depends on its comparisons: max(NaN, 0) may be NaN or 0.
    """
    return np.where(np.isfinite(got) & np.isfinite(h), got, h)


def _are_alike(own: Any, other: Any) -> bool:
    """Return True if two errors, in units of a bound, may be those of one formula."""
    if own == other or max(own, other) <= 1:
        return True
    return bool(max(own, other) <= 2**BITS or 2**-BITS <= own / other <= 2**BITS)


def compare_first(engine: Engine, observation: Observation, dtype: Any = None) -> Verdict:
    """Compare an engine with the first wrong quantity of an observation, and those before.

    Another bug may be the reason for wrong numbers after them.
    """
    answers = run(engine, dtype, observation)
    if answers is None:
        return Verdict.OPEN
    number, verdict = 0, Verdict.OPEN
    for i, call in enumerate(observation.compared):
        for name, (got, near) in call.items():
            h = answers[i].get(name)
            if h is None or h.shape != got.shape:
                return Verdict.REFUTED
            differs = excess(h, near) > 2**BITS
            if excess(got, near) > 1:
                is_given = matching(engine, observation) > number
                verdict = Verdict.PARTLY if is_given else Verdict.DENIED if differs else verdict
                # Gradients do not follow from the loss, so a right loss proves nothing for them.
                if name != "loss" or verdict is not Verdict.PARTLY:
                    return verdict
            elif differs:
                return Verdict.REFUTED
            number += 1
    return verdict


def run(engine: Engine, dtype: Any, observation: Observation) -> Results | None:
    """Return the results of a new engine for the calls; None if it gives none."""
    answers = []
    try:
        fresh = engine(dtype=dtype)
        for i, case in enumerate(observation.calls):
            kind = observation.truths[i].kind
            fresh.conventions, fresh.kink = kind.conventions, kind.kink
            result = Outcome(result=fresh.step(case.copy())).quantities()
            names = observation.compared[i]
            answers.append({name: np.asarray(result[name]) for name in names if name in result})
    except Exception:  # noqa: BLE001 - a wrong engine may raise anything
        return None
    return answers


def excess(got: Array, near: Bounded) -> Any:
    """Return the largest error of an array, in units of its bound."""
    with np.errstate(all="ignore"):
        bounds = near.bounds
        error = np.abs(np.asarray(got, np.longdouble) - true_values(near))
        error = np.where(error <= bounds, np.where(error > 0, error / bounds, 0), error / bounds)
        is_lost = ~np.isfinite(got) & np.isfinite(bounds)
        return np.inf if is_lost.any() else _largest(np.where(np.isfinite(bounds), error, 0))


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
        noise = np.zeros_like(h) if rounded is None else np.abs(rounded - h)
        noise = np.where(np.isnan(noise), 0, noise)
        tight = room(h, near, noise, usable)[usable]
        got, h, v, e, noise = got[usable], h[usable], v[usable], e[usable], noise[usable]
        error, left = np.abs(got - v), np.abs(got - h)
        off = error > e
        loose = FACTOR * max(_ordinary(v, e, near) * np.abs(h).max(), noise.max())
        explained = np.minimum(EXPLAINED * error, loose)
        allowed = np.where(off, np.maximum(tight, explained), tight)
        if not np.all(left <= allowed):
            return False
        return not off.any() or _explains_errors(error[off], left[off], e[off], noise[off])


def room(h: Array, near: Bounded, noise: Array, usable: Array | None = None) -> Array:
    """Return how far an engine with the formula of `h` may be from it.

    `noise` is the rounding error of the formula, as measured. Entries that are not `usable` do not
    count for the size of ordinary errors.
    """
    v, e = true_values(near), near.bounds
    usable = np.isfinite(e) & np.isfinite(h) if usable is None else usable
    if not usable.any():
        return np.full_like(e, np.inf)
    size, unit = np.abs(h), 8 * near.kind.u
    ordinary = _ordinary(v[usable], e[usable], near)
    relative = np.where(v != 0, np.minimum(e / np.abs(v), ordinary), ordinary)
    close = np.maximum(e, relative * size) + unit * size
    return np.asarray(FACTOR * np.maximum(close, noise[usable].max()))


def _ordinary(v: Array, e: Array, near: Bounded) -> Any:
    """Return the error bound of an array, relative to its largest number."""
    return e.max() / max(np.abs(v).max(), near.kind.tiny) + 8 * near.kind.u


def _explains_errors(error: Array, left: Array, e: Array, noise: Array) -> bool:
    """Return True if a hypothesis explains the wrong entries of an array, the worst one for sure.

    An error that is not larger than the noise, the rounding of the hypothesis at this entry, may be
    left. But at the worst entry, that noise has to be of the size of the error.
    """
    halved = left <= error / 2
    is_noise = error <= 2**BITS * noise
    worst = int(np.argmax(error / np.maximum(e, np.finfo(float).tiny)))
    sure = halved[worst] or 2**-BITS * noise[worst] <= error[worst] <= 2**BITS * noise[worst]
    return bool(sure and np.all(halved | is_noise | (error <= FACTOR * e)))


def _may_be_rounding(got: Array, h: Array, near: Bounded) -> bool:
    """Return True if the largest difference may be one of rounding.

    The numbers of `h` may be terms of the size of the truth that cancel.
    """
    with np.errstate(all="ignore"):
        distance = np.abs(np.asarray(got, np.longdouble) - h)
        size = max(_largest(np.abs(h)), _largest(np.abs(true_values(near))))
        return bool(_largest(distance) <= near.kind.u**0.5 * size)


def _is_alike(got: Array, h: Array) -> bool:
    """Return True if two arrays are finite at the same places, and infinite with the same signs.

    The same overflow is infinite or NaN, depending on the order of the operations.
    """
    with np.errstate(all="ignore"):
        opposite = np.isinf(got) & np.isinf(h) & (got != h)
    return bool(np.array_equal(np.isfinite(got), np.isfinite(h)) and not opposite.any())


def _largest(array: Array) -> Any:
    """Return the largest number of an array; np.nanmax warns where all is NaN."""
    return np.fmax.reduce(array.ravel(), initial=0)
