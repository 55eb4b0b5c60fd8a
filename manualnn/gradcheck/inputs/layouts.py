"""Layouts of an array in memory: the same numbers, at other places.

torch takes all but negative strides, which it cannot represent.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


def fortran(array: Values) -> Values:
    """Return a copy whose first axis is next in memory."""
    return np.array(array, order="F")


def spread(array: Values) -> Values:
    """Return every second entry of an array that is twice as long in each axis."""
    larger = np.zeros([2 * size for size in array.shape], array.dtype)
    view = larger[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def offset(array: Values) -> Values:
    """Return a part of a longer array, which starts at its second entry."""
    longer = np.zeros(array.size + 1, array.dtype)
    longer[1:] = array.reshape(-1)
    return longer[1:].reshape(array.shape)


def backwards(array: Values) -> Values:
    """Return a view with negative strides in all axes."""
    turn = tuple(slice(None, None, -1) for _ in array.shape)
    return np.array(array[turn])[turn]


def read_only(array: Values) -> Values:
    """Return a copy that cannot be written to."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


LAYOUTS: dict[str, Callable[[Values], Values]] = {
    "Fortran order": fortran,
    "every second entry of a larger array": spread,
    "a part of a longer array": offset,
    "negative strides": backwards,
    "read-only": read_only,
}
"""Ways to store the same numbers, by name."""


def expanded(array: Values) -> Values:
    """Return the first entry of the array in its shape, with stride 0 in all axes.

    This is the cotangent of a sum: `torch.Tensor.expand` makes it. Other numbers than the array's!
    """
    if not array.size:
        return np.array(array)
    return np.broadcast_to(array.reshape(-1)[:1].reshape((1,) * array.ndim), array.shape)
