"""Bugs of GLU and of AlphaDropout."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")

BUGS["glu-halves-exchanged"] = bug(
    "GLU takes the first half of the inputs for the gate.",
    lines=("a = v ⊙ σ(u)", "a = u ⊙ σ(v)"),
    glu=lambda e, o, z: Textbook.glu(e, o, np.roll(z, z.shape[1] // 2, axis=1)),
    glu_backward=lambda e, o, z, a, da: np.roll(
        Textbook.glu_backward(e, o, np.roll(z, z.shape[1] // 2, axis=1), a, da),
        z.shape[1] // 2,
        axis=1,
    ),
)
BUGS["glu-halves-exchanged-in-backward"] = bug(
    "The gradients of the two halves of GLU's input are exchanged.",
    lines=("dz = (dv, du)", "dz = (du, dv)"),
    glu_backward=lambda e, o, z, a, da: np.roll(
        Textbook.glu_backward(e, o, z, a, da), z.shape[1] // 2, axis=1
    ),
)
BUGS["glu-gate-without-slope"] = bug(
    "The gradient of GLU's gate lacks the slope of the sigmoid.",
    lines=("dv = da ⊙ u", "dv = da ⊙ u ⊙ σ(v) ⊙ (1 − σ(v))"),
    glu_slope=lambda e, v: np.ones_like(v),
)
BUGS["glu-gate-has-no-gradient"] = bug(
    "The gate of GLU has the gradient 0, as if it were a constant.",
    lines=("dv = 0", "dv = da ⊙ u ⊙ σ(v) ⊙ (1 − σ(v))"),
    glu_slope=lambda e, v: np.zeros_like(v),
)
BUGS["glu-slope-of-tanh"] = bug(
    "The gradient of GLU's gate has the slope of tanh.",
    lines=("dv = da ⊙ u ⊙ (1 − σ(v)²)", "dv = da ⊙ u ⊙ σ(v) ⊙ (1 − σ(v))"),
    glu_slope=lambda e, v: 1 - e.sigma(v) * e.sigma(v),
)


def _zeroed(e: Textbook, o: Options, z: Array) -> Array:
    mask = e.alpha_dropout_mask(o)
    return z if mask is None else mask * z / (1 - e.num(o.p) if o.p < 1 else 1)


BUGS["alpha-dropout-is-dropout"] = bug(
    "AlphaDropout sets entries to 0 and scales the others, as Dropout does.",
    lines=("a = m ⊙ z / (1 − p)", "a = c (m ⊙ z + (m − 1) α + α p)"),
    alpha_dropout=_zeroed,
    alpha_dropout_backward=lambda e, o, z, a, da: _zeroed(e, o, da),
)
BUGS["alpha-dropout-unscaled"] = bug(
    "AlphaDropout lacks the factor that keeps the variance.",
    lines=("a = m ⊙ z + (m − 1) α + α p", "a = c (m ⊙ z + (m − 1) α + α p)"),
    alpha_dropout_scale=lambda e, o: e.num(1),
)
BUGS["alpha-dropout-not-in-backward"] = bug(
    "The mask of AlphaDropout is not applied to the gradient.",
    lines=("dz = c da", "dz = c (m ⊙ da)"),
    alpha_dropout_backward=lambda e, o, z, a, da: (
        da if e.alpha_dropout_mask(o) is None else e.array(e.alpha_dropout_scale(o)) * da
    ),
)
