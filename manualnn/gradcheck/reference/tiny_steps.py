"""Derivatives from steps so tiny that no extrapolation is needed: 50 digits, or a complex step.

Both are offered where the function runs in such numbers. They are believed only if they agree with
the differences of the function's own numbers, because a conversion to float64 inside f, or |z|,
silently loses the step.

* In mpmath's numbers, f(x + h) and f(x − h) with h = 2⁻⁵⁷ |x| give both one-sided slopes with an
  error of about 2⁻⁵⁷, and so show every kink. Half of that step shows slopes that diverge.
* Im f(x + ih) / h has no cancellation at all where f is analytic.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.functions.base import Unsupported
from manualnn.gradcheck.reference.estimate import Estimate
from manualnn.gradcheck.reference.noise import POINTS, SPACING, measured_noise
from manualnn.gradcheck.reference.sampling import Place, Values, floating
from manualnn.gradcheck.reference.sparsity import Pattern
from manualnn.gradcheck.reference.wide import Numbers, wide_numbers

Array = NDArray[Any]

STEP_BITS = 57
SPARE_BITS = 128
SMALLEST = -110
"""Binary exponent of the smallest |x| that such a step is made from; 0 counts as 2⁻⁴⁰."""
MOST_NUMBERS = 2_000
"""Largest number of inputs and outputs of all calls with 50 digits, which are slow."""
SAME = 1e-9
"""Relative change of a slope, when the step is halved, up to which it does not diverge."""
SHRINKING = 0.97
"""Ratio of slopes, when the step is halved, that go to 0, as that of |x|^p with p > 1.04."""
COMPLEX_STEP = 2.0**-100
ROUGHLY = 1e-8
"""Deviation from the differences, relative to the largest derivative, that does not refute."""
EXCEPTIONS = 0.02
"""Share of entries that may deviate more without refuting the others."""


def refined(values: Values, pattern: Pattern, found: Estimate, kind: str) -> Estimate | None:
    """Return the derivatives in numbers of a kind, if they agree with the differences found."""
    wide = kind == "mpmath"
    better = _wide(values, pattern) if wide else _complex(values, pattern)
    if better is None:
        return None
    with np.errstate(invalid="ignore"):
        known = np.isfinite(found.error) & np.isfinite(better.error)
        size = np.where(known, found.size(), 0).max(initial=0)
        slack = 2 * (found.error + better.error)
        off = np.maximum(better.low - found.high, found.low - better.high)
    differ = known & ~(off <= slack)
    refuting = differ & ~(off <= ROUGHLY * size)
    if refuting.sum() > EXCEPTIONS * known.sum() * wide:
        return None
    if wide:
        taken = ~np.isnan(better.low)
    else:
        # Of a complex step, kinks and what the differences do not decide are not known.
        taken = known & (found.low == found.high) & ~differ & (better.error < found.error)
    low, high, error = (
        np.where(taken, getattr(better, name), getattr(found, name))
        for name in ("low", "high", "error")
    )
    error = np.where(differ & ~taken, error + np.abs(off), error)
    return Estimate(low, high, np.where(refuting, np.inf, error))


def _wide(values: Values, pattern: Pattern) -> Estimate | None:
    place = values.place
    n, outputs = place.x.size, values.center.size
    if (n + outputs) * (2 * pattern.count + 1) > MOST_NUMBERS:
        return None
    exponents = np.where(place.x == 0, -40, np.frexp(place.x)[1])
    usable = exponents >= SMALLEST
    exponents = np.maximum(exponents, SMALLEST) - STEP_BITS
    bits = SPARE_BITS - int(exponents.min(initial=0)) // 64 * 64
    numbers = wide_numbers(bits)
    center = _wide_call(place, numbers, numbers.array(place.x))
    if center is None or center.size != outputs or not _alike(center, values.center):
        return None
    slopes = _wide_slopes(place, numbers, pattern, center, exponents)
    if slopes is None:
        return None
    right, left = slopes
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(right - left)
        size = np.fmax(np.abs(right), np.abs(left))
        value = np.where(np.isnan(right), left, np.where(np.isnan(left), right, (right + left) / 2))
        error = np.where(np.isnan(gap), size * SAME, gap) + 2.0**-52 * size
        split = ~(gap <= SAME * size) | (place.x[pattern.cols] == 0)
    if split.any():
        # Slopes that change with the step diverge, or go to 0, as those of x² at 0.
        half = _wide_slopes(place, numbers, pattern, center, exponents - 1)
        if half is None:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            change = np.fmax(np.abs(half[0] - right), np.abs(half[1] - left))
            shrinks = np.fmax(np.abs(half[0] / right), np.abs(half[1] / left)) < SHRINKING
        varies = split & ~(change <= SAME * size)
        error = np.where(varies, np.where(shrinks, 2 * size / (1 - SHRINKING), np.inf), error)
        settled = split & ~varies & (gap > SAME * size)
        error = np.where(settled, error - gap + 4 * change, error)
    else:
        settled = split
    size_of_f = np.fmax(1, np.abs(values.center[pattern.rows]).astype(float))
    rounding = np.ldexp(size_of_f * place.scale[pattern.cols], 8 - bits - exponents[pattern.cols])
    error = error + rounding + np.finfo(float).smallest_normal
    low = np.where(settled, np.minimum(right, left), value)
    high = np.where(settled, np.maximum(right, left), value)
    known = np.isfinite(low) & np.isfinite(high) & usable[pattern.cols]
    return Estimate(
        np.where(known, low, np.nan), np.where(known, high, np.nan), np.where(known, error, np.inf)
    )


def _wide_slopes(
    place: Place, numbers: Numbers, pattern: Pattern, center: Array, exponents: Array
) -> tuple[Array, Array] | None:
    """Return the slopes of all entries on the right and on the left; NaN outside the domain."""
    low, high = place.limits
    h = [numbers.context.ldexp(numbers.context.mpf(1), int(e)) for e in exponents]
    slopes = np.full((2, pattern.rows.size), np.nan)
    for one in range(pattern.count):
        columns = np.flatnonzero(pattern.colors == one)
        mine = np.flatnonzero(pattern.colors[pattern.cols] == one)
        for side, sign in enumerate((1, -1)):
            free = columns[
                place.x[columns] < high[columns] if sign > 0 else place.x[columns] > low[columns]
            ]
            x = numbers.array(place.x)
            for k in free:
                x[k] = numbers.context.mpf(float(place.x[k])) + sign * h[k]
            there = _wide_call(place, numbers, x)
            if there is None or there.size != center.size:
                return None
            for entry in mine[np.isin(pattern.cols[mine], free)]:
                row, column = pattern.rows[entry], pattern.cols[entry]
                slopes[side, entry] = _float((there[row] - center[row]) / (sign * h[column]))
    return slopes[0], slopes[1]


def _wide_call(place: Place, numbers: Numbers, x: Array) -> Array | None:
    """Return all outputs for parameters x as objects; None if f does not keep these numbers."""
    flat = np.asarray(x, object)
    arrays = place.arrays(flat, lambda array, _: numbers.wrap(array))
    try:
        outputs = floating(place.function.value_in("mpmath", arrays))
    except Unsupported:
        return None
    if any(np.asarray(out).dtype != object for out in outputs):
        return None
    parts = [np.ravel(np.asarray(out, object)) for out in outputs]
    whole = np.concatenate([np.zeros(0, object), *parts])
    try:
        return np.asarray(numbers.array_of(whole), object)
    except (TypeError, ValueError):
        return None


def _float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _alike(wide: Array, center: Array) -> bool:
    """Return True if the values with 50 digits are those of the function's own numbers."""
    values = np.array([_float(v) for v in wide], float)
    own = center.astype(float)
    both = np.isfinite(values) & np.isfinite(own)
    size = np.abs(own[both]).max(initial=0)
    return bool((np.abs(values - own)[both] <= 1e-6 * np.abs(own[both]) + ROUGHLY * size).all())


