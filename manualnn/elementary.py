"""Elementary functions of arrays of floating-point numbers or of symbols.

Only this module and `special` distinguish the two. Every function keeps NumPy's own contract: it
is pure, unless the caller passes `out=`.

Floating-point numbers: the formula is arranged so that no finite input overflows, warns or gives
NaN. Symbols (dtype object): every element has its own mathematics, as in NumPy. It may be a SymPy
expression, an mpmath number, or of any class with methods `exp`, `log`, `tanh`, and so on. There
the formula is the textbook's, because nothing can overflow, unless an element has an attribute
`is_extreme` that is true.
"""

import math
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.errstate import run_quietly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
else:
    Array = np.ndarray  # importing numpy.typing would add a tenth to the package's import time
Function = Callable[[Any], Any]

OBJECT = np.dtype(object)
"""The dtype of arrays of symbols."""


def is_symbolic(x: Array) -> bool:
    """Return True if the elements of x are objects with their own mathematics."""
    return x.dtype is OBJECT


DEFINITIONS: dict[str, Callable[[Any], Function]] = {
    "log1p": lambda m: lambda v: m.log(1 + v),
    "normal_cdf": lambda m: lambda v: m.erfc(-v / m.sqrt(2)) / 2,
    "normal_pdf": lambda m: lambda v: m.exp(-v * v / 2) / m.sqrt(2 * m.pi),
}
"""Functions by those that a library has: math, SymPy or mpmath."""


def _own_function(x: Array, name: str) -> Function:
    """Return the function called name of the library that the elements of x belong to.

    Plain numbers are skipped: a constant of a kernel, such as ReLU's 0, may be among the symbols.
    """
    plain: Function = getattr(math, name, None) or DEFINITIONS[name](math)
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
        if name in DEFINITIONS:
            return DEFINITIONS[name](module)
    return plain


def of_symbols(name: str, x: Array, /) -> Array:
    """Return a function of every element, by the mathematics of the elements."""
    result: Array = np.frompyfunc(_own_function(x, name), 1, 1)(x)
    return result


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


_PLAIN = (float, int)


def sqrt_of_number(x: Any) -> Any:
    """Return the square root of one number or symbol."""
    if isinstance(x, _PLAIN):
        return math.sqrt(x)
    return np.sqrt(x) if isinstance(x, np.longdouble) else sqrt(np.array([x], object))[0]


def power_of_number(base: Any, exponent: Any) -> Any:
    """Return one number, a fraction or a symbol to the power of another one."""
    if all(isinstance(x, (*_PLAIN, Fraction, np.longdouble)) for x in (base, exponent)):
        return (float(base) if isinstance(base, Fraction) else base) ** exponent
    own = np.array([exponent], object)
    of_its_kind = np.array([own_number(own)(base)], object) + 0 * own
    return exp(own * log(of_its_kind))[0]


def _choose(condition: Any, yes: Any, no: Any) -> Any:
    """Return yes or no; for a symbolic condition, the expression with both cases."""
    if isinstance(condition, bool | np.bool_):
        return yes if condition else no
    piecewise = sys.modules["sympy"].Piecewise
    return piecewise((yes, condition), (no, True))


def greater(x: Array, y: Any, /) -> Array:
    """Return x > y; for symbols, the undecided relations."""
    return np.greater(x, y, dtype=object) if is_symbolic(x) else np.greater(x, y)


def where(condition: Array, yes: Any, no: Any, /) -> Array:
    """Return yes where the condition is true, otherwise no."""
    if is_symbolic(condition):
        result: Array = np.frompyfunc(_choose, 3, 1)(condition, yes, no)
        return result
    return np.where(condition, yes, no)


def own_number(x: Array) -> Function:
    """Return the function that converts a plain number to the number type of x's elements.

    SymPy would lose exactness with a float. mpmath cannot subtract a Fraction, and `_own_function`
    must find no float among mpmath's numbers. Other classes mix with plain numbers themselves.
    """
    for element in x.flat:
        module = sys.modules[type(element).__module__.partition(".")[0]]
        if module.__name__ == "sympy":
            sympify: Function = module.sympify
            return sympify
        if module.__name__ == "mpmath":
            return lambda v: module.mpf(getattr(v, "numerator", v)) / getattr(v, "denominator", 1)
    return lambda v: v


def maximum(x: Array, y: Any, /, *, out: Array | None = None) -> Array:
    """Return the larger of each entry of x and the number or array y."""
    if is_symbolic(x):
        y = y if isinstance(y, np.ndarray) else own_number(x)(y)
        return store(where(greater(x, y), x, y), out)
    return np.maximum(x, y, out=out)


def minimum(x: Array, y: Any, /, *, out: Array | None = None) -> Array:
    """Return the smaller of each entry of x and the number or array y."""
    if is_symbolic(x):
        y = y if isinstance(y, np.ndarray) else own_number(x)(y)
        return store(where(greater(x, y), y, x), out)
    return np.minimum(x, y, out=out)


def step(x: Array, /, *, out: Array | None = None) -> Array:
    """Return 1 where x > 0 and 0 elsewhere (also at 0), in x's dtype."""
    if is_symbolic(x):
        own = own_number(x)
        return store(where(greater(x, 0), own(1), own(0)), out)
    # A comparison cast to the float type costs 30 times less than boolean assignment.
    out = np.empty_like(x, order="C") if out is None else out
    return np.greater(x, 0, out=out, casting="unsafe")


def sign(x: Array, /, *, out: Array | None = None) -> Array:
    """Return -1, 0 or 1, the sign of x."""
    if is_symbolic(x):
        own = own_number(x)
        return store(where(greater(x, 0), own(1), where(greater(-x, 0), own(-1), own(0))), out)
    return np.sign(x, out=out)


