"""Layers that change the arrangement of the numbers, and not the numbers."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require

__all__ = ["Flatten"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Flatten(Layer):
    """The input with all dimensions but that of the samples as one: here, the input unchanged.

    Forward
        a = z

    Backward, given da = ∂L/∂a
        dz = da

    A batch is (N, width) everywhere in this package, so nothing is left to flatten. The layer makes
    networks of torch load that have one.

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Flatten, with the samples as dimension 0.
    """

    start_dim: int = 1
    end_dim: int = -1

    reads_input: ClassVar[bool] = False
    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        for option in ("start_dim", "end_dim"):
            is_features = getattr(self, option) in {-1, 1}
            require(self, option, "1 or -1, which leaves the samples apart", is_features)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return np.positive(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        return np.positive(da, out=out)
