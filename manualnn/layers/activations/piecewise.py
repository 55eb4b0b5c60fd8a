"""Activations that are linear between their kinks."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array, maximum, step
from manualnn.layers.base import Layer, LayerArrays

__all__ = ["Identity", "ReLU"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Identity(Layer):
    """The input, unchanged.

    Forward
        a = z

    Backward, given da = ∂L/∂a
        dz = da

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Identity.
    """

    reads_input: ClassVar[bool] = False
    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return np.positive(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        return np.positive(da, out=out)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ReLU(Layer):
    """Rectifier.

    Forward
        a = max(z, 0)

    Backward, given da = ∂L/∂a
        dz = da ⊙ [a > 0]       a > 0 exactly where z > 0; the slope at 0 is 0

    Shapes: z, a, dz, da (N, width). Source: torch.nn.ReLU.
    """

    reads_input: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return maximum(z, 0, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = step(a, out=out)
        return np.multiply(dz, da, out=dz)
