"""Entries of the catalogue of known bugs, and helpers to write them.

    bug = partial(add_bug, BUGS := {}, "losses")
    bug(
        "mse-slope-without-2",
        "The gradient of the squared error lacks the factor 2.",
        lines=("∂L/∂y = (y − t) / D", "∂L/∂y = 2 (y − t) / D"),
        killed_by="loss.MSELoss*:*",
        mse_slopes=lambda e, o, y, t: y - t,         overrides this method of `Textbook`
    )

Each bug is a subclass of `Textbook` with some methods overridden; e is the engine itself. Each of
`variants` gives attributes, such as the constants of different authors, and makes one more engine.
`lines` are the wrong and the right line of mathematics. Bugs that the same checks find share a
partial function with `killed_by`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

Method = Callable[..., Any]
"""A method of Textbook: the engine e, then the arguments."""
Methods = dict[str, Any]
"""Methods by name; keyword arguments of `add_bug`."""


@dataclass(frozen=True)
class Bug:
    """A known bug, and the engines that have it."""

    id: str
    title: str
    wrong: str
    """The wrong line of mathematics."""
    right: str
    """The right line of mathematics."""
    kind: str
    """"losses", "activations", "backward", "optimizers", "memory" or "precision"."""
    killed_by: str
    """A pattern of check ids; the checks that match it find the bug."""
    engines: tuple[Callable[..., Textbook], ...]
    """Classes, or factories, of engines with an optional dtype."""
    source: str = ""
    """A project in which the bug was found."""
    exact: bool = True
    """Whether the mathematics is wrong, so that the bug shows in extended precision as well. False
    for bugs of rounding or overflow."""


def add_bug(
    table: dict[str, Bug],
    kind: str,
    name: str,
    title: str,
    *,
    lines: tuple[str, str],
    killed_by: str,
    source: str = "",
    exact: bool = True,
    base: type[Textbook] = Textbook,
    variants: Sequence[Mapping[str, Any]] = ({},),
    **methods: Any,
) -> None:
    """Add a bug to a table: subclasses of `base` with these methods, one for each variant."""
    if name in table:
        raise OracleError(f"two bugs have the name {name!r}; rename one.")
    class_name = "".join(word.capitalize() for word in name.split("-"))
    engines = tuple(type(class_name, (base,), {**methods, **variant}) for variant in variants)
    table[name] = Bug(name, title, *lines, kind, killed_by, engines, source, exact)


def change(o: Options, **changes: Any) -> Options:
    """Return options with other values."""
    return Options(**{**vars(o), **changes})


def with_options(*methods: str, only: str = "", **changes: Any) -> Methods:
    """Return methods of Textbook that get other options.

    A value may be a function of the engine and the right options. With `only`, the type of a
    layer, loss or optimizer, all others get the right options.
    """

    def method(name: str) -> Method:
        right = getattr(Textbook, name)

        def call(e: Textbook, o: Options, *arguments: Any) -> Any:
            if only and o.type != only:
                return right(e, o, *arguments)
            values = {k: v(e, o) if callable(v) else v for k, v in changes.items()}
            return right(e, change(o, **values), *arguments)

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


def each_gradient(compute: Callable[[Any, Options, Array], Array], name: str = "") -> Method:
    """Return `linear_grads` with every gradient g of a layer o replaced by compute(e, o, g).

    With a name, "weight" or "bias", the other gradients stay.
    """

    def linear_grads(e: Textbook, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        grads = Textbook.linear_grads(e, o, x, dz)
        return {key: compute(e, o, g) if key.endswith(name) else g for key, g in grads.items()}

    return linear_grads


def all_gradients(compute: Callable[[Any, dict[str, Array]], dict[str, Array]]) -> Method:
    """Return `backward` that replaces all gradients at its end by compute(e, gradients)."""

    def backward(e: Textbook, dy: Array) -> Array:
        dx = Textbook.backward(e, dy)
        e.grads = compute(e, e.grads)
        return dx

    return backward


def whole_blocks(length: int, block: int, least: int) -> int:
    """Return a length without the rest after the last whole block, if it is more than `least`."""
    return length - length % block if length > least else length


def clip_common_norm(grads: dict[str, Array], limit: Any) -> dict[str, Array]:
    """Return gradients scaled to a common norm of at most `limit`."""
    norm = np.sqrt(sum((g * g).sum() for g in grads.values()))
    return {key: g * (limit / norm) for key, g in grads.items()} if norm > limit else grads


SMALL_ERRORS = [
    {"corner": corner, "factor": factor} for corner in (-1, 0) for factor in (1e-5, -1e-5)
]
"""Variants for `with_small_error`: the first or last entry, a relative error of 1e-5."""


def with_small_error(e: Any, a: Array) -> Array:
    """Return a copy of a matrix with a small relative error in one corner; see SMALL_ERRORS."""
    a = a.copy()
    a[e.corner, e.corner] *= 1 + e.num(e.factor)
    return a


def is_square(a: Array) -> bool:
    """Return whether a matrix has as many rows as columns."""
    return a.shape[0] == a.shape[1]


def clip_probabilities(e: Textbook, p: Array, eps: float | None) -> Array:
    """Return probabilities clipped to [ε, 1 − ε]; None: the machine epsilon of the case's dtype."""
    eps = float(np.finfo(e.case.dtype).eps) if eps is None else eps
    return np.clip(p, e.array(eps), e.array(1 - eps))
