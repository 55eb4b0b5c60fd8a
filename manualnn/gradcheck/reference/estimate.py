"""Derivatives of one variable from values at x ± h, with an error estimate of their own.

    samples = Samples(center, right, left, steps, noise)    right[k] = f(x + steps[k])
    estimate([samples], scale, unit)                        Estimate(low, high, error)

All arrays have one column for each entry, so that thousands of entries are estimated at once.

Three estimates are made, each by Richardson's extrapolation of difference quotients: central ones
(whose error is a series in h²), and those of the right and of the left side (in h). Every place of
a tableau is a candidate. Its error is the distance from the two candidates that it was made of,
plus the noise of f divided by the step. A series that does not converge has no error bound.

The levels are walked from the finest to the coarsest. A coarser level is believed only as long as
it agrees with all finer ones, because it may have stepped over a kink or a jump near x. So the
finest levels decide what the derivative is, and the coarse ones only make it more accurate. But
where the two values of f differ by some roundoffs only, the finest levels may see one stair of a
staircase that rounding inside f has made. Then the difference is added to the error.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

COLUMNS = 7
"""Extrapolations of a tableau. More of them only amplify the noise."""
SLOW = 0.9
"""Ratio of successive changes from which on a series is not said to converge."""
CLEAR = 4
"""Slopes from both sides make a kink if their distance is more than this times their errors."""
SAME_SLOPE = 1e-7
"""Relative gap of two one-sided slopes below which it is an error and no kink."""
ROUNDING_JUMP = 2.0**13
"""Differences of up to so many roundoffs of x, or of f, may come from rounding inside f."""
LINE = 4
"""Number of the finest levels that make a straight line."""
COARSE_JUMP = 2.0**-7
"""Jumps of that size, relative to x and f, may come from numbers of a shorter dtype inside f."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Values of f around x. A value that could not be had is NaN."""

    center: Array
    right: Array
    left: Array
    steps: Array
    """Steps h > 0 of each level and entry, the largest first. NaN: no step was made."""
    noise: Array
    """Error of the values of each level, or of all, and of each entry, as measured."""

    def of(self, entries: NDArray[np.bool_]) -> "Samples":
        """Return the samples of some entries."""
        matrices = self.right, self.left, self.steps, self.noise
        return Samples(self.center[entries], *(a[:, entries] for a in matrices))

    def merged(self, other: "Samples") -> "Samples":
        """Return the samples of both, with the steps of each entry in order."""
        steps = np.concatenate([self.steps, other.steps])
        order = np.argsort(-np.nan_to_num(steps, nan=np.inf), axis=0, kind="stable")
        right, left, steps = (
            np.take_along_axis(array, order, 0)
            for array in (
                np.concatenate([self.right, other.right]),
                np.concatenate([self.left, other.left]),
                steps,
            )
        )
        return Samples(self.center, right, left, steps, self.noise)


