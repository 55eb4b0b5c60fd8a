"""The arithmetic of the textbook engine: sums, products and elementary functions, one method each.

A method of an equation takes the options o of its layer, loss or optimizer first. Arrays have the
letters of the equations: z pre-activation, a activation, y outputs, t targets.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options, row_of
from manualnn.oracle.protocol.normal import normal_cdf, normal_pdf
from manualnn.oracle.protocol.rows import MissingEntryError

Equation = Callable[..., Any]


class Arithmetic:
    """The numbers and functions that every equation is made of."""

    kind: "np.dtype[Any]"
    """The dtype of the current call."""
    kink: Mapping[str, float] = MappingProxyType({})
    """The slope of a layer or loss at its kink, where it is not torch's."""

    def at_kink(self, o: Options, where: Array, slope: Array) -> Array:
        """Return the slope with another number at the kink, if one is set."""
        return (
            np.where(where, self.array(self.kink[o.type]), slope) if o.type in self.kink else slope
        )

    def num(self, value: Any) -> Any:
        """Return an option in float64 or better, because 1 − β is computed from it."""
        return np.longdouble(value) if self.kind == np.longdouble else float(value)

    def array(self, value: Any) -> Array:
        return np.asarray(value, self.kind)

    def matmul(self, a: Array, b: Array) -> Array:
        return np.asarray(a @ b)

    def total(self, a: Array, axis: int | None = None, *, keepdims: bool = False) -> Any:
        return a.sum(axis=axis, keepdims=keepdims)

    def exp(self, v: Array) -> Array:
        return np.exp(v)

    def log(self, v: Array) -> Array:
        return np.log(v)

    def log1p(self, v: Array) -> Array:
        return np.log1p(v)

    def sqrt(self, v: Array) -> Array:
        return np.sqrt(v)

    def clamp(self, v: Array, limit: Any) -> Array:
        return np.clip(v, -limit, limit)

    def smaller(self, a: Any, b: Any) -> Any:
        return np.minimum(a, b)

    def norm_of(self, arrays: list[Array]) -> Any:
        return np.sqrt(sum(np.sum(a * a) for a in arrays))

    def larger(self, a: Array, b: Array) -> Array:
        return np.maximum(a, b)

    def sign_of(self, v: Array) -> Array:
        return np.sign(v)

    def sigma(self, v: Array) -> Array:
        e = self.exp(-np.abs(v))
        return np.where(v >= 0, 1, e) / (1 + e)

    def softplus_of(self, v: Array) -> Array:
        return np.maximum(v, 0) + self.log1p(self.exp(-np.abs(v)))

    def log_shares(self, v: Array) -> Array:
        """Return log softmax(v) of every row."""
        shifted = v - v.max(axis=1, keepdims=True)
        return shifted - self.log(self.total(self.exp(shifted), axis=1, keepdims=True))

    @property
    def functions(self) -> SimpleNamespace:
        """The arithmetic m of the statements in the table of features; see `jets`."""
        return SimpleNamespace(
            number=self.kind.type,
            where=np.where,
            exp=self.exp,
            expm1=np.expm1,
            log=self.log,
            log1p=self.log1p,
            sqrt=self.sqrt,
            tanh=np.tanh,
            normal_cdf=normal_cdf,
            normal_pdf=normal_pdf,
            sigmoid=self.sigma,
            softplus=self.softplus_of,
        )

    def equation(self, o: Options, suffix: str = "") -> Equation:
        """Return the method of a feature, such as relu_backward; raises MissingEntryError."""
        name = row_of(o.type).method + suffix
        if not hasattr(self, name):
            raise MissingEntryError(
                f"the textbook engine has no method {name!r} for {o.type!r}; add it to "
                "textbook/layers.py or textbook/losses.py, or add a statement to the row of "
                f"{o.type!r} in protocol."
            )
        method: Equation = getattr(self, name)
        return method