def _complex(values: Values, pattern: Pattern) -> Estimate | None:
    place = values.place
    step = COMPLEX_STEP * place.scale
    rng = np.random.default_rng(place.x.size)

    def derivative(x: Array, mask: Array) -> Array | None:
        z = x + 1j * np.where(mask, step, 0)
        try:
            outputs = floating(
                place.function.value_in("complex128", place.arrays(z, lambda array, _: array))
            )
        except Unsupported:
            return None
        flat = np.concatenate([np.zeros(0), *(np.ravel(out) for out in outputs)])
        is_whole = flat.shape == values.center.shape and np.iscomplexobj(flat)
        return flat.imag if is_whole else None

    result = np.full(pattern.rows.size, np.nan)
    for one in range(pattern.count):
        there = derivative(place.x, pattern.colors == one)
        if there is None:
            return None
        mine = np.flatnonzero(pattern.colors[pattern.cols] == one)
        result[mine] = there[pattern.rows[mine]] / step[pattern.cols[mine]]
    shift = SPACING * place.scale * rng.uniform(0.5, 1, place.x.size)
    low, high = place.limits
    shift = np.where(place.x + POINTS[-1] * shift <= high, shift, -shift)
    shift *= place.x + POINTS[-1] * shift >= low
    everything = np.ones(place.x.size, bool)
    rows = [derivative(place.x + k * shift, everything) for k in POINTS]
    if any(row is None for row in rows):
        return None
    noise = measured_noise(np.stack([row for row in rows if row is not None]) / COMPLEX_STEP)
    error = noise[pattern.rows] / place.scale[pattern.cols]
    error += (2.0**-48 + values.relative_noise[pattern.rows]) * np.abs(result)
    error += np.finfo(float).smallest_normal
    return Estimate(result, result, np.where(np.isfinite(result), error, np.inf))
