"""Embedding: the input's numbers are indices, and each gives a row of a learned table."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DomainError, SpecError
from manualnn.layers.base import Layer, LayerArrays
from manualnn.spec import require

__all__ = ["Embedding"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Embedding(Layer):
    """A row of the table W for each index, side by side. It is the first layer of a network.

    Forward, i = x[n,k] the k-th index of sample n
        y[n,k] = W[i]                      D numbers, from column k D on

    Backward, given dy = ∂L/∂y
        dx = 0                             an index has no slope
        dW[i] = Σ dy[n,k]                  over all n and k with x[n,k] = i

    A row whose index comes several times gets the sum of their gradients. A row whose index does
    not come gets 0, which an update rule with decay or momentum may still move, as in torch. With
    scale_grad_by_freq, dW[i] is divided by the number of times that i comes in the batch. Row
    `padding_idx` starts at 0 and gets no gradient; a negative number counts from the end.

    A batch is one array of floating-point numbers, so the indices are whole numbers in the dtype of
    the parameters, from 0 to num_embeddings − 1. float32 has all of them up to 16,777,216. torch
    takes integers, and its output (N, K, D) is here (N, K D), as after torch.nn.Flatten. The
    options max_norm, norm_type and sparse of torch are not here: the first changes the table in the
    forward pass.

    Shapes: x, dx (N, K); y, dy (N, K D); W, dW (num_embeddings, D), D = embedding_dim. W is
    `weight`.

    Source: torch.nn.Embedding. W starts with normal numbers of variance 1.
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None = None
    scale_grad_by_freq: bool = False

    reads_output: ClassVar[bool] = False
    takes_indices: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        for option in ("num_embeddings", "embedding_dim"):
            require(self, option, "an integer of at least 1", getattr(self, option) >= 1)
        place, rows = self.padding_idx, self.num_embeddings
        is_row = place is None or -rows <= place < rows
        require(self, "padding_idx", f"None, or an integer from {-rows} to {rows - 1}", is_row)

    def width(self, in_features: int) -> int:
        return in_features * self.embedding_dim

    def inputs(self, out_features: int) -> int:
        if out_features % self.embedding_dim:
            message = (
                f"{self!r} has a multiple of {self.embedding_dim} outputs, got a next layer with "
                f"{out_features} inputs; give that one {self.embedding_dim} for each index."
            )
            raise SpecError(message)
        return out_features // self.embedding_dim

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.num_embeddings, self.embedding_dim)}

    def draw_parameters(self, rng: "np.random.Generator") -> dict[str, Array]:
        table = rng.standard_normal(self.shapes()["weight"])
        if self.padding_idx is not None:
            table[self.padding_idx] = 0
        return {"weight": table}

    def require_inputs(self, x: Array, /) -> None:
        outside = ~((x >= 0) & (x < self.num_embeddings) & (x == np.floor(x)))
        if outside.any():
            n, k = (int(i) for i in np.argwhere(outside)[0])
            message = (
                f"{self!r} expects indices from 0 to {self.num_embeddings - 1} in x, got "
                f"x[{n},{k}] = {x[n, k]:g}; correct the index, or make num_embeddings larger."
            )
            raise DomainError(message)

    def forward(self, params: LayerArrays, x: Array, /, *, out: Array | None = None) -> Array:
        table, indices = params["weight"], x.astype(np.intp)
        y = np.empty((len(x), self.width(x.shape[1])), table.dtype) if out is None else out
        rows = y.reshape(*x.shape, self.embedding_dim)
        np.take(table, indices, axis=0, out=rows, mode="clip")  # other modes copy the result
        return y

    def backward(
        self, params: LayerArrays, x: Array, y: Array, dy: Array, /, *, out: Array | None = None
    ) -> Array:
        return np.multiply(x, 0, out=out)

    def backward_params(
        self, params: LayerArrays, x: Array, y: Array, dy: Array, grads: LayerArrays, /
    ) -> None:
        indices, dw = x.astype(np.intp).ravel(), grads["weight"]
        dw[...] = 0
        # NumPy adds numbers of a vector several times as fast as rows of a matrix.
        places = np.add.outer(indices * self.embedding_dim, np.arange(self.embedding_dim))
        np.add.at(dw.reshape(-1), places.reshape(-1), dy.reshape(-1))
        if self.scale_grad_by_freq:
            rows, counts = np.unique(indices, return_counts=True)
            dw[rows] /= counts[:, None].astype(dw.dtype)
        if self.padding_idx is not None:
            dw[self.padding_idx] = 0
