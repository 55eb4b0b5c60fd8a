"""Bugs of the targets of cross-entropy: label smoothing, class weights, probabilities."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, Method, add_bug, change, with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(add_bug, BUGS, "losses", killed_by="loss.CrossEntropyLoss.*:*")
smoothing_bug = partial(bug, killed_by="loss.CrossEntropyLoss*label_smoothing*:*")


def _smoothed(rest: Callable[[Array, Any], Array]) -> Method:
    """Return targets (1 − ε) q plus rest(q, ε)."""

    def smoothed(e: Textbook, o: Options, q: Array) -> Array:
        eps = e.num(o.label_smoothing)
        return q * (1 - eps) + rest(q, eps)

    return smoothed


smoothing_bug(
    "smoothing-over-k-minus-1",
    "Label smoothing distributes ε over the other classes only.",
    lines=("q = 1 − ε for the target, ε / (K − 1) else", "q = (1 − ε) onehot + ε / K"),
    smoothed=_smoothed(lambda q, eps: (1 - q) * (eps / max(q.shape[1] - 1, 1))),
)
smoothing_bug(
    "smoothing-divided-by-k-minus-1",
    "Label smoothing divides by K − 1, but distributes over all K classes.",
    lines=("q = (1 − ε) onehot + ε / (K − 1)", "q = (1 − ε) onehot + ε / K"),
    smoothed=_smoothed(lambda q, eps: eps / max(q.shape[1] - 1, 1)),
)
smoothing_bug(
    "smoothing-target-not-reduced",
    "Label smoothing adds ε / K without reducing the target: the targets sum to 1 + ε.",
    lines=("q = onehot + ε / K", "q = (1 − ε) onehot + ε / K"),
    smoothed=lambda e, o, q: q + e.num(o.label_smoothing) / q.shape[1],
)
smoothing_bug(
    "smoothing-target-without-share",
    "Label smoothing does not add ε / K to the target class: the targets sum to 1 − ε / K.",
    lines=("q = 1 − ε for the target, ε / K else", "q = (1 − ε) onehot + ε / K"),
    smoothed=_smoothed(lambda q, eps: (1 - q) * (eps / q.shape[1])),
)
smoothing_bug(
    "smoothing-counts-samples",
    "Label smoothing divides by the number of samples instead of classes.",
    lines=("q = (1 − ε) onehot + ε / N", "q = (1 − ε) onehot + ε / K"),
    source="keras",
    smoothed=_smoothed(lambda q, eps: eps / len(q)),
)
smoothing_bug(
    "smoothing-ignored",
    "The option label_smoothing is ignored.",
    lines=("q = onehot", "q = (1 − ε) onehot + ε / K"),
    smoothed=lambda e, o, q: q,
)
smoothing_bug(
    "smoothing-not-in-slope",
    "Label smoothing is applied to the loss, but not to the gradient.",
    lines=("∂L/∂y = (p − onehot) / D", "∂L/∂y = (p − q) / D, q smoothed"),
    **with_options("cross_entropy_slopes", label_smoothing=0),
)
bug(
    "smoothing-not-weighted",
    "The smooth part of the targets is not multiplied by the class weights.",
    lines=("−Σ ((1 − ε) w onehot + ε / K) log p", "−Σ w ((1 − ε) onehot + ε / K) log p"),
    shares=lambda e, o, y, t: (
        (1 - e.num(o.label_smoothing)) * Textbook.shares(e, change(o, label_smoothing=0), y, t)
        + e.array(e.counts(o, t)[:, None] if t.ndim == 1 else 1)
        * (e.num(o.label_smoothing) / y.shape[1])
    ),
)
bug(
    "smoothing-weighted-by-target",
    "The smooth part of the targets is multiplied by the weight of the sample's target class.",
    lines=("−w[t] Σ ((1 − ε) onehot + ε / K) log p", "−Σ w ((1 − ε) onehot + ε / K) log p"),
    shares=lambda e, o, y, t: (
        Textbook.shares(e, o, y, t)
        if t.ndim == 2
        else Textbook.shares(e, change(o, weight=None), y, t)
        * e.class_weight(o, y)[np.where(e.counts(o, t), t, 0)][:, None]
    ),
)
bug(
    "weight-of-likeliest-class",
    "With probabilities as targets, the gradient uses the weight of the most likely class.",
    lines=("∂L/∂y = (w[argmax t] p − w t) / D", "∂L/∂y = (Σ w t · p − w t) / D"),
    cross_entropy_slopes=lambda e, o, y, t: (
        Textbook.cross_entropy_slopes(e, o, y, t)
        if t.ndim == 1
        else e.exp(e.log_shares(y)) * e.class_weight(o, y)[t.argmax(axis=1)][:, None]
        - e.shares(o, y, t)
    ),
)
bug(
    "smoothing-of-ignored",
    "Ignored samples get the smooth part of the targets.",
    lines=("q = ε / K where t is ignored", "q = 0 where t is ignored"),
    shares=lambda e, o, y, t: (
        Textbook.shares(e, o, y, t)
        if t.ndim == 2 or not o.label_smoothing
        else e.smoothed(o, e.one_hot(o, y, t)) * e.class_weight(o, y)
    ),
)
bug(
    "probability-targets-rounded",
    "Probabilities as targets are replaced by the class with the highest one.",
    lines=("q = onehot(argmax t)", "q = t"),
    killed_by="loss.CrossEntropyLoss.probabilities:*",
    shares=lambda e, o, y, t: Textbook.shares(
        e, o, y, t if t.ndim == 1 else np.eye(t.shape[1], dtype=t.dtype)[t.argmax(axis=1)]
    ),
)
bug(
    "labels-from-1",
    "Labels are counted from 1: each one selects the class before it.",
    lines=("onehot at t − 1", "onehot at t"),
    killed_by="loss.CrossEntropyLoss*:*",
    one_hot=lambda e, o, y, t: np.roll(Textbook.one_hot(e, o, y, t), -1, axis=1),
)
