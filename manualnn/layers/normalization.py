"""Normalisations of rows: by their mean and variance, or by their mean square.

A row, or a group of its entries, is normalised without regard to other rows. Therefore a layer does
the same in training and in prediction. The result is x̂, and the parameters act on its columns:

    y[n,i] = W[i] x̂[n,i] + b[i]

Nearly constant rows keep their digits, because the first entry of a row is subtracted before the
mean is taken: the difference of two numbers that are nearly equal is exact. If a square overflows,
x̂ is 0, as in torch.

A step of training keeps x̂ and 1/s of its forward pass, in the memory of one more array of the size
of x. All other passes compute them anew.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array, is_symbolic, ratio, sqrt, sum_rows
from manualnn.errors import SpecError
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require

__all__ = ["GroupNorm", "LayerNorm", "RMSNorm"]


def mean_of_rows(x: Array, /) -> Array:
    """Return the mean of every row of x (N, K) as a column (N, 1).

    It is a product with a column of 1/K, which overflows only if the mean does.
    """
    share = ratio(1, x.shape[1], x)
    if is_symbolic(x):
        return np.add.reduce(x, axis=1, keepdims=True) * share
    mean: Array = np.dot(x, np.full((x.shape[1], 1), share, x.dtype))
    return mean


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Normalization(Layer):
    """Base: the passes of y = W x̂ + b. A layer says how a row is centred, and its parameters."""

    reads_output: ClassVar[bool] = False
    centers: ClassVar[bool] = True
    """True if the mean is subtracted."""

    @property
    def in_features(self) -> int:
        """The width of the input and of the output."""
        raise NotImplementedError

    @property
    def out_features(self) -> int:
        """The width of the output."""
        return self.in_features

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, each with one number for every column."""
        raise NotImplementedError

    def epsilon(self, x: Array) -> float:
        """Return the number that is added to the variance or to the mean square."""
        raise NotImplementedError

    def width(self, in_features: int) -> int:
        if in_features != self.in_features:
            message = f"{self!r} expects {self.in_features} inputs, got {in_features}"
            raise SpecError(message)
        return in_features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(self.parameters, (self.in_features,))

    def draw_parameters(self, rng: "np.random.Generator") -> dict[str, Array]:
        first = {"weight": 1.0, "bias": 0.0}
        return {name: np.full(self.in_features, first[name]) for name in self.parameters}

    def rows(self, x: Array) -> Array:
        """Return x with one row for each mean, a view if the memory of x allows it."""
        return x

    def back(self, rows: Array, x: Array) -> Array:
        """Return what `rows` returned in the shape of x."""
        return rows.reshape(x.shape)

    def row_count(self, n: int) -> int:
        """Return the number of rows that `rows` returns for n samples."""
        return n

    def scratch_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        return {"normal": shape, "over": (self.row_count(shape[0]), 1)}

    def normalize(self, params: LayerArrays, x: Array) -> tuple[Array, Array]:
        """Return x̂ with one row for each mean, and the column 1/s, s = √(σ² + ε).

        Both are the scratch arrays, in a step of training.
        """
        normal, eps = self.rows(x), self.epsilon(x)
        own = self.rows(params["normal"]) if "normal" in params else None
        is_halved = self.centers and not is_symbolic(x)  # a difference may be twice the largest x
        if is_halved:
            # From here on in place, because fewer arrays stay in the cache.
            own = normal = np.multiply(normal, 0.5, out=own)
            np.subtract(normal, np.positive(normal[:, :1]), out=normal)
            eps /= 4
        if self.centers:
            own = normal = np.subtract(normal, mean_of_rows(normal), out=own)
        variance = mean_of_rows(np.multiply(normal, normal))
        if "variance" in params:
            np.multiply(variance, 4 if is_halved else 1, out=params["variance"])
        over = np.add(variance, eps, out=params.get("over", variance))
        np.divide(1, sqrt(over, out=over), out=over)
        normal = np.multiply(normal, over, out=own)
        return normal, np.multiply(over, 0.5, out=over) if is_halved else over

    def normalized(self, params: LayerArrays, x: Array) -> tuple[Array, Array]:
        """Return what `normalize` returned in the forward pass of the step, or returns now."""
        if "normal" in params:
            return self.rows(params["normal"]), params["over"]
        return self.normalize(params, x)

    def forward(self, params: LayerArrays, x: Array, /, *, out: Array | None = None) -> Array:
        normal = self.back(self.normalize(params, x)[0], x)
        if "weight" not in self.parameters:
            return np.positive(normal, out=out)
        y = np.multiply(normal, params["weight"], out=out)
        return np.add(y, params["bias"], out=y) if "bias" in self.parameters else y

    def given(self, params: LayerArrays, dy: Array) -> Array:
        """Return ∂L/∂x̂."""
        return np.multiply(dy, params["weight"]) if "weight" in self.parameters else dy

    def backward(
        self, params: LayerArrays, x: Array, y: Array, dy: Array, /, *, out: Array | None = None
    ) -> Array:
        normal, over = self.normalized(params, x)
        g = self.rows(self.given(params, dy))
        dx = np.multiply(g, normal)
        np.multiply(normal, mean_of_rows(dx), out=dx)
        np.subtract(g, dx, out=dx)
        if self.centers:
            np.subtract(dx, mean_of_rows(g), out=dx)
        dx = self.back(np.multiply(dx, over, out=dx), x)
        return dx if out is None else np.positive(dx, out=out)

    def backward_params(
        self, params: LayerArrays, x: Array, y: Array, dy: Array, grads: LayerArrays, /
    ) -> None:
        if "weight" in self.parameters:
            normal = self.back(self.normalized(params, x)[0], x)
            sum_rows(np.multiply(dy, normal), out=grads["weight"])
        if "bias" in self.parameters:
            sum_rows(dy, out=grads["bias"])


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _OverWholeRows(_Normalization):
    """Base of the layers whose option normalized_shape is the width."""

    normalized_shape: int | tuple[int]

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        if isinstance(self.normalized_shape, tuple):
            object.__setattr__(self, "normalized_shape", self.normalized_shape[0])
        require(self, "normalized_shape", "an integer of at least 1", self.in_features >= 1)

    @property
    def in_features(self) -> int:
        return int(self.normalized_shape)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LayerNorm(_OverWholeRows):
    """Each row with mean 0 and variance 1, then a factor and a summand for each column.

    Forward, x̂[n,i] = (x[n,i] − μ[n]) / s[n], μ[n] and σ²[n] the mean and the variance of row n
        y[n,i] = W[i] x̂[n,i] + b[i]      s[n] = √(σ²[n] + ε), σ²[n] = Σⱼ (x[n,j] − μ[n])² / K

    Backward, given dy = ∂L/∂y, with g[n,i] = W[i] dy[n,i]
        dx[n,i] = (g[n,i] − Σⱼ g[n,j] / K − x̂[n,i] Σⱼ g[n,j] x̂[n,j] / K) / s[n]
        dW = Σₙ dy[n] ⊙ x̂[n]               W acts on every row
        db = Σₙ dy[n]                      b is added to every row

    The two sums over j come from μ and s, which depend on every entry of the row.

    Shapes: x, y, dx, dy (N, K); W, b, dW, db (K,), K = normalized_shape. W is `weight`, and b is
    `bias`.

    Source: Ba et al. 2016; torch.nn.LayerNorm, of (N, K) arrays. W starts at 1, b at 0.
    """

    eps: float = 1e-5
    elementwise_affine: bool = True
    bias: bool = True

    def __post_init__(self) -> None:
        _OverWholeRows.__post_init__(self)
        require(self, "eps", "a number of at least 0", self.eps >= 0)

    @property
    def parameters(self) -> tuple[str, ...]:
        return affine(has_weight=self.elementwise_affine, has_bias=self.bias)

    def epsilon(self, x: Array) -> float:
        return self.eps


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class RMSNorm(_OverWholeRows):
    """Each row divided by the root of its mean square, then a factor for each column.

    Forward, x̂[n,i] = x[n,i] / s[n]
        y[n,i] = W[i] x̂[n,i]              s[n] = √(Σⱼ x[n,j]² / K + ε)

    Backward, given dy = ∂L/∂y, with g[n,i] = W[i] dy[n,i]
        dx[n,i] = (g[n,i] − x̂[n,i] Σⱼ g[n,j] x̂[n,j] / K) / s[n]
        dW = Σₙ dy[n] ⊙ x̂[n]              W acts on every row

    ε is `eps`; None is the distance of 1 from the next number of the dtype, as in torch.

    Shapes: x, y, dx, dy (N, K); W, dW (K,), K = normalized_shape. W is `weight`.

    Source: Zhang & Sennrich 2019; torch.nn.RMSNorm, of (N, K) arrays. W starts at 1.
    """

    eps: float | None = None
    elementwise_affine: bool = True

    centers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _OverWholeRows.__post_init__(self)
        require(self, "eps", "None, or a number of at least 0", self.eps is None or self.eps >= 0)

    @property
    def parameters(self) -> tuple[str, ...]:
        return affine(has_weight=self.elementwise_affine, has_bias=False)

    def epsilon(self, x: Array) -> float:
        if self.eps is not None:
            return self.eps
        return float(np.finfo(np.float64 if is_symbolic(x) else x.dtype).eps)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class GroupNorm(_Normalization):
    """Each group of columns of each row with mean 0 and variance 1, then as LayerNorm.

    Forward, μ and σ² the mean and the variance of the k entries of row n in the group of i
        y[n,i] = W[i] x̂[n,i] + b[i]      x̂[n,i] = (x[n,i] − μ) / s, s = √(σ² + ε)

    Backward, given dy = ∂L/∂y, with g[n,i] = W[i] dy[n,i] and Σⱼ over the group of i
        dx[n,i] = (g[n,i] − Σⱼ g[n,j] / k − x̂[n,i] Σⱼ g[n,j] x̂[n,j] / k) / s
        dW = Σₙ dy[n] ⊙ x̂[n]               W acts on every row
        db = Σₙ dy[n]                      b is added to every row

    Groups are num_groups runs of k = num_channels / num_groups neighbouring columns. With k = 1,
    x̂ is 0. torch refuses this for a single sample, and gives the same otherwise.

    Shapes: x, y, dx, dy (N, C); W, b, dW, db (C,), C = num_channels. W is `weight`, b is `bias`.

    Source: Wu & He 2018; torch.nn.GroupNorm, of (N, C) arrays. W starts at 1, b at 0.
    """

    num_groups: int
    num_channels: int
    eps: float = 1e-5
    affine: bool = True
    bias: bool = True

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "num_groups", "an integer of at least 1", self.num_groups >= 1)
        fits = self.num_channels >= 1 and self.num_channels % self.num_groups == 0
        require(self, "num_channels", f"a multiple of num_groups={self.num_groups}", fits)
        require(self, "eps", "a number of at least 0", self.eps >= 0)

    @property
    def in_features(self) -> int:
        return self.num_channels

    @property
    def parameters(self) -> tuple[str, ...]:
        return affine(has_weight=self.affine, has_bias=self.bias)

    def epsilon(self, x: Array) -> float:
        return self.eps

    def row_count(self, n: int) -> int:
        return n * self.num_groups

    def rows(self, x: Array) -> Array:
        return x.reshape(-1, self.num_channels // self.num_groups)


def affine(*, has_weight: bool, has_bias: bool) -> tuple[str, ...]:
    """Return the names of the parameters. As in torch, there is no bias without a weight."""
    return ("weight", "bias")[: has_weight + (has_weight and has_bias)]
