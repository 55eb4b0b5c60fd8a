"""The noise of a function's values, measured like ECnoise (J. Moré, S. Wild, 2011).

At points so close that f is nearly linear between them, the divided differences of a high order of
a smooth f vanish, and those of its rounding errors do not. Unlike in ECnoise, the points are not
equally spaced, because rounding at equally spaced points may repeat itself.
"""

from math import prod

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

POINTS = (5, 8, 15, 19, 25, 33, 36, 41, 48, 52, 58, 63)
"""The points, in steps from x. They are on one side, because x may be at a kink."""
ORDERS = (5, 6, 7)
"""Orders of differences that are believed. Their largest counts, because few values make each."""
SPACING = 2.0**-25
DEVIATIONS = 4
"""Standard deviations that bound the noise."""
OF_FLOAT32 = 2.0**-25, 2.0**-20
"""Interval of the relative noise of functions that compute in float32."""
ENOUGH = 4
"""Number of outputs of which the noise has to be known."""


def _differences(order: int) -> Array:
    """Return the divided differences of an order as a matrix, for noise of variance 1."""
    rows = []
    for first in range(len(POINTS) - order):
        row = np.zeros(len(POINTS))
        mine = range(first, first + order + 1)
        for i in mine:
            row[i] = 1 / prod(POINTS[i] - POINTS[j] for j in mine if j != i)
        rows.append(row / np.linalg.norm(row))
    return np.stack(rows)


DIFFERENCES = [_differences(order) for order in ORDERS]


def measured_noise(values: Array) -> Array:
    """Return a bound of the noise of each entry from its values at x + POINTS · step.

    `values` has a row for each of the points. The result is 0 where a value is not finite,
    because then it could not be measured.
    """
    noise = np.zeros_like(values[0])
    with np.errstate(all="ignore"):
        size = np.abs(values).max(axis=0)
        # The squares must not overflow. What the values have in common has no part in differences,
        # and the rest is so much smaller that float64 holds the noise of longdouble numbers.
        rest = ((values - values[0]) / np.where(size > 0, size, 1)).astype(np.float64)
        for matrix in DIFFERENCES:
            differences = matrix @ rest
            deviation = np.sqrt(np.mean(differences**2, axis=0))
            # Differences of noise change their sign; those of √x near 0 are as large, but do not.
            is_noise = (differences.min(axis=0) < 0) & (differences.max(axis=0) > 0)
            noise = np.where(is_noise, np.maximum(noise, deviation), noise)
    return np.where(np.isfinite(noise), DEVIATIONS * noise * size, 0)


def short_unit(relative: Array) -> float:
    """Return the unit roundoff of float32 if the noise relative to values shows it, otherwise 0.

    A function that computes in float32 may return float64 numbers. Then it is a staircase, and on a
    wide stair no noise can be measured. So the noise at other points tells.
    """
    measured = relative[np.isfinite(relative) & (relative > 0)]
    low, high = OF_FLOAT32
    is_short = measured.size >= ENOUGH and bool(low < np.median(measured) < high)
    return 2.0**-24 if is_short else 0.0
