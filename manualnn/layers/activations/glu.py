"""Gates: one half of the inputs decides how much of the other half passes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array, sigmoid
from manualnn.errors import SpecError
from manualnn.layers.activations.rows import OverFeatures
from manualnn.layers.base import LayerArrays

__all__ = ["GLU"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class GLU(OverFeatures):
    """Gated linear unit: the first half of each row, times the sigmoid of the second half.

    Forward, z = (u, v)
        a = u ⊙ σ(v)                    σ(v) = 1 / (1 + exp(−v))

    Backward, given da = ∂L/∂a
        dz = (da ⊙ σ(v), da ⊙ u ⊙ σ(v) ⊙ (1 − σ(v)))

    Shapes: z, dz (N, 2 width); a, u, v, da (N, width). Source: Dauphin et al. 2017; torch.nn.GLU;
    dim as in Softmax.
    """

    reads_input: ClassVar[bool] = True
    reads_output: ClassVar[bool] = False

    def width(self, in_features: int) -> int:
        if in_features % 2:
            message = f"{self!r} expects an even number of inputs, got {in_features}"
            raise SpecError(message)
        return in_features // 2

    def inputs(self, out_features: int) -> int:
        return 2 * out_features

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        k = z.shape[1] // 2
        a = sigmoid(z[:, k:], out=out)
        return np.multiply(a, z[:, :k], out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        k = z.shape[1] // 2
        dz = np.empty(z.shape, z.dtype) if out is None else out
        share = sigmoid(z[:, k:])
        np.multiply(da, share, out=dz[:, :k])
        rest = np.subtract(1, share, out=dz[:, k:])
        np.multiply(rest, dz[:, :k], out=rest)
        np.multiply(rest, z[:, :k], out=rest)
        return dz
