"""Activations that normalise each row of a batch."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array, exp, log_softmax, softmax
from manualnn.errors import SpecError
from manualnn.layers.base import Layer, LayerArrays

__all__ = ["LogSoftmax", "Softmax", "Softmin"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class OverFeatures(Layer):
    """Base of the layers that normalise each row: dim must be the axis of the features."""

    dim: int = -1

    reads_input: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        if self.dim not in {-1, 1}:
            message = (
                f"{type(self).__name__}: dim must be -1 or 1, got {self.dim!r}. A batch is (N, "
                f"features), and any other axis would mix its samples; leave dim out."
            )
            raise SpecError(message)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Softmax(OverFeatures):
    """Probabilities from scores: positive, and every row adds up to 1.

    Forward
        a[n,i] = exp(z[n,i]) / Σⱼ exp(z[n,j])

    Backward, given da = ∂L/∂a
        dz[n,i] = a[n,i] (da[n,i] − Σⱼ da[n,j] a[n,j])      every a[n,j] depends on every z[n,i]

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Softmax. Here dim is always the axis of the
    features. In torch its default is an implicit choice, with a warning.
    """

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return softmax(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = np.multiply(da, a, out=out)
        total = np.add.reduce(dz, axis=-1, keepdims=True)
        np.subtract(da, total, out=dz)
        return np.multiply(dz, a, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LogSoftmax(OverFeatures):
    """Logarithms of probabilities, from scores.

    Forward
        a[n,i] = z[n,i] − log Σⱼ exp(z[n,j])

    Backward, given da = ∂L/∂a
        dz[n,i] = da[n,i] − exp(a[n,i]) Σⱼ da[n,j]

    a is at least the lowest finite number, where torch has −∞.

    Shapes: z, a, dz, da (N, width). Source: torch.nn.LogSoftmax; dim as in Softmax.
    """

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return log_softmax(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = exp(a, out=out)
        np.multiply(dz, np.add.reduce(da, axis=-1, keepdims=True), out=dz)
        return np.subtract(da, dz, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Softmin(OverFeatures):
    """Probabilities from costs: softmax of the negative input.

    Forward
        a[n,i] = exp(−z[n,i]) / Σⱼ exp(−z[n,j])

    Backward, given da = ∂L/∂a
        dz[n,i] = a[n,i] (Σⱼ da[n,j] a[n,j] − da[n,i])

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Softmin; dim as in Softmax.
    """

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return softmax(np.negative(z), out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = np.multiply(a, da, out=out)
        np.subtract(np.add.reduce(dz, axis=-1, keepdims=True), da, out=dz)
        return np.multiply(a, dz, out=dz)
