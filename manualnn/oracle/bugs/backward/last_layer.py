"""Bugs of the error with which the backward pass starts."""

from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("backward")
OF_LOGITS = ("CrossEntropyLoss", "BCEWithLogitsLoss")
"""Losses whose right gradient is a difference already."""


def _skipping_last(e: Textbook, o: Options, suffix: str = "") -> Any:
    """Return the equation of a feature; activations after the last Linear layer pass errors on."""
    if suffix == "_backward" and o.type not in {"Linear", "Dropout"}:
        last = max((layer.i for layer in e.layers if layer.type == "Linear"), default=-1)
        if o.i > last:
            return lambda o, z, a, da: da
    return Textbook.equation(e, o, suffix)


def _difference(e: Any, o: Options, y: Array, t: Array) -> Array:
    """Return (y − t) / D for losses of y itself."""
    if o.type in OF_LOGITS:
        return Textbook.slope(e, o, y, t)
    divisor = {"1": 1, "N": len(y), "N K": y.size}[e.D]
    return np.asarray((y - t) / divisor)


BUGS["last-slope-missing"] = bug(
    "The backward pass skips the activation after the last Linear layer: its slope is missing.",
    lines=("dz of the last layer = ∂L/∂y", "dz of the last layer = ∂L/∂y ⊙ f′(z)"),
    source="Cranium",
    equation=_skipping_last,
)
BUGS["last-error-is-difference"] = bug(
    "The error of the last layer is y − t, whatever its activation and its loss.",
    lines=("dz of the last layer = (y − t) / D", "dz of the last layer = ∂L/∂y ⊙ f′(z)"),
    source="synaptic, Cranium",
    D=["1", "N", "N K"],
    equation=lambda e, o, suffix="": (
        Textbook.equation if e.loss.type in OF_LOGITS else _skipping_last
    )(e, o, suffix),
    slope=_difference,
)
