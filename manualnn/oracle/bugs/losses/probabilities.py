"""Bugs of losses of probabilities: BCE, BCE with logits, and weights of classes."""

from collections.abc import Callable
from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, Methods, add_bug, clip_probabilities, with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
CLIPS = [{"eps": eps} for eps in (1e-7, 1e-8, 1e-6, 1e-12, 1e-15, None)]
"""Distances from 0 and 1; None: the machine epsilon."""
bug = partial(add_bug, BUGS, "losses")
extreme_bug = partial(bug, killed_by="certain:*")
bce_bug = partial(bug, killed_by="loss.BCELoss*:*")
logits_bug = partial(bug, killed_by="loss.BCEWithLogitsLoss*:*")
pos_weight_bug = partial(bug, killed_by="loss.*pos_weight*:*")
weight_bug = partial(bug, killed_by="loss.*weight*:*")

extreme_bug(
    "bce-clipped",
    "Probabilities are clipped to [ε, 1 − ε] before the logarithm.",
    lines=("y ← clip(y, ε, 1 − ε)", "log y ≥ −100, y itself as it is"),
    variants=CLIPS,
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, clip_probabilities(e, y, e.eps), t),
    bce_slopes=lambda e, o, y, t: Textbook.bce_slopes(e, o, clip_probabilities(e, y, e.eps), t),
)
extreme_bug(
    "bce-value-clipped",
    "Probabilities are clipped for the logarithm, but not for the gradient.",
    lines=("log clip(y, ε, 1 − ε)", "log y ≥ −100"),
    variants=CLIPS,
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, clip_probabilities(e, y, e.eps), t),
)
bce_bug(
    "bce-log-plus-eps",
    "A small number is added inside the logarithm.",
    lines=(
        "−t log(y + ε) − (1 − t) log(1 − y + ε)",
        "−t log y − (1 − t) log(1 − y), logarithms ≥ −100",
    ),
    variants=[{"eps": eps} for eps in (1e-8, 1e-7, 1e-9, 1e-12)],
    bce_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (t * np.log(y + e.num(e.eps)) + (1 - t) * np.log(1 - y + e.num(e.eps)))
    ),
)
extreme_bug(
    "bce-not-clamped",
    "A probability of exactly 0 or 1 makes the loss infinite or NaN (0 · log 0).",
    lines=("log y", "max(log y, −100)"),
    source="burn, mlx #1280",
    exact=False,
    bce_terms=lambda e, o, y, t: -e.sample_weight(o) * (t * np.log(y) + (1 - t) * np.log1p(-y)),
)
bce_bug(
    "bce-slope-plus-eps",
    "A small number is added to the denominator of the gradient.",
    lines=("∂L/∂y = (y − t) / (y (1 − y) + ε)", "∂L/∂y = (y − t) / max(y (1 − y), 1e-12)"),
    variants=[{"eps": eps} for eps in (1e-8, 1e-7, 1e-12)],
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (y - t) / (y * (1 - y) + e.num(e.eps)),
)
extreme_bug(
    "bce-slope-not-bounded",
    "The gradient divides by zero where a probability is 0 or 1.",
    lines=("∂L/∂y = (y − t) / (y (1 − y))", "∂L/∂y = (y − t) / max(y (1 − y), 1e-12)"),
    exact=False,
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (y - t) / (y * (1 - y)),
)
extreme_bug(
    "bce-slope-bounded-early",
    "The lower bound of the gradient's denominator is too large.",
    lines=(
        "∂L/∂y = (y − t) / max(y (1 − y), ε), ε above 1e-12",
        "∂L/∂y = (y − t) / max(y (1 − y), 1e-12)",
    ),
    variants=[{"least": least} for least in (1e-6, 1e-7, 1e-8, 1e-10)],
    bce_slopes=lambda e, o, y, t: (
        e.sample_weight(o) * (y - t) / np.maximum(y * (1 - y), e.array(e.least))
    ),
)
bce_bug(
    "bce-ones-only",
    "The term of the targets 0 is missing.",
    lines=("term = −t log y", "term = −t log y − (1 − t) log(1 − y)"),
    bce_terms=lambda e, o, y, t: -e.sample_weight(o) * t * np.maximum(np.log(y), -100),
    bce_slopes=lambda e, o, y, t: -e.sample_weight(o) * t / np.maximum(y, e.array(1e-12)),
)
bce_bug(
    "bce-swapped",
    "Prediction and target are swapped in the loss.",
    lines=("term = −y log t − (1 − y) log(1 − t)", "term = −t log y − (1 − t) log(1 − y)"),
    source="smolgrad, Keras Tversky",
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, t, y),
)
bce_bug(
    "bce-slope-of-logits",
    "The gradient already contains the slope of a sigmoid, which is then applied again.",
    lines=("∂L/∂y = y − t", "∂L/∂y = (y − t) / (y (1 − y))"),
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (y - t),
)
bce_bug(
    "bce-slope-sign-of-zeros",
    "The gradient of the term of the targets 0 has the wrong sign.",
    lines=("∂L/∂y = −t / y − (1 − t) / (1 − y)", "∂L/∂y = −t / y + (1 − t) / (1 − y)"),
    bce_slopes=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (t * (1 - y) + (1 - t) * y)
        / np.maximum(y * (1 - y), e.array(np.float32(1e-12)))
    ),
)
bug(
    "log-base-2",
    "The loss uses logarithms to the base 2 or 10, but the gradient is that of base e.",
    lines=("L = −Σ q log₂ p / D", "L = −Σ q ln p / D"),
    killed_by="loss.*:*",
    variants=[{"base": 2}, {"base": 10}],
    value=lambda e, o, y, t: (
        Textbook.value(e, o, y, t)
        / (e.log(e.array(e.base)) if o.type in {"BCELoss", "CrossEntropyLoss"} else 1)
    ),
)
weight_bug(
    "weight-ignored",
    "The option weight is ignored.",
    lines=("term = …", "term = w · …"),
    sample_weight=lambda e, o: e.array(1),
    class_weight=lambda e, o, y: e.array(np.ones(y.shape[1])),
)
weight_bug(
    "weight-not-in-slope",
    "The option weight is applied to the loss, but not to the gradient.",
    lines=("∂L/∂y = (…) / D", "∂L/∂y = w (…) / D"),
    **with_options("bce_slopes", "logits_slopes", "cross_entropy_slopes", weight=None),
)
weight_bug(
    "weight-applied-twice",
    "The option weight is applied twice to the gradient.",
    lines=("∂L/∂y = w² (…) / D", "∂L/∂y = w (…) / D"),
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * Textbook.bce_slopes(e, o, y, t),
    logits_slopes=lambda e, o, y, t: e.sample_weight(o) * Textbook.logits_slopes(e, o, y, t),
    **with_options(
        "cross_entropy_slopes",
        weight=lambda e, o: None if o.weight is None else np.square(o.weight),
    ),
)
bug(
    "weight-in-divisor",
    "A weighted mean divides by the sum of the weights; torch divides by the count.",
    lines=("D = Σ w", "D = N K"),
    killed_by="loss.BCE*weight*:*",
    divisor=lambda e, o, y, t: (
        e.total(np.broadcast_to(e.sample_weight(o), y.shape))
        if o.type.startswith("BCE") and o.weight is not None and o.reduction == "mean"
        else Textbook.divisor(e, o, y, t)
    ),
)
logits_bug(
    "logits-without-sigmoid",
    "The gradient uses the logits as probabilities.",
    lines=("∂L/∂y = (y − t) / D", "∂L/∂y = (σ(y) − t) / D"),
    logits_slopes=lambda e, o, y, t: (
        e.sample_weight(o) * ((1 - t) * y - e.pos_weight(o) * t * (1 - y))
    ),
)
logits_bug(
    "logits-sigmoid-twice",
    "A sigmoid is applied to the logits, although the loss applies its own.",
    lines=("L(σ(y), t)", "L(y, t)"),
    logits_terms=lambda e, o, y, t: Textbook.logits_terms(e, o, e.sigma(y), t),
    logits_slopes=lambda e, o, y, t: Textbook.logits_slopes(e, o, e.sigma(y), t),
)
extreme_bug(
    "logits-log-of-sigmoid",
    "The logarithm of a sigmoid is infinite where the sigmoid underflows to 0.",
    lines=("−t log σ(y) − (1 − t) log(1 − σ(y))", "t softplus(−y) + (1 − t) softplus(y)"),
    exact=False,
    logits_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (e.pos_weight(o) * t * np.log(e.sigma(y)) + (1 - t) * np.log(1 - e.sigma(y)))
    ),
)
extreme_bug(
    "logits-clipped",
    "The probabilities of the logits are clipped to [ε, 1 − ε].",
    lines=("−t log clip(σ(y), ε, 1 − ε) − …", "t softplus(−y) + (1 − t) softplus(y)"),
    exact=False,
    variants=[{"eps": eps} for eps in (1e-7, 1e-12, None)],
    logits_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (
            e.pos_weight(o) * t * np.log(clip_probabilities(e, e.sigma(y), e.eps))
            + (1 - t) * np.log(clip_probabilities(e, e.sigma(-y), e.eps))
        )
    ),
)
logits_bug(
    "logits-exp-sign",
    "The stable form has a plus sign in the exponent, so that it overflows.",
    lines=("max(y, 0) − y t + log(1 + exp(+|y|))", "max(y, 0) − y t + log(1 + exp(−|y|))"),
    source="pytorch #2221",
    softplus_of=lambda e, v: np.maximum(v, 0) + np.log1p(np.exp(np.abs(v))),
)
logits_bug(
    "logits-slope-at-zero",
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


pos_weight_bug(
    "pos-weight-on-all",
    "The option pos_weight multiplies the whole loss.",
    lines=(
        "term = p (t softplus(−y) + (1 − t) softplus(y))",
        "term = p t softplus(−y) + (1 − t) softplus(y)",
    ),
    **_weighted(lambda w, t: w),
)
bug(
    "pos-weight-as-sample-weight",
    "The option pos_weight weights whole terms by their target: wrong for targets between 0 and 1.",
    lines=(
        "term = (1 + (p − 1) t) (t softplus(−y) + (1 − t) softplus(y))",
        "term = p t softplus(−y) + (1 − t) softplus(y)",
    ),
    source="aprender #2204",
    killed_by="loss.BCEWithLogitsLoss.pos_weight:*",
    **_weighted(lambda w, t: 1 + (w - 1) * t),
)
pos_weight_bug(
    "pos-weight-on-zeros",
    "The option pos_weight multiplies the term of the targets 0 instead of 1.",
    lines=(
        "term = t softplus(−y) + p (1 − t) softplus(y)",
        "term = p t softplus(−y) + (1 − t) softplus(y)",
    ),
    logits_terms=lambda e, o, y, t: Textbook.logits_terms(e, o, -y, 1 - t),
    logits_slopes=lambda e, o, y, t: -Textbook.logits_slopes(e, o, -y, 1 - t),
)
pos_weight_bug(
    "pos-weight-ignored",
    "The option pos_weight is ignored.",
    lines=(
        "term = t softplus(−y) + (1 − t) softplus(y)",
        "term = p t softplus(−y) + (1 − t) softplus(y)",
    ),
    pos_weight=lambda e, o: e.array(1),
)
pos_weight_bug(
    "pos-weight-not-in-slope",
    "The option pos_weight is applied to the loss, but not to the gradient.",
    lines=("∂L/∂y = (σ(y) − t) / D", "∂L/∂y = ((1 − t) σ(y) − p t σ(−y)) / D"),
    **with_options("logits_slopes", pos_weight=None),
)
pos_weight_bug(
    "pos-weight-on-target-only",
    "In the gradient, pos_weight multiplies the target, but not the sigmoid.",
    lines=("∂L/∂y = (σ(y) − p t) / D", "∂L/∂y = ((1 − t) σ(y) − p t σ(−y)) / D"),
    logits_slopes=lambda e, o, y, t: e.sample_weight(o) * (e.sigma(y) - e.pos_weight(o) * t),
)
logits_bug(
    "labels-plus-minus-1",
    "The loss is that of labels −1 and 1: right for targets 0 and 1, wrong between them.",
    lines=("term = log(1 + exp(−(2t − 1) y))", "term = t softplus(−y) + (1 − t) softplus(y)"),
    logits_terms=lambda e, o, y, t: (
        e.sample_weight(o) * e.pos_weight(o) ** t * e.softplus_of(-(2 * t - 1) * y)
    ),
    logits_slopes=lambda e, o, y, t: (
        -e.sample_weight(o) * e.pos_weight(o) ** t * (2 * t - 1) * e.sigma(-(2 * t - 1) * y)
    ),
)