def store(result: Array, out: Array | None) -> Array:
    """Return the result, copied into out if the caller passed one."""
    if out is None:
        return result
    out[...] = result
    return out


def sigmoid(x: Array, /, *, out: Array | None = None) -> Array:
    """Return 1 / (1 + exp(-x)), accurate to a few units in the last place in both tails.

    Where exp(-x) exceeds the largest number, the result is 0, as in torch.
    """
    if is_symbolic(x):
        return store(1 / (1 + exp(-x)), out)
    out = np.negative(x, out=out)
    run_quietly(np.exp, out, out)  # exp may overflow: 1 / (1 + ∞) = 0 is correct
    np.add(out, 1, out=out)
    return np.reciprocal(out, out=out)


def _is_extreme(x: Array) -> Array:
    """Return which elements say that their exponential is beyond their own range of numbers."""
    return np.array([getattr(v, "is_extreme", False) for v in x.flat], bool).reshape(x.shape)


def softplus(x: Array, /) -> Array:
    """Return log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)), which cannot overflow."""
    if is_symbolic(x):
        large = _is_extreme(x)
        return np.where(large, maximum(x, 0), log(1 + exp(x))) if large.any() else log(1 + exp(x))
    result = np.abs(x)
    np.negative(result, out=result)
    np.exp(result, out=result)
    np.log1p(result, out=result)
    result += np.maximum(x, 0)
    return result


def _below_row_maximum(x: Array, out: Array | None) -> Array:
    """Return x minus the maximum of its row, with the same softmax.

    Symbols stay unshifted, unless they are numbers whose exponential is out of their range.
    """
    if is_symbolic(x) and not _is_extreme(x).any():
        return store(+x, out)
    return np.subtract(x, np.maximum.reduce(x, axis=-1, keepdims=True), out=out)


def softmax(x: Array, /, *, out: Array | None = None) -> Array:
    """Return exp(x[n,i]) / Σⱼ exp(x[n,j])."""
    out = _below_row_maximum(x, out)
    exp(out, out=out)
    return np.divide(out, np.add.reduce(out, axis=-1, keepdims=True), out=out)


def log_softmax(x: Array, /, *, out: Array | None = None) -> Array:
    """Return x[n,i] − log Σⱼ exp(x[n,j]), but not less than the lowest finite number."""
    out = _below_row_maximum(x, out)
    if not is_symbolic(x):
        np.maximum(out, np.finfo(x.dtype).min, out=out)
    return np.subtract(out, log(np.add.reduce(exp(out), axis=-1, keepdims=True)), out=out)


SHORT, MANY = 32, 32
"""Rows are short up to the first number of columns, and many beyond the second number of rows."""


def by_columns(x: Array, /) -> Array:
    """Return x, copied column by column if it has many short rows.

    NumPy reduces and broadcasts the rows of such an array five times faster.
    """
    if is_symbolic(x) or x.shape[1] > SHORT or len(x) <= MANY:
        return x
    return np.positive(x, order="F")


def softmax_and_log(x: Array, /, *, out: Array | None = None) -> tuple[Array, Array]:
    """Return softmax(x), written to out, and log_softmax(x), for the cost of one of them."""
    log_a = _below_row_maximum(x, None)
    a = exp(log_a, out=out)
    total = np.add.reduce(a, axis=-1, keepdims=True)
    np.divide(a, total, out=a)
    if not is_symbolic(x):
        np.maximum(log_a, np.finfo(x.dtype).min, out=log_a)
    return a, np.subtract(log_a, log(total), out=log_a)


def ratio(numerator: Any, denominator: Any, like: Array) -> Any:
    """Return numerator / denominator in the dtype of like. For symbols it is exact: 0.1 is 1/10."""
    if is_symbolic(like):
        # An empty batch holds no number that names its class; an option of the loss may.
        own = own_number(np.append(like, np.array([numerator, denominator], object)))
        return own(_exact(numerator)) / own(_exact(denominator))
    return like.dtype.type(numerator) / like.dtype.type(denominator)


def _exact(number: Any) -> Any:
    """Return the fraction of a plain number, and any other number as it is."""
    from fractions import Fraction

    if isinstance(number, float):
        return Fraction(repr(float(number)))
    return Fraction(number) if isinstance(number, int) else number


BLOCK = 128
"""Terms that are added one after another; the rounding error grows with their number."""


def sum_rows(x: Array, /, *, out: Array | None = None) -> Array:
    """Return Σₙ x[n]. Each block is a product with ones, which is the fastest sum of the BLAS."""
    if is_symbolic(x):
        return np.add.reduce(x, axis=0, out=out)
    if len(x) <= BLOCK:
        return np.dot(_ones(len(x), x.dtype), x, out)
    whole = len(x) // BLOCK * BLOCK
    blocks = x[:whole].reshape(-1, BLOCK, x.shape[1])
    total = sum_rows(np.matmul(_ones(BLOCK, x.dtype), blocks), out=out)
    if whole < len(x):
        np.add(total, sum_rows(x[whole:]), out=total)
    return total


def sum_of_squares(x: Array, /) -> Any:
    """Return Σ x², block by block."""
    x = x.reshape(-1)
    whole = len(x) // BLOCK * BLOCK
    if is_symbolic(x) or not whole:
        return np.dot(x, x)
    blocks = x[:whole].reshape(-1, BLOCK)
    total = np.add.reduce(np.vecdot(blocks, blocks))
    if whole < len(x):
        total = total + np.dot(x[whole:], x[whole:])
    return total


@lru_cache(maxsize=8)
def _ones(n: int, dtype: np.dtype[Any]) -> Array:
    ones = np.ones(n, dtype)
    ones.flags.writeable = False
    return ones
