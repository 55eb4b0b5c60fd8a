"""NumPy code run with 50 digits or more, on arrays of mpmath's numbers.

    numbers = wide_numbers(bits)         arrays = numbers.array(float64 values)
    outputs = f(*arrays)                 the user's NumPy code, unchanged

`WideArray` is an array of objects that answers the functions of NumPy which such arrays lack:
`np.exp(a)` calls mpmath's exp for every entry. Code that leaves NumPy, or that stores results in
float64 arrays, fails or returns float64. Then these numbers cannot be had.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.oracle.truth.extended import mpmath_context

Array = NDArray[Any]


class WideArray(np.ndarray[Any, Any]):
    """An array of objects that calls mpmath where NumPy has no loop for objects."""

    numbers: "Numbers"

    def __array_finalize__(self, parent: Any) -> None:
        self.numbers = getattr(parent, "numbers", None) or getattr(self, "numbers", None)  # type: ignore[assignment]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Apply a ufunc of NumPy or SciPy to every entry."""
        numbers = self._numbers(inputs)
        plain = [_plain(a) for a in inputs]
        outs = options.pop("out", None)
        if outs:
            options["out"] = tuple(_plain(a) for a in outs)
        known = numbers.functions.get(ufunc.__name__)
        if method == "__call__" and known and _is_object(plain):
            where = options.pop("where", True)
            result = known(*plain)
            if outs:
                np.copyto(options["out"][0], result, where=where)
                return outs[0]
            if where is not True:
                raise TypeError(f"np.{ufunc.__name__} with where= and without out=.")
        else:
            result = getattr(ufunc, method)(*plain, **options)
        return outs[0] if outs else numbers.wrap(result)

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        """Call a function of NumPy with plain arrays of objects, and wrap what it returns."""
        del types
        numbers = self.numbers
        own = numbers.replacements.get(func.__name__)
        if own:
            return own(*args, **kwargs)
        return numbers.wrap(func(*_plain_nest(args), **_plain_nest(kwargs)))

    def __getitem__(self, key: Any) -> Any:
        return self.numbers.wrap(np.asarray(super().__getitem__(_plain(key)), object))

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def _numbers(self, inputs: Any) -> "Numbers":
        return next(a.numbers for a in (self, *inputs) if getattr(a, "numbers", None))

    # Methods of ndarray that do not ask __array_ufunc__.

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, **options: Any) -> Any:
        """Return the mean of entries along axes."""
        del dtype, out
        total = np.sum(self, axis=axis, **options)
        return total / (self.size / max(1, np.size(total)))

    def var(self, axis: Any = None, dtype: Any = None, out: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """Return the variance of entries along axes."""
        del dtype, out
        ddof = options.pop("ddof", 0)
        keep = options.pop("keepdims", False)
        centered = self - self.mean(axis=axis, keepdims=True)
        total = np.sum(centered * centered, axis=axis, keepdims=keep)
        return total / (self.size / max(1, np.size(total)) - ddof)

    def std(self, axis: Any = None, dtype: Any = None, out: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """Return the standard deviation of entries along axes."""
        return np.sqrt(self.var(axis, dtype, out, **options))

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """Return the array itself for a floating dtype, because these numbers are wider."""
        if np.dtype(dtype) in {np.dtype(np.float64), np.dtype(np.longdouble), np.dtype(object)}:
            return self.copy()
        return np.asarray(self).astype(dtype, *args, **options)


class Numbers:
    """Numbers of some length, and the functions of their arrays."""

    def __init__(self, bits: int) -> None:
        self.context = c = mpmath_context(bits)
        one = c.mpf(1)

        def each(f: Callable[..., Any], count: int = 1) -> Callable[..., Array]:
            """Return f for arrays of numbers; what is not real or not defined is NaN."""

            def safe(*entries: Any) -> Any:
                try:
                    value = f(*(e if isinstance(e, c.mpf) else c.mpf(float(e)) for e in entries))
                except (ZeroDivisionError, ValueError):
                    return c.nan
                return value if isinstance(value, c.mpf) else c.nan

            return np.frompyfunc(safe, count, 1)

        def divide(a: Any, b: Any) -> Any:
            return a / b if b else (c.nan if c.isnan(a) or not a else c.sign(a) * c.inf)

        def boolean(f: Callable[[Any], bool]) -> Callable[[Array], Array]:
            return lambda a: np.asarray(np.frompyfunc(f, 1, 1)(a), bool)

        def xlogy(a: Any, b: Any) -> Any:
            return c.zero if not a and not c.isnan(b) else a * c.log(b)

        single: dict[str, Callable[..., Any]] = {
            **{name: getattr(c, name) for name in ("exp", "expm1", "tanh", "sinh", "cosh", "sin")},
            **{name: getattr(c, name) for name in ("cos", "tan", "sqrt", "erf", "erfc", "sinc")},
            **{name: getattr(c, name) for name in ("sign", "floor", "ceil", "digamma")},
            **{"arc" + n[1:]: getattr(c, n) for n in ("asin", "acos", "atan")},
            **{"arc" + n[1:]: getattr(c, n) for n in ("asinh", "acosh", "atanh")},
            "log": lambda a: c.log(a) if a else -c.inf,
            "log1p": lambda a: c.log1p(a) if a != -1 else -c.inf,
            "log2": lambda a: c.log(a, 2) if a else -c.inf,
            "log10": lambda a: c.log(a, 10) if a else -c.inf,
            "exp2": lambda a: c.mpf(2) ** a,
            "cbrt": lambda a: c.sign(a) * c.cbrt(abs(a)),
            "square": lambda a: a * a,
            "reciprocal": lambda a: divide(one, a),
            "absolute": abs,
            "fabs": abs,
            "conjugate": lambda a: a,
            "rint": c.nint,
            "trunc": lambda a: c.floor(a) if a > 0 else c.ceil(a),
            "expit": lambda a: 1 / (1 + c.exp(-a)),
            "log_expit": lambda a: -c.log1p(c.exp(-a)),
            "logit": lambda a: c.log(a / (1 - a)),
            "gammaln": lambda a: c.log(abs(c.gamma(a))),
            "psi": c.digamma,
            "ndtr": c.ncdf,
            "log_ndtr": lambda a: c.log(c.ncdf(a)),
            "entr": lambda a: -xlogy(a, a),
        }
        double: dict[str, Callable[..., Any]] = {
            "divide": divide,
            "power": lambda a, b: a**b,
            "float_power": lambda a, b: a**b,
            "hypot": lambda a, b: c.sqrt(a * a + b * b),
            "arctan2": c.atan2,
            "logaddexp": lambda a, b: max(a, b) + c.log1p(c.exp(-abs(a - b))),
            "copysign": lambda a, b: abs(a) if b >= 0 else -abs(a),
            "heaviside": lambda a, b: b if not a else one if a > 0 else c.zero,
            "fmax": lambda a, b: b if c.isnan(a) else a if c.isnan(b) else max(a, b),
            "fmin": lambda a, b: b if c.isnan(a) else a if c.isnan(b) else min(a, b),
            "xlogy": xlogy,
            "xlog1py": lambda a, b: xlogy(a, 1 + b),
        }
        self.functions: dict[str, Callable[..., Any]] = {
            **{name: each(f) for name, f in single.items()},
            **{name: each(f, 2) for name, f in double.items()},
            **{n: boolean(getattr(c, n)) for n in ("isnan", "isinf", "isfinite")},
            "signbit": boolean(lambda a: a < 0),
        }
        self.replacements: dict[str, Callable[..., Any]] = {
            "mean": WideArray.mean,
            "var": WideArray.var,
            "std": WideArray.std,
            "sinc": each(lambda a: c.sinc(c.mpf(np.pi) * a)),
            "nan_to_num": lambda a, **_: a,
        }

    def array(self, values: Array) -> WideArray:
        """Return an array of these numbers with the values of a float64 array."""
        number = np.frompyfunc(lambda a: self.context.mpf(float(a)), 1, 1)
        return self.wrap(np.asarray(number(np.asarray(values, np.float64)), object))

    def array_of(self, entries: Array) -> Array:
        """Return an array of these numbers from one of such numbers and of Python's numbers."""
        return np.asarray(np.frompyfunc(self.context.mpf, 1, 1)(_plain(entries)), object)

    def wrap(self, result: Any) -> Any:
        """Return results of objects as arrays of these numbers, and others as they are."""
        if isinstance(result, tuple | list):
            return type(result)([self.wrap(r) for r in result])
        if isinstance(result, self.context.mpf) or _is_object([result]):
            array = np.asarray(result, object).view(WideArray)
            array.numbers = self
            return array
        return result


@cache
def wide_numbers(bits: int) -> Numbers:
    """Return numbers with a mantissa of that length; raises MissingMpmathError."""
    return Numbers(bits)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, WideArray) else value


def _plain_nest(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)([_plain_nest(v) for v in value])
    if isinstance(value, dict):
        return {k: _plain_nest(v) for k, v in value.items()}
    return _plain(value)


def _is_object(values: list[Any]) -> bool:
    return any(isinstance(v, np.ndarray) and v.dtype.kind == "O" for v in values)
