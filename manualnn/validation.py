"""Validation of the arrays and numbers that users pass in."""

import math
import sys
from numbers import Real
from typing import Any

import numpy as np

from manualnn.elementary import OBJECT, Array
from manualnn.errors import DomainError, DTypeError, ShapeError, SpecError

FLOATS = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.longdouble))


def shown(value: Any) -> str:
    """Return the repr of a value for a message, cut if it is long."""
    import reprlib

    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 200
    return shortener.repr(value)


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype. Raises DTypeError if manualnn does not compute in it."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        message = f"expected a dtype such as 'float64', got {shown(dtype)}."
        raise DTypeError(message) from error
    if found not in {*FLOATS, OBJECT}:
        message = (
            f"expected dtype float32, float64 or longdouble (or object, for symbols), got {found}."
        )
        raise DTypeError(message)
    return found


def as_array(value: Any, name: str) -> Array:
    """Return value as an array.

    Raises ShapeError if its rows differ in length. Raises DTypeError for a masked array, and for an
    object that NumPy cannot read, such as a torch tensor of dtype bfloat16.
    """
    if type(value) is np.ndarray:
        return value
    refuse_mask(value, name)
    try:
        return np.asarray(value)
    except ValueError as error:
        message = f"{name} must have rows of the same length to be an array ({error})"
        raise ShapeError(message) from error
    except (TypeError, RuntimeError) as error:
        message = (
            f"{name} must be an array, got {type(value).__name__}, not readable by NumPy: {error}"
        )
        raise DTypeError(message) from error


def refuse_mask(value: Any, name: str) -> None:
    """Raise DTypeError for a masked array, and for a list or tuple of masked arrays."""
    for array in value if isinstance(value, list | tuple) else [value]:
        if isinstance(array, np.ndarray) and hasattr(array, "filled"):
            entries = int(np.count_nonzero(array.mask))  # type: ignore[attr-defined]
            message = (
                f"{name} must be a plain array, got a masked array with {entries} of {array.size} "
                f"entries masked; pass {name}.filled(value), or remove the masked samples."
            )
            raise DTypeError(message)


def as_floats(value: Any, dtype: np.dtype[Any], name: str) -> Array:
    """Return value as an array of dtype.

    Lists, integers and booleans are converted. An array of another float type raises DTypeError,
    because nothing is cast silently.
    """
    given = as_array(value, name)
    if given.dtype == dtype:
        return given
    if given.dtype.kind in "biu" or (given.dtype.kind == "f" and not hasattr(value, "dtype")):
        return _cast(given, dtype, name)
    if dtype is OBJECT and given.dtype.kind == "f":
        return given.astype(dtype)
    if given.dtype.kind == "f":
        if given.dtype.newbyteorder("=") == dtype:
            return given.astype(dtype)
        or_else = f", or make the parameters {given.dtype}" if given.dtype in FLOATS else ""
        message = (
            f"{name} is {given.dtype}, the parameters are {dtype}; "
            f"pass {name}.astype(np.{dtype}){or_else}."
        )
    else:
        message = f"{name} must be an array of {dtype}, got one of dtype {given.dtype}."
    raise DTypeError(message)


def as_batch(value: Any, dtype: np.dtype[Any], features: int | None, owner: Any) -> Array:
    """Return the input x as an array of shape (N, features). Raises ShapeError or DTypeError."""
    x = as_floats(value, dtype, "x")
    if x.ndim == 2 and features in {None, x.shape[1]}:
        return x
    expected = "(N, features)" if features is None else f"(N, {features})"
    hint = ""
    if x.ndim == 1 and features in {None, len(x)}:
        hint = "; pass x[None, :] for a single sample"
    elif x.ndim == 1 and features == 1:
        hint = "; pass x[:, None] for one feature"
    elif x.ndim > 2:
        hint = "; pass x.reshape(len(x), -1)"
    message = f"{owner!r} expects x of shape {expected}, got {x.shape}{hint}."
    raise ShapeError(message)


def is_finite_number(value: Any) -> bool:
    """Return True for a number of a JSON text, which is not NaN or infinite."""
    return type(value) in {int, float} and abs(value) <= sys.float_info.max


def first_nonfinite(values: Array) -> tuple[int, ...] | None:
    """Return the index of the first entry that is NaN or infinite, or None if there is none."""
    is_finite = np.isfinite(values)
    return None if is_finite.all() else tuple(int(i) for i in np.argwhere(~is_finite)[0])


