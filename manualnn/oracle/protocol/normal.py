"""The normal distribution in NumPy's floating-point numbers, without cancellation.

    φ(x) = exp(−x²/2) / √(2π)
    Φ(x) = ½ + φ(x) (x + x³/3 + x⁵/(3·5) + x⁷/(3·5·7) + …)             near 0
    Φ(−y) = φ(y) / (y + 1/(y + 2/(y + 3/(y + …))))                     far from it

Source: Marsaglia, Evaluating the normal distribution, 2004.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BORDER = 4.0
"""From here on, TERMS terms of the fraction are enough for a mantissa of 64 bits."""
TERMS = 60


def normal_pdf(x: NDArray[Any]) -> NDArray[Any]:
    """Return φ(x)."""
    pi = 4 * np.arctan(np.ones_like(x))
    return np.asarray(np.exp(-x * x / 2) / np.sqrt(2 * pi))


def normal_cdf(x: NDArray[Any]) -> NDArray[Any]:
    """Return Φ(x)."""
    y = np.abs(x)
    near, far = np.minimum(y, BORDER), np.maximum(y, BORDER)
    term = total = near
    for k in range(3, 160, 2):
        term = term * near * near / k
        total = total + term
    fraction = far
    for k in range(TERMS, 0, -1):
        fraction = far + k / fraction
    tail = np.where(y < BORDER, 0.5 - normal_pdf(near) * total, normal_pdf(far) / fraction).astype(
        x.dtype
    )
    return np.where(x > 0, 1 - tail, tail)
