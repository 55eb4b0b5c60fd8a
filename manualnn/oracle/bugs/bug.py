"""Entries of the catalogue of known bugs, and helpers to write them.

    BUGS = Table("losses")
    BUGS["mse-slope-without-2"] = bug(
        "The gradient of the squared error lacks the factor 2.",
        lines=("∂L/∂y = (y − t) / D", "∂L/∂y = 2 (y − t) / D"),
        mse_slopes=lambda e, o, y, t: y - t,         overrides this method of `Textbook`
    )

Each bug is a subclass of `Textbook` with some attributes replaced; e is the engine itself. An
attribute with a list, such as eps=[1e-8, 1e-7], makes one engine for each value; several lists go
together. With where=f, the methods differ from the right ones only where f(e, o, …) holds. `lines`
are the wrong and the right line of mathematics. The checks of the layer, loss or optimizer whose
methods are replaced find the bug; `killed_by` names other checks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import ROWS, Options
from manualnn.oracle.textbook.engine import Textbook

Method = Callable[..., Any]
"""A method of Textbook: the engine e, then the arguments."""
Methods = dict[str, Any]
"""Methods and other attributes by name; keyword arguments of `bug`."""

CHECKS = {
    row.method: f"{group}.{row.name}*:*"
    for group, rows in zip(("layer", "loss", "optimizer"), ROWS.values(), strict=True)
    for row in rows.values()
}
"""The checks of every layer, loss and optimizer, by the first part of the names of its methods."""
for _method in ("smoothed", "shares", "one_hot", "counts"):
    CHECKS[_method] = CHECKS["cross_entropy"]
CHECKS |= {"pos_weight": CHECKS["logits"], "mask": CHECKS["dropout"]}
CHECKS_OF_KIND = {
    "losses": "loss.*:*",
    "activations": "layer.*:*",
    "backward": "*:grads",
    "optimizers": "optimizer.*:*",
    "memory": "*:memory.*",
    "precision": "loss.*:*",
}


@dataclass(frozen=True)
class Bug:
    """A known bug, and the engines that have it."""

    title: str
    wrong: str
    """The wrong line of mathematics."""
    right: str
    """The right line of mathematics."""
    kind: str
    """A key of CHECKS_OF_KIND; that of the table if it is empty."""
    killed_by: str
    """A pattern of check ids; the checks that match it find the bug."""
    engines: tuple[type[Textbook], ...]
    """Engines with an optional dtype."""
    source: str = ""
    """A project in which the bug was found."""
    exact: bool = True
    """True if the mathematics is wrong, so that the bug shows in extended precision as well. False
    for bugs of rounding or overflow."""
    id: str = ""


class Table(dict[str, Bug]):
    """Bugs of one kind by their id, which the names of their engines follow."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __setitem__(self, name: str, bug: Bug) -> None:
        if name in self:
            raise OracleError(f"two bugs have the name {name!r}; rename one.")
        for engine in bug.engines:
            engine.__name__ = "".join(word.capitalize() for word in name.split("-"))
        kind = bug.kind or self.kind
        killed_by = bug.killed_by or find_checks(kind, bug.engines)
        super().__setitem__(name, replace(bug, id=name, kind=kind, killed_by=killed_by))


def bug(
    title: str,
    *,
    lines: tuple[str, str],
    kind: str = "",
    killed_by: str = "",
    source: str = "",
    exact: bool = True,
    base: type[Textbook] = Textbook,
    where: Method | None = None,
    **attributes: Any,
) -> Bug:
    """Return a bug: subclasses of `base` with these attributes, one for each value of a list."""
    lists = {name: a for name, a in attributes.items() if isinstance(a, list)}
    variants = zip(*lists.values(), strict=True) if lists else [()]
    if where is not None:
        attributes |= _only_where(where, attributes)
    engines = tuple(
        type("Bug", (base,), {**attributes, **dict(zip(lists, values, strict=True))})
        for values in variants
    )
    return Bug(title, *lines, kind, killed_by, engines, source, exact)


def _only_where(applies: Method, methods: Methods) -> Methods:
    """Return methods that are those of Textbook unless applies(e, o, …)."""

    def method(wrong: Method, right: Method) -> Method:
        return lambda e, *given: (wrong if applies(e, *given) else right)(e, *given)

    return {
        name: method(wrong, getattr(Textbook, name))
        for name, wrong in methods.items()
        if callable(wrong)
    }


def is_of(*types: str) -> Method:
    """Return a condition for `where`: the layer, loss or optimizer has one of these types."""
    return lambda e, o, *arguments: o.type in types


def find_checks(kind: str, engines: Sequence[type[Textbook]]) -> str:
    """Return a pattern of the checks of the feature whose methods these engines replace.

    For several features of one group, it is the pattern of the group; otherwise that of the kind.
    """
    replaced = {
        f"{name}_"
        for engine in engines
        for ancestor in engine.__mro__[: engine.__mro__.index(Textbook)]
        for name in vars(ancestor)
    }
    longest_first = sorted(CHECKS, key=len, reverse=True)
    prefixes = {next((p for p in longest_first if n.startswith(f"{p}_")), "") for n in replaced}
    found = {CHECKS[prefix] for prefix in prefixes - {""}}
    if len(found) == 1:
        return found.pop()
    groups = {pattern.partition(".")[0] for pattern in found}
    return f"{groups.pop()}.*:*" if len(groups) == 1 else CHECKS_OF_KIND[kind]


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
    """Return probabilities clipped to [ε, 1 − ε]; None: the machine epsilon of the case's dtype."""
    eps = float(np.finfo(e.case.dtype).eps) if eps is None else eps
    return np.clip(p, e.array(eps), e.array(1 - eps))
