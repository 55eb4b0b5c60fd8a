"""Bugs of label smoothing, an option of cross-entropy."""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Method, Table, bug
from manualnn.oracle.bugs.edits import change, with_options
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
SMOOTHED = "q = (1 − ε) onehot + ε / K"


def _smoothed(rest: Callable[[Array, Any], Any]) -> Method:
    """Return targets (1 − ε) q plus rest(q, ε)."""

    def smoothed(e: Textbook, o: Options, q: Array) -> Array:
        eps = e.num(o.label_smoothing)
        return q * (1 - eps) + rest(q, eps)

    return smoothed


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
BUGS["smoothing-of-ignored"] = bug(
    "Ignored samples get the smooth part of the targets.",
    lines=("q = ε / K where t is ignored", "q = 0 where t is ignored"),
    where=lambda e, o, y, t: t.ndim == 1 and o.label_smoothing,
    shares=lambda e, o, y, t: e.smoothed(o, e.one_hot(o, y, t)) * e.class_weight(o, y),
)
BUGS["smoothing-with-mass-1"] = bug(
    "Label smoothing adds 1 / K instead of ε / K: the targets sum to 2 − ε.",
    lines=("q = (1 − ε) onehot + 1 / K", SMOOTHED),
    source="ConvE #55",
    smoothed=_smoothed(lambda q, eps: 1 / q.shape[1]),
)
BUGS["smoothing-swapped"] = bug(
    "Label smoothing swaps ε and 1 − ε: in all of the targets, or in the smooth part.",
    lines=("q = ε onehot + (1 − ε) / K, or (1 − ε) onehot + (1 − ε) / K", SMOOTHED),
    source="aprender #2199",
    smoothed=[
        lambda e, o, q: q * e.num(o.label_smoothing) + (1 - e.num(o.label_smoothing)) / q.shape[1],
        _smoothed(lambda q, eps: (1 - eps) / q.shape[1]),
    ],
)
BUGS["smoothing-target-of-k-minus-1"] = bug(
    "Label smoothing reduces the target by K / (K − 1) too much: the targets sum to less than 1.",
    lines=("q = (1 − ε K / (K − 1)) onehot + ε / K", SMOOTHED),
    source="fastai #1814",
    smoothed=lambda e, o, q: (
        q * (1 - e.num(o.label_smoothing) * q.shape[1] / max(q.shape[1] - 1, 1))
        + e.num(o.label_smoothing) / q.shape[1]
    ),
)
BUGS["smoothing-not-divided"] = bug(
    "Label smoothing adds ε to every class without dividing by their number.",
    lines=("q = (1 − ε) onehot + ε", SMOOTHED),
    smoothed=_smoothed(lambda q, eps: eps),
)
BUGS["smoothing-target-only"] = bug(
    "Label smoothing reduces the target, but does not distribute ε: the targets sum to 1 − ε.",
    lines=("q = (1 − ε) onehot", SMOOTHED),
    smoothed=_smoothed(lambda q, eps: 0),
)
BUGS["smoothing-binary"] = bug(
    "Label smoothing adds ε / 2, as for two classes.",
    lines=("q = (1 − ε) onehot + ε / 2", SMOOTHED),
    smoothed=_smoothed(lambda q, eps: eps / 2),
)
BUGS["smoothing-not-of-probabilities"] = bug(
    "Label smoothing is not applied to probabilities as targets.",
    lines=("q = t where t are probabilities", "q = (1 − ε) t + ε / K"),
    smoothed=lambda e, o, q: q if e.t.ndim == 2 else Textbook.smoothed(e, o, q),
)
BUGS["smoothing-twice"] = bug(
    "Label smoothing is applied twice.",
    lines=("q = smooth(smooth(onehot))", "q = smooth(onehot)"),
    smoothed=lambda e, o, q: Textbook.smoothed(e, o, Textbook.smoothed(e, o, q)),
)
BUGS["smoothing-other-amount"] = bug(
    "Label smoothing has another amount than the option.",
    lines=("ε ← c", "ε as given"),
    rank=1,
    amount=Constant([0.1, 0.2], solved(0.1)),
    where=lambda e, o, q: o.label_smoothing,
    **with_options("smoothed", label_smoothing=lambda e, o: e.amount),
)
BUGS["smoothing-unasked"] = bug(
    "Label smoothing is applied, although the option is 0.",
    lines=("q = (1 − c) onehot + c / K", "q = onehot"),
    rank=1,
    amount=Constant([0.1, 1e-3], solved(0.1, 1e-3)),
    where=lambda e, o, y, t: not o.label_smoothing,
    **with_options("shares", label_smoothing=lambda e, o: e.amount),
)
