"""Bugs of losses of probabilities: BCE, and weights of classes."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import clip_probabilities, is_of, with_options
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
CLIPS = Constant([1e-7, 1e-8, 1e-6, 1e-12, 1e-15, None], solved(1e-7))
"""Distances from 0 and 1; None: the machine epsilon."""
BCE_SLOPE = "∂L/∂y = (y − t) / max(y (1 − y), 1e-12)"
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


def _log_plus_eps(e: Textbook, o: Options, y: Array, t: Array) -> Array:
    ones, zeros = np.log(y + e.num(e.eps)), np.log(1 - y + e.num(e.eps))  # type: ignore[attr-defined]
    return np.asarray(-e.sample_weight(o) * (t * ones + (1 - t) * zeros))


BUGS["bce-log-plus-eps"] = bug(
    "A small number is added inside the logarithm.",
    lines=(
        "−t log(y + ε) − (1 − t) log(1 − y + ε)",
        "−t log y − (1 − t) log(1 − y), logarithms ≥ −100",
    ),
    eps=Constant([1e-8, 1e-7, 1e-9, 1e-12], solved(1e-8)),
    bce_terms=_log_plus_eps,
)
BUGS["bce-log-plus-eps-with-own-slope"] = bug(
    "A small number is added inside the logarithm, and in the gradient as well.",
    lines=(
        "∂L/∂y = (1 − t) / (1 − y + ε) − t / (y + ε)",
        BCE_SLOPE,
    ),
    source="pranftw/neograd",
    eps=Constant([1e-8, 1e-7, 1e-9, 1e-12], solved(1e-8)),
    bce_terms=_log_plus_eps,
    bce_slopes=lambda e, o, y, t: (
        e.sample_weight(o) * ((1 - t) / (1 - y + e.num(e.eps)) - t / (y + e.num(e.eps)))
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
    eps=Constant([1e-8, 1e-7, 1e-12], solved(1e-8)),
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
    least=Constant([1e-6, 1e-7, 1e-8, 1e-10], solved(1e-6)),
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
BUGS["bce-swapped-with-own-slope"] = bug(
    "Prediction and target are swapped in the loss, with its own right gradient.",
    lines=(
        "term = −y log t − (1 − y) log(1 − t), t clipped to [ε, 1 − ε]",
        "term = −t log y − (1 − t) log(1 − y)",
    ),
    source="smolgrad",
    eps=Constant([1e-7, 1e-8, 1e-6, 1e-12, 1e-15], solved(1e-7)),
    bce_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (y * np.log(s := clip_probabilities(e, t, e.eps)) + (1 - y) * np.log(1 - s))
    ),
    bce_slopes=lambda e, o, y, t: (
        e.sample_weight(o) * (np.log(1 - (s := clip_probabilities(e, t, e.eps))) - np.log(s))
    ),
)
BUGS["bce-infinity-replaced"] = extreme_bug(
    "The logarithm of 0 becomes the largest floating-point number, because inf is replaced.",
    lines=("nan_to_num(−t log y − (1 − t) log(1 − y))", "logarithms ≥ −100"),
    source="nielsen",
    exact=False,
    bce_terms=lambda e, o, y, t: (
        e.sample_weight(o) * np.nan_to_num(-(t * np.log(y) + (1 - t) * np.log(1 - y)))
    ),
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
BUGS["bce-zeros-only"] = bug(
    "The term of the targets 1 is missing.",
    lines=("term = −(1 − t) log(1 − y)", "term = −t log y − (1 − t) log(1 − y)"),
    bce_terms=lambda e, o, y, t: -e.sample_weight(o) * (1 - t) * np.maximum(np.log1p(-y), -100),
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (1 - t) / np.maximum(1 - y, e.array(1e-12)),
)
BUGS["bce-slope-of-one-quotient"] = bug(
    "The gradient divides by y or by 1 − y alone.",
    lines=("∂L/∂y = (y − t) / y, or (y − t) / (1 − y)", "∂L/∂y = (y − t) / (y (1 − y))"),
    below=[lambda e, y: y, lambda e, y: 1 - y],
    bce_slopes=lambda e, o, y, t: (
        e.sample_weight(o) * (y - t) / np.maximum(e.below(y), e.array(1e-12))
    ),
)
BUGS["bce-slope-ones-only"] = bug(
    "The gradient has only the term of the targets 1, or only that of the targets 0.",
    lines=("∂L/∂y = −t / y, or (1 − t) / (1 − y)", "∂L/∂y = −t / y + (1 − t) / (1 − y)"),
    part=[lambda e, y, t: -t / y, lambda e, y, t: (1 - t) / (1 - y)],
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * e.part(y, t),
)
BUGS["bce-targets-swapped"] = bug(
    "Targets 0 and 1 are swapped in the loss, but not in its gradient.",
    lines=("term = −(1 − t) log y − t log(1 − y)", "term = −t log y − (1 − t) log(1 − y)"),
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, y, 1 - t),
)
BUGS["bce-sign-of-zeros"] = bug(
    "The term of the targets 0 has the wrong sign in the loss, but not in its gradient.",
    lines=("term = −t log y + (1 − t) log(1 − y)", "term = −t log y − (1 − t) log(1 − y)"),
    source="machine-learning-book #239",
    bce_terms=lambda e, o, y, t: (
        -e.sample_weight(o) * (t * np.maximum(np.log(y), -100))
        + e.sample_weight(o) * (1 - t) * np.maximum(np.log1p(-y), -100)
    ),
)
