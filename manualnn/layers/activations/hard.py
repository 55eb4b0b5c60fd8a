"""Activations that are linear between bounds."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array, ratio
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require
from manualnn.special import clip, hard_gate, inside

__all__ = ["Hardsigmoid", "Hardswish", "Hardtanh", "ReLU6"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Hardtanh(Layer):
    """The input, cut off at two bounds.

    Forward
        a = min(max(z, min_val), max_val)

    Backward, given da = ∂L/∂a
        dz = da ⊙ [min_val < a < max_val]       the slope at both bounds is 0

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Hardtanh.
    """

    min_val: float = -1.0
    max_val: float = 1.0

    reads_input: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "min_val", "a number", condition=True)
        require(self, "max_val", "a number above min_val", self.max_val > self.min_val)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return clip(z, self.min_val, self.max_val, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = inside(a, self.min_val, self.max_val, out=out)
        return np.multiply(dz, da, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ReLU6(Layer):
    """Rectifier, cut off at 6.

    Forward
        a = min(max(z, 0), 6)

    Backward, given da = ∂L/∂a
        dz = da ⊙ [0 < a < 6]       the slope at 0 and at 6 is 0

    Shapes: z, a, dz, da (N, width). Source: torch.nn.ReLU6.
    """

    reads_input: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return clip(z, 0, 6, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = inside(a, 0, 6, out=out)
        return np.multiply(dz, da, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Hardsigmoid(Layer):
    """A line that rises from 0 to 1 between −3 and 3, in place of the sigmoid.

    Forward
        a = min(max(z + 3, 0), 6) / 6

    Backward, given da = ∂L/∂a
        dz = da ⊙ [−3 < z < 3] / 6      the slope at −3 and at 3 is 0

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Hardsigmoid. There, dz in float64 has 1 / 6
    rounded to float32.
    """

    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return hard_gate(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = inside(z, -3, 3, out=out)
        np.multiply(da, dz, out=dz)
        return np.multiply(dz, ratio(1, 6, z), out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Hardswish(Layer):
    """The input times its Hardsigmoid, in place of SiLU (Howard et al. 2019).

    Forward
        a = z ⊙ h(z)        h(z) = min(max(z + 3, 0), 6) / 6

    Backward, given da = ∂L/∂a
        dz = da ⊙ (h(z) + z ⊙ [−3 < z < 3] / 6)      the slope is 0 at −3, and 1 at 3

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Hardswish.
    """

    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = hard_gate(z, out=out)
        return np.multiply(z, a, out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = inside(z, -3, 3, out=out)
        np.multiply(z, dz, out=dz)
        np.multiply(dz, ratio(1, 6, z), out=dz)
        np.add(hard_gate(z), dz, out=dz)
        return np.multiply(da, dz, out=dz)
