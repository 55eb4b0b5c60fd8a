"""Elementary functions: the only place that knows about dtypes and symbols.

Every function keeps NumPy's own contract: pure, unless it is handed `out=`. On floating-point
arrays it is NumPy's, arranged so that no finite input overflows, warns or gives NaN. On arrays of
dtype object every element brings its own mathematics: SymPy expressions, mpmath numbers, or any
class with methods called `exp`, `log`, `tanh`, ... as NumPy's object arrays have it. There the
formula is used as the textbook writes it, for nothing can overflow.
"""

import math
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Any], Any]

OBJECT = np.dtype(object)
"""The dtype of arrays of symbols."""


def is_symbolic(x: Array) -> bool:
    """Whether the elements of x are objects with mathematics of their own."""
    return x.dtype is OBJECT


def _own_function(x: Array, name: str) -> Function:
    """Return the function called name that belongs to the elements of x.

    A plain number among them is what a kernel's constant left there: ReLU's 0, say.
    """
    plain: Function = getattr(math, name)
    for element in x.flat:
        kind = type(element)
        module = sys.modules[kind.__module__.partition(".")[0]]
        if kind.__module__ in {"builtins", "fractions", "decimal"} or module is np:
            continue
        if callable(getattr(kind, name, None)):
            return lambda v: getattr(v, name)() if hasattr(v, name) else plain(v)
        if hasattr(module, name):
            function: Function = getattr(module, name)
            return function
        if name == "log1p":
            return lambda v: module.log(1 + v)
    return plain


def _lift(ufunc: np.ufunc, name: str) -> Callable[..., Array]:
    """Extend a ufunc of one argument to arrays of objects."""

    def lifted(x: Array, /, *, out: Array | None = None) -> Array:
        if is_symbolic(x):
            result: Array = np.frompyfunc(_own_function(x, name), 1, 1)(x, out=out)
            return result
        return ufunc(x, out=out)

    lifted.__name__ = lifted.__qualname__ = name
    lifted.__doc__ = f"Return {name}(x), element by element."
    return lifted


exp = _lift(np.exp, "exp")
log = _lift(np.log, "log")
log1p = _lift(np.log1p, "log1p")
sqrt = _lift(np.sqrt, "sqrt")
tanh = _lift(np.tanh, "tanh")


def _choose(condition: Any, yes: Any, no: Any) -> Any:
    """Return yes or no; where the condition is itself symbolic, the expression with both cases."""
    if isinstance(condition, bool | np.bool_):
        return yes if condition else no
    piecewise = sys.modules["sympy"].Piecewise
    return piecewise((yes, condition), (no, True))


def greater(x: Array, y: Any, /) -> Array:
    """Return x > y; on symbols the relations, undecided."""
    return np.greater(x, y, dtype=object) if is_symbolic(x) else np.greater(x, y)


def where(condition: Array, yes: Any, no: Any, /) -> Array:
    """Return yes where the condition holds, else no."""
    if is_symbolic(condition):
        result: Array = np.frompyfunc(_choose, 3, 1)(condition, yes, no)
        return result
    return np.where(condition, yes, no)


def maximum(x: Array, y: Any, /, *, out: Array | None = None) -> Array:
    """Return the larger of x and y."""
    return _store(where(greater(x, y), x, y), out) if is_symbolic(x) else np.maximum(x, y, out=out)


def minimum(x: Array, y: Any, /, *, out: Array | None = None) -> Array:
    """Return the smaller of x and y."""
    return _store(where(greater(x, y), y, x), out) if is_symbolic(x) else np.minimum(x, y, out=out)


def step(x: Array, /, *, out: Array | None = None) -> Array:
    """Return 1 where x > 0, else 0 (also at 0), in x's dtype."""
    if is_symbolic(x):
        return _store(where(greater(x, 0), 1, 0), out)
    # A comparison cast to the float type costs 30 times less than boolean assignment.
    out = np.empty_like(x, order="C") if out is None else out
    return np.greater(x, 0, out=out, casting="unsafe")


def sign(x: Array, /, *, out: Array | None = None) -> Array:
    """Return -1, 0 or 1, the sign of x."""
    if is_symbolic(x):
        return _store(where(greater(x, 0), 1, where(greater(-x, 0), -1, 0)), out)
    return np.sign(x, out=out)


def _store(result: Array, out: Array | None) -> Array:
    """Put a result where the caller wants it."""
    if out is None:
        return result
    out[...] = result
    return out


# At its negative exp(-x) is the largest number still finite, less a hair for exp's own rounding.
_SIGMOID_FLOOR = {
    np.dtype(t): np.asarray(-np.log(np.finfo(t).max) * (1 - np.finfo(t).eps), t)
    for t in (np.float32, np.float64, np.longdouble)
}


def sigmoid(x: Array, /, *, out: Array | None = None) -> Array:
    """Return 1 / (1 + exp(-x)), accurate to a few units in the last place in both tails.

    Below log(1/max), where exp(-x) would overflow, the result stays at about 1/max: an absolute
    error below the smallest normal number.
    """
    if is_symbolic(x):
        return _store(1 / (1 + exp(-x)), out)
    out = np.maximum(x, _SIGMOID_FLOOR[x.dtype], out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    return np.reciprocal(out, out=out)


def softplus(x: Array, /) -> Array:
    """Return log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)), which cannot overflow."""
    if is_symbolic(x):
        return log(1 + exp(x))
    result = np.abs(x)
    np.negative(result, out=result)
    np.exp(result, out=result)
    np.log1p(result, out=result)
    result += np.maximum(x, 0)
    return result


def _below_row_maximum(x: Array, out: Array | None) -> Array:
    """Return x less its row's maximum, which changes no softmax; symbols need no such shift."""
    if is_symbolic(x):
        return _store(+x, out)
    return np.subtract(x, np.maximum.reduce(x, axis=-1, keepdims=True), out=out)


def softmax(x: Array, /, *, out: Array | None = None) -> Array:
    """Return exp(x[n,i]) / Σⱼ exp(x[n,j])."""
    out = _below_row_maximum(x, out)
    exp(out, out=out)
    return np.divide(out, np.add.reduce(out, axis=-1, keepdims=True), out=out)


def log_softmax(x: Array, /, *, out: Array | None = None) -> Array:
    """Return x[n,i] − log Σⱼ exp(x[n,j]), at the least the lowest finite number."""
    out = _below_row_maximum(x, out)
    if not is_symbolic(x):
        np.maximum(out, np.finfo(x.dtype).min, out=out)
    return np.subtract(out, log(np.add.reduce(exp(out), axis=-1, keepdims=True)), out=out)


def ratio(numerator: int, denominator: int, like: Array) -> Any:
    """Return numerator / denominator, rounded once to what like is made of; exact for symbols."""
    if not is_symbolic(like):
        return like.dtype.type(numerator) / like.dtype.type(denominator)
    mpmath = sys.modules.get("mpmath")
    # mpmath subtracts no Fraction, and SymPy's exactness would be lost in anything else.
    if mpmath and any(isinstance(element, mpmath.mpf) for element in like.flat):
        return mpmath.mpf(numerator) / denominator
    return Fraction(numerator, denominator)
