"""Activations that are linear for positive inputs and exponential for others."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array, maximum
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require
from manualnn.special import constant, exp_below, expm1_below, one_above, quotient

__all__ = ["CELU", "ELU", "SELU"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ELU(Layer):
    """Rectifier with an exponential in place of the 0, from −α (Clevert et al. 2016).

    Forward, α = alpha
        a = max(z, 0) + α (exp(min(z, 0)) − 1)

    Backward, given da = ∂L/∂a
        dz = da ⊙ (1 where z > 0, α exp(z) elsewhere)       the slope at 0 is α

    Shapes: z, a, dz, da (N, width). Source: torch.nn.ELU.
    """

    alpha: float = 1.0

    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "alpha", "a number", condition=True)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = expm1_below(z, out=out)
        np.multiply(a, self.alpha, out=a)
        return np.add(maximum(z, 0), a, out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = exp_below(z, out=out)
        if self.alpha != 1:
            np.multiply(dz, one_above(z, self.alpha), out=dz)
        return np.multiply(dz, da, out=dz)


ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805
"""With them, a layer keeps mean 0 and variance 1 (Klambauer et al. 2017, equation 14)."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SELU(Layer):
    """ELU with two constants that keep the outputs standardised (Klambauer et al. 2017).

    Forward, α = 1.6732632423543772, λ = 1.0507009873554805
        a = λ (max(z, 0) + α (exp(min(z, 0)) − 1))

    Backward, given da = ∂L/∂a
        dz = da ⊙ λ (1 where z > 0, α exp(z) elsewhere)     the slope at 0 is λ α

    Shapes: z, a, dz, da (N, width). Source: torch.nn.SELU.
    """

    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = expm1_below(z, out=out)
        np.multiply(a, constant(ALPHA, z), out=a)
        np.add(maximum(z, 0), a, out=a)
        return np.multiply(a, constant(SCALE, z), out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = exp_below(z, out=out)
        np.multiply(dz, one_above(z, constant(ALPHA, z)), out=dz)
        np.multiply(dz, constant(SCALE, z), out=dz)
        return np.multiply(dz, da, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class CELU(Layer):
    """ELU whose slope is continuous for every α (Barron 2017).

    Forward, α = alpha
        a = max(z, 0) + α (exp(min(z, 0) / α) − 1)

    Backward, given da = ∂L/∂a
        dz = da ⊙ exp(min(z, 0) / α)

    Shapes: z, a, dz, da (N, width). Source: torch.nn.CELU. There a negative α is
    accepted, with which a grows like exp(|z / α|), and in float64 dz has α rounded to float32.
    """

    alpha: float = 1.0

    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "alpha", "a number above 0", self.alpha > 0)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = quotient(z, self.alpha, out=out)
        a = expm1_below(a, out=a)
        np.multiply(a, self.alpha, out=a)
        return np.add(maximum(z, 0), a, out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = quotient(z, self.alpha, out=out)
        dz = exp_below(dz, out=dz)
        return np.multiply(dz, da, out=dz)
