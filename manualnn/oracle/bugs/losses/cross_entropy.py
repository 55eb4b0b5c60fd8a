"""Mistakes in cross-entropy: axis, divisor, weights, labels that are ignored or smooth."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, clipped, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "losses")


def _shares_of(e: Textbook, y: Array, *, axis: int = 1) -> Array:
    """Return softmax(y) along an axis."""
    exp = e.exp(y - y.max(axis=axis, keepdims=True))
    return exp / exp.sum(axis=axis, keepdims=True)


bug(
    "cross-entropy-axis-0",
    "The softmax of the loss runs over samples in place of classes.",
    wrong="p = exp(y) / Σₙ exp(y)",
    right="p = exp(y) / Σₖ exp(y)",
    source="mlx",
    killed_by="loss.CrossEntropyLoss*:*",
    cross_entropy_terms=lambda e, o, y, t: -e.shares(o, y, t) * np.log(_shares_of(e, y, axis=0)),
    cross_entropy_slopes=lambda e, o, y, t: (
        _shares_of(e, y, axis=0) * e.shares(o, y, t).sum(axis=0) - e.shares(o, y, t)
    ),
)
bug(
    "cross-entropy-no-shift",
    "exp overflows: the maximum is not subtracted first.",
    wrong="log Σ exp(y)",
    right="m + log Σ exp(y − m), m = max y",
    killed_by="certain:*",
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
bug(
    "cross-entropy-shared-shift",
    "One maximum, of the whole batch, is subtracted from every row: rows far below underflow.",
    wrong="m = max over the array",
    right="m = max over the row",
    source="crysx_nn #7",
    killed_by="certain:*",
    exact=False,
    log_shares=lambda e, v: v - v.max() - np.log(np.exp(v - v.max()).sum(axis=1, keepdims=True)),
)
bug(
    "cross-entropy-log-of-softmax",
    "The logarithm of a probability that has underflowed to 0 is infinite.",
    wrong="log(softmax(y))",
    right="y − m − log Σ exp(y − m)",
    killed_by="certain:*",
    exact=False,
    cross_entropy_terms=lambda e, o, y, t: np.where(
        e.shares(o, y, t) == 0, 0, -e.shares(o, y, t) * np.log(_shares_of(e, y))
    ),
)
bug(
    "cross-entropy-log-plus-eps",
    "A small number is added inside the logarithm.",
    wrong="−log(p + ε)",
    right="−log p",
    killed_by="loss.CrossEntropyLoss*:*",
    variants=[{"eps": eps} for eps in (1e-8, 1e-7, 1e-9, 1e-10, 1e-12, 1e-15)],
    cross_entropy_terms=lambda e, o, y, t: (
        -e.shares(o, y, t) * np.log(_shares_of(e, y) + e.num(e.eps))
    ),
)
bug(
    "cross-entropy-clipped",
    "Probabilities are clipped away from 0 and 1 before their logarithm.",
    wrong="−log clip(p, ε, 1 − ε)",
    right="−log p",
    source="scikit-learn",
    killed_by="certain:*",
    variants=[{"eps": eps} for eps in (1e-7, 1e-8, 1e-12, 1e-15, None)],
    cross_entropy_terms=lambda e, o, y, t: (
        -e.shares(o, y, t) * np.log(clipped(e, _shares_of(e, y), e.eps))
    ),
)
bug(
    "softmax-twice",
    "A softmax is applied to the logits before a loss that applies its own.",
    wrong="L(softmax(y), t)",
    right="L(y, t)",
    killed_by="loss.CrossEntropyLoss*:*",
    cross_entropy_terms=lambda e, o, y, t: Textbook.cross_entropy_terms(e, o, _shares_of(e, y), t),
    cross_entropy_slopes=lambda e, o, y, t: Textbook.cross_entropy_slopes(
        e, o, _shares_of(e, y), t
    ),
)
bug(
    "cross-entropy-slope-times-softmax-slope",
    "p − q, which contains the softmax's slope, is multiplied by p (1 − p) once more.",
    wrong="∂L/∂y = (p − q) p (1 − p) / D",
    right="∂L/∂y = (p − q) / D",
    killed_by="loss.CrossEntropyLoss*:*",
    cross_entropy_slopes=lambda e, o, y, t: (
        Textbook.cross_entropy_slopes(e, o, y, t) * _shares_of(e, y) * (1 - _shares_of(e, y))
    ),
)
bug(
    "cross-entropy-slope-of-target-only",
    "Only the logit of the right class gets a gradient.",
    wrong="∂L/∂y = (p − 1) / D for the target, 0 else",
    right="∂L/∂y = (p − q) / D",
    killed_by="loss.CrossEntropyLoss*:*",
    cross_entropy_slopes=lambda e, o, y, t: np.where(
        e.shares(o, y, t) == 0, 0, Textbook.cross_entropy_slopes(e, o, y, t)
    ),
)
bug(
    "cross-entropy-slope-over-target",
    "The gradient stops at the probability: the softmax is not differentiated.",
    wrong="∂L/∂y = −q / p / D",
    right="∂L/∂y = (p − q) / D",
    killed_by="loss.CrossEntropyLoss*:*",
    cross_entropy_slopes=lambda e, o, y, t: -e.shares(o, y, t) / _shares_of(e, y),
)
bug(
    "cross-entropy-of-log-probabilities",
    "The outputs are taken for log-probabilities: no softmax at all.",
    wrong="L = −Σ q y / D",
    right="L = −Σ q log softmax(y) / D",
    killed_by="loss.CrossEntropyLoss*:*",
    cross_entropy_terms=lambda e, o, y, t: -e.shares(o, y, t) * y,
    cross_entropy_slopes=lambda e, o, y, t: -e.shares(o, y, t),
)
bug(
    "cross-entropy-without-minus",
    "The minus of the loss is missing; its gradient is right.",
    wrong="L = Σ q log p / D",
    right="L = −Σ q log p / D",
    killed_by="loss.CrossEntropyLoss*:*",
    cross_entropy_terms=lambda e, o, y, t: -Textbook.cross_entropy_terms(e, o, y, t),
)
bug(
    "cross-entropy-mean-over-classes",
    "The mean divides by samples times classes.",
    wrong="D = N K",
    right="D = N",
    killed_by="loss.CrossEntropyLoss*mean*:*",
    cross_entropy_divisor=lambda e, o, y, t: (
        Textbook.cross_entropy_divisor(e, o, y, t) * y.shape[1]
    ),
)
bug(
    "class-weight-not-in-divisor",
    "The weighted mean divides by the number of samples.",
    wrong="D = N",
    right="D = Σₙ w[tₙ]",
    killed_by="loss.CrossEntropyLoss*weight*:*",
    cross_entropy_divisor=lambda e, o, y, t: Textbook.cross_entropy_divisor(
        e, but(o, weight=None), y, t
    ),
)
bug(
    "class-weight-only-on-target",
    "The weight multiplies the target's term of the gradient, not the softmax's.",
    wrong="∂L/∂y = (p − w q) / D",
    right="∂L/∂y = w (p − q) / D",
    killed_by="loss.CrossEntropyLoss*weight*:*",
    cross_entropy_slopes=lambda e, o, y, t: (
        np.where(e.counts(o, t)[:, None] if t.ndim == 1 else True, _shares_of(e, y), 0)
        - e.shares(o, y, t)
    ),
)
bug(
    "ignored-in-divisor",
    "Samples with ignore_index count in the mean's divisor.",
    wrong="D = N",
    right="D = number of samples not ignored",
    killed_by="loss.CrossEntropyLoss.ignore_index:*",
    cross_entropy_divisor=lambda e, o, y, t: (
        Textbook.cross_entropy_divisor(e, o, y, t)
        if t.ndim == 2 or o.reduction != "mean"
        else e.total(e.class_weight(o, y)[np.where(e.counts(o, t), t, 0)])
    ),
)
bug(
    "ignored-has-gradient",
    "Samples with ignore_index add nothing to the loss, but still get a gradient.",
    wrong="∂L/∂y = p / D where t is ignored",
    right="∂L/∂y = 0 where t is ignored",
    killed_by="loss.CrossEntropyLoss.ignore_index:*",
    cross_entropy_slopes=lambda e, o, y, t: (
        Textbook.cross_entropy_slopes(e, o, y, t)
        if t.ndim == 2
        else np.where(
            e.counts(o, t)[:, None], Textbook.cross_entropy_slopes(e, o, y, t), _shares_of(e, y)
        )
    ),
)
bug(
    "ignore-index-negative-only",
    "Negative labels are ignored, whatever ignore_index is.",
    wrong="ignored where t < 0",
    right="ignored where t = ignore_index",
    killed_by="loss.CrossEntropyLoss*ignore_index*:*",
    counts=lambda e, o, t: t >= 0,
)
bug(
    "smoothing-over-k-minus-1",
    "Label smoothing spreads ε over the other classes only.",
    wrong="q = 1 − ε for the target, ε / (K − 1) else",
    right="q = (1 − ε) onehot + ε / K",
    killed_by="loss.CrossEntropyLoss*label_smoothing*:*",
    smoothed=lambda e, o, q: (
        q * (1 - e.num(o.label_smoothing))
        + (1 - q) * (e.num(o.label_smoothing) / max(q.shape[1] - 1, 1))
    ),
)
bug(
    "smoothing-divided-by-k-minus-1",
    "Label smoothing divides by K − 1 and gives the target its share, too.",
    wrong="q = (1 − ε) onehot + ε / (K − 1)",
    right="q = (1 − ε) onehot + ε / K",
    killed_by="loss.CrossEntropyLoss*label_smoothing*:*",
    smoothed=lambda e, o, q: (
        q * (1 - e.num(o.label_smoothing)) + e.num(o.label_smoothing) / max(q.shape[1] - 1, 1)
    ),
)
bug(
    "smoothing-target-not-reduced",
    "Label smoothing adds ε / K and takes nothing from the target: the targets sum to 1 + ε.",
    wrong="q = onehot + ε / K",
    right="q = (1 − ε) onehot + ε / K",
    killed_by="loss.CrossEntropyLoss*label_smoothing*:*",
    smoothed=lambda e, o, q: q + e.num(o.label_smoothing) / q.shape[1],
)
bug(
    "smoothing-target-without-share",
    "Label smoothing leaves the target without its ε / K: the targets sum to 1 − ε / K.",
    wrong="q = 1 − ε for the target, ε / K else",
    right="q = (1 − ε) onehot + ε / K",
    killed_by="loss.CrossEntropyLoss*label_smoothing*:*",
    smoothed=lambda e, o, q: (
        q * (1 - e.num(o.label_smoothing)) + (1 - q) * (e.num(o.label_smoothing) / q.shape[1])
    ),
)
bug(
    "smoothing-counts-samples",
    "Label smoothing divides by the number of samples in place of classes.",
    wrong="q = (1 − ε) onehot + ε / N",
    right="q = (1 − ε) onehot + ε / K",
    source="keras",
    killed_by="loss.CrossEntropyLoss*label_smoothing*:*",
    smoothed=lambda e, o, q: q * (1 - e.num(o.label_smoothing)) + e.num(o.label_smoothing) / len(q),
)
bug(
    "smoothing-ignored",
    "The option label_smoothing is ignored.",
    wrong="q = onehot",
    right="q = (1 − ε) onehot + ε / K",
    killed_by="loss.CrossEntropyLoss*label_smoothing*:*",
    smoothed=lambda e, o, q: q,
)
bug(
    "smoothing-not-in-slope",
    "Label smoothing enters the loss, not the gradient.",
    wrong="∂L/∂y = (p − onehot) / D",
    right="∂L/∂y = (p − q) / D, q smoothed",
    killed_by="loss.CrossEntropyLoss*label_smoothing*:*",
    cross_entropy_slopes=lambda e, o, y, t: Textbook.cross_entropy_slopes(
        e, but(o, label_smoothing=0), y, t
    ),
)
bug(
    "smoothing-not-weighted",
    "The smooth part of the targets goes without the classes' weights.",
    wrong="−Σ ((1 − ε) w onehot + ε / K) log p",
    right="−Σ w ((1 − ε) onehot + ε / K) log p",
    killed_by="loss.CrossEntropyLoss.*:*",
    shares=lambda e, o, y, t: (
        (1 - e.num(o.label_smoothing)) * Textbook.shares(e, but(o, label_smoothing=0), y, t)
        + e.array(e.counts(o, t)[:, None] if t.ndim == 1 else 1)
        * (e.num(o.label_smoothing) / y.shape[1])
    ),
)
bug(
    "smoothing-weighted-by-target",
    "The smooth part of the targets takes the weight of the sample's class, not of its own.",
    wrong="−w[t] Σ ((1 − ε) onehot + ε / K) log p",
    right="−Σ w ((1 − ε) onehot + ε / K) log p",
    killed_by="loss.CrossEntropyLoss.*:*",
    shares=lambda e, o, y, t: (
        Textbook.shares(e, o, y, t)
        if t.ndim == 2
        else Textbook.shares(e, but(o, weight=None), y, t)
        * e.class_weight(o, y)[np.where(e.counts(o, t), t, 0)][:, None]
    ),
)
bug(
    "weight-of-likeliest-class",
    "Of targets that are probabilities the gradient takes the weight of the likeliest class.",
    wrong="∂L/∂y = (w[argmax t] p − w t) / D",
    right="∂L/∂y = (Σ w t · p − w t) / D",
    killed_by="loss.CrossEntropyLoss.*:*",
    cross_entropy_slopes=lambda e, o, y, t: (
        Textbook.cross_entropy_slopes(e, o, y, t)
        if t.ndim == 1
        else e.exp(e.log_shares(y)) * e.class_weight(o, y)[t.argmax(axis=1)][:, None]
        - e.shares(o, y, t)
    ),
)
bug(
    "smoothing-of-ignored",
    "Ignored samples get the smooth part of the targets all the same.",
    wrong="q = ε / K where t is ignored",
    right="q = 0 where t is ignored",
    killed_by="loss.CrossEntropyLoss.*:*",
    shares=lambda e, o, y, t: (
        Textbook.shares(e, o, y, t)
        if t.ndim == 2 or not o.label_smoothing
        else e.smoothed(o, e.one_hot(o, y, t)) * e.class_weight(o, y)
    ),
)
bug(
    "probability-targets-rounded",
    "Targets that are probabilities are taken for the class of the highest.",
    wrong="q = onehot(argmax t)",
    right="q = t",
    killed_by="loss.CrossEntropyLoss.probabilities:*",
    shares=lambda e, o, y, t: Textbook.shares(
        e, o, y, t if t.ndim == 1 else np.eye(t.shape[1], dtype=t.dtype)[t.argmax(axis=1)]
    ),
)
bug(
    "labels-from-1",
    "Labels are counted from 1: every one is taken for the class before it.",
    wrong="onehot at t − 1",
    right="onehot at t",
    killed_by="loss.CrossEntropyLoss*:*",
    one_hot=lambda e, o, y, t: np.roll(Textbook.one_hot(e, o, y, t), -1, axis=1),
)
