"""Activations with an exponential or a quotient: smooth, or nearly so."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array, greater, sigmoid, softplus, tanh, where
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require
from manualnn.special import falling_sigmoid

__all__ = ["LogSigmoid", "Sigmoid", "Softplus", "Softsign", "Tanh", "Tanhshrink"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Sigmoid(Layer):
    """Logistic function, from 0 to 1.

    Forward
        a = 1 / (1 + exp(−z))

    Backward, given da = ∂L/∂a
        dz = da ⊙ a ⊙ (1 − a)

    1 − a rounds to 0 once z ≳ 37 in float64 (17 in float32): absolute, not relative, accuracy.

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Sigmoid.
    """

    reads_input: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return sigmoid(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = np.subtract(1, a, out=out)
        np.multiply(dz, a, out=dz)
        return np.multiply(dz, da, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Tanh(Layer):
    """Hyperbolic tangent, from −1 to 1.

    Forward
        a = tanh(z)

    Backward, given da = ∂L/∂a
        dz = da ⊙ (1 − a²)

    1 − a² rounds to 0 once |z| ≳ 19 in float64 (9 in float32): absolute, not relative, accuracy.

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Tanh.
    """

    reads_input: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return tanh(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = np.multiply(a, a, out=out)
        np.subtract(1, dz, out=dz)
        return np.multiply(dz, da, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Softplus(Layer):
    """Smooth rectifier.

    Forward, β = beta
        a = log(1 + exp(βz)) / β        a = z where βz > threshold

    Backward, given da = ∂L/∂a
        dz = da ⊙ 1 / (1 + exp(−βz))    dz = da where βz > threshold

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Softplus.
    """

    beta: float = 1.0
    threshold: float = 20.0

    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "beta", "a number other than 0", self.beta != 0)
        require(self, "threshold", "a number", condition=True)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        scaled = z * self.beta
        curved = softplus(scaled)
        np.divide(curved, self.beta, out=curved)
        return np.positive(where(greater(scaled, self.threshold), z, curved), out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        scaled = z * self.beta
        slope = where(greater(scaled, self.threshold), 1, sigmoid(scaled))
        return np.multiply(da, slope, out=out)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Softsign(Layer):
    """Sign with a smooth step, from −1 to 1, that approaches its limits slowly.

    Forward
        a = z / (1 + |z|)

    Backward, given da = ∂L/∂a
        dz = da ⊙ 1 / (1 + |z|)²

    The equal slope (1 − |a|)² loses its digits for a large |z|.

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Softsign.
    """

    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return np.divide(z, 1 + np.abs(z), out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        size = np.abs(z)
        np.add(size, 1, out=size)
        dz = np.divide(da, size, out=out)
        return np.divide(dz, size, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LogSigmoid(Layer):
    """Logarithm of the sigmoid, without its overflow.

    Forward
        a = −log(1 + exp(−z))

    Backward, given da = ∂L/∂a
        dz = da ⊙ 1 / (1 + exp(z))

    Shapes: z, a, dz, da (N, width). Source: torch.nn.LogSigmoid.
    """

    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return np.negative(softplus(np.negative(z)), out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = falling_sigmoid(z, out=out)
        return np.multiply(da, dz, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Tanhshrink(Layer):
    """What the hyperbolic tangent leaves of its input.

    Forward
        a = z − tanh(z)

    Backward, given da = ∂L/∂a
        dz = da ⊙ tanh(z)²

    Near 0, a is about z³ / 3 and has absolute, not relative, accuracy, as in torch.

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Tanhshrink.
    """

    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = tanh(z, out=out)
        return np.subtract(z, a, out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = tanh(z, out=out)
        np.multiply(dz, dz, out=dz)
        return np.multiply(da, dz, out=dz)
