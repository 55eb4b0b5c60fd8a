"""Activations: layers without parameters that act on every row separately.

Names, options and behaviour at kinks are torch's. If the slope is an exact function of the output,
the equation states it so. Then the input need not be stored.

The file is longer than others, because it is one list: a class with equations for each function.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import (
    Array,
    exp,
    greater,
    log_softmax,
    maximum,
    minimum,
    sigmoid,
    softmax,
    softplus,
    step,
    tanh,
    where,
)
from manualnn.errors import SpecError
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require

__all__ = [
    "Identity",
    "LeakyReLU",
    "LogSoftmax",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Identity(Layer):
    """The input, unchanged.

    Forward
        a = z

    Backward, given da = ∂L/∂a
        dz = da

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Identity.
    """

    reads_input: ClassVar[bool] = False
    reads_output: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return np.positive(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        return np.positive(da, out=out)


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
class ReLU(Layer):
    """Rectifier.

    Forward
        a = max(z, 0)

    Backward, given da = ∂L/∂a
        dz = da ⊙ [a > 0]       a > 0 exactly where z > 0; the slope at 0 is 0

    Shapes: z, a, dz, da (N, width). Source: torch.nn.ReLU.
    """

    reads_input: ClassVar[bool] = False

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return maximum(z, 0, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = step(a, out=out)
        return np.multiply(dz, da, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LeakyReLU(Layer):
    """Rectifier with a small slope for negative inputs.

    Forward, s = negative_slope
        a = max(z, 0) + s min(z, 0)

    Backward, given da = ∂L/∂a
        dz = da ⊙ (1 where z > 0, s elsewhere)   the slope at 0 is s

    Shapes: z, a, dz, da (N, width). Source: torch.nn.LeakyReLU.
    """

    negative_slope: float = 0.01

    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "negative_slope", "a number", condition=True)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = minimum(z, 0, out=out)
        np.multiply(a, self.negative_slope, out=a)
        return np.add(a, maximum(z, 0), out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        return np.positive(where(greater(z, 0), da, da * self.negative_slope), out=out)


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
class _OverFeatures(Layer):
    """Base of the layers that normalise each row: dim must be the axis of the features."""

    dim: int = -1

    reads_input: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        if self.dim not in {-1, 1}:
            message = (
                f"{type(self).__name__}: dim must be -1 or 1, got {self.dim!r}. A batch is (N, "
                f"features), and any other axis would mix its samples; leave dim out."
            )
            raise SpecError(message)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Softmax(_OverFeatures):
    """Probabilities from scores: positive, and every row adds up to 1.

    Forward
        a[n,i] = exp(z[n,i]) / Σⱼ exp(z[n,j])

    Backward, given da = ∂L/∂a
        dz[n,i] = a[n,i] (da[n,i] − Σⱼ da[n,j] a[n,j])      every a[n,j] depends on every z[n,i]

    Shapes: z, a, dz, da (N, width). Source: torch.nn.Softmax. Here dim is always the axis of the
    features. In torch its default is an implicit choice, with a warning.
    """

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return softmax(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = np.multiply(da, a, out=out)
        total = np.add.reduce(dz, axis=-1, keepdims=True)
        np.subtract(da, total, out=dz)
        return np.multiply(dz, a, out=dz)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LogSoftmax(_OverFeatures):
    """Logarithms of probabilities, from scores.

    Forward
        a[n,i] = z[n,i] − log Σⱼ exp(z[n,j])

    Backward, given da = ∂L/∂a
        dz[n,i] = da[n,i] − exp(a[n,i]) Σⱼ da[n,j]

    Shapes: z, a, dz, da (N, width). Source: torch.nn.LogSoftmax; dim as in Softmax.
    """

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return log_softmax(z, out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        dz = exp(a, out=out)
        np.multiply(dz, np.add.reduce(da, axis=-1, keepdims=True), out=dz)
        return np.subtract(da, dz, out=dz)
