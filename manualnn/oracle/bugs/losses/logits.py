"""Bugs of BCE with logits."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Methods, Table, bug
from manualnn.oracle.bugs.edits import clip_probabilities, with_options
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
LOGITS_TERM = "term = p t softplus(−y) + (1 − t) softplus(y)"
extreme_bug = partial(bug, killed_by="certain:*")


def _by_logarithms(e: Any, o: Options, y: Array, t: Array) -> Array:
    """Return −p t log σ(y) − (1 − t) log(1 − σ(y))."""
    yes, no = np.log(e.sigma_of(y)), np.log(1 - e.sigma_of(y))
    return np.asarray(-(e.pos_weight(o) * t * yes + (1 - t) * no))


def _by_one_logarithm(e: Any, o: Options, y: Array, t: Array) -> Array:
    """Return y (1 − t) − (1 + (p − 1) t) log σ(y)."""
    return np.asarray(y * (1 - t) - (1 + (e.pos_weight(o) - 1) * t) * np.log(e.sigma_of(y)))


def _right_sigma(e: Textbook, y: Array) -> Array:
    return e.sigma(y)


def _literal_sigma(e: Textbook, y: Array) -> Array:
    """Return a sigmoid that is 0 where exp(−y) overflows."""
    return 1 / (1 + np.exp(-y))


BUGS["logits-without-sigmoid"] = bug(
    "The gradient uses the logits as probabilities.",
    lines=("∂L/∂y = (y − t) / D", "∂L/∂y = (σ(y) − t) / D"),
    logits_slopes=lambda e, o, y, t: (
        e.sample_weight(o) * ((1 - t) * y - e.pos_weight(o) * t * (1 - y))
    ),
)
BUGS["logits-sigmoid-twice"] = bug(
    "A sigmoid is applied to the logits, although the loss applies its own.",
    lines=("L(σ(y), t)", "L(y, t)"),
    logits_terms=lambda e, o, y, t: Textbook.logits_terms(e, o, e.sigma(y), t),
    logits_slopes=lambda e, o, y, t: Textbook.logits_slopes(e, o, e.sigma(y), t),
)
BUGS["logits-log-of-sigmoid"] = extreme_bug(
    "The logarithm of a sigmoid is infinite where the sigmoid underflows to 0 or rounds to 1.",
    lines=(
        "−t log σ(y) − (1 − t) log(1 − σ(y)), or y (1 − t) − log σ(y)",
        "t softplus(−y) + (1 − t) softplus(y)",
    ),
    source="nielsen, tinynn",
    exact=False,
    unweighted=[_by_logarithms] * 2 + [_by_one_logarithm] * 2,
    sigma_of=[_right_sigma, _literal_sigma] * 2,
    logits_terms=lambda e, o, y, t: e.sample_weight(o) * e.unweighted(o, y, t),
)
BUGS["logits-infinity-replaced"] = extreme_bug(
    "The logarithm of 0 becomes the largest floating-point number, because inf is replaced.",
    lines=("nan_to_num(−t log σ(y) − (1 − t) log(1 − σ(y)))", LOGITS_TERM),
    source="nielsen",
    exact=False,
    sigma_of=[_right_sigma, _literal_sigma],
    logits_terms=lambda e, o, y, t: e.sample_weight(o) * np.nan_to_num(_by_logarithms(e, o, y, t)),
)
BUGS["logits-literal"] = bug(
    "log(1 + exp(y)) is computed as it is written: inf for large y, and 0 for small ones.",
    lines=("t log(1 + exp(−y)) + (1 − t) log(1 + exp(y)), or y (1 − t) + …", LOGITS_TERM),
    killed_by="loss.BCEWithLogitsLoss*:*",
    exact=False,
    unweighted=[
        lambda e, o, y, t: (
            e.pos_weight(o) * t * np.log(1 + np.exp(-y)) + (1 - t) * np.log(1 + np.exp(y))
        ),
        lambda e, o, y, t: y * (1 - t) + (1 + (e.pos_weight(o) - 1) * t) * np.log(1 + np.exp(-y)),
    ],
    logits_terms=lambda e, o, y, t: e.sample_weight(o) * e.unweighted(o, y, t),
)
BUGS["logits-clipped"] = extreme_bug(
    "The probabilities of the logits are clipped to [ε, 1 − ε].",
    lines=("p = clip(σ(y), ε, 1 − ε): −t log p − (1 − t) log(1 − p)", LOGITS_TERM),
    source="scikit-learn",
    exact=False,
    eps=Constant([1e-7, 1e-12, None], solved(1e-7)),
    probability=lambda e, y: clip_probabilities(e, e.sigma(y), e.eps),
    logits_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (e.pos_weight(o) * t * np.log(e.probability(y)) + (1 - t) * np.log(1 - e.probability(y)))
    ),
)
BUGS["logits-exp-sign"] = bug(
    "The stable form has a plus sign in the exponent, so that it overflows.",
    lines=("max(y, 0) − y t + log(1 + exp(+|y|))", "max(y, 0) − y t + log(1 + exp(−|y|))"),
    killed_by="loss.BCEWithLogitsLoss*:*",
    source="pytorch #2221",
    softplus_of=lambda e, v: np.maximum(v, 0) + np.log1p(np.exp(np.abs(v))),
)
BUGS["logits-slope-at-zero"] = bug(
    "The gradient of the stable form lacks ½ at 0, from |y|′(0) = 0 and max(y, 0)′(0) = 0.",
    lines=("∂L/∂y = −t / D at y = 0", "∂L/∂y = (½ − t) / D at y = 0"),
    source="pytorch #2298",
    logits_slopes=lambda e, o, y, t: np.where(
        y == 0, -e.sample_weight(o) * e.pos_weight(o) * t, Textbook.logits_slopes(e, o, y, t)
    ),
)


def _weighted(factor: Callable[[Array, Array], Array]) -> Methods:
    """Return terms and slopes without pos_weight times factor(pos_weight, t)."""
    right = with_options("logits_terms", "logits_slopes", pos_weight=None)
    return {
        name: lambda e, o, y, t, method=method: factor(e.pos_weight(o), t) * method(e, o, y, t)
        for name, method in right.items()
    }


BUGS["pos-weight-on-all"] = bug(
    "The option pos_weight multiplies the whole loss.",
    lines=("term = p (t softplus(−y) + (1 − t) softplus(y))", LOGITS_TERM),
    **_weighted(lambda w, t: w),
)
BUGS["pos-weight-as-sample-weight"] = bug(
    "The option pos_weight weights whole terms by their target: wrong for targets between 0 and 1.",
    lines=("term = (1 + (p − 1) t) (t softplus(−y) + (1 − t) softplus(y))", LOGITS_TERM),
    source="aprender #2204",
    **_weighted(lambda w, t: 1 + (w - 1) * t),
)
BUGS["pos-weight-on-zeros"] = bug(
    "The option pos_weight multiplies the term of the targets 0 instead of 1.",
    lines=("term = t softplus(−y) + p (1 − t) softplus(y)", LOGITS_TERM),
    logits_terms=lambda e, o, y, t: Textbook.logits_terms(e, o, -y, 1 - t),
    logits_slopes=lambda e, o, y, t: -Textbook.logits_slopes(e, o, -y, 1 - t),
)
BUGS["pos-weight-ignored"] = bug(
    "The option pos_weight is ignored.",
    lines=("term = t softplus(−y) + (1 − t) softplus(y)", LOGITS_TERM),
    pos_weight=lambda e, o: e.array(1),
)
BUGS["pos-weight-not-in-slope"] = bug(
    "The option pos_weight is applied to the loss, but not to the gradient.",
    lines=("∂L/∂y = (σ(y) − t) / D", "∂L/∂y = ((1 − t) σ(y) − p t σ(−y)) / D"),
    **with_options("logits_slopes", pos_weight=None),
)
BUGS["pos-weight-on-target-only"] = bug(
    "In the gradient, pos_weight multiplies the target, but not the sigmoid.",
    lines=("∂L/∂y = (σ(y) − p t) / D", "∂L/∂y = ((1 − t) σ(y) − p t σ(−y)) / D"),
    logits_slopes=lambda e, o, y, t: e.sample_weight(o) * (e.sigma(y) - e.pos_weight(o) * t),
)
BUGS["labels-plus-minus-1"] = bug(
    "The loss is that of labels −1 and 1: right for targets 0 and 1, wrong between them.",
    lines=("term = log(1 + exp(−(2t − 1) y))", "term = t softplus(−y) + (1 − t) softplus(y)"),
    logits_terms=lambda e, o, y, t: (
        e.sample_weight(o) * e.pos_weight(o) ** t * e.softplus_of(-(2 * t - 1) * y)
    ),
    logits_slopes=lambda e, o, y, t: (
        -e.sample_weight(o) * e.pos_weight(o) ** t * (2 * t - 1) * e.sigma(-(2 * t - 1) * y)
    ),
)
BUGS["logits-slope-times-sigmoid-slope"] = bug(
    "The gradient is multiplied by the sigmoid's slope, which it contains already.",
    lines=("∂L/∂y = (σ(y) − t) σ(y) (1 − σ(y)) / D", "∂L/∂y = (σ(y) − t) / D"),
    logits_slopes=lambda e, o, y, t: Textbook.logits_slopes(e, o, y, t) * e.sigma(y) * e.sigma(-y),
)
BUGS["logits-slope-of-probabilities"] = bug(
    "The gradient is that of BCE at the probabilities: the sigmoid is not differentiated.",
    lines=("∂L/∂y = (σ − t) / (σ (1 − σ)) / D", "∂L/∂y = (σ(y) − t) / D"),
    logits_slopes=lambda e, o, y, t: (
        Textbook.logits_slopes(e, o, y, t) / (e.sigma(y) * e.sigma(-y))
    ),
)
BUGS["logits-stable-form-without-abs"] = bug(
    "The stable form lacks the absolute value: log(1 + exp(−y)) is right only for y ≥ 0.",
    lines=("max(y, 0) − y t + log(1 + exp(−y))", "max(y, 0) − y t + log(1 + exp(−|y|))"),
    logits_terms=lambda e, o, y, t: (
        Textbook.logits_terms(e, o, y, t)
        + e.sample_weight(o)
        * (1 - t + e.pos_weight(o) * t)
        * (np.log1p(np.exp(-y)) - np.log1p(np.exp(-np.abs(y))))
    ),
)
BUGS["logits-targets-swapped"] = bug(
    "Targets 0 and 1 are swapped in the loss, but not in its gradient.",
    lines=("term = (1 − t) softplus(−y) + t softplus(y)", LOGITS_TERM),
    logits_terms=lambda e, o, y, t: Textbook.logits_terms(e, o, y, 1 - t),
)
BUGS["logits-of-probabilities"] = bug(
    "The outputs are used as probabilities: the loss lacks its sigmoid.",
    lines=("term = −t log y − (1 − t) log(1 − y)", LOGITS_TERM),
    logits_terms=lambda e, o, y, t: (
        -e.sample_weight(o) * (e.pos_weight(o) * t * np.log(y) + (1 - t) * np.log(1 - y))
    ),
)
