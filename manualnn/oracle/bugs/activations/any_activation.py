"""Bugs that any activation may have; an engine has one function for each kind of activation."""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import CHECKS, Constant, Fit, Methods, Table, bug
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import LAYER_ROWS, Options
from manualnn.oracle.protocol.rows import Layer
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")
Passes = Callable[[Any, Any], Methods]
"""Returns methods "" and "_backward" from the right ones, f and b."""
SLOPE = "dz = da ⊙ f′(z)"
by_line: Fit = solved(1.5, 2.0, linear=True)

FORMS: tuple[tuple[str, str, str, str, Fit | None, Passes], ...] = (
    (
        "backward-missing",
        "The backward pass of {} is the identity: its slope is missing.",
        "dz = da",
        SLOPE,
        None,
        lambda f, b: {"_backward": lambda e, o, z, a, da: da},
    ),
    (
        "backward-zero",
        "The backward pass of {} returns 0.",
        "dz = 0",
        SLOPE,
        None,
        lambda f, b: {"_backward": lambda e, o, z, a, da: 0 * da},
    ),
    (
        "backward-without-gradient",
        "The backward pass of {} returns its slope without the incoming gradient.",
        "dz = f′(z)",
        SLOPE,
        None,
        lambda f, b: {"_backward": lambda e, o, z, a, da: b(e, o, z, a, np.ones_like(da))},
    ),
    (
        "backward-negated",
        "The backward pass of {} has the wrong sign.",
        "dz = −da ⊙ f′(z)",
        SLOPE,
        None,
        lambda f, b: {"_backward": lambda e, o, z, a, da: -b(e, o, z, a, da)},
    ),
    (
        "backward-is-forward",
        "The backward pass of {} multiplies by its output instead of its slope.",
        "dz = da ⊙ f(z)",
        SLOPE,
        None,
        lambda f, b: {"_backward": lambda e, o, z, a, da: da * a},
    ),
    (
        "backward-twice",
        "The backward pass of {} is applied twice.",
        "dz = da ⊙ f′(z)²",
        SLOPE,
        None,
        lambda f, b: {"_backward": lambda e, o, z, a, da: b(e, o, z, a, b(e, o, z, a, da))},
    ),
    (
        "forward-missing",
        "The forward pass of {} is the identity, but its backward pass is right.",
        "a = z",
        "a = f(z)",
        None,
        lambda f, b: {"": lambda e, o, z: z},
    ),
    (
        "missing",
        "{} does nothing, forward and backward.",
        "a = z, dz = da",
        "a = f(z), dz = da ⊙ f′(z)",
        None,
        lambda f, b: {"": lambda e, o, z: z, "_backward": lambda e, o, z, a, da: da},
    ),
    (
        "applied-twice",
        "{} is applied twice, with its own right gradient.",
        "a = f(f(z))",
        "a = f(z)",
        None,
        lambda f, b: {
            "": lambda e, o, z: f(e, o, f(e, o, z)),
            "_backward": lambda e, o, z, a, da: b(
                e, o, z, (once := f(e, o, z)), b(e, o, once, a, da)
            ),
        },
    ),
    (
        "applied-twice-forward",
        "{} is applied twice in the forward pass, but its slope once.",
        "a = f(f(z))",
        "a = f(z)",
        None,
        lambda f, b: {"": lambda e, o, z: f(e, o, f(e, o, z))},
    ),
    (
        "backward-times-constant",
        "The backward pass of {} is multiplied by a constant.",
        "dz = c da ⊙ f′(z)",
        SLOPE,
        by_line,
        lambda f, b: {"_backward": lambda e, o, z, a, da: e.num(e.c) * b(e, o, z, a, da)},
    ),
    (
        "times-constant",
        "The output of {} is multiplied by a constant, with its own right gradient.",
        "a = c f(z)",
        "a = f(z)",
        by_line,
        lambda f, b: {
            "": lambda e, o, z: e.num(e.c) * f(e, o, z),
            "_backward": lambda e, o, z, a, da: e.num(e.c) * b(e, o, z, f(e, o, z), da),
        },
    ),
    (
        "of-scaled-input",
        "{} multiplies its input by a constant, with its own right gradient.",
        "a = f(c z)",
        "a = f(z)",
        by_line,
        lambda f, b: {
            "": lambda e, o, z: f(e, o, e.num(e.c) * z),
            "_backward": lambda e, o, z, a, da: (
                e.num(e.c) * b(e, o, e.num(e.c) * z, f(e, o, e.num(e.c) * z), da)
            ),
        },
    ),
)


