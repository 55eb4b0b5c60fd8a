"""Linear, the affine layer: the only layer with parameters."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn import initializers
from manualnn.elementary import Array, sum_rows
from manualnn.errors import SpecError
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require

__all__ = ["Linear"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Linear(Layer):
    """Affine map of every row.

    Forward
        z = x Wᵀ + b

    Backward, given dz = ∂L/∂z
        dx = dz W               z[n,j] meets x[n,i] through W[j,i]
        dW = dzᵀ x              every row n adds dz[n,j] x[n,i]
        db = Σₙ dz[n]           b is added to every row

    Shapes: x, dx (N, in); z, dz (N, out); W, dW (out, in); b, db (out,).
    W is `weight`, b is `bias`; W has torch's layout, so a state_dict loads unchanged.

    Source: torch.nn.Linear, with its default initialisation: every entry of W and b is uniform in
    ±1/√in.
    """

    in_features: int
    out_features: int
    bias: bool = True

    reads_output: ClassVar[bool] = False
    bias_gradient_is_dy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "in_features", "an integer of at least 1", self.in_features >= 1)
        require(self, "out_features", "an integer of at least 1", self.out_features >= 1)

    def width(self, in_features: int) -> int:
        if in_features != self.in_features:
            message = f"{self!r} expects {self.in_features} inputs, got {in_features}"
            raise SpecError(message)
        return self.out_features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.out_features, self.in_features)}
        if self.bias:
            shapes["bias"] = (self.out_features,)
        return shapes

    def draw_parameters(self, rng: "np.random.Generator") -> dict[str, Array]:
        shapes = self.shapes()
        drawn = {"weight": initializers.kaiming_uniform(rng, shapes["weight"], a=math.sqrt(5))}
        if self.bias:
            bound = 1 / math.sqrt(self.in_features)
            drawn["bias"] = initializers.uniform(rng, shapes["bias"], -bound, bound)
        return drawn

    def forward(self, params: LayerArrays, x: Array, /, *, out: Array | None = None) -> Array:
        z: Array = np.dot(x, params["weight"].T, out)
        if self.bias:
            np.add(z, params["bias"], out=z)
        return z

    def backward(
        self, params: LayerArrays, x: Array, z: Array, dz: Array, /, *, out: Array | None = None
    ) -> Array:
        dx: Array = np.dot(dz, params["weight"], out)
        return dx

    def backward_params(
        self, params: LayerArrays, x: Array, z: Array, dz: Array, grads: LayerArrays, /
    ) -> None:
        np.dot(dz.T, x, grads["weight"])
        if self.bias:
            sum_rows(dz, out=grads["bias"])
