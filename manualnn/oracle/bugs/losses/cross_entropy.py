"""Bugs of cross-entropy: axis, divisor, weights, ignored labels, probabilities."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import change, clip_probabilities, with_options
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
extreme_bug = partial(bug, killed_by="certain:*")

_slopes = Textbook.cross_entropy_slopes


def _softmax(e: Textbook, y: Array, *, axis: int = 1) -> Array:
    """Return softmax(y) along an axis."""
    exp = e.exp(y - y.max(axis=axis, keepdims=True))
    return exp / exp.sum(axis=axis, keepdims=True)


BUGS["cross-entropy-axis-0"] = bug(
    "The softmax of the loss sums over samples instead of classes.",
    lines=("p = exp(y) / Σₙ exp(y)", "p = exp(y) / Σₖ exp(y)"),
    source="mlx",
    cross_entropy_terms=lambda e, o, y, t: -e.shares(o, y, t) * np.log(_softmax(e, y, axis=0)),
    cross_entropy_slopes=lambda e, o, y, t: (
        _softmax(e, y, axis=0) * e.shares(o, y, t).sum(axis=0) - e.shares(o, y, t)
    ),
)
BUGS["cross-entropy-no-shift"] = extreme_bug(
    "exp overflows because the maximum is not subtracted first.",
    lines=("log Σ exp(y), or log(exp(y) / Σ exp(y))", "m + log Σ exp(y − m), m = max y"),
    exact=False,
    logarithms=[
        lambda e, y, total: y - np.log(total),
        lambda e, y, total: np.log(np.exp(y) / total),
        lambda e, y, total: np.log(np.maximum(np.exp(y) / total, np.finfo(y.dtype).tiny)),
    ],
    cross_entropy_terms=lambda e, o, y, t: (
        -e.shares(o, y, t) * e.logarithms(y, np.exp(y).sum(axis=1, keepdims=True))
    ),
    cross_entropy_slopes=lambda e, o, y, t: (
        np.exp(y)
        / np.exp(y).sum(axis=1, keepdims=True)
        * e.shares(o, y, t).sum(axis=1, keepdims=True)
        - e.shares(o, y, t)
    ),
)
BUGS["cross-entropy-shared-shift"] = extreme_bug(
    "The maximum of the whole batch is subtracted from every row: rows far below it underflow.",
    lines=("m = max over the array", "m = max over the row"),
    source="crysx_nn #7",
    exact=False,
    log_shares=lambda e, v: v - v.max() - np.log(np.exp(v - v.max()).sum(axis=1, keepdims=True)),
)
BUGS["cross-entropy-log-of-softmax"] = extreme_bug(
    "The logarithm of a probability is infinite where the probability underflows to 0.",
    lines=("log(softmax(y))", "y − m − log Σ exp(y − m)"),
    exact=False,
    cross_entropy_terms=lambda e, o, y, t: np.where(
        e.shares(o, y, t) == 0, 0, -e.shares(o, y, t) * np.log(_softmax(e, y))
    ),
)
BUGS["cross-entropy-log-plus-eps"] = bug(
    "A small number is added inside the logarithm.",
    lines=("−log(p + ε)", "−log p"),
    eps=Constant([1e-8, 1e-7, 1e-9, 1e-10, 1e-12, 1e-15], solved(1e-8)),
    cross_entropy_terms=lambda e, o, y, t: (
        -e.shares(o, y, t) * np.log(_softmax(e, y) + e.num(e.eps))
    ),
)
BUGS["cross-entropy-clipped"] = extreme_bug(
    "Probabilities are clipped to [ε, 1 − ε] before the logarithm.",
    lines=("−log clip(p, ε, 1 − ε)", "−log p"),
    source="scikit-learn",
    eps=Constant([1e-7, 1e-8, 1e-12, 1e-15, None], solved(1e-7)),
    cross_entropy_terms=lambda e, o, y, t: (
        -e.shares(o, y, t) * np.log(clip_probabilities(e, _softmax(e, y), e.eps))
    ),
)
BUGS["softmax-twice"] = bug(
    "A softmax is applied to the logits, although the loss applies its own.",
    lines=("L(softmax(y), t)", "L(y, t)"),
    cross_entropy_terms=lambda e, o, y, t: Textbook.cross_entropy_terms(e, o, _softmax(e, y), t),
    cross_entropy_slopes=lambda e, o, y, t: _slopes(e, o, _softmax(e, y), t),
)
BUGS["cross-entropy-slope-times-softmax-slope"] = bug(
    "The gradient p − q is multiplied by p (1 − p), although it contains the softmax's slope.",
    lines=("∂L/∂y = (p − q) p (1 − p) / D", "∂L/∂y = (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: (
        _slopes(e, o, y, t) * _softmax(e, y) * (1 - _softmax(e, y))
    ),
)
BUGS["cross-entropy-slope-of-target-only"] = bug(
    "Only the logit of the target class gets a gradient.",
    lines=("∂L/∂y = (p − 1) / D for the target, 0 else", "∂L/∂y = (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: np.where(
        e.shares(o, y, t) == 0, 0, _slopes(e, o, y, t)
    ),
)
BUGS["cross-entropy-slope-over-target"] = bug(
    "The gradient is that of the probabilities: the softmax is not differentiated.",
    lines=("∂L/∂y = −q / p / D", "∂L/∂y = (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: -e.shares(o, y, t) / _softmax(e, y),
)
BUGS["cross-entropy-of-log-probabilities"] = bug(
    "The outputs are used as log-probabilities, without a softmax.",
    lines=("L = −Σ q y / D", "L = −Σ q log softmax(y) / D"),
    cross_entropy_terms=lambda e, o, y, t: -e.shares(o, y, t) * y,
    cross_entropy_slopes=lambda e, o, y, t: -e.shares(o, y, t),
)
BUGS["cross-entropy-mean-over-classes"] = bug(
    "The mean divides by samples times classes.",
    lines=("D = N K", "D = N"),
    cross_entropy_divisor=lambda e, o, y, t: (
        Textbook.cross_entropy_divisor(e, o, y, t) * y.shape[1]
    ),
)
BUGS["class-weight-not-in-divisor"] = bug(
    "The weighted mean divides by the number of samples.",
    lines=("D = N", "D = Σₙ w[tₙ]"),
    **with_options("cross_entropy_divisor", weight=None),
)
BUGS["class-weight-only-on-target"] = bug(
    "In the gradient, the weight multiplies the target, but not the softmax.",
    lines=("∂L/∂y = (p − w q) / D", "∂L/∂y = w (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: (
        np.where(e.counts(o, t)[:, None] if t.ndim == 1 else True, _softmax(e, y), 0)
        - e.shares(o, y, t)
    ),
)
BUGS["class-weight-of-column"] = bug(
    "In the gradient, each logit gets the weight of its own class instead of the target's.",
    lines=("∂L/∂y[j] = w[j] (p[j] − q[j]) / D", "∂L/∂y[j] = w[t] (p[j] − q[j]) / D"),
    killed_by="loss.CrossEntropyLoss*weight*:*",
    source="tinynn",
    where=lambda e, o, y, t: o.weight is not None,
    cross_entropy_slopes=lambda e, o, y, t: (
        e.class_weight(o, y) * _slopes(e, change(o, weight=None), y, t)
    ),
)
BUGS["ignored-in-divisor"] = bug(
    "Samples with ignore_index count in the divisor of the mean.",
    lines=("D = N", "D = number of samples not ignored"),
    where=lambda e, o, y, t: t.ndim == 1 and o.reduction == "mean",
    cross_entropy_divisor=lambda e, o, y, t: e.total(
        e.class_weight(o, y)[np.where(e.counts(o, t), t, 0)]
    ),
)
BUGS["ignored-has-gradient"] = bug(
    "Samples with ignore_index get a gradient, although they add nothing to the loss.",
    lines=("∂L/∂y = p / D where t is ignored", "∂L/∂y = 0 where t is ignored"),
    where=lambda e, o, y, t: t.ndim == 1,
    cross_entropy_slopes=lambda e, o, y, t: np.where(
        e.counts(o, t)[:, None], _slopes(e, o, y, t), _softmax(e, y)
    ),
)
BUGS["ignore-index-negative-only"] = bug(
    "The option ignore_index is ignored: negative labels are left out instead.",
    lines=("ignored where t < 0", "ignored where t = ignore_index"),
    counts=lambda e, o, t: t >= 0,
)
BUGS["weight-of-likeliest-class"] = bug(
    "With probabilities as targets, the gradient uses the weight of the most likely class.",
    lines=("∂L/∂y = (w[argmax t] p − w t) / D", "∂L/∂y = (Σ w t · p − w t) / D"),
    where=lambda e, o, y, t: t.ndim == 2,
    cross_entropy_slopes=lambda e, o, y, t: (
        e.exp(e.log_shares(y)) * e.class_weight(o, y)[t.argmax(axis=1)][:, None] - e.shares(o, y, t)
    ),
)
BUGS["weight-of-likeliest-class-in-value"] = bug(
    "With probabilities as targets, the value uses the weight of the most likely class.",
    lines=("L = −Σ w[argmax t] t log p / D", "L = −Σ w t log p / D"),
    killed_by="loss.CrossEntropyLoss.probabilities:*",
    source="tinynn",
    where=lambda e, o, y, t: t.ndim == 2 and o.weight is not None,
    cross_entropy_terms=lambda e, o, y, t: (
        e.class_weight(o, y)[t.argmax(axis=1)][:, None]
        * Textbook.cross_entropy_terms(e, change(o, weight=None), y, t)
    ),
)
BUGS["probability-targets-rounded"] = bug(
    "Probabilities as targets are replaced by the class with the highest one.",
    lines=("q = onehot(argmax t)", "q = t"),
    shares=lambda e, o, y, t: Textbook.shares(
        e, o, y, t if t.ndim == 1 else np.eye(t.shape[1], dtype=t.dtype)[t.argmax(axis=1)]
    ),
)
BUGS["probability-targets-rounded-in-value"] = bug(
    "The value of the loss takes the class with the highest target; the gradient is right.",
    lines=("L = −Σ log p[argmax t] / D", "L = −Σ t log p / D"),
    where=lambda e, o, y, t: t.ndim == 2,
    cross_entropy_terms=lambda e, o, y, t: Textbook.cross_entropy_terms(
        e, o, y, np.eye(t.shape[1], dtype=t.dtype)[t.argmax(axis=1)]
    ),
)
BUGS["labels-from-1"] = bug(
    "Labels are counted from 1: each one selects the class before it.",
    lines=("onehot at t − 1", "onehot at t"),
    one_hot=lambda e, o, y, t: np.roll(Textbook.one_hot(e, o, y, t), -1, axis=1),
)
BUGS["labels-from-0-instead-of-1"] = bug(
    "Each label selects the class after it, as if labels were counted from −1.",
    lines=("onehot at t + 1", "onehot at t"),
    one_hot=lambda e, o, y, t: np.roll(Textbook.one_hot(e, o, y, t), 1, axis=1),
)
BUGS["cross-entropy-is-divergence"] = bug(
    "The loss is the divergence from the targets: the entropy of the targets is subtracted.",
    lines=("L = Σ q log(q / p) / D", "L = −Σ q log p / D"),
    cross_entropy_terms=lambda e, o, y, t: (
        (q := e.shares(o, y, t)) * (np.log(np.where(q > 0, q, 1)) - e.log_shares(y))
    ),
)
BUGS["target-counts-if-not-0"] = bug(
    "Every class with a target above 0 counts fully in the loss, but not in the gradient.",
    lines=("L = −Σ log p where q ≠ 0", "L = −Σ q log p / D"),
    source="darknet #5207",
    cross_entropy_terms=lambda e, o, y, t: np.where(e.shares(o, y, t) == 0, 0, -e.log_shares(y)),
)
BUGS["cross-entropy-slope-of-shares"] = bug(
    "The gradient is the softmax alone: the target is not subtracted, or it is added.",
    lines=("∂L/∂y = p / D, or (p + q) / D", "∂L/∂y = (p − q) / D"),
    sign=[0, 1],
    cross_entropy_slopes=lambda e, o, y, t: _slopes(e, o, y, t) + (1 + e.sign) * e.shares(o, y, t),
)
BUGS["cross-entropy-slope-of-logits"] = bug(
    "The gradient subtracts the targets from the logits instead of from their softmax.",
    lines=("∂L/∂y = (y − q) / D", "∂L/∂y = (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: y - e.shares(o, y, t),
)
BUGS["cross-entropy-slope-of-logarithms"] = bug(
    "The gradient subtracts the targets from log-probabilities instead of probabilities.",
    lines=("∂L/∂y = (log p − q) / D", "∂L/∂y = (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: e.log_shares(y) - e.shares(o, y, t),
)
BUGS["softmax-twice-in-value"] = bug(
    "The value of the loss applies a softmax twice, but its gradient does not.",
    lines=("L = −Σ q log softmax(softmax(y)) / D", "L = −Σ q log softmax(y) / D"),
    cross_entropy_terms=lambda e, o, y, t: Textbook.cross_entropy_terms(e, o, _softmax(e, y), t),
)
BUGS["softmax-twice-with-own-slope"] = bug(
    "A softmax is applied to the logits before the loss, with its own right gradient.",
    lines=("L(softmax(y), t)", "L(y, t)"),
    cross_entropy_terms=lambda e, o, y, t: Textbook.cross_entropy_terms(e, o, _softmax(e, y), t),
    cross_entropy_slopes=lambda e, o, y, t: e.softmax_backward(
        o, y, (p := _softmax(e, y)), _slopes(e, o, p, t)
    ),
)
BUGS["cross-entropy-binary-terms"] = bug(
    "Classes other than the target add −log(1 − p), as in a binary cross-entropy.",
    lines=("term = −q log p − (1 − q) log(1 − p)", "term = −q log p"),
    cross_entropy_terms=lambda e, o, y, t: (
        Textbook.cross_entropy_terms(e, o, y, t)
        - (1 - e.shares(o, y, t)) * np.log1p(-_softmax(e, y))
    ),
)
BUGS["cross-entropy-only-of-first-target"] = bug(
    "All samples use the label of the first one.",
    lines=("q[n] = onehot at t[0]", "q[n] = onehot at t[n]"),
    shares=lambda e, o, y, t: Textbook.shares(e, o, y, np.resize(t[:1], t.shape)),
)
