"""Bugs of cross-entropy: axis, divisor, weights, ignored labels, label smoothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Method, Table, bug
from manualnn.oracle.bugs.edits import change, clip_probabilities, with_options
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
extreme_bug = partial(bug, killed_by="certain:*")

_slopes = Textbook.cross_entropy_slopes


def _smoothed(rest: Callable[[Array, Any], Array]) -> Method:
    """Return targets (1 − ε) q plus rest(q, ε)."""

    def smoothed(e: Textbook, o: Options, q: Array) -> Array:
        eps = e.num(o.label_smoothing)
        return q * (1 - eps) + rest(q, eps)

    return smoothed


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
    lines=("log Σ exp(y)", "m + log Σ exp(y − m), m = max y"),
    exact=False,
    cross_entropy_terms=lambda e, o, y, t: (
        -e.shares(o, y, t) * (y - np.log(np.exp(y).sum(axis=1, keepdims=True)))
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
    eps=[1e-7, 1e-8, 1e-12, 1e-15, None],
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
BUGS["cross-entropy-without-minus"] = bug(
    "The minus sign of the loss is missing; its gradient is right.",
    lines=("L = Σ q log p / D", "L = −Σ q log p / D"),
    cross_entropy_terms=lambda e, o, y, t: -Textbook.cross_entropy_terms(e, o, y, t),
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
BUGS["smoothing-over-k-minus-1"] = bug(
    "Label smoothing distributes ε over the other classes only.",
    lines=("q = 1 − ε for the target, ε / (K − 1) else", "q = (1 − ε) onehot + ε / K"),
    smoothed=_smoothed(lambda q, eps: (1 - q) * (eps / max(q.shape[1] - 1, 1))),
)
BUGS["smoothing-divided-by-k-minus-1"] = bug(
    "Label smoothing divides by K − 1, but distributes over all K classes.",
    lines=("q = (1 − ε) onehot + ε / (K − 1)", "q = (1 − ε) onehot + ε / K"),
    smoothed=_smoothed(lambda q, eps: eps / max(q.shape[1] - 1, 1)),
)
BUGS["smoothing-target-not-reduced"] = bug(
    "Label smoothing adds ε / K without reducing the target: the targets sum to 1 + ε.",
    lines=("q = onehot + ε / K", "q = (1 − ε) onehot + ε / K"),
    smoothed=lambda e, o, q: q + e.num(o.label_smoothing) / q.shape[1],
)
BUGS["smoothing-target-without-share"] = bug(
    "Label smoothing does not add ε / K to the target class: the targets sum to 1 − ε / K.",
    lines=("q = 1 − ε for the target, ε / K else", "q = (1 − ε) onehot + ε / K"),
    smoothed=_smoothed(lambda q, eps: (1 - q) * (eps / q.shape[1])),
)
BUGS["smoothing-counts-samples"] = bug(
    "Label smoothing divides by the number of samples instead of classes.",
    lines=("q = (1 − ε) onehot + ε / N", "q = (1 − ε) onehot + ε / K"),
    source="keras",
    smoothed=_smoothed(lambda q, eps: eps / len(q)),
)
BUGS["smoothing-ignored"] = bug(
    "The option label_smoothing is ignored.",
    lines=("q = onehot", "q = (1 − ε) onehot + ε / K"),
    smoothed=lambda e, o, q: q,
)
BUGS["smoothing-not-in-slope"] = bug(
    "Label smoothing is applied to the loss, but not to the gradient.",
    lines=("∂L/∂y = (p − onehot) / D", "∂L/∂y = (p − q) / D, q smoothed"),
    **with_options("cross_entropy_slopes", label_smoothing=0),
)
BUGS["smoothing-not-weighted"] = bug(
    "The smooth part of the targets is not multiplied by the class weights.",
    lines=("−Σ ((1 − ε) w onehot + ε / K) log p", "−Σ w ((1 − ε) onehot + ε / K) log p"),
    shares=lambda e, o, y, t: (
        (1 - e.num(o.label_smoothing)) * Textbook.shares(e, change(o, label_smoothing=0), y, t)
        + e.array(e.counts(o, t)[:, None] if t.ndim == 1 else 1)
        * (e.num(o.label_smoothing) / y.shape[1])
    ),
)
BUGS["smoothing-weighted-by-target"] = bug(
    "The smooth part of the targets is multiplied by the weight of the sample's target class.",
    lines=("−w[t] Σ ((1 − ε) onehot + ε / K) log p", "−Σ w ((1 − ε) onehot + ε / K) log p"),
    where=lambda e, o, y, t: t.ndim == 1,
    shares=lambda e, o, y, t: (
        Textbook.shares(e, change(o, weight=None), y, t)
        * e.class_weight(o, y)[np.where(e.counts(o, t), t, 0)][:, None]
    ),
)
BUGS["weight-of-likeliest-class"] = bug(
    "With probabilities as targets, the gradient uses the weight of the most likely class.",
    lines=("∂L/∂y = (w[argmax t] p − w t) / D", "∂L/∂y = (Σ w t · p − w t) / D"),
    where=lambda e, o, y, t: t.ndim == 2,
    cross_entropy_slopes=lambda e, o, y, t: (
        e.exp(e.log_shares(y)) * e.class_weight(o, y)[t.argmax(axis=1)][:, None] - e.shares(o, y, t)
    ),
)
BUGS["smoothing-of-ignored"] = bug(
    "Ignored samples get the smooth part of the targets.",
    lines=("q = ε / K where t is ignored", "q = 0 where t is ignored"),
    where=lambda e, o, y, t: t.ndim == 1 and o.label_smoothing,
    shares=lambda e, o, y, t: e.smoothed(o, e.one_hot(o, y, t)) * e.class_weight(o, y),
)
BUGS["probability-targets-rounded"] = bug(
    "Probabilities as targets are replaced by the class with the highest one.",
    lines=("q = onehot(argmax t)", "q = t"),
    shares=lambda e, o, y, t: Textbook.shares(
        e, o, y, t if t.ndim == 1 else np.eye(t.shape[1], dtype=t.dtype)[t.argmax(axis=1)]
    ),
)
BUGS["labels-from-1"] = bug(
    "Labels are counted from 1: each one selects the class before it.",
    lines=("onehot at t − 1", "onehot at t"),
    one_hot=lambda e, o, y, t: np.roll(Textbook.one_hot(e, o, y, t), -1, axis=1),
)
