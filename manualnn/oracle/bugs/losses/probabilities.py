"""Bugs of losses of probabilities: BCE, BCE with logits, and weights of classes."""

from collections.abc import Callable
from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Methods, Table, bug
from manualnn.oracle.bugs.edits import clip_probabilities, is_of, with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
CLIPS = [1e-7, 1e-8, 1e-6, 1e-12, 1e-15, None]
"""Distances from 0 and 1; None: the machine epsilon."""
BCE_SLOPE = "∂L/∂y = (y − t) / max(y (1 − y), 1e-12)"
LOGITS_TERM = "term = p t softplus(−y) + (1 − t) softplus(y)"
extreme_bug = partial(bug, killed_by="certain:*")
weight_bug = partial(bug, killed_by="loss.*weight*:*")

BUGS["bce-clipped"] = extreme_bug(
    "Probabilities are clipped to [ε, 1 − ε] before the logarithm.",
    lines=("y ← clip(y, ε, 1 − ε)", "log y ≥ −100, y itself as it is"),
    eps=CLIPS,
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, clip_probabilities(e, y, e.eps), t),
    bce_slopes=lambda e, o, y, t: Textbook.bce_slopes(e, o, clip_probabilities(e, y, e.eps), t),
)
BUGS["bce-value-clipped"] = extreme_bug(
    "Probabilities are clipped for the logarithm, but not for the gradient.",
    lines=("log clip(y, ε, 1 − ε)", "log y ≥ −100"),
    eps=CLIPS,
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, clip_probabilities(e, y, e.eps), t),
)
BUGS["bce-log-plus-eps"] = bug(
    "A small number is added inside the logarithm.",
    lines=(
        "−t log(y + ε) − (1 − t) log(1 − y + ε)",
        "−t log y − (1 − t) log(1 − y), logarithms ≥ −100",
    ),
    eps=[1e-8, 1e-7, 1e-9, 1e-12],
    bce_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (t * np.log(y + e.num(e.eps)) + (1 - t) * np.log(1 - y + e.num(e.eps)))
    ),
)
BUGS["bce-not-clamped"] = extreme_bug(
    "A probability of exactly 0 or 1 makes the loss infinite or NaN (0 · log 0).",
    lines=("log y", "max(log y, −100)"),
    source="burn, mlx #1280",
    exact=False,
    bce_terms=lambda e, o, y, t: -e.sample_weight(o) * (t * np.log(y) + (1 - t) * np.log1p(-y)),
)
BUGS["bce-slope-plus-eps"] = bug(
    "A small number is added to the denominator of the gradient.",
    lines=("∂L/∂y = (y − t) / (y (1 − y) + ε)", BCE_SLOPE),
    eps=[1e-8, 1e-7, 1e-12],
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (y - t) / (y * (1 - y) + e.num(e.eps)),
)
BUGS["bce-slope-not-bounded"] = extreme_bug(
    "The gradient divides by zero where a probability is 0 or 1.",
    lines=("∂L/∂y = (y − t) / (y (1 − y))", BCE_SLOPE),
    exact=False,
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (y - t) / (y * (1 - y)),
)
BUGS["bce-slope-bounded-early"] = extreme_bug(
    "The lower bound of the gradient's denominator is too large.",
    lines=("∂L/∂y = (y − t) / max(y (1 − y), ε), ε above 1e-12", BCE_SLOPE),
    least=[1e-6, 1e-7, 1e-8, 1e-10],
    bce_slopes=lambda e, o, y, t: (
        e.sample_weight(o) * (y - t) / np.maximum(y * (1 - y), e.array(e.least))
    ),
)
BUGS["bce-ones-only"] = bug(
    "The term of the targets 0 is missing.",
    lines=("term = −t log y", "term = −t log y − (1 − t) log(1 − y)"),
    bce_terms=lambda e, o, y, t: -e.sample_weight(o) * t * np.maximum(np.log(y), -100),
    bce_slopes=lambda e, o, y, t: -e.sample_weight(o) * t / np.maximum(y, e.array(1e-12)),
)
BUGS["bce-swapped"] = bug(
    "Prediction and target are swapped in the loss.",
    lines=("term = −y log t − (1 − y) log(1 − t)", "term = −t log y − (1 − t) log(1 − y)"),
    source="smolgrad, Keras Tversky",
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, t, y),
)
BUGS["bce-slope-of-logits"] = bug(
    "The gradient already contains the slope of a sigmoid, which is then applied again.",
    lines=("∂L/∂y = y − t", "∂L/∂y = (y − t) / (y (1 − y))"),
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (y - t),
)
BUGS["bce-slope-sign-of-zeros"] = bug(
    "The gradient of the term of the targets 0 has the wrong sign.",
    lines=("∂L/∂y = −t / y − (1 − t) / (1 − y)", "∂L/∂y = −t / y + (1 − t) / (1 − y)"),
    bce_slopes=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (t * (1 - y) + (1 - t) * y)
        / np.maximum(y * (1 - y), e.array(np.float32(1e-12)))
    ),
)
BUGS["log-base-2"] = bug(
    "The loss uses logarithms to the base 2 or 10, but the gradient is that of base e.",
    lines=("L = −Σ q log₂ p / D", "L = −Σ q ln p / D"),
    radix=[2, 10],
    where=is_of("BCELoss", "CrossEntropyLoss"),
    value=lambda e, o, y, t: Textbook.value(e, o, y, t) / e.log(e.array(e.radix)),
)
BUGS["weight-ignored"] = weight_bug(
    "The option weight is ignored.",
    lines=("term = …", "term = w · …"),
    sample_weight=lambda e, o: e.array(1),
    class_weight=lambda e, o, y: e.array(np.ones(y.shape[1])),
)
BUGS["weight-not-in-slope"] = weight_bug(
    "The option weight is applied to the loss, but not to the gradient.",
    lines=("∂L/∂y = (…) / D", "∂L/∂y = w (…) / D"),
    **with_options("bce_slopes", "logits_slopes", "cross_entropy_slopes", weight=None),
)
BUGS["weight-applied-twice"] = weight_bug(
    "The option weight is applied twice to the gradient.",
    lines=("∂L/∂y = w² (…) / D", "∂L/∂y = w (…) / D"),
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * Textbook.bce_slopes(e, o, y, t),
    logits_slopes=lambda e, o, y, t: e.sample_weight(o) * Textbook.logits_slopes(e, o, y, t),
    **with_options(
        "cross_entropy_slopes",
        weight=lambda e, o: None if o.weight is None else np.square(o.weight),
    ),
)
BUGS["weight-in-divisor"] = bug(
    "A weighted mean divides by the sum of the weights; torch divides by the count.",
    lines=("D = Σ w", "D = N K"),
    killed_by="loss.BCE*weight*:*",
    where=lambda e, o, y, t: (
        o.type.startswith("BCE") and o.weight is not None and o.reduction == "mean"
    ),
    divisor=lambda e, o, y, t: e.total(np.broadcast_to(e.sample_weight(o), y.shape)),
)
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
    "The logarithm of a sigmoid is infinite where the sigmoid underflows to 0.",
    lines=("−t log σ(y) − (1 − t) log(1 − σ(y))", "t softplus(−y) + (1 − t) softplus(y)"),
    exact=False,
    logits_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (e.pos_weight(o) * t * np.log(e.sigma(y)) + (1 - t) * np.log(1 - e.sigma(y)))
    ),
)
BUGS["logits-clipped"] = extreme_bug(
    "The probabilities of the logits are clipped to [ε, 1 − ε].",
    lines=("−t log clip(σ(y), ε, 1 − ε) − …", "t softplus(−y) + (1 − t) softplus(y)"),
    exact=False,
    eps=[1e-7, 1e-12, None],
    logits_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (
            e.pos_weight(o) * t * np.log(clip_probabilities(e, e.sigma(y), e.eps))
            + (1 - t) * np.log(clip_probabilities(e, e.sigma(-y), e.eps))
        )
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
    killed_by="zeros:*",
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
