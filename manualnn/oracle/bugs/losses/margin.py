"""Bugs of losses of a margin."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
HINGE = "term = y where t = 1, max(0, margin − y) where t = −1"
HINGE_SLOPE = "∂L/∂y = 1 / D where t = 1; −1 / D where t = −1 and y ≤ margin, else 0"

BUGS["hinge-slope-beyond-margin"] = bug(
    "The gradient of the hinge embedding loss is not 0 beyond the margin.",
    lines=("∂L/∂y = t / D", HINGE_SLOPE),
    source="pytorch #3773",
    hinge_slopes=lambda e, o, y, t: t + 0,
)
BUGS["hinge-of-product"] = bug(
    "The hinge embedding loss is the hinge loss of a classifier.",
    lines=("term = max(0, margin − t y)", HINGE),
    source="mlpack #2444",
    hinge_terms=lambda e, o, y, t: np.maximum(e.num(o.margin) - t * y, 0).astype(y.dtype),
    hinge_slopes=lambda e, o, y, t: -t * (t * y < o.margin),
)
BUGS["hinge-targets-swapped"] = bug(
    "The hinge embedding loss takes the targets 1 and −1 the other way round.",
    lines=("term = y where t = −1, max(0, margin − y) where t = 1", HINGE),
    hinge_terms=lambda e, o, y, t: Textbook.hinge_terms(e, o, y, -t),
    hinge_slopes=lambda e, o, y, t: Textbook.hinge_slopes(e, o, y, -t),
)
BUGS["soft-margin-overflows"] = bug(
    "The soft margin loss overflows where an output is far on the wrong side.",
    lines=("term = log(1 + exp(−t y)), with exp as it is", "term = softplus(−t y)"),
    source="burn #5373, torch 2.13",
    exact=False,
    soft_margin_terms=lambda e, o, y, t: e.log1p(e.exp(-t * y)),
    soft_margin_slopes=lambda e, o, y, t: -t * e.exp(-t * y) / (1 + e.exp(-t * y)),
)
BUGS["soft-margin-slope-without-target"] = bug(
    "The gradient of the soft margin loss lacks the target's sign.",
    lines=("∂L/∂y = −σ(−t y) / D", "∂L/∂y = −t σ(−t y) / D"),
    soft_margin_slopes=lambda e, o, y, t: -e.sigma(-t * y),
)
BUGS["multi-margin-of-all-classes"] = bug(
    "The target's own class adds its margin to the multi-class hinge loss.",
    lines=("Σₖ over all classes", "Σₖ over the classes k ≠ t"),
    source="burn #5176",
    excess=lambda e, o, y, t: (y - y[np.arange(len(t)), t][:, None] + e.num(o.margin)).astype(
        y.dtype
    ),
)
BUGS["multi-margin-not-divided"] = bug(
    "The multi-class hinge loss is not divided by the number of classes.",
    lines=("L = Σₖ h / D", "L = 1/K Σₖ h / D"),
    multi_margin_weight=lambda e, o, y, t: e.class_weight(o, y)[t][:, None],
)
BUGS["multi-margin-slope-of-target"] = bug(
    "The gradient of the multi-class hinge loss at the target is −1 instead of minus a count.",
    lines=("∂L/∂y[t] = −w/K / D", "∂L/∂y[t] = −w/K Σₖ s[k] / D"),
    multi_margin_slopes=lambda e, o, y, t: np.where(
        np.arange(y.shape[1]) == t[:, None],
        np.maximum(Textbook.multi_margin_slopes(e, o, y, t), -e.multi_margin_weight(o, y, t)),
        Textbook.multi_margin_slopes(e, o, y, t),
    ),
)
BUGS["multi-margin-largest"] = bug(
    "The value of the multi-class hinge loss is that of the largest excess, not of their sum.",
    lines=("L = maxₖ h / K / D", "L = 1/K Σₖ h / D"),
    multi_margin_terms=lambda e, o, y, t: np.max(
        Textbook.multi_margin_terms(e, o, y, t), axis=1, keepdims=True
    ),
)
LABELS = "Σ over the classes j of the sample and all others k"
BUGS["multi-label-margin-of-all-classes"] = bug(
    "The multi-label margin loss counts a sample's own classes among the others.",
    lines=("Σ over the classes j of the sample and all classes k", LABELS),
    label_pairs=lambda e, is_label: is_label | np.zeros_like(is_label.swapaxes(1, 2)),
)
BUGS["multi-label-margin-of-first-class"] = bug(
    "The multi-label margin loss counts the first class of each sample alone.",
    lines=("j = t[n,0]", "j = t[n,0], t[n,1], … before the first −1"),
    labels_listed=lambda e, t: (t >= 0) & (np.arange(t.shape[1]) == 0),
)
BUGS["multi-label-margin-beyond-end"] = bug(
    "The multi-label margin loss counts classes that stand behind the first −1.",
    lines=("all j = t[n,i] ≥ 0", "j = t[n,0], t[n,1], … before the first −1"),
    labels_listed=lambda e, t: t >= 0,
)
BUGS["multi-label-margin-not-divided"] = bug(
    "The multi-label margin loss is not divided by the number of classes.",
    lines=("L = Σ h / D", "L = 1/K Σ h / D"),
    classes_of=lambda e, y: e.array(1),
)
BUGS["multi-label-margin-slope-of-class"] = bug(
    "The gradient of the multi-label margin loss at a sample's class is −1 instead of a count.",
    lines=("∂L/∂y[j] = −1/K / D", "∂L/∂y[j] = −1/K Σₖ s[j,k] / D"),
    multi_label_margin_slopes=lambda e, o, y, t: np.maximum(
        Textbook.multi_label_margin_slopes(e, o, y, t), -1 / e.classes_of(y)
    ),
)
BUGS["multi-label-not-divided"] = bug(
    "The multi-label soft margin loss is not divided by the number of outputs.",
    lines=("L = Σₖ term / D", "L = 1/K Σₖ term / D"),
    outputs_of=lambda e, y: e.array(1),
)
BUGS["multi-label-slope-not-divided"] = bug(
    "The gradient of the multi-label soft margin loss is not divided by the number of outputs.",
    lines=("∂L/∂y = w (σ(y) − t) / D", "∂L/∂y = w/K (σ(y) − t) / D"),
    multi_label_soft_margin_slopes=lambda e, o, y, t: (
        Textbook.multi_label_soft_margin_slopes(e, o, y, t) * e.outputs_of(y)
    ),
)
BUGS["multi-label-of-present-labels"] = bug(
    "The multi-label soft margin loss lacks the term of the labels that are 0.",
    lines=("term = t softplus(−y)", "term = t softplus(−y) + (1 − t) softplus(y)"),
    multi_label_soft_margin_terms=lambda e, o, y, t: (
        e.sample_weight(o) * t * e.softplus_of(-y) / e.outputs_of(y)
    ),
    multi_label_soft_margin_slopes=lambda e, o, y, t: (
        -e.sample_weight(o) * t * e.sigma(-y) / e.outputs_of(y)
    ),
)
