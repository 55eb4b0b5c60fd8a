"""Activations that multiply their input by a gate: a step from 0 to 1."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from manualnn.elementary import Array, is_symbolic, maximum, sigmoid
from manualnn.layers.base import Layer, LayerArrays
from manualnn.normal import (
    cubic_cdf,
    cubic_pdf,
    cubic_tail,
    normal_cdf,
    normal_pdf,
    normal_tail,
)
from manualnn.spec import require
from manualnn.special import share, tanh_of_softplus, tanh_of_softplus_and_slope

__all__ = ["GELU", "Mish", "SiLU"]


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


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class GELU(Layer):
    """The input times a gate: the normal distribution Φ, or its approximation by tanh.

    Forward, approximate = "none"; Φ(z) = ½ (1 + erf(z / √2)), φ = Φ′
        a = z ⊙ Φ(z)

    Backward, given da = ∂L/∂a
        dz = da ⊙ (Φ(z) + z ⊙ φ(z))

    With approximate = "tanh", Φ(z) is ½ (1 + tanh(s)) = 1 / (1 + exp(−2 s)), where
    s = √(2/π) (z + 0.044715 z³), and φ(z) its derivative 2 Φ (1 − Φ) ds/dz. For z ≪ 0, both have
    all digits, which torch loses in 1 + erf and 1 + tanh. torch's slope is NaN where z² overflows.

    Shapes: z, a, dz, da (N, width). Source: Hendrycks & Gimpel 2016; torch.nn.GELU.
    """

    approximate: str = "none"

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "approximate", "'none' or 'tanh'", self.approximate in _GATES)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        if is_symbolic(z):
            return np.multiply(z, self._functions.cdf(z), out=out)
        y = np.abs(z)
        below = self._functions.tail(y)
        np.multiply(below, y, out=below)
        a = maximum(z, 0, out=out)  # z Φ(z) = max(z, 0) − |z| Φ(−|z|)
        return np.subtract(a, below, out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        gate = self._functions.cdf(z) if is_symbolic(z) else share(a, z)
        dz = self._functions.pdf(z)
        np.multiply(z, dz, out=dz)
        np.add(gate, dz, out=dz)
        return np.multiply(da, dz, out=out)

    @property
    def _functions(self) -> "_Gate":
        return _GATES[self.approximate]


class _Gate(NamedTuple):
    """A gate Φ by its derivative; of numbers by Φ(−|z|), of symbols by itself."""

    cdf: Callable[[Array], Array]
    tail: Callable[[Array], Array]
    pdf: Callable[[Array], Array]


_GATES = {
    "none": _Gate(normal_cdf, normal_tail, normal_pdf),
    "tanh": _Gate(cubic_cdf, cubic_tail, cubic_pdf),
}
