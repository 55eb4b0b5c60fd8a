"""Parameters of a network: one vector, and named arrays that are views into it."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ManualNNError, ShapeError
from manualnn.validation import as_array, as_dtype, as_numbers, shown

__all__ = ["Parameters"]


class Parameters(Mapping[str, Array]):
    """Weights and biases θ as one contiguous vector, and as named arrays that are views into it.

    A mapping from torch's `Sequential` keys ("0.weight", "0.bias", "2.weight", …) to arrays of
    torch's shapes. The views and the vector share their memory. Gradients have the same form.

    Parameters
    ----------
    shapes : mapping from key to shape
        As in `Sequential.shapes`. The order is the order in the vector.
    vector : array (P,), optional
        The values; zeros if None. A contiguous vector is used as it is, without a copy.
    dtype : data type, optional
        The dtype of the zeros, float64 by default.
    buffers : mapping from key to array, optional
        Arrays beside the parameters that training changes without a gradient, as torch's buffers.

    Attributes
    ----------
    vector : array (P,)
        All parameters, layer by layer. Assignment to it, or to a name, copies the values.
    layers : tuple of dict
        {"weight": view, …} for each layer of the network, up to the last one with parameters.
    buffers : dict
        {"1.running_mean": array, …}: no parts of the vector, and no entries of the mapping. If it
        is empty, a network takes the initial ones.

    """

    __slots__ = ("_vector", "_views", "buffers", "layers", "shapes")
    __array_ufunc__ = None  # array == params is False, as for other mappings, and no loop over keys

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        vector: Array | None = None,
        *,
        dtype: Any = np.float64,
        buffers: Mapping[str, Array] | None = None,
    ) -> None:
        self.buffers: dict[str, Array] = dict(buffers or {})
        try:
            self.shapes = dict(shapes)
            size = sum(map(prod, self.shapes.values()))
            layers = [int(key.partition(".")[0]) for key in self.shapes]
            vector = (
                np.zeros(size, as_dtype(dtype)) if vector is None else as_array(vector, "vector")
            )
        except (TypeError, ValueError, AttributeError, MemoryError) as error:
            if isinstance(error, ManualNNError):
                raise
            message = (
                f'the parameters need a mapping from keys such as "0.weight" to shapes, and memory '
                f"for them, got {shown(shapes)} ({error})."
            )
            raise ShapeError(message) from error
        as_dtype(vector.dtype)
        if vector.shape != (size,):
            message = f"the parameters need a vector of shape ({size},), got {vector.shape}."
            raise ShapeError(message)
        self._vector = np.ascontiguousarray(vector)
        self._views: dict[str, Array] = {}
        depth = 1 + max(layers, default=-1)
        self.layers: tuple[dict[str, Array], ...] = tuple({} for _ in range(depth))
        start = 0
        for layer, (key, shape) in zip(layers, self.shapes.items(), strict=True):
            stop = start + prod(shape)
            view = self._vector[start:stop].reshape(shape)
            self.layers[layer][key.partition(".")[2]] = view
            self._views[key] = view
            start = stop

    @property
    def vector(self) -> Array:
        """All parameters, layer by layer."""
        return self._vector

    @vector.setter
    def vector(self, values: Any) -> None:
        _copy_into(self._vector, values, "vector")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type of every parameter."""
        return self.vector.dtype

    def __getitem__(self, key: str) -> Array:
        """Return the array with this name, a view."""
        try:
            return self._views[key]
        except KeyError:
            message = f"there is no parameter {key!r}; there are {', '.join(self) or 'none'}."
            raise KeyError(message) from None

    def __setitem__(self, key: str, values: Any) -> None:
        """Copy values of the same shape into the array with this name."""
        _copy_into(self[key], values, key)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the vector's order."""
        return iter(self._views)

    def __len__(self) -> int:
        """Return the number of named arrays."""
        return len(self._views)

    def __eq__(self, other: object) -> bool:
        """Return True if names, shapes, dtype and all values are equal (NaN equals nothing)."""
        if not isinstance(other, Parameters):
            return NotImplemented
        return (
            self.shapes == other.shapes
            and self.dtype == other.dtype
            and bool(np.array_equal(self.vector, other.vector))
            and self.buffers.keys() == other.buffers.keys()
            and all(np.array_equal(a, other.buffers[key]) for key, a in self.buffers.items())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Return names and shapes."""
        arrays = ", ".join(f"{key} {shape}" for key, shape in self.shapes.items())
        return f"Parameters({self.vector.size} {self.dtype}: {arrays})"

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Pickle and copy vector and buffers. The new object makes its own views into the copy."""
        return _rebuilt, (self.shapes, self.vector, self.buffers)

    def copy(self) -> "Parameters":
        """Return a copy that shares no memory with this object."""
        return self.with_vector(self.vector.copy())

    def with_vector(self, vector: Array) -> "Parameters":
        """Return other parameters with copies of these buffers. The vector is not copied."""
        buffers = {key: in_dtype(a, vector.dtype) for key, a in self.buffers.items()}
        return Parameters(self.shapes, vector, buffers=buffers)

    def zeros_like(self) -> "Parameters":
        """Return zeros with the same names, shapes and dtype, without buffers."""
        return Parameters(self.shapes, np.zeros_like(self.vector))

    def astype(self, dtype: Any) -> "Parameters":
        """Return a copy in another data type."""
        return self.with_vector(self.vector.astype(as_dtype(dtype)))

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all arrays, for `load_state_dict` of this package or of torch."""
        arrays = {**self._views, **self.buffers}
        order = sorted(arrays, key=lambda key: int(key.partition(".")[0]))
        return {key: arrays[key].copy() for key in order}


def _rebuilt(
    shapes: dict[str, tuple[int, ...]], vector: Array, buffers: dict[str, Array]
) -> Parameters:
    return Parameters(shapes, vector, buffers=buffers)


def in_dtype(buffer: Array, dtype: np.dtype[Any]) -> Array:
    """Return a copy of a buffer in the dtype; a count keeps its own."""
    return buffer.astype(dtype) if buffer.dtype.kind in "fO" else buffer.copy()


def _copy_into(array: Array, values: Any, name: str) -> None:
    values = as_array(values, name)
    if values.shape != array.shape:
        message = f"{name} has shape {array.shape}, got values of shape {values.shape}."
        raise ShapeError(message)
    array[...] = as_numbers(values, array.dtype, name)
