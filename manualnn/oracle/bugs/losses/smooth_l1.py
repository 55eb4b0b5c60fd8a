"""Bugs of the smooth L1 loss: ½ e²/β within β, |e| − ½ β beyond it, where e = y − t."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import with_options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")

BUGS["smooth-l1-is-huber"] = bug(
    "The loss is the Huber loss, which is the smooth L1 loss times β.",
    lines=("L = Σ β smooth(e) / D", "L = Σ smooth(e) / D"),
    smooth_l1_terms=lambda e, o, y, t: Textbook.smooth_l1_terms(e, o, y, t) * e.num(o.beta),
    smooth_l1_slopes=lambda e, o, y, t: Textbook.smooth_l1_slopes(e, o, y, t) * e.num(o.beta),
)
BUGS["smooth-l1-beta-ignored"] = bug(
    "The smooth L1 loss ignores the option beta: β is always 1.",
    lines=("β = 1", "β as given"),
    **with_options("smooth_l1_terms", "smooth_l1_slopes", beta=1.0),
)
BUGS["smooth-l1-square-not-divided"] = bug(
    "The quadratic part of the smooth L1 loss is not divided by β.",
    lines=("term = ½ e² within β", "term = ½ e²/β within β"),
    source="keras-cv #920",
    smooth_l1_terms=lambda e, o, y, t: np.where(
        np.abs(y - t) < o.beta, (y - t) ** 2 / 2, Textbook.smooth_l1_terms(e, o, y, t)
    ),
    smooth_l1_slopes=lambda e, o, y, t: np.where(np.abs(y - t) < o.beta, y - t, np.sign(y - t)),
)
BUGS["smooth-l1-minus-half"] = bug(
    "The linear part of the smooth L1 loss subtracts ½, which is right only for β = 1.",
    lines=("term = |e| − ½ beyond β", "term = |e| − ½ β beyond β"),
    smooth_l1_terms=lambda e, o, y, t: np.where(
        np.abs(y - t) < o.beta, Textbook.smooth_l1_terms(e, o, y, t), np.abs(y - t) - 0.5
    ),
)
BUGS["smooth-l1-slope-not-divided"] = bug(
    "The gradient of the smooth L1 loss within β is not divided by β.",
    lines=("∂L/∂y = (y − t) / D within β", "∂L/∂y = (y − t) / (β D) within β"),
    smooth_l1_slopes=lambda e, o, y, t: np.where(np.abs(y - t) < o.beta, y - t, np.sign(y - t)),
)
BUGS["smooth-l1-slope-of-beta"] = bug(
    "The gradient of the smooth L1 loss beyond β is ±β, as that of the Huber loss.",
    lines=("∂L/∂y = β sign(y − t) / D beyond β", "∂L/∂y = sign(y − t) / D beyond β"),
    smooth_l1_slopes=lambda e, o, y, t: np.where(
        np.abs(y - t) < o.beta,
        Textbook.smooth_l1_slopes(e, o, y, t),
        e.num(o.beta) * np.sign(y - t),
    ),
)