@dataclass(frozen=True, eq=False)
class Estimate:
    """The derivative is between low and high, up to error; low < high at a kink."""

    low: Array
    high: Array
    error: Array
    """inf where the values do not decide the derivative."""
    step: Array | None = None
    """The step of the level that was chosen."""

    def size(self) -> Array:
        """Return the larger absolute value of both slopes."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def product(self, w: Array) -> tuple[float, float, float, float]:
        """Return the ends of wᵀd, its error, and Σ |w d|, for the derivatives d of all outputs.

        An output with w = 0 counts for nothing, also where its derivative is undecided.
        """
        used = w != 0
        ends = w[used] * self.low[used], w[used] * self.high[used]
        error = np.abs(w[used]) * self.error[used]
        sums = np.minimum(*ends), np.maximum(*ends), error, np.abs(ends[0])
        low, high, error, size = (float(term.sum()) for term in sums)
        return low, high, error, size


@dataclass(frozen=True, eq=False)
class Side:
    """One way to estimate the derivatives: candidates of each level, the coarsest level first."""

    value: Array
    error: Array


def estimate(blocks: list[Samples], scale: Array, unit: float) -> Estimate:
    """Return the derivatives at the center of blocks of samples.

    Each block has steps that halve from level to level. `scale` is the size of x, at least 1, and
    `unit` the unit roundoff of the values.
    """
    f0 = blocks[0].center
    sides: list[list[Side]] = [[], [], []]
    with np.errstate(all="ignore"):
        for s in blocks:
            least = np.maximum(s.noise, np.finfo(f0.dtype).smallest_normal)
            floor = [
                np.maximum(least, 3 * unit * np.fmax(np.abs(v), np.abs(f0))) / s.steps
                for v in (s.right, s.left)
            ]
            quotients = (s.right - f0) / s.steps, (f0 - s.left) / s.steps
            middle = (s.right - s.left) / (2 * s.steps)
            sides[0].append(_candidates(middle, 4, np.fmax(*floor)))
            for side, quotient, error in zip(sides[1:], quotients, floor, strict=True):
                side.append(_candidates(quotient, 2, 2 * error))
        everything = blocks[0]
        for s in blocks[1:]:
            everything = everything.merged(s)
        steps = np.concatenate([s.steps for s in blocks])
        order = np.argsort(-np.nan_to_num(steps, nan=np.inf), axis=0, kind="stable")
        h = everything.steps
        # In short dtypes that many roundoffs would hide curvature as well.
        jumps = max(8 * unit, min(ROUNDING_JUMP * unit, 2.0**-36))
        rounding = jumps * np.maximum(scale, np.abs(f0))
        central, right, left = (_walk(side, order, h, rounding) for side in sides)
        largest = np.fmax(np.abs(everything.right), np.abs(everything.left))
        largest = np.fmax(np.abs(f0), np.nanmax(np.where(np.isfinite(largest), largest, 0), 0))
        alike = (right.limit <= 4 * left.limit) & (left.limit <= 4 * right.limit)
        jump = np.fmax(right.gap * right.limit, left.gap * left.limit)
        stairs = np.where(
            alike & (jump <= COARSE_JUMP * largest), 2 * np.fmax(right.gap, left.gap), 0
        )
        flat = stairs + _hidden_stairs(everything, unit, rounding)
        for walk in (central, right, left):
            walk.error[:] += flat + unit * np.abs(walk.value)
        return _combined(central, right, left, everything, 8 * unit * largest / scale)


def _candidates(quotients: Array, ratio: int, floor: Array) -> Side:
    """Return the best candidate of each level of a tableau."""
    floor = floor.astype(np.float64)  # errors need no long numbers, and those are slow
    change = np.abs(np.diff(quotients, axis=0, prepend=np.nan)).astype(np.float64)
    before = np.concatenate([change[:1], change[:-1]])
    # The changes of a converging series decrease. Below the noise they need not.
    slowness = np.where(change > 2 * floor, change / before, 0)
    slowness = np.where(np.isnan(slowness), np.inf, slowness)
    tail = np.where(slowness < SLOW, np.maximum(1, slowness / (1 - slowness)), np.inf)
    value, error = quotients.copy(), change * max(1, 2 / (ratio - 1)) * tail + floor
    best_value, best_error = value.copy(), np.where(np.isfinite(error), error, np.inf)
    amplification = 1.0
    for j in range(1, COLUMNS):
        power = ratio**j
        amplification *= (power + 1) / (power - 1)
        change = value[1:] - value[:-1]
        value[1:] += change / (power - 1)
        value[j - 1] = np.nan
        # The farther of the two candidates that this one was made of is the coarser one.
        error = np.abs(change).astype(np.float64) * (power / (power - 1)) * tail[1:]
        error += amplification * floor[1:]
        better = error < best_error[1:]
        np.copyto(best_value[1:], value[1:], where=better)
        np.copyto(best_error[1:], error, where=better)
    return Side(best_value, _without_luck(best_error))


def _without_luck(error: Array) -> Array:
    """Return the errors of the levels, none much smaller than those of the finer levels explain.

    To halve the step doubles the noise at most, and makes all else smaller. So an error of less
    than half of the next one is luck. A factor of 2 is left for the scatter of the errors.
    """
    error = error.copy()
    finer = np.zeros_like(error[0])
    for level in range(len(error) - 1, -1, -1):
        mine = np.where(np.isfinite(error[level]), error[level], 0)
        error[level] = np.fmax(error[level], finer / 4)
        finer = np.maximum(mine, finer / 2)
    return error


@dataclass(frozen=True, eq=False)
class Walk(Side):
    """The candidate that was chosen, and where the coarser levels disagreed with it."""

    step: Array
    limit: Array
    """The finest step at which they do; NaN if they never do."""
    gap: Array
    """The distance of the estimate there."""


def _walk(blocks: list[Side], order: NDArray[np.intp], steps: Array, rounding: Array) -> Walk:
    """Return the candidate of least error that agrees with those of all finer levels.

    Values of f that differ by less than `rounding` may be those of a staircase.
    """
    values = np.take_along_axis(np.concatenate([b.value for b in blocks]), order, 0)
    errors = np.take_along_axis(np.concatenate([b.error for b in blocks]), order, 0)
    value, error = values[-1], errors[-1]
    # The interval in which all believed levels agree is remembered by its ends.
    low, high = value - error, value + error
    going, staircase = np.ones(value.shape, bool), np.zeros(value.shape)
    limit, gap = np.full((2, *value.shape), np.nan)
    step = steps[-1]
    for v, e, h in zip(values[-2::-1], errors[-2::-1], steps[-2::-1], strict=True):
        says = np.isfinite(e)
        agrees = (v + e >= low) & (v - e <= high)
        stops = going & says & ~agrees & np.isfinite(error)
        going &= ~stops
        distance = np.abs(v - value)
        limit, gap = np.where(stops, h, limit), np.where(stops, distance, gap)
        is_small = says & ~going & (distance * h <= rounding)
        staircase = np.where(is_small, np.fmax(staircase, distance), staircase)
        adopted = going & says & ((e < error) | ~np.isfinite(error))
        value, error = np.where(adopted, v, value), np.where(adopted, e, error)
        step = np.where(adopted, h, step)
        here = going & says
        low = np.where(here, np.fmax(low, v - e), low)
        high = np.where(here, np.fmin(high, v + e), high)
    # Values at the finest steps that do not converge: what coarser steps say is not about x.
    is_lost = np.isinf(errors[-2:]).all(axis=0) & np.isfinite(values[-2:]).all(axis=0)
    return Walk(value, np.where(is_lost, np.inf, error + 2 * staircase), step, limit, gap)


def _hidden_stairs(s: Samples, unit: float, rounding: Array) -> Array:
    """Return the slope that may hide where the finest values of f are on a straight line.

    Far in a tail x (1 + erf(x)) is a staircase of sloping stairs. There the finest differences
    seem to be certain. But if coarser ones deviate, and only by as much as rounding may do, then
    the true slope may be anything between.
    """
    right, left = (s.right - s.center) / s.steps, (s.center - s.left) / s.steps
    value = right[-1]
    size = np.fmax(np.abs(s.center), np.fmax(np.abs(s.right), np.abs(s.left)))
    noise = 4 * unit * size * (1 / s.steps + 1 / s.steps[-1])
    distances = [np.abs(q - value) for q in (right, left)]
    is_line = np.all([(d <= noise)[-LINE:].all(axis=0) for d in distances], axis=0)
    hidden = np.zeros_like(value)
    for distance in distances:
        stairs = is_line & (distance > noise) & (distance * s.steps <= rounding)
        hidden = np.fmax(hidden, np.where(stairs, distance, 0).max(axis=0))
    return 2 * hidden


def _combined(central: Walk, right: Walk, left: Walk, s: Samples, least: Array) -> Estimate:
    """Return the derivative from the central, the right and the left estimate."""
    has_right, has_left = (np.isfinite(v[-3:]).all(axis=0) for v in (s.right, s.left))
    sure_right, sure_left = np.isfinite(right.error), np.isfinite(left.error)
    gap, doubt = np.abs(right.value - left.value), right.error + left.error
    size = np.maximum(np.abs(right.value), np.abs(left.value))
    both = sure_right & sure_left
    differ = both & (gap > doubt)
    kink = differ & (gap > CLEAR * doubt) & (gap > SAME_SLOPE * size) & (gap > least)
    # Of those that agree, the least error; the central one only if it agrees with both sides.
    fits = [np.abs(central.value - t.value) <= central.error + t.error for t in (right, left)]
    best = right
    for other, allowed in ((left, sure_left), (central, both & fits[0] & fits[1])):
        better = allowed & ~(best.error <= other.error)
        pairs = ((getattr(best, k), getattr(other, k)) for k in ("value", "error", "step"))
        value, error, step = (np.where(better, new, old) for old, new in pairs)
        best = Walk(value, error, step, best.limit, best.gap)
    value, step = best.value, best.step
    error = np.where(differ & ~kink, best.error + gap, best.error)
    # A side with values but without a slope: a jump, a pole, a vertical tangent.
    lost = (has_right & ~sure_right) | (has_left & ~sure_left) | ~np.isfinite(s.center)
    error = np.where(lost | ~np.isfinite(error) | ~np.isfinite(value), np.inf, error)
    low = np.where(kink, np.minimum(right.value, left.value), value)
    high = np.where(kink, np.maximum(right.value, left.value), value)
    error = np.where(kink & np.isfinite(error), np.maximum(right.error, left.error), error)
    known = np.isfinite(error)
    return Estimate(np.where(known, low, np.nan), np.where(known, high, np.nan), error, step)
