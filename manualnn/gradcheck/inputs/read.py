"""The inputs that a user gives: descriptions, examples, or Hypothesis strategies.

The domain of an example is unknown. Its further points keep to the smallest interval with ends
among −∞, −1, 0, 1 and ∞ that has all its numbers, because elementary functions have domains with
such ends: log and sqrt, log1p, asin and atanh, acosh, logit. The ends themselves are left out
unless the example has them. Integers and booleans stay as they are: they may be indices, offsets
or sizes. An example that is sorted, symmetric, positive definite, or sums to 1, stays so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.errors import GradcheckError
from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.numbers import FLOATS, dtype_name, rounded

FEWEST_SORTED = 5
"""Random numbers of this many are sorted by chance once in 120."""


@dataclass(frozen=True)
class Example(Array):
    """An input given by an example, whose numbers are the first point."""

    values: NDArray[Any] = field(kw_only=True, repr=False, compare=False)
    fixed: bool = field(default=False, kw_only=True)
    """True: all points have these numbers."""
    is_parameter: bool = field(default=False, kw_only=True)
    """True: a parameter of a module, which keeps its shape."""

    def resized(self, shape: tuple[int, ...], **changes: Any) -> Array:
        """Return the same domain in another shape, without the numbers of the example."""
        kept = {name: getattr(self, name) for name in Array.__dataclass_fields__ if name != "_"}
        return Array(**{**kept, "shape": shape, **changes})


@dataclass(frozen=True)
class Drawn(Array):
    """An input given by a Hypothesis strategy; its shape and dtype are those of one example."""

    strategy: Any = field(kw_only=True, repr=False, compare=False)

    def contains(self, array: NDArray[Any]) -> bool:
        """Return whether all entries are finite; the strategy alone knows its domain."""
        return bool(np.isfinite(array.astype(np.float64)).all())


def read_inputs(inputs: Any) -> list[Array]:
    """Return a description of each input.

    Parameters
    ----------
    inputs : sequence of Array, example, or Hypothesis strategy
        An entry for each positional argument. An example is a NumPy array, a torch tensor, a JAX
        array or a number. Where some torch tensor requires a gradient, the others have no
        derivative.

    Raises
    ------
    GradcheckError
        If there is no input, or an entry is none of these.

    """
    entries = [inputs] if not isinstance(inputs, list | tuple) else inputs
    if not entries:
        message = "expected at least one input, got none; give for instance [Array((5, 7))]."
        raise GradcheckError(message)
    chosen = any(getattr(entry, "requires_grad", False) is True for entry in entries)
    return [_read(entry, position, chosen) for position, entry in enumerate(entries)]


def read_parameters(parameters: Sequence[Any], dtypes: Sequence[str]) -> list[Array]:
    """Return a description of each parameter of a module: any real numbers, in its own shape.

    A module may read its sizes from elsewhere, and torch's kernels may crash at other ones.
    """
    return [
        Example(np.shape(values), dtype=dtype, values=np.asarray(values), is_parameter=True)
        for values, dtype in zip(parameters, dtypes, strict=True)
    ]


def _read(entry: Any, position: int, chosen: bool) -> Array:  # noqa: FBT001
    if isinstance(entry, Array):
        return entry
    if isinstance(entry, type) and issubclass(entry, Array):
        message = f"input {position} is the class Array; give an instance, such as Array((5, 7))."
        raise GradcheckError(message)
    if hasattr(entry, "filter") and hasattr(entry, "example"):
        return _of_strategy(entry, position)
    values, dtype = to_numpy(entry, f"input {position}")
    constant = chosen and getattr(entry, "requires_grad", True) is False
    return describe(values, dtype, derivative=not constant)


def to_numpy(entry: Any, name: str = "the example") -> tuple[NDArray[Any], str]:
    """Return a copy of an array of any framework, and the name of its dtype."""
    expected = "an Array, a NumPy array, a torch tensor, a JAX array, a number or a strategy"
    message = f"{name} must be {expected}; got {type(entry).__name__}."
    dtype = str(getattr(entry, "dtype", "")).removeprefix("torch.")
    try:
        if hasattr(entry, "detach"):
            entry = (entry.float() if dtype == "bfloat16" else entry).numpy(force=True)
        values = np.array(entry, "float32" if dtype == "bfloat16" else None)
    except (TypeError, ValueError, RuntimeError) as error:
        raise GradcheckError(f"{message} NumPy cannot read it: {error}") from error
    if values.dtype.kind not in "fiubc":
        raise GradcheckError(message)
    return values, dtype_name(dtype or values.dtype)


def describe(
    values: NDArray[Any], dtype: str, *, derivative: bool = True, name: str | None = None
) -> Example:
    """Return the description of an example: its domain, as far as its numbers show it."""
    about: dict[str, Any] = {"dtype": dtype, "values": values, "name": name}
    if dtype not in FLOATS:
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        kind = {"kind": "boolean"} if dtype == "bool" else {"low": low, "high": high}
        return Example(values.shape, **about, **kind, fixed=True)
    about["derivative"] = derivative
    real = values.astype(np.float64)
    if np.isnan(real).any():
        raise GradcheckError("an example has NaN among its numbers; give finite numbers.")
    if not np.isfinite(real).all():  # a mask, such as that of attention
        return Example(values.shape, **about, fixed=True)
    return Example(values.shape, **about, **(_structure(real, dtype) or _interval(real)))


def _structure(values: NDArray[Any], dtype: str) -> dict[str, Any]:
    """Return the kind of an example that is more than an interval's."""
    shape = values.shape
    if not values.size or not shape or shape[-1] < 2:
        return {}
    if values.ndim >= 2 and shape[-1] == shape[-2] and (values == values.swapaxes(-1, -2)).all():
        if _is_varied(values):
            is_positive = (np.linalg.eigvalsh(values) > 0).all()
            return {"kind": "spd" if is_positive else "symmetric"}
        return {}
    unit = {"float64": 2**-50, "float32": 2**-21, "float16": 2**-9, "bfloat16": 2**-6}[dtype]
    is_share = values.min() >= 0 and not (values == 1).any()
    if is_share and (np.abs(values.sum(-1) - 1) <= unit * shape[-1]).all():
        return {"kind": "probabilities", "open": bool(values.min() > 0)}
    if shape[-1] >= FEWEST_SORTED and (np.diff(values) > 0).all():
        return {"kind": "sorted", **_interval(values)}
    return {}


