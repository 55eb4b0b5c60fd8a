"""Dropout: layers that are random in training, and do nothing in prediction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require

__all__ = ["AlphaDropout", "Dropout"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Masked(Layer):
    """Base of the layers with a mask that is 0 with probability p, and drawn in training."""

    p: float = 0.5

    reads_input: ClassVar[bool] = False
    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "p", "a probability from 0 to 1", 0 <= self.p <= 1)

    def sample_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        return {"mask": shape}


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Dropout(_Masked):
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


ALPHA = 1.7580993408473766
"""−α′ = scale · alpha of SELU, the limit of SELU for z → −∞ without its sign, as torch has it."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class AlphaDropout(_Masked):
    """Dropout for SELU: entries are set to the limit −α of SELU, and mean and variance stay.

    Forward, m = mask in training, α = 1.7580993408473766, c = 1 / √((α² p + 1) (1 − p))
        a = c (m ⊙ z + (m − 1) α + α p)         a = z in prediction

    Backward, given da = ∂L/∂a
        dz = c (m ⊙ da)                         dz = da in prediction

    m[n,i] is 0 with probability p and 1 otherwise. For p = 1 all outputs are 0. Inputs with mean 0
    and variance 1 keep both. `sample` draws the mask before the forward pass.

    Shapes: z, a, m, dz, da (N, width). Source: Klambauer et al. 2017; torch.nn.AlphaDropout.
    """

    @property
    def _factor(self) -> float:
        """Return c."""
        return 1 / math.sqrt((ALPHA * ALPHA * self.p + 1) * (1 - self.p)) if self.p < 1 else 0.0

    def sample(self, drawn: Mapping[str, Array], rng: "np.random.Generator") -> None:
        mask = drawn["mask"]
        np.multiply(rng.random(mask.shape) >= self.p, 1, out=mask)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        if "mask" not in params:
            return np.positive(z, out=out)
        mask, c = params["mask"], self._factor
        shift = np.subtract(mask, 1)
        np.multiply(shift, ALPHA * c, out=shift)
        np.add(shift, ALPHA * c * self.p, out=shift)
        return np.add(self._scaled(mask, z, out), shift, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        if "mask" not in params:
            return np.positive(da, out=out)
        return self._scaled(params["mask"], da, out)

    def _scaled(self, mask: Array, values: Array, out: Array | None) -> Array:
        """Return c (m ⊙ values)."""
        kept = np.multiply(mask, values, out=out)
        return np.multiply(kept, self._factor, out=kept)
