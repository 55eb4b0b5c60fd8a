"""Rectifiers with a slope for negative inputs: given, learned, or random in training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import (
    Array,
    greater,
    is_symbolic,
    maximum,
    minimum,
    step,
    sum_rows,
    where,
)
from manualnn.errors import SpecError
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require

__all__ = ["LeakyReLU", "PReLU", "RReLU"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Rectifier(Layer):
    """Base of rectifiers with the slope 1 for z > 0 and s elsewhere."""

    reads_output: ClassVar[bool] = False

    def _slope(self, params: LayerArrays) -> Any:
        """Return s, a number or an array."""
        raise NotImplementedError

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        a = minimum(z, 0, out=out)
        np.multiply(a, self._slope(params), out=a)
        return np.add(a, maximum(z, 0), out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        return np.positive(where(greater(z, 0), da, da * self._slope(params)), out=out)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LeakyReLU(_Rectifier):
    """Rectifier with a small slope for negative inputs.

    Forward, s = negative_slope
        a = max(z, 0) + s min(z, 0)

    Backward, given da = ∂L/∂a
        dz = da ⊙ (1 where z > 0, s elsewhere)   the slope at 0 is s

    Shapes: z, a, dz, da (N, width). Source: torch.nn.LeakyReLU.
    """

    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "negative_slope", "a number", condition=True)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        if is_symbolic(z) or not 0 < self.negative_slope <= 1:
            return _Rectifier.forward(self, params, z, out=out)
        a = np.multiply(z, self.negative_slope, out=out)  # the smaller of the two for z > 0
        return np.maximum(a, z, out=a)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        if is_symbolic(z) or not 0 <= self.negative_slope <= 1:
            return _Rectifier.backward(self, params, z, a, da, out=out)
        dz = step(z, out=out)
        np.maximum(dz, self.negative_slope, out=dz)
        return np.multiply(dz, da, out=dz)

    def _slope(self, params: LayerArrays) -> Any:
        return self.negative_slope


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PReLU(_Rectifier):
    """Rectifier whose slope for negative inputs is learned: one for all columns, or one for each.

    Forward
        a = max(z, 0) + W min(z, 0)

    Backward, given da = ∂L/∂a
        dz = da ⊙ (1 where z > 0, W elsewhere)   the slope at 0 is W
        dW = Σ da ⊙ min(z, 0)                    over samples, and over columns that share W

    Shapes: z, a, dz, da (N, width); W, dW (num_parameters,), which is 1 or the width. W is
    `weight`, and its entries start from `init`. Source: He et al. 2015; torch.nn.PReLU.
    """

    num_parameters: int = 1
    init: float = 0.25

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "num_parameters", "an integer of at least 1", self.num_parameters >= 1)
        require(self, "init", "a number", condition=True)

    @property
    def in_features(self) -> int | None:
        """The width, or None if one weight serves any width."""
        return None if self.num_parameters == 1 else self.num_parameters

    def width(self, in_features: int) -> int:
        if self.num_parameters not in {1, in_features}:
            message = f"{self!r} expects {self.num_parameters} inputs, got {in_features}"
            raise SpecError(message)
        return in_features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.num_parameters,)}

    def draw_parameters(self, rng: "np.random.Generator") -> dict[str, Array]:
        return {"weight": np.full(self.num_parameters, self.init, np.float64)}

    def backward_params(
        self, params: LayerArrays, z: Array, a: Array, da: Array, grads: LayerArrays, /
    ) -> None:
        dw = minimum(z, 0)
        np.multiply(dw, da, out=dw)
        if self.num_parameters == 1:
            np.add.reduce(sum_rows(dw), keepdims=True, out=grads["weight"])
        else:
            sum_rows(dw, out=grads["weight"])

    def _slope(self, params: LayerArrays) -> Any:
        return params["weight"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class RReLU(_Rectifier):
    """Rectifier whose slope for negative inputs is random in training, and their mean afterwards.

    Forward, s = slope in training, (lower + upper) / 2 in prediction
        a = max(z, 0) + s ⊙ min(z, 0)

    Backward, given da = ∂L/∂a
        dz = da ⊙ (1 where z > 0, s elsewhere)   the slope at 0 is s

    Each entry of s is uniform between lower and upper. `sample` draws it before the forward pass,
    also where z > 0. Therefore forward is a deterministic function of its arguments.

    Shapes: z, a, s, dz, da (N, width). Source: Xu et al. 2015; torch.nn.RReLU.
    """

    lower: float = 1 / 8
    upper: float = 1 / 3

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(
            self, "lower", f"a number of at most upper = {self.upper}", self.lower <= self.upper
        )
        require(self, "upper", "a number", condition=True)

    def sample_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        return {"slope": shape}

    def sample(self, drawn: Mapping[str, Array], rng: "np.random.Generator") -> None:
        slope = drawn["slope"]
        slope[...] = rng.uniform(self.lower, self.upper, slope.shape)

    def _slope(self, params: LayerArrays) -> Any:
        return params.get("slope", (self.lower + self.upper) / 2)
