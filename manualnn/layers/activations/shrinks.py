"""Activations that set small or low inputs to a constant."""

from dataclasses import dataclass
from math import isinf
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require
from manualnn.special import above_or, cut, one_over

__all__ = ["Hardshrink", "Softshrink", "Threshold"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Shrink(Layer):
    """Base of layers that set small inputs to 0, and whose slope beyond them is 1."""

    lambd: float = 0.5

    reads_output: ClassVar[bool] = False

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = one_over(np.abs(z), self.lambd, out=out)
        return np.multiply(da, dz, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Softshrink(_Shrink):
    """The input, moved towards 0 by a constant.

    Forward, λ = lambd
        a = z − min(max(z, −λ), λ)

    Backward, given da = ∂L/∂a
        dz = da ⊙ [|z| > λ]     the slope at ±λ is 0

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Softshrink.
    """

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "lambd", "a number from 0 on", self.lambd >= 0)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = cut(z, self.lambd, out=out)
        return np.subtract(z, a, out=a)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Hardshrink(_Shrink):
    """The input, or 0 where it is near 0.

    Forward, λ = lambd
        a = z ⊙ [|z| > λ]

    Backward, given da = ∂L/∂a
        dz = da ⊙ [|z| > λ]     the slope at ±λ is 0

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Hardshrink.
    """

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "lambd", "a number", condition=True)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = one_over(np.abs(z), self.lambd, out=out)
        return np.multiply(z, a, out=a)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Threshold(Layer):
    """The input above a threshold, and a constant up to it.

    Forward
        a = z where z > threshold, value elsewhere

    Backward, given da = ∂L/∂a
        dz = da ⊙ [z > threshold]       the slope at the threshold is 0

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Threshold.
    """

    threshold: float
    value: float

    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        for name in ("threshold", "value"):
            number = getattr(self, name)
            is_infinite = isinstance(number, float) and isinf(number)
            require(self, name, "a finite number", not is_infinite)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return above_or(z, self.threshold, self.value, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = one_over(z, self.threshold, out=out)
        return np.multiply(da, dz, out=dz)