REPEATED = {"LogSoftmax", "ReLU", "ReLU6", "Hardshrink", "Hardtanh", "Threshold"}
"""Activations that change nothing the second time."""
OF_SLOPE_0_OR_1 = {"ReLU", "ReLU6", "Hardshrink", "Hardtanh", "Softshrink", "Threshold"}


def _is_equal(row: Layer, form: str) -> bool:
    """Return True if a form changes nothing, or if it is another form of this activation."""
    if row.name == "Flatten":  # a batch has the same shape without it
        return "twice" in form or form.endswith("missing") or form == "of-scaled-input"
    return (
        (row.name in REPEATED and "twice" in form)
        or (row.name in OF_SLOPE_0_OR_1 and form == "backward-twice")
        or (row.is_homogeneous and form == "of-scaled-input")
    )


for _row in LAYER_ROWS.values():
    if _row.name in {"Linear", "Identity", "Dropout"}:
        continue
    _right = (getattr(Textbook, _row.method), getattr(Textbook, f"{_row.method}_backward"))
    for _form, _title, _wrong, _line, _fit, _passes in FORMS:
        if not _is_equal(_row, _form):
            _methods = _passes(*_right).items()
            _changes: Methods = {_row.method + end: method for end, method in _methods}
            _changes |= {"c": Constant([2.0, 0.5], _fit)} if _fit else {}
            BUGS[f"{_row.method}-{_form}".replace("_", "-")] = bug(
                _title.format(_row.name),
                lines=(_wrong, _line),
                killed_by=CHECKS[_row.method],
                rank=1 if _fit else 0,
                **_changes,
            )


def _slope_at(place: Callable[[Any, Options, Array, Array], Array]) -> Methods:
    """Return the methods of Textbook with slopes at place(e, o, z, a) instead of z."""

    def equation(e: Textbook, o: Options, suffix: str = "") -> Callable[..., Any]:
        method = Textbook.equation(e, o, suffix)
        if suffix != "_slope":
            return method
        return lambda o, z, a: method(o, place(e, o, z, a), a)

    return {"equation": equation}


def _without_bias(e: Textbook, o: Options, z: Array, a: Array) -> Array:
    """Return the pre-activation without the bias of the layer before."""
    before = e.layers[o.i - 1] if o.i else None
    return z - e.params[f"{o.i - 1}.bias"] if before and getattr(before, "bias", False) else z


BUGS["slope-at-activation"] = bug(
    "The slope is computed at the activation instead of the pre-activation.",
    lines=("dz = da ⊙ f′(a)", "dz = da ⊙ f′(z)"),
    source="neural2d #40, pytorch #31938",
    **_slope_at(lambda e, o, z, a: a),
)
BUGS["slope-before-bias"] = bug(
    "The slope is computed at the pre-activation without its bias.",
    lines=("dz = da ⊙ f′(x Wᵀ)", "dz = da ⊙ f′(x Wᵀ + b)"),
    **_slope_at(_without_bias),
)
BUGS["slope-of-negative-input"] = bug(
    "The slope is computed at −z.",
    lines=("dz = da ⊙ f′(−z)", "dz = da ⊙ f′(z)"),
    **_slope_at(lambda e, o, z, a: z if o.type == "ReLU" else -z),
)
BUGS["slope-of-one-sample"] = bug(
    "All samples use the slope of the first or last one.",
    lines=("dz[n] = da[n] ⊙ f′(z[0])", "dz[n] = da[n] ⊙ f′(z[n])"),
    sample=[0, -1],
    **_slope_at(lambda e, o, z, a: z[[e.sample]] + 0 * z if len(z) else z),
)
