"""The noise of a function's values, measured by ECnoise (J. Moré, S. Wild, 2011).

At equally spaced points so close that f is nearly linear between them, the differences of order k
of a smooth f vanish, and those of its rounding errors grow by the factor √((2k)! / (k!)²).
"""

from math import factorial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

POINTS = 8
ORDERS = (4, 5, 6)
"""Orders of differences that are believed. Their largest counts, because few values make each."""
SPACING = 2.0**-26
DEVIATIONS = 3
"""Standard deviations that bound the noise."""


def measured_noise(values: Array) -> Array:
    """Return a bound of the noise of each entry from its values at equally spaced points.

    `values` has a row for each of the points. The result is inf where a value is not finite.
    """
    noise = np.zeros_like(values[0])
    with np.errstate(all="ignore"):
        for order in ORDERS:
            differences = np.diff(values, order, axis=0)
            gamma = factorial(order) ** 2 / factorial(2 * order)
            noise = np.maximum(noise, np.sqrt(gamma * np.mean(differences**2, axis=0)))
    return np.where(np.isfinite(noise), DEVIATIONS * noise, np.inf)
