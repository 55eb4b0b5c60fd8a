"""The description of an input: its shape, its dtype, and the domain of its numbers."""

import math
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.errors import GradcheckError
from manualnn.gradcheck.inputs.numbers import FLOATS, beside, digits, dtype_name, rounded
from manualnn.gradcheck.inputs.parameters import MATRIX_KINDS, FreeParameters

REAL_KINDS = ("real", "positive", "sorted", "symmetric", "spd", "probabilities")
WHOLE_KINDS = ("classes", "integers", "boolean")


@dataclass(frozen=True)
class Array(FreeParameters):
    """An input of a function, from which points are drawn.

    Raises GradcheckError if the arguments contradict each other.
    """

    shape: tuple[int, ...] = ()
    """Equal sizes in several inputs stay equal where shapes are varied."""
    _: KW_ONLY
    low: float | None = None
    """The smallest number of the domain."""
    high: float | None = None
    """The largest number of the domain; for kind "classes", the number of classes."""
    dtype: str = "float64"
    """Also "float32", "float16", "bfloat16" (carried by float32), or an integer type."""
    kind: str = "real"
    """Also "positive" (> 0), "probabilities" (they sum to 1 along axis), "sorted" (ascending along
    axis), "symmetric" and "spd" (symmetric positive definite, in the last two axes). These have no
    derivative: "classes" (0 to high − 1), "integers" (low to high, both included; −8 to 8 if not
    given), and "boolean"."""
    axis: int = -1
    name: str | None = None
    open: bool = False
    """Leave low and high themselves out of the domain."""
    derivative: bool = True
    """False: the function gives no gradient for this input, as for the target of a loss."""

    def __post_init__(self) -> None:
        given: Any = self.shape
        shape = given if isinstance(given, tuple | list) else (given,)
        if not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
            message = f"shape must be a tuple of sizes such as (5, 7), got {self.shape!r}."
            raise GradcheckError(message)
        self._set(shape=tuple(int(n) for n in shape), dtype=dtype_name(self.dtype))
        if self.kind not in REAL_KINDS + WHOLE_KINDS:
            known = ", ".join(REAL_KINDS + WHOLE_KINDS)
            raise GradcheckError(f"kind must be one of {known}; got {self.kind!r}.")
        if self.kind == "real" and self.dtype not in FLOATS:
            self._set(kind="boolean" if self.dtype == "bool" else "integers")
        self._settle_dtype()
        self._settle_shape()
        self._settle_domain()

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _settle_dtype(self) -> None:
        if self.kind == "boolean":
            self._set(dtype="bool" if self.dtype == "float64" else self.dtype)
        elif self.kind in WHOLE_KINDS and self.dtype == "float64":
            self._set(dtype="int64")
        elif self.kind in REAL_KINDS and self.dtype not in FLOATS:
            message = f"kind {self.kind!r} needs a floating dtype, got {self.dtype}."
            raise GradcheckError(message)
        if self.kind in WHOLE_KINDS:
            self._set(derivative=False)

    def _settle_shape(self) -> None:
        if self.kind in MATRIX_KINDS and (self.ndim < 2 or self.shape[-1] != self.shape[-2]):
            message = (
                f"kind {self.kind!r} needs a square matrix in the last two axes, such as (3, 3); "
                f"got shape {self.shape}."
            )
            raise GradcheckError(message)
        if self.kind in {"probabilities", "sorted"} and not -self.ndim <= self.axis < self.ndim:
            message = (
                f"kind {self.kind!r} needs an axis of shape {self.shape}; got axis={self.axis}."
            )
            raise GradcheckError(message)

    def _settle_domain(self) -> None:
        for name in ("low", "high"):
            end = getattr(self, name)
            if end is None:
                continue
            try:
                self._set(**{name: float(end)})
            except (TypeError, ValueError):
                raise GradcheckError(f"{name} must be a number, got {end!r}.") from None
            if math.isnan(getattr(self, name)):
                raise GradcheckError(f"{name} must be a number, got nan.")
        is_given = self.low is not None or self.high is not None
        if is_given and self.kind in {"probabilities", "spd", "boolean"}:
            message = f"kind {self.kind!r} has a domain of its own; leave low and high out."
            raise GradcheckError(message)
        if self.kind == "classes" and (self.high is None or self.high < 1 or self.high % 1):
            message = (
                f'kind "classes" needs the number of classes, such as high=10; '
                f"got high={self.high!r}."
            )
            raise GradcheckError(message)
        if self.kind == "positive" and self.low is not None and self.low < 0:
            raise GradcheckError(f'kind "positive" has numbers > 0; got low={self.low:g}.')
        low, high = self.bounds
        if not low <= high:
            message = (
                f"the domain has no {self.dtype} number: low={self.low}, high={self.high}, "
                f"open={self.open}. Give low below high."
            )
            raise GradcheckError(message)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest number of dtype in the domain; ±inf where there is none."""
        if self.kind == "probabilities":
            return (beside(0.0, self.dtype, up=True) if self.open else 0.0), 1.0
        if self.kind == "boolean":
            return 0.0, 1.0
        if self.kind == "classes":
            return 0.0, (self.high or 1) - 1
        if self.kind == "integers":
            return self._whole_bounds()
        low = 0.0 if self.kind == "positive" and self.low is None else self.low
        is_open = self.open or (self.kind == "positive" and low == 0)
        return (
            -math.inf if low is None else self._inside(low, up=True, is_open=is_open),
            math.inf if self.high is None else self._inside(self.high, up=False, is_open=self.open),
        )

    def _whole_bounds(self) -> tuple[float, float]:
        """Return the ends of "integers": 16 numbers from the end that is given, else −8 to 8."""
        least = 0.0 if self.dtype[0] == "u" else -math.inf
        low, high = self.low, self.high
        if low is None:
            low = max(least, -8.0 if high is None else high - 16)
        if high is None:
            high = max(low, 8.0) if self.low is None else low + 16
        return float(math.ceil(low)), float(math.floor(high))

    def _inside(self, end: float, *, up: bool, is_open: bool) -> float:
        """Return the number of dtype next to an end of the domain, in the domain."""
        if math.isinf(end):
            return end
        near = float(rounded(end, self.dtype))
        outside = near < end if up else near > end
        if outside or (is_open and near == end):
            return beside(near, self.dtype, up=up)
        return near

    def contains(self, array: NDArray[Any]) -> bool:
        """Return whether all entries of an array are in the domain."""
        if not array.size:
            return True
        values = array.astype(np.float64)
        held: Any
        low, high = self.bounds
        if not (np.isfinite(values).all() and values.min() >= low and values.max() <= high):
            return False
        match self.kind:
            case "probabilities":
                unit = 2.0 ** (1 - digits(self.dtype))
                held = np.abs(values.sum(self.axis) - 1) <= unit * array.shape[self.axis]
            case "sorted":
                held = np.diff(values, axis=self.axis) >= 0
            case "symmetric":
                held = values == values.swapaxes(-1, -2)
            case "spd":
                is_positive = np.all(np.linalg.eigvalsh(values) > 0, axis=-1)
                held = (values == values.swapaxes(-1, -2)).all((-1, -2)) & is_positive
            case _:
                held = (values % 1 == 0) | (self.kind not in WHOLE_KINDS)
        return bool(np.all(held))

    def resized(self, shape: tuple[int, ...], **changes: Any) -> "Array":
        """Return the same domain in another shape."""
        return replace(self, shape=shape, **changes)


Spec = Array
"""The description of an input, whether the user gave an Array, an example or a strategy."""
