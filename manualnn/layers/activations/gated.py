"""Activations that multiply their input by a gate: a step from 0 to 1."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array, sigmoid
from manualnn.layers.base import Layer, LayerArrays
from manualnn.special import tanh_of_softplus, tanh_of_softplus_and_slope

__all__ = ["Mish", "SiLU"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SiLU(Layer):
    """The input times its sigmoid, also called swish (Elfwing et al. 2017).

    Forward
        a = z ⊙ σ(z)        σ(z) = 1 / (1 + exp(−z))

    Backward, given da = ∂L/∂a
        dz = da ⊙ σ(z) ⊙ (1 + z ⊙ (1 − σ(z)))

    Shapes: z, a, dz, da (N, width). Source: torch.nn.SiLU.
    """

    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = sigmoid(z, out=out)
        return np.multiply(a, z, out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        gate = sigmoid(z)
        dz = np.subtract(1, gate, out=out)
        np.multiply(dz, z, out=dz)
        np.add(dz, 1, out=dz)
        np.multiply(dz, gate, out=dz)
        return np.multiply(dz, da, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Mish(Layer):
    """The input times the tanh of its softplus (Misra 2019).

    Forward
        a = z ⊙ t(z)        t(z) = tanh(log(1 + exp(z)))

    Backward, given da = ∂L/∂a
        dz = da ⊙ (t(z) + z ⊙ σ(z) ⊙ (1 − t(z)²))       σ is the slope of softplus

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Mish.
    """

    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = tanh_of_softplus(z, out=out)
        return np.multiply(z, a, out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        gate, slope = tanh_of_softplus_and_slope(z)
        dz = np.add(gate, slope, out=out)
        return np.multiply(da, dz, out=dz)
