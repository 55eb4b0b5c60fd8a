"""Bugs of cross-entropy: axis, divisor, weights, ignored labels."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, add_bug, clip_probabilities, with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(add_bug, BUGS, "losses")
any_bug = partial(bug, killed_by="loss.CrossEntropyLoss*:*")
extreme_bug = partial(bug, killed_by="certain:*")
weight_bug = partial(bug, killed_by="loss.CrossEntropyLoss*weight*:*")
ignored_bug = partial(bug, killed_by="loss.CrossEntropyLoss.ignore_index:*")


_slopes = Textbook.cross_entropy_slopes


def _softmax(e: Textbook, y: Array, *, axis: int = 1) -> Array:
    """Return softmax(y) along an axis."""
    exp = e.exp(y - y.max(axis=axis, keepdims=True))
    return exp / exp.sum(axis=axis, keepdims=True)


any_bug(
    "cross-entropy-axis-0",
    "The softmax of the loss sums over samples instead of classes.",
    lines=("p = exp(y) / Σₙ exp(y)", "p = exp(y) / Σₖ exp(y)"),
    source="mlx",
    cross_entropy_terms=lambda e, o, y, t: -e.shares(o, y, t) * np.log(_softmax(e, y, axis=0)),
    cross_entropy_slopes=lambda e, o, y, t: (
        _softmax(e, y, axis=0) * e.shares(o, y, t).sum(axis=0) - e.shares(o, y, t)
    ),
)
extreme_bug(
    "cross-entropy-no-shift",
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
extreme_bug(
    "cross-entropy-shared-shift",
    "The maximum of the whole batch is subtracted from every row: rows far below it underflow.",
    lines=("m = max over the array", "m = max over the row"),
    source="crysx_nn #7",
    exact=False,
    log_shares=lambda e, v: v - v.max() - np.log(np.exp(v - v.max()).sum(axis=1, keepdims=True)),
)
extreme_bug(
    "cross-entropy-log-of-softmax",
    "The logarithm of a probability is infinite where the probability underflows to 0.",
    lines=("log(softmax(y))", "y − m − log Σ exp(y − m)"),
    exact=False,
    cross_entropy_terms=lambda e, o, y, t: np.where(
        e.shares(o, y, t) == 0, 0, -e.shares(o, y, t) * np.log(_softmax(e, y))
    ),
)
any_bug(
    "cross-entropy-log-plus-eps",
    "A small number is added inside the logarithm.",
    lines=("−log(p + ε)", "−log p"),
    variants=[{"eps": eps} for eps in (1e-8, 1e-7, 1e-9, 1e-10, 1e-12, 1e-15)],
    cross_entropy_terms=lambda e, o, y, t: (
        -e.shares(o, y, t) * np.log(_softmax(e, y) + e.num(e.eps))
    ),
)
extreme_bug(
    "cross-entropy-clipped",
    "Probabilities are clipped to [ε, 1 − ε] before the logarithm.",
    lines=("−log clip(p, ε, 1 − ε)", "−log p"),
    source="scikit-learn",
    variants=[{"eps": eps} for eps in (1e-7, 1e-8, 1e-12, 1e-15, None)],
    cross_entropy_terms=lambda e, o, y, t: (
        -e.shares(o, y, t) * np.log(clip_probabilities(e, _softmax(e, y), e.eps))
    ),
)
any_bug(
    "softmax-twice",
    "A softmax is applied to the logits, although the loss applies its own.",
    lines=("L(softmax(y), t)", "L(y, t)"),
    cross_entropy_terms=lambda e, o, y, t: Textbook.cross_entropy_terms(e, o, _softmax(e, y), t),
    cross_entropy_slopes=lambda e, o, y, t: _slopes(e, o, _softmax(e, y), t),
)
any_bug(
    "cross-entropy-slope-times-softmax-slope",
    "The gradient p − q is multiplied by p (1 − p), although it contains the softmax's slope.",
    lines=("∂L/∂y = (p − q) p (1 − p) / D", "∂L/∂y = (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: (
        _slopes(e, o, y, t) * _softmax(e, y) * (1 - _softmax(e, y))
    ),
)
any_bug(
    "cross-entropy-slope-of-target-only",
    "Only the logit of the target class gets a gradient.",
    lines=("∂L/∂y = (p − 1) / D for the target, 0 else", "∂L/∂y = (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: np.where(
        e.shares(o, y, t) == 0, 0, _slopes(e, o, y, t)
    ),
)
any_bug(
    "cross-entropy-slope-over-target",
    "The gradient is that of the probabilities: the softmax is not differentiated.",
    lines=("∂L/∂y = −q / p / D", "∂L/∂y = (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: -e.shares(o, y, t) / _softmax(e, y),
)
any_bug(
    "cross-entropy-of-log-probabilities",
    "The outputs are used as log-probabilities, without a softmax.",
    lines=("L = −Σ q y / D", "L = −Σ q log softmax(y) / D"),
    cross_entropy_terms=lambda e, o, y, t: -e.shares(o, y, t) * y,
    cross_entropy_slopes=lambda e, o, y, t: -e.shares(o, y, t),
)
any_bug(
    "cross-entropy-without-minus",
    "The minus sign of the loss is missing; its gradient is right.",
    lines=("L = Σ q log p / D", "L = −Σ q log p / D"),
    cross_entropy_terms=lambda e, o, y, t: -Textbook.cross_entropy_terms(e, o, y, t),
)
bug(
    "cross-entropy-mean-over-classes",
    "The mean divides by samples times classes.",
    lines=("D = N K", "D = N"),
    killed_by="loss.CrossEntropyLoss*mean*:*",
    cross_entropy_divisor=lambda e, o, y, t: (
        Textbook.cross_entropy_divisor(e, o, y, t) * y.shape[1]
    ),
)
weight_bug(
    "class-weight-not-in-divisor",
    "The weighted mean divides by the number of samples.",
    lines=("D = N", "D = Σₙ w[tₙ]"),
    **with_options("cross_entropy_divisor", weight=None),
)
weight_bug(
    "class-weight-only-on-target",
    "In the gradient, the weight multiplies the target, but not the softmax.",
    lines=("∂L/∂y = (p − w q) / D", "∂L/∂y = w (p − q) / D"),
    cross_entropy_slopes=lambda e, o, y, t: (
        np.where(e.counts(o, t)[:, None] if t.ndim == 1 else True, _softmax(e, y), 0)
        - e.shares(o, y, t)
    ),
)
ignored_bug(
    "ignored-in-divisor",
    "Samples with ignore_index count in the divisor of the mean.",
    lines=("D = N", "D = number of samples not ignored"),
    cross_entropy_divisor=lambda e, o, y, t: (
        Textbook.cross_entropy_divisor(e, o, y, t)
        if t.ndim == 2 or o.reduction != "mean"
        else e.total(e.class_weight(o, y)[np.where(e.counts(o, t), t, 0)])
    ),
)
ignored_bug(
    "ignored-has-gradient",
    "Samples with ignore_index get a gradient, although they add nothing to the loss.",
    lines=("∂L/∂y = p / D where t is ignored", "∂L/∂y = 0 where t is ignored"),
    cross_entropy_slopes=lambda e, o, y, t: (
        _slopes(e, o, y, t)
        if t.ndim == 2
        else np.where(e.counts(o, t)[:, None], _slopes(e, o, y, t), _softmax(e, y))
    ),
)
bug(
    "ignore-index-negative-only",
    "The option ignore_index is ignored: negative labels are left out instead.",
    lines=("ignored where t < 0", "ignored where t = ignore_index"),
    killed_by="loss.CrossEntropyLoss*ignore_index*:*",
    counts=lambda e, o, t: t >= 0,
)
