"""Extended-precision numbers: the truth is computed in more digits than the engines have.

    wide = width(dtype)          the numbers for engines of that dtype on this machine
    wide.array(values)           an array of such numbers, exact for float64 values
    wide.exp(a), .log(a), …      elementary functions of such arrays
    truth_statement()            a sentence that names the numbers used here

float32 is judged in float64, whose unit roundoff is 2⁻²⁹ of float32's. float64 is judged in
longdouble if that has a mantissa of at least 64 bits (x87: 2⁻¹¹ of float64's u). In Microsoft's C
and on many ARM processors longdouble is a float64. There arrays of mpmath's numbers replace it,
which are a hundred times slower.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.errors import OracleError
from manualnn.oracle.protocol.normal import normal_cdf, normal_pdf

Array = NDArray[Any]

LONGDOUBLE_BITS = np.finfo(np.longdouble).nmant + 1
ENOUGH_BITS = 64
MPMATH_BITS = 120
FUNCTIONS = ("exp", "log", "log1p", "expm1", "tanh", "sqrt")


class MissingMpmathError(OracleError, ValueError):
    """float64 cannot be judged: longdouble is too short on this machine, and mpmath is missing."""


@dataclass(frozen=True)
class Width:
    """A kind of number, and its functions of arrays: an arithmetic as `jets` describes it."""

    name: str
    dtype: np.dtype[Any]
    bits: int
    """The length of the mantissa."""
    number: Callable[[Any], Any]
    """Make a single number, exact for float64 values."""
    exp: Callable[[Array], Array]
    log: Callable[[Array], Array]
    log1p: Callable[[Array], Array]
    expm1: Callable[[Array], Array]
    tanh: Callable[[Array], Array]
    sqrt: Callable[[Array], Array]
    divide: Callable[[Any, Any], Array]
    normal_cdf: Callable[[Array], Array] = normal_cdf
    normal_pdf: Callable[[Array], Array] = normal_pdf
    where: Callable[[Any, Any, Any], Array] = np.where

    def sigmoid(self, a: Array) -> Array:
        """Return 1 / (1 + exp(−a))."""
        return self.divide(1, 1 + self.exp(-a))

    def softplus(self, a: Array) -> Array:
        """Return log(1 + exp(a))."""
        return np.maximum(a, 0) + self.log1p(self.exp(-np.abs(a)))

    def array(self, values: Any) -> Array:
        """Return an array of these numbers."""
        if self.dtype != object:
            return np.asarray(values, self.dtype)
        plain = np.asarray(values)
        return _objects(self.number)(plain.astype(np.float64) if plain.dtype != object else plain)


def width(dtype: Any, bits: int = LONGDOUBLE_BITS) -> Width:
    """Return the numbers that judge engines of a dtype, if longdouble has that many bits."""
    if np.dtype(dtype).itemsize < 8:
        return FLOAT64
    return LONGDOUBLE if bits >= ENOUGH_BITS else mpmath_width()


def truth_statement(bits: int = LONGDOUBLE_BITS) -> str:
    """Return a sentence about the truth's numbers, if longdouble has that many bits."""
    if bits >= ENOUGH_BITS:
        wide = f"in longdouble ({bits}-bit mantissa)"
    else:
        wide = f"in mpmath's numbers ({MPMATH_BITS} bits), because longdouble has only {bits} here"
    return f"truth: float64 is judged {wide}, float32 in float64 (53-bit mantissa)"


def mpmath_context(bits: int) -> Any:
    """Return mpmath's functions with that many bits; raises MissingMpmathError without mpmath."""
    try:
        import mpmath  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingMpmathError(
            f"to judge float64, numbers wider than float64 are needed: longdouble has only "
            f"{LONGDOUBLE_BITS} bits on this machine and mpmath is not installed; run "
            "'pip install mpmath', or have the engine claim float32 alone."
        ) from error
    context = mpmath.MPContext()
    context.prec = bits
    return context


@cache
def mpmath_width() -> Width:
    """Return mpmath's numbers; raises MissingMpmathError if it is not installed."""
    context = mpmath_context(MPMATH_BITS)

    def divide(a: Any, b: Any) -> Any:
        return a / b if b else (a * context.inf if a else context.nan)

    functions: dict[str, Any] = {name: _objects(getattr(context, name)) for name in FUNCTIONS}
    return Width(
        "mpmath",
        np.dtype(object),
        MPMATH_BITS,
        lambda value: context.mpf(float(value)) if not isinstance(value, context.mpf) else value,
        divide=_objects(divide, 2),
        normal_cdf=_objects(context.ncdf),
        normal_pdf=_objects(context.npdf),
        **functions,
    )


def _objects(f: Callable[..., Any], arguments: int = 1) -> Callable[..., Array]:
    """Return f for arrays of objects; its result is an array, also for a 0-d array."""
    entrywise = np.frompyfunc(f, arguments, 1)

    def of_arrays(*arrays: Any) -> Array:
        return np.asarray(entrywise(*arrays), object)

    return of_arrays


def _native(name: str, kind: type[np.floating[Any]]) -> Width:
    functions: dict[str, Any] = {name: getattr(np, name) for name in (*FUNCTIONS, "divide")}
    return Width(name, np.dtype(kind), np.finfo(kind).nmant + 1, kind, **functions)


FLOAT64 = _native("float64", np.float64)
LONGDOUBLE = _native("longdouble", np.longdouble)