def _is_varied(matrices: NDArray[Any]) -> bool:
    """Return whether symmetric matrices look meant: constant ones are symmetric by chance."""
    size = matrices.shape[-1]
    off = matrices[..., *np.tril_indices(size, -1)]
    if size == 2:
        return bool((off != 0).any() and np.ptp(matrices) > 0)
    return bool((np.ptp(off, axis=-1) > 0).any())


def _interval(values: NDArray[Any]) -> dict[str, Any]:
    """Return the smallest interval with ends among −∞, −1, 0, 1 and ∞ that has all values."""
    if not values.size:
        return {}
    least, largest = float(values.min()), float(values.max())
    ends = [-math.inf, -1.0, 0.0, 1.0, math.inf]
    low = max(end for end in ends if end <= least)
    high = min(end for end in ends if end >= largest)
    if low == high:  # such as an example of ones alone
        low, high = (0.0, math.inf) if low > 0 else (-math.inf, 0.0 if low < 0 else math.inf)
    has_ends = least == low or largest == high
    return {
        "low": None if math.isinf(low) else low,
        "high": None if math.isinf(high) else high,
        "open": not has_ends,
    }


def _of_strategy(strategy: Any, position: int) -> Drawn:
    (value,) = draw_examples([strategy], 1, 0)[0]
    values, dtype = to_numpy(value, f"an example of the strategy of input {position}")
    kind = "real" if dtype in FLOATS else "boolean" if dtype == "bool" else "integers"
    return Drawn(values.shape, dtype=dtype, kind=kind, strategy=strategy)


def draw_examples(strategies: Sequence[Any], count: int, seed: int) -> list[tuple[Any, ...]]:
    """Return examples of strategies that Hypothesis draws together; equal seeds draw equal ones.

    Hypothesis draws simple examples first. Examples with numbers that are not finite are left out.
    Raises GradcheckError if no example is left.
    """
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st
    from hypothesis.errors import HypothesisException

    found: list[tuple[Any, ...]] = []

    @seeded(seed)
    @settings(
        max_examples=4 * count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*strategies))
    def collect(example: tuple[Any, ...]) -> None:
        found.append(example)

    try:
        collect()
    except (HypothesisException, TypeError) as error:
        raise GradcheckError(f"Hypothesis cannot draw an example: {error}") from error
    found = [example for example in found if all(_is_finite(value) for value in example)]
    if not found:
        raise GradcheckError("the strategies gave no example of finite numbers; restrict them.")
    step = max(1, len(found) // count)
    return found[::step][:count]


def _is_finite(value: Any) -> bool:
    values, _ = to_numpy(value, "an example of the strategy")
    return bool(np.isfinite(values.astype(np.float64)).all())


def as_array(value: Any, spec: Array) -> NDArray[Any]:
    """Return a drawn value as the array of an input."""
    values, _ = to_numpy(value)
    return rounded(values, spec.dtype)