def require_finite(values: Array, name: str) -> None:
    """Raise DomainError if an entry is NaN or infinite."""
    if values.dtype.kind == "f" and (where := first_nonfinite(values)):
        message = (
            f"{name} must be finite, got {values[where]} at index {where}; "
            f"remove or fill such entries before training."
        )
        raise DomainError(message)


def require_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise SpecError if value is not one of the choices."""
    if not isinstance(value, str) or value not in choices:
        message = f"{name} must be one of {', '.join(choices)}, got {shown(value)}."
        raise SpecError(message)


def require_flag(name: str, value: Any) -> None:
    """Raise SpecError if value is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        message = f"{name} must be True or False, got {shown(value)}."
        raise SpecError(message)


def require_count(name: str, value: Any, least: int) -> None:
    """Raise SpecError if value is not an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        message = f"{name} must be an integer of at least {least}, got {value!r}."
        raise SpecError(message)


def require_number(name: str, value: Any, least: float = -math.inf) -> None:
    """Raise SpecError if value is not a number, or below `least`."""
    if isinstance(value, bool) or not isinstance(value, Real) or not value >= least:  # type: ignore[operator]
        at_least = f" of at least {least:g}" if math.isfinite(least) else ""
        message = f"{name} must be a number{at_least}, got {shown(value)}."
        raise SpecError(message)


def as_weights(value: Any, n: int, dtype: np.dtype[Any]) -> Array | None:
    """Return the weights of n samples as an array of dtype, or None if all of them are 1.

    Raises ShapeError, DTypeError or DomainError if they do not fit.
    """
    w = as_floats(value, dtype, "sample_weight")
    if w.shape != (n,):
        message = f"sample_weight must have one number for each of {n} samples, got {w.shape}."
        raise ShapeError(message)
    require_finite(w, "sample_weight")
    if (w < 0).any():
        at = int(np.argmax(w < 0))
        message = f"sample_weight must be at least 0, got {w[at]} at index {at}."
        raise DomainError(message)
    with np.errstate(over="ignore"):
        total = w.sum()
    if not np.isfinite(total):
        message = (
            f"sample_weight must have a finite sum, got numbers up to {w.max():g}; scale them."
        )
        raise DomainError(message)
    if n and not w.any():
        message = f"sample_weight is 0 for all {n} samples; give at least one a weight above 0."
        raise DomainError(message)
    return None if (w == 1).all() else w


def require_real(values: Array, name: str) -> None:
    """Raise DTypeError for complex numbers, texts, dates and whatever else is no real number."""
    is_real = values.dtype.kind in "biufO" or values.dtype.name == "bfloat16"  # not NumPy's own
    if not is_real or (values.dtype.kind == "O" and None in values.ravel().tolist()):
        message = f"{name} must be an array of real numbers, got dtype {values.dtype}."
        raise DTypeError(message)


def as_numbers(values: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Return an array in another dtype, for parameters that are set or loaded.

    Raises DTypeError for what is no real number, and DomainError for a number that is too large for
    the dtype. NumPy would convert both, with a warning at most.
    """
    if values.dtype == dtype:
        return values
    require_real(values, name)
    if values.dtype != OBJECT:
        return _cast(values, dtype, name)
    try:
        return values.astype(dtype)
    except (TypeError, ValueError) as error:
        message = f"{name} must be an array of real numbers, got objects ({error})."
        raise DTypeError(message) from error


def _cast(given: Array, dtype: np.dtype[Any], name: str) -> Array:
    with np.errstate(over="ignore"):
        cast = given.astype(dtype)
    if dtype is not OBJECT and not np.array_equal(np.isfinite(given), np.isfinite(cast)):
        message = f"{name} has numbers too large for {dtype}, up to {np.abs(given).max():g}."
        raise DomainError(message)
    return cast


def as_generator(seed: Any) -> "np.random.Generator":
    """Return NumPy's generator for a seed, or the generator itself.

    Raises SpecError for anything that is no seed. NumPy itself crashes on some such objects.
    """
    random = np.random
    sources = (random.Generator, random.BitGenerator, random.SeedSequence)
    if seed is None or isinstance(seed, sources):
        return random.default_rng(seed)
    entries = seed.tolist() if type(seed) is np.ndarray else seed
    entries = entries if isinstance(entries, list | tuple) else [entries]
    for entry in entries:
        if isinstance(entry, bool) or not isinstance(entry, int | np.integer) or entry < 0:
            message = (
                f"seed must be an integer of at least 0, a sequence of them, a Generator or None, "
                f"got {shown(seed)}."
            )
            raise SpecError(message)
    return random.default_rng(entries if len(entries) != 1 else entries[0])
