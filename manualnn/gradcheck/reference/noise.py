"""The noise of a function's values, measured by ECnoise (J. Moré, S. Wild, 2011).

At equally spaced points so close that f is nearly linear between them, the differences of order k
of a smooth f vanish, and those of its rounding errors grow by the factor √((2k)! / (k!)²).
"""

from math import factorial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

POINTS = 10
ORDERS = (4, 5, 6)
"""Orders of differences that are believed. Their largest counts, because few values make each."""
SPACING = 2.0**-22
DEVIATIONS = 3
"""Standard deviations that bound the noise."""


def measured_noise(values: Array) -> Array:
    """Return a bound of the noise of each entry from its values at equally spaced points.

    `values` has a row for each of the points. The result is 0 where a value is not finite,
    because then it could not be measured.
    """
    noise = np.zeros_like(values[0])
    with np.errstate(all="ignore"):
        size = np.abs(values).max(axis=0)
        values = values / np.where(size > 0, size, 1)  # the squares must not overflow
        for order in ORDERS:
            differences = np.diff(values, order, axis=0)
            gamma = factorial(order) ** 2 / factorial(2 * order)
            deviation = np.sqrt(gamma * np.mean(differences**2, axis=0))
            # Differences of noise change their sign; those of √x near 0 are as large, but do not.
            is_noise = (differences.min(axis=0) < 0) & (differences.max(axis=0) > 0)
            noise = np.where(is_noise, np.maximum(noise, deviation), noise)
    return np.where(np.isfinite(noise), DEVIATIONS * noise * size, 0)
