"""Edits of the textbook engine that several bugs share: methods with one line changed.

**with_options("softplus", beta=1)      the method gets other options
load=after_load(change)                 the engine is changed after it has loaded a case
linear_grads=each_gradient(compute)     every gradient is replaced
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Method, Methods
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

DECOUPLED = ("AdamW", "Lion", "Muon")
"""Optimizers whose weight decay is never part of the gradient."""


def is_of(*types: str) -> Method:
    """Return a condition for `where`: the layer, loss or optimizer has one of these types."""
    return lambda e, o, *arguments: o.type in types


def change(o: Options, **changes: Any) -> Options:
    """Return options with other values."""
    return Options(**{**vars(o), **changes})


def with_options(*methods: str, **changes: Any) -> Methods:
    """Return methods of Textbook that get other options.

    A value may be a function of the engine and the right options.
    """

    def method(name: str) -> Method:
        def call(e: Textbook, o: Options, *arguments: Any) -> Any:
            values = {k: v(e, o) if callable(v) else v for k, v in changes.items()}
            return getattr(Textbook, name)(e, change(o, **values), *arguments)

        return call

    return {name: method(name) for name in methods}


def after_load(change_engine: Callable[[Any], None]) -> Method:
    """Return `load` that changes the engine after loading the case."""

    def load(e: Textbook, case: Case) -> None:
        Textbook.load(e, case)
        change_engine(e)

    return load


def roots(compute: Callable[[Array, Any], Array]) -> Methods:
    """Return the denominators of RMSprop, Adagrad and Adam, each as compute(v, ε)."""
    return {
        "rmsprop_root": lambda e, o, v: compute(v, e.num(o.eps)),
        "adagrad_root": lambda e, o, s: compute(s, e.num(o.eps)),
        "adam_root": lambda e, o, v, t: compute(v / e.adam_correction2(o, t), e.num(o.eps)),
    }


def each_gradient(compute: Callable[[Any, Options, Array], Array]) -> Method:
    """Return `linear_grads` with every gradient g of a layer o replaced by compute(e, o, g)."""

    def linear_grads(e: Textbook, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        return {k: compute(e, o, g) for k, g in Textbook.linear_grads(e, o, x, dz).items()}

    return linear_grads


def all_gradients(compute: Callable[[Any, dict[str, Array]], dict[str, Array]]) -> Method:
    """Return `backward` that replaces all gradients at its end by compute(e, gradients)."""

    def backward(e: Textbook, dy: Array) -> Array:
        dx = Textbook.backward(e, dy)
        e.grads = compute(e, e.grads)
        return dx

    return backward


class KnowsKey(Textbook):
    """Knows the key of the parameter that it updates."""

    key = ""

    def updated(self, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]) -> Array:
        self.key = key
        return super().updated(o, key, p, g, s)

    def old(self, name: str) -> Array:
        """Return an array of the state before the update."""
        return self.state[name][self.key]


def whole_blocks(e: Any, length: int) -> slice:
    """Return a slice without the rest after the last whole block of e.block entries.

    It is the whole length if that is at most e.least.
    """
    return slice(length - length % e.block if length > getattr(e, "least", e.block) else length)


def with_result(name: str, compute: Callable[[Any, Any], Any]) -> Method:
    """Return `result` with another value: compute(e, right value)."""

    def result(e: Textbook, value: Any, dx: Array) -> dict[str, Any]:
        found = Textbook.result(e, value, dx)
        return {**found, name: compute(e, found[name])}

    return result


def clip_common_norm(grads: dict[str, Array], limit: Any) -> dict[str, Array]:
    """Return gradients scaled to a common norm of at most `limit`."""
    norm = np.sqrt(sum((g * g).sum() for g in grads.values()))
    return {key: g * (limit / norm) for key, g in grads.items()} if norm > limit else grads


SMALL_ERRORS: Methods = {"corner": [-1, -1, 0, 0], "factor": [1e-5, -1e-5] * 2}
"""Attributes for `with_small_error`: the first or last entry, a relative error of 1e-5."""


def with_small_error(e: Any, a: Array) -> Array:
    """Return a copy of a matrix with a small relative error in one corner; see SMALL_ERRORS."""
    a = a.copy()
    a[e.corner, e.corner] *= 1 + e.num(e.factor)
    return a


def multiply_in_float32(e: Textbook, a: Array, b: Array) -> Array:
    """Return the product of two matrices, computed in float32."""
    return e.array(a.astype(np.float32) @ b.astype(np.float32))


def is_square(a: Array) -> bool:
    """Return True if a matrix has as many rows as columns."""
    return a.shape[0] == a.shape[1]


def clip_probabilities(e: Textbook, p: Array, eps: float | None) -> Array:
    """Return probabilities clipped to [ε, 1 − ε]; None: the machine epsilon of the case's dtype.

    A program has both bounds as numbers of the case's dtype: next to 1, few digits of ε are left.
    """
    eps = float(np.finfo(e.case.dtype).eps) if eps is None else eps
    least, most = np.array([eps, 1 - eps], e.case.dtype)
    return np.clip(p, e.array(least), e.array(most))
