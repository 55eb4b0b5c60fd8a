"""Activations that multiply their input by a gate: a step from 0 to 1."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array, sigmoid
from manualnn.layers.base import Layer, LayerArrays

__all__ = ["SiLU"]


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
