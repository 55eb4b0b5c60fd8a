"""Styles of drawing real numbers, and the way into a domain.

A style draws numbers on the whole real line. `placed` maps them into a domain: each number becomes
a distance from an anchor, which is 0, if the domain has it, or an end of the domain. So magnitudes
from 2^-6 to 2^6 are also distances from the ends: they show wrong derivatives near a pole.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.numbers import digits, largest_number, rounded

Numbers = NDArray[np.float64]
Style = Callable[[np.random.Generator, int, Array], Numbers]

SATURATION = (12.0, 20.0, 40.0, 88.7, 104.0, 710.0, 745.0)
"""Beyond these, exp, tanh, the sigmoid and softplus reach their limits in float32 and float64."""


def signs(rng: np.random.Generator, count: int) -> Numbers:
    """Return +1 or −1 for each entry."""
    return rng.choice([-1.0, 1.0], count)


def normal(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw standard normal numbers."""
    del spec
    return rng.standard_normal(count)


def magnitudes(rng: np.random.Generator, count: int, spec: Array, reach: float = 6) -> Numbers:
    """Draw ±2^k, with another k in [−reach, reach] for each entry."""
    reach = min(reach, math.log2(largest_number(spec.dtype)) / 2)
    return signs(rng, count) * 2 ** rng.uniform(-reach, reach, count)


def sweep(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw one number from each of equal parts of [−10, 10], in random order."""
    del spec
    parts = (np.arange(count) + rng.random(count)) / max(count, 1)
    return np.round(rng.permutation(20 * parts - 10), 3)


def saturation(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw ±12 … ±745, as far as exp does not lose all of its digits before, among others."""
    exponent = math.log(largest_number(spec.dtype))
    levels = [level for level in SATURATION if level < 1.2 * exponent + 8]
    ordinary = np.round(3 * rng.standard_normal(count), 2)
    return np.where(
        rng.random(count) < 0.5, signs(rng, count) * rng.choice(levels, count), ordinary
    )


def zeros(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw zeros of both signs among normal numbers: of three entries or more, two at least.

    A product of entries has a gradient of its own where exactly two of them are 0. One entry at
    least is not 0, because zeros alone have a style of their own.
    """
    is_zero = _some(rng, count)
    order = rng.permutation(count)
    is_zero[order[:1]] = False
    is_zero[order[1:3]] = True
    return np.where(is_zero, 0 * signs(rng, count), normal(rng, count, spec))


def integers(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw integers and half-integers from −4 to 4."""
    del spec
    return rng.integers(-8, 9, count) / 2


def ends(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw distances of 0, of one rounding unit, and of 2^-1 to 2^-20."""
    near = 2 ** rng.uniform(-20, -1, count)
    near = np.where(rng.random(count) < 0.3, 2.0 ** -digits(spec.dtype), near)
    return np.where(rng.random(count) < 0.3, 0, signs(rng, count) * near)


def one_large(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw small numbers, and one that is 2^8 times as large."""
    numbers = normal(rng, count, spec) / 16
    numbers[rng.integers(0, max(count, 1), min(count, 1))] *= 256
    return numbers


def one_small(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw large numbers, and one that is 2^-12 times as large."""
    numbers = 4 * normal(rng, count, spec)
    numbers[rng.integers(0, max(count, 1), min(count, 1))] /= 4096
    return numbers


def constant(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw one number for all entries."""
    return np.full(count, np.round(normal(rng, 1, spec), 2))


def origin(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Return zeros alone: a norm has a kink there."""
    del rng, spec
    return np.zeros(count)


def tiny(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw ±2^-30 … ±2^-20; in float16 from 2^-14 on. Subnormal numbers lose digits everywhere."""
    numbers = 2 ** rng.uniform(-30, -20, count) * (2.0**16 if spec.dtype == "float16" else 1)
    return signs(rng, count) * numbers


def wide(rng: np.random.Generator, count: int, spec: Array) -> Numbers:
    """Draw ±2^k, with another k in [−40, 40] for each entry."""
    return magnitudes(rng, count, spec, 40)


def _some(rng: np.random.Generator, count: int) -> NDArray[np.bool_]:
    return rng.random(count) < 0.4


TIES = "ties"
"""The style whose numbers come from a few that all inputs share."""
ORIGIN = "all zeros"
"""The style that is left out where no input has 0 in its domain."""
SWEEP = "sweep of ±10"
"""The style whose numbers are spread evenly, over the domain if it has two ends."""

STYLES: dict[str, Style] = {
    "normal": normal,
    "magnitudes 2^±6": magnitudes,
    SWEEP: sweep,
    TIES: normal,
    "zeros of both signs": zeros,
    "saturation": saturation,
    "integers and halves": integers,
    "ends of the domain": ends,
    "one large entry": one_large,
    "one small entry": one_small,
    "all entries equal": constant,
    ORIGIN: origin,
    "tiny": tiny,
    "magnitudes 2^±40": wide,
}
"""Every style by name, in the order of the first points: the likeliest to show a mistake first."""

KEEPS = {TIES, "zeros of both signs", ORIGIN, "integers and halves", "all entries equal", SWEEP}
"""Styles whose numbers stay as they are where the domain has them."""


def placed(numbers: Numbers, spec: Array, rng: np.random.Generator, style: str = "") -> Numbers:
    """Return numbers of the domain and the dtype of an input, from numbers on the real line."""
    low, high = spec.bounds
    has_zero = low < 0 < high
    finite = [end for end in (low, high) if math.isfinite(end)]
    if style == SWEEP and math.isfinite(high - low):
        numbers = low + (numbers + 10) / 20 * (high - low)
    elif finite:
        is_zero_an_anchor = has_zero and style != "ends of the domain"
        anchors = rng.choice([0.0, *finite] if is_zero_an_anchor else finite, numbers.size)
        inward = np.where(anchors == low, 1, np.where(anchors == high, -1, np.sign(numbers)))
        moved = anchors + inward * np.abs(numbers)
        inside = (low <= numbers) & (numbers <= high)
        stays = inside if style in KEEPS else inside & (anchors == 0) & has_zero
        numbers = folded(np.where(stays, numbers, moved), low, high)
    array = np.clip(rounded(numbers, spec.dtype), *_limits(spec))
    return array + 0 if low == 0 else array  # no −0 where 0 is the smallest number


def folded(numbers: Numbers, low: float, high: float) -> Numbers:
    """Reflect numbers at the ends of an interval until they are inside."""
    if math.isinf(high):
        return np.where(numbers < low, low + (low - numbers), numbers)
    if math.isinf(low):
        return np.where(numbers > high, high - (numbers - high), numbers)
    width = min(high - low, 2.0**1000)
    with np.errstate(invalid="ignore", over="ignore"):
        phase = np.mod(numbers - low, 2 * width) if width else 0 * numbers
    reflected = low + np.where(phase > width, 2 * width - phase, phase)
    return np.where((numbers < low) | (numbers > high), reflected, numbers)


def _limits(spec: Array) -> tuple[float, float]:
    largest = largest_number(spec.dtype)
    low, high = spec.bounds
    return max(low, -largest), min(high, largest)
