"""Dropout, a layer that is random in training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require

__all__ = ["Dropout"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Dropout(Layer):
    """Dropout: in training, set each entry to 0 with probability p, and multiply others by 1/(1−p).

    Forward, m = mask in training, 1 in prediction
        a = m ⊙ z

    Backward, given da = ∂L/∂a
        dz = m ⊙ da

    m[n,i] is 0 with probability p and 1/(1−p) otherwise, so the mean of a is z. `sample` draws it
    before the forward pass. Therefore forward is a deterministic function of its arguments.

    Shapes: z, a, m, dz, da (N, width). Source: Srivastava et al. 2014, in the inverted form of
    torch.nn.Dropout.
    """

    p: float = 0.5

    reads_input: ClassVar[bool] = False
    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "p", "a probability from 0 to 1", 0 <= self.p <= 1)

    def sample_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        return {"mask": shape}

    def sample(self, drawn: Mapping[str, Array], rng: "np.random.Generator") -> None:
        mask = drawn["mask"]
        is_kept = rng.random(mask.shape) >= self.p
        np.multiply(is_kept, 1 / (1 - self.p) if self.p < 1 else 0, out=mask)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        if "mask" not in params:
            return np.positive(z, out=out)
        return np.multiply(params["mask"], z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        return self.forward(params, da, out=out)
