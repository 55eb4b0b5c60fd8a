"""Initial values whose size follows from the fans of a weight, and the plain distributions."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.validation import shown

__all__ = [
    "calculate_gain",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Shape = tuple[int, ...]
Initializer = Callable[["np.random.Generator", Shape], Array]


def zeros(rng: "np.random.Generator", shape: Shape) -> Array:  # noqa: ARG001
    """Return zeros, a usual choice for biases."""
    return np.zeros(shape)


def uniform(rng: "np.random.Generator", shape: Shape, a: float = 0.0, b: float = 1.0) -> Array:
    """Draw uniformly in [a, b). Source: torch.nn.init.uniform_."""
    return _draw("uniform", rng, shape, a, b)


def normal(rng: "np.random.Generator", shape: Shape, mean: float = 0.0, std: float = 1.0) -> Array:
    """Draw normals with this mean and standard deviation. Source: torch.nn.init.normal_."""
    return _draw("normal", rng, shape, mean, std)


def xavier_uniform(rng: "np.random.Generator", shape: Shape, gain: float = 1.0) -> Array:
    """Draw uniformly in ±gain √(6 / (fan_in + fan_out)).

    Source: Glorot & Bengio 2010, equation 16; torch.nn.init.xavier_uniform_.
    """
    bound = finite_number("gain", gain) * math.sqrt(6 / sum(_fans(shape)))
    return uniform(rng, shape, -bound, bound)


def xavier_normal(rng: "np.random.Generator", shape: Shape, gain: float = 1.0) -> Array:
    """Draw normals with standard deviation gain √(2 / (fan_in + fan_out)).

    Source: Glorot & Bengio 2010; torch.nn.init.xavier_normal_.
    """
    return normal(rng, shape, std=finite_number("gain", gain) * math.sqrt(2 / sum(_fans(shape))))


def kaiming_uniform(
    rng: "np.random.Generator",
    shape: Shape,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Array:
    """Draw uniformly in ±gain √(3 / fan), gain = calculate_gain(nonlinearity, a).

    Source: He et al. 2015; torch.nn.init.kaiming_uniform_.
    """
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / _fan(shape, mode))
    return uniform(rng, shape, -bound, bound)


def kaiming_normal(
    rng: "np.random.Generator",
    shape: Shape,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Array:
    """Draw normals with standard deviation gain / √fan, gain = calculate_gain(nonlinearity, a).

    Source: He et al. 2015, equation 10; torch.nn.init.kaiming_normal_.
    """
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan(shape, mode))
    return normal(rng, shape, std=std)


def lecun_uniform(rng: "np.random.Generator", shape: Shape) -> Array:
    """Draw uniformly in ±√(3 / fan_in), so that the variance is 1 / fan_in.

    Source: LeCun et al. 1998, section 4.6; in torch, kaiming_uniform_ with nonlinearity="linear".
    """
    return kaiming_uniform(rng, shape, nonlinearity="linear")


def lecun_normal(rng: "np.random.Generator", shape: Shape) -> Array:
    """Draw normals with standard deviation 1 / √fan_in.

    Source: LeCun et al. 1998, equation 16; in torch, kaiming_normal_ with nonlinearity="linear".
    JAX and Keras draw truncated normals of the same deviation under this name.
    """
    return kaiming_normal(rng, shape, nonlinearity="linear")


_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: Any, param: float | None = None) -> float:
    """Return the factor that torch recommends for the weights before this nonlinearity.

    linear and sigmoid 1, tanh 5/3, relu √2, selu 3/4, leaky_relu √(2 / (1 + slope²)) with slope =
    param, or 0.01 if param is None. Source: torch.nn.init.calculate_gain.
    """
    if not isinstance(nonlinearity, str) or nonlinearity not in {*_GAINS, "leaky_relu"}:
        known = ", ".join([*_GAINS, "leaky_relu"])
        message = f"nonlinearity must be one of {known}; got {shown(nonlinearity)}."
        raise SpecError(message)
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else finite_number("param", param)) ** 2))
    return _GAINS[nonlinearity]


def _draw(method: str, rng: Any, shape: Any, *options: Any) -> Array:
    """Draw an array with a method of a generator. Raises SpecError for an invalid argument."""
    if not hasattr(rng, method):
        message = f"rng must be a generator, got {shown(rng)}; pass np.random.default_rng(seed)."
        raise SpecError(message)
    if not _is_shape(shape):
        message = f"shape must be a tuple of integers, got {shown(shape)}."
        raise SpecError(message)
    low, high = (finite_number("an option", option) for option in options)
    try:
        return getattr(rng, method)(low, high, shape)
    except (ValueError, OverflowError) as error:
        message = f"{method} cannot draw with the options {low:g} and {high:g}: {error}."
        raise SpecError(message) from error


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple | list) and all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in shape
    )


def finite_number(name: str, value: Any) -> float:
    """Return a finite number. Raises SpecError for anything else."""
    try:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        number = float(value) if is_number else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        message = f"{name} must be a finite number, got {shown(value)}."
        raise SpecError(message)
    return number


def _fans(shape: Shape) -> tuple[int, int]:
    """Return fan_in and fan_out of a weight of shape (out, in)."""
    rows, columns = require_matrix(shape)
    return columns, rows


def require_matrix(shape: Any) -> tuple[int, int]:
    """Return the shape (out, in) of a weight. Raises SpecError for another shape."""
    if not _is_shape(shape) or len(shape) != 2 or 0 in shape:
        message = (
            f"fan_in and fan_out need a weight of shape (out, in), got shape {shown(shape)}; "
            f"use zeros, uniform or normal for a bias."
        )
        raise SpecError(message)
    return shape[0], shape[1]


def _fan(shape: Shape, mode: Any) -> int:
    fans = dict(zip(("fan_in", "fan_out"), _fans(shape), strict=True))
    if not isinstance(mode, str) or mode not in fans:
        message = f"mode must be 'fan_in' or 'fan_out', got {shown(mode)}."
        raise SpecError(message)
    return fans[mode]
