"""The free parameters of an input: the lower triangle of a symmetric matrix, else all entries."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.inputs.numbers import digits, rounded

MATRIX_KINDS = ("symmetric", "spd")
Values = NDArray[Any]


class FreeParameters:
    """Methods of an input between its array x and its free parameters p, where x = E p.

    E is linear. It puts each parameter below the diagonal of a symmetric matrix at two entries.
    """

    shape: tuple[int, ...]
    dtype: str
    kind: str
    axis: int
    derivative: bool

    @property
    def is_differentiable(self) -> bool:
        """True if the function has a derivative with respect to this input."""
        return self.derivative

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest number of the domain."""
        raise NotImplementedError

    def free_size(self, shape: tuple[int, ...] | None = None) -> int:
        """Return the number of free parameters; 0 without a derivative."""
        shape = self.shape if shape is None else shape
        if not self.is_differentiable:
            return 0
        if self.kind in MATRIX_KINDS:
            return math.prod(shape[:-2]) * (shape[-1] * (shape[-1] + 1) // 2)
        return math.prod(shape)

    def parameters(self, array: Values) -> Values:
        """Return the free parameters of an array, in one axis."""
        if self.kind not in MATRIX_KINDS:
            return array.reshape(-1)
        return array[(..., *np.tril_indices(array.shape[-1]))].reshape(-1)

    def embed(self, parameters: Values, shape: tuple[int, ...] | None = None) -> Values:
        """Return the array E p; its shape is that of the input if none is given."""
        shape = self.shape if shape is None else shape
        if self.kind not in MATRIX_KINDS:
            return parameters.reshape(shape)
        rows, columns = np.tril_indices(shape[-1])
        lower = parameters.reshape(*shape[:-2], rows.size)
        array = np.zeros(shape, lower.dtype)
        array[..., rows, columns] = lower
        array[..., columns, rows] = lower
        return array

    def pull(self, gradient: Values) -> Values:
        """Return the gradient of the free parameters, Eᵀ g, from the gradient g of the array."""
        if self.kind not in MATRIX_KINDS:
            return gradient.reshape(-1)
        rows, columns = np.tril_indices(gradient.shape[-1])
        above = np.where(rows == columns, 0, gradient[..., columns, rows])
        return np.asarray(gradient[..., rows, columns] + above).reshape(-1)

    def index(self, number: int, shape: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Return the index, in the array, of a free parameter."""
        shape = self.shape if shape is None else shape
        if self.kind not in MATRIX_KINDS:
            return tuple(int(i) for i in np.unravel_index(number, shape))
        rows, columns = np.tril_indices(shape[-1])
        matrix, place = divmod(number, rows.size)
        batch = np.unravel_index(matrix, shape[:-2]) if shape[:-2] else ()
        return (*(int(i) for i in batch), int(rows[place]), int(columns[place]))

    def move(self, array: Values, relative: Values) -> Values:
        """Return the array with its parameters p (1 + relative), kept in the domain."""
        if not self.free_size(array.shape):
            return array
        moved = self.parameters(array) * (1 + relative)
        return self._kept(self.embed(moved, array.shape), array)

    def nudge(self, array: Values, part: float, rng: np.random.Generator) -> Values:
        """Return the array with each parameter p changed by a random part of |p|, or of 1 if 0."""
        if not self.free_size(array.shape):
            return array
        p = self.parameters(array).astype(np.float64)
        part = max(part, 2.0 ** (4 - digits(self.dtype)))
        moved = p + part * np.where(p == 0, 1, np.abs(p)) * rng.uniform(-1, 1, p.size)
        return self._kept(self.embed(moved, array.shape), array)

    def shrink(self, array: Values, fraction: float) -> Values:
        """Return the array with its parameters c + fraction (p − c).

        c is the number of the domain that is nearest to 0; 1/n for the probabilities of n classes.
        """
        if not self.free_size(array.shape):
            return array
        center = min(max(0.0, self.bounds[0]), self.bounds[1])
        if self.kind == "probabilities":
            center = 1 / array.shape[self.axis]
        shrunk = center + fraction * (array.astype(np.float64) - center)
        return self._kept(shrunk, array)

    def _kept(self, moved: Values, array: Values) -> Values:
        """Return moved numbers in the domain and the dtype, or the array if they cannot be."""
        moved = np.clip(rounded(moved, self.dtype), *self.bounds).astype(array.dtype)
        if self.kind == "sorted":
            return np.sort(moved, axis=self.axis)
        if self.kind == "spd" and not (np.linalg.eigvalsh(moved.astype(np.float64)) > 0).all():
            return array
        return moved
