"""Well known elementwise functions and their derivatives, in closed form.

    VARIANTS        {"the tanh approximation of GELU": (f, f′), …}

A hand-written gradient is often that of another variant of the function. Each entry is checked
against numerical differentiation with mpmath in the tests.
"""

import math
from collections.abc import Callable

import numpy as np

from manualnn.gradcheck.data import Array

Pair = tuple[Callable[[Array], Array], Callable[[Array], Array]]

_erf = np.vectorize(math.erf, otypes=[float])
_C = math.sqrt(2 / math.pi)


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _cdf(x: Array) -> Array:
    return 0.5 * (1 + _erf(x / math.sqrt(2)))


def _pdf(x: Array) -> Array:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(_C * (x + 0.044715 * x**3)))


def _gelu_tanh_slope(x: Array) -> Array:
    t = np.tanh(_C * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _C * (1 + 3 * 0.044715 * x * x)


def _mish_slope(x: Array) -> Array:
    t = np.tanh(_softplus(x))
    return t + x * (1 - t * t) * _sigmoid(x)


def _swish(beta: float) -> Pair:
    def slope(x: Array) -> Array:
        s = _sigmoid(beta * x)
        return s + beta * x * s * (1 - s)

    return lambda x: x * _sigmoid(beta * x), slope


def _elu(alpha: float, scale: float = 1.0) -> Pair:
    return (
        lambda x: scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x: scale * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    )


def _leaky(slope: float) -> Pair:
    return lambda x: np.where(x > 0, x, slope * x), lambda x: np.where(x > 0, 1, slope)


def _between(low: float, high: float, slope: float = 1.0, shift: float = 0.0) -> Pair:
    return (
        lambda x: slope * np.clip(x, low, high) + shift,
        lambda x: np.where((x > low) & (x < high), slope, 0.0),
    )


def _huber(delta: float) -> Pair:
    return (
        lambda x: np.where(np.abs(x) < delta, x * x / 2, delta * (np.abs(x) - delta / 2)),
        lambda x: np.clip(x, -delta, delta),
    )


def _softplus_with(beta: float, threshold: float) -> Pair:
    return (
        lambda x: np.where(beta * x > threshold, x, _softplus(beta * x) / beta),
        lambda x: np.where(beta * x > threshold, 1, _sigmoid(beta * x)),
    )


def _hardswish_slope(x: Array) -> Array:
    return np.where(x <= -3, 0, np.where(x < 3, x / 3 + 0.5, 1))


VARIANTS: dict[str, Pair] = {
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "exact GELU": (lambda x: x * _cdf(x), lambda x: _cdf(x) + x * _pdf(x)),
    "the tanh approximation of GELU": (_gelu_tanh, _gelu_tanh_slope),
    "quick GELU, x·sigmoid(1.702 x)": _swish(1.702),
    "SiLU": _swish(1.0),
    "the normal distribution's cdf Φ": (_cdf, _pdf),
    "the normal distribution's density φ": (_pdf, lambda x: -x * _pdf(x)),
    "erf": (_erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x)),
    "mish": (lambda x: x * np.tanh(_softplus(x)), _mish_slope),
    "softplus": (_softplus, _sigmoid),
    "softplus with β = 2": _softplus_with(2.0, math.inf),
    "softplus with threshold 20": _softplus_with(1.0, 20.0),
    "logsigmoid": (lambda x: -_softplus(-x), lambda x: _sigmoid(-x)),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    "ELU with α = 1": _elu(1.0),
    "ELU with α = 0.5": _elu(0.5),
    "SELU": _elu(1.6732632423543772, 1.0507009873554805),
    "CELU with α = 2": (
        lambda x: np.maximum(x, 0) + 2 * np.expm1(np.minimum(x, 0) / 2),
        lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0) / 2)),
    ),
    "ReLU": (lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "leaky ReLU with slope 0.01": _leaky(0.01),
    "leaky ReLU with slope 0.1": _leaky(0.1),
    "leaky ReLU with slope 0.2": _leaky(0.2),
    "hardtanh": _between(-1.0, 1.0),
    "ReLU6": _between(0.0, 6.0),
    "hardsigmoid": _between(-3.0, 3.0, 1 / 6, 0.5),
    "hard sigmoid with slope 0.2": _between(-2.5, 2.5, 0.2, 0.5),
    "hardswish": (lambda x: x * np.clip(x + 3, 0, 6) / 6, _hardswish_slope),
    "Huber with δ = 1": _huber(1.0),
    "abs": (np.abs, np.sign),
    "square": (np.square, lambda x: 2 * x),
    "cube": (lambda x: x**3, lambda x: 3 * x * x),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "rsqrt": (lambda x: 1 / np.sqrt(x), lambda x: -0.5 * x**-1.5),
    "the reciprocal": (lambda x: 1 / x, lambda x: -1 / (x * x)),
    "log": (np.log, lambda x: 1 / x),
    "log1p": (np.log1p, lambda x: 1 / (1 + x)),
    "log2": (np.log2, lambda x: 1 / (x * math.log(2))),
    "log10": (np.log10, lambda x: 1 / (x * math.log(10))),
    "exp": (np.exp, np.exp),
    "exp2": (np.exp2, lambda x: math.log(2) * np.exp2(x)),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda x: -np.sin(x)),
    "tan": (np.tan, lambda x: 1 / np.cos(x) ** 2),
    "asin": (np.arcsin, lambda x: 1 / np.sqrt((1 - x) * (1 + x))),
    "acos": (np.arccos, lambda x: -1 / np.sqrt((1 - x) * (1 + x))),
    "atan": (np.arctan, lambda x: 1 / (1 + x * x)),
    "sinh": (np.sinh, np.cosh),
    "cosh": (np.cosh, np.sinh),
    "asinh": (np.arcsinh, lambda x: 1 / np.sqrt(1 + x * x)),
    "acosh": (np.arccosh, lambda x: 1 / np.sqrt((x - 1) * (x + 1))),
    "atanh": (np.arctanh, lambda x: 1 / ((1 - x) * (1 + x))),
    "sinc": (np.sinc, lambda x: (np.cos(np.pi * x) - np.sinc(x)) / x),
}
