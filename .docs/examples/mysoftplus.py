"""Softplus and its gradient, which has a bug: the slope is 1 for large x."""

import numpy as np


def softplus(x):
    return np.logaddexp(0, x)


def softplus_vjp(arrays, dy):
    (x,) = arrays
    slope = np.where(x > 4, 1, 1 / (1 + np.exp(-x)))
    return [dy * slope]
