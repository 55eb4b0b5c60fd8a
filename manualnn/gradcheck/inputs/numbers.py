"""The dtypes of inputs, and the numbers that each of them can hold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.errors import GradcheckError

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64")

SMALLEST = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126}
"""Smallest normal number: results below it may be lost."""


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype of NumPy, torch or JAX, such as "float32".

    Raises GradcheckError for a dtype that is none of FLOATS, INTEGERS and "bool".
    """
    name = str(dtype).removeprefix("torch.")
    if name not in {*FLOATS, *INTEGERS, "bool"}:
        try:
            name = np.dtype(dtype).name
        except TypeError:
            name = ""
    if name not in {*FLOATS, *INTEGERS, "bool"}:
        message = f"expected a dtype among {', '.join(FLOATS)}, an integer or bool, got {dtype!r}."
        if "complex" in str(dtype):
            message += " Give the real and the imaginary part as two inputs."
        raise GradcheckError(message)
    return name


def carrier(dtype: str) -> np.dtype[Any]:
    """Return the dtype of the NumPy arrays: NumPy has no bfloat16, so float32 carries it."""
    return np.dtype("float32" if dtype == "bfloat16" else dtype)


def rounded(values: Any, dtype: str) -> NDArray[Any]:
    """Return the nearest numbers of a dtype, as an array of its carrier.

    Numbers beyond the largest one become that one.
    """
    values = np.asarray(values)
    if dtype not in FLOATS:
        return values.astype(dtype)
    largest = largest_number(dtype)
    array = np.clip(values, -largest, largest).astype(carrier(dtype))
    if dtype == "bfloat16":  # keep the upper 16 bits; round half to even
        bits = array.view(np.uint32)
        bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        array = (bits & np.uint32(0xFFFF0000)).view(np.float32)
    return array


def largest_number(dtype: str) -> float:
    """Return the largest finite number of a floating dtype."""
    if dtype == "bfloat16":
        return (2 - 2**-7) * 2.0**127
    return float(np.finfo(dtype).max)


def unit_roundoff(dtype: str) -> float:
    """Return the unit roundoff u of a floating dtype; that of float64 for others."""
    return 2.0 ** -digits(dtype if dtype in FLOATS else "float64")


def digits(dtype: str) -> int:
    """Return the number of significant bits of a floating dtype."""
    return 8 if dtype == "bfloat16" else int(np.finfo(dtype).nmant) + 1


def beside(end: float, dtype: str, *, up: bool) -> float:
    """Return the number of a dtype next to an open end, which is a number of that dtype.

    Beside 0 it is the smallest normal number, because many libraries take subnormal ones for 0.
    """
    if end:
        return neighbour(end, dtype, up=up)
    return SMALLEST[dtype] if up else -SMALLEST[dtype]


def neighbour(number: float, dtype: str, *, up: bool) -> float:
    """Return the next number of a dtype above or below a number of that dtype."""
    if dtype != "bfloat16":
        kind = np.dtype(dtype).type
        return float(np.nextafter(kind(number), kind(np.inf if up else -np.inf)))
    # The spacing of bfloat16 is 2^16 times that of float32, with the same exponents.
    is_positive = number > 0 or (number == 0 and up)
    step = 0x10000 if up == is_positive else -0x10000
    size = np.uint32(int(np.float32(abs(number)).view(np.uint32)) + step)
    return float(size.view(np.float32)) * (1 if is_positive else -1)
