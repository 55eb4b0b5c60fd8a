"""Mistakes in the losses of probabilities and classes: BCE, BCE with logits, cross-entropy."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, clipped, plant
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "losses")

bug(
    "bce-clipped",
    "Probabilities are clipped away from 0 and 1 before their logarithm.",
    wrong="y ← clip(y, ε, 1 − ε)",
    right="log y ≥ −100, y itself as it is",
    killed_by="certain:*",
    variants=[{"eps": eps} for eps in (1e-7, 1e-8, 1e-6, 1e-12, 1e-15, None)],
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, clipped(e, y, e.eps), t),
    bce_slopes=lambda e, o, y, t: Textbook.bce_slopes(e, o, clipped(e, y, e.eps), t),
)
bug(
    "bce-value-clipped",
    "Probabilities are clipped for the logarithm, and not for the gradient.",
    wrong="log clip(y, ε, 1 − ε)",
    right="log y ≥ −100",
    killed_by="certain:*",
    variants=[{"eps": eps} for eps in (1e-7, 1e-8, 1e-6, 1e-12, 1e-15, None)],
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, clipped(e, y, e.eps), t),
)
bug(
    "bce-log-plus-eps",
    "A small number is added inside the logarithm.",
    wrong="−t log(y + ε) − (1 − t) log(1 − y + ε)",
    right="−t log y − (1 − t) log(1 − y), logarithms ≥ −100",
    killed_by="loss.BCELoss*:*",
    variants=[{"eps": eps} for eps in (1e-8, 1e-7, 1e-9, 1e-12)],
    bce_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (t * np.log(y + e.num(e.eps)) + (1 - t) * np.log(1 - y + e.num(e.eps)))
    ),
)
bug(
    "bce-not-clamped",
    "A probability of exactly 0 or 1 makes the loss infinite or NaN: 0 · log 0.",
    wrong="log y",
    right="max(log y, −100)",
    source="burn, mlx #1280",
    killed_by="certain:*",
    exact=False,
    bce_terms=lambda e, o, y, t: -e.sample_weight(o) * (t * np.log(y) + (1 - t) * np.log1p(-y)),
)
bug(
    "bce-slope-plus-eps",
    "A small number is added to the denominator of the gradient.",
    wrong="∂L/∂y = (y − t) / (y (1 − y) + ε)",
    right="∂L/∂y = (y − t) / max(y (1 − y), 1e-12)",
    killed_by="loss.BCELoss*:*",
    variants=[{"eps": eps} for eps in (1e-8, 1e-7, 1e-12)],
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (y - t) / (y * (1 - y) + e.num(e.eps)),
)
bug(
    "bce-slope-not-bounded",
    "Where a probability is 0 or 1, the gradient divides by zero.",
    wrong="∂L/∂y = (y − t) / (y (1 − y))",
    right="∂L/∂y = (y − t) / max(y (1 − y), 1e-12)",
    killed_by="certain:*",
    exact=False,
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (y - t) / (y * (1 - y)),
)
bug(
    "bce-slope-bounded-early",
    "The denominator of the gradient has too large a lower bound.",
    wrong="∂L/∂y = (y − t) / max(y (1 − y), ε), ε above 1e-12",
    right="∂L/∂y = (y − t) / max(y (1 − y), 1e-12)",
    killed_by="certain:*",
    variants=[{"least": least} for least in (1e-6, 1e-7, 1e-8, 1e-10)],
    bce_slopes=lambda e, o, y, t: (
        e.sample_weight(o) * (y - t) / np.maximum(y * (1 - y), e.array(e.least))
    ),
)
bug(
    "bce-ones-only",
    "The term of the zeros is missing.",
    wrong="term = −t log y",
    right="term = −t log y − (1 − t) log(1 − y)",
    killed_by="loss.BCELoss*:*",
    bce_terms=lambda e, o, y, t: -e.sample_weight(o) * t * np.maximum(np.log(y), -100),
    bce_slopes=lambda e, o, y, t: -e.sample_weight(o) * t / np.maximum(y, e.array(1e-12)),
)
bug(
    "bce-swapped",
    "Prediction and target are swapped in the loss.",
    wrong="term = −y log t − (1 − y) log(1 − t)",
    right="term = −t log y − (1 − t) log(1 − y)",
    source="smolgrad, Keras Tversky",
    killed_by="loss.BCELoss*:*",
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, t, y),
)
bug(
    "bce-slope-of-logits",
    "The gradient is that after a sigmoid, whose slope is then applied once more.",
    wrong="∂L/∂y = y − t",
    right="∂L/∂y = (y − t) / (y (1 − y))",
    killed_by="loss.BCELoss*:*",
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * (y - t),
)
bug(
    "bce-slope-sign-of-zeros",
    "The gradient of the zeros' term has the sign of the ones'.",
    wrong="∂L/∂y = −t / y − (1 − t) / (1 − y)",
    right="∂L/∂y = −t / y + (1 − t) / (1 − y)",
    killed_by="loss.BCELoss*:*",
    bce_slopes=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (t * (1 - y) + (1 - t) * y)
        / np.maximum(y * (1 - y), e.array(np.float32(1e-12)))
    ),
)
bug(
    "log-base-2",
    "Logarithms are to the base 2 or 10, gradients to the base e.",
    wrong="L = −Σ q log₂ p / D",
    right="L = −Σ q ln p / D",
    killed_by="loss.*:*",
    variants=[{"base": 2}, {"base": 10}],
    value=lambda e, o, y, t: (
        Textbook.value(e, o, y, t)
        / (e.log(e.array(e.base)) if o.type in {"BCELoss", "CrossEntropyLoss"} else 1)
    ),
)
bug(
    "weight-ignored",
    "The option weight is ignored.",
    wrong="term = …",
    right="term = w · …",
    killed_by="loss.*weight*:*",
    sample_weight=lambda e, o: e.array(1),
    class_weight=lambda e, o, y: e.array(np.ones(y.shape[1])),
)
bug(
    "weight-not-in-slope",
    "The option weight enters the loss, not the gradient.",
    wrong="∂L/∂y = (…) / D",
    right="∂L/∂y = w (…) / D",
    killed_by="loss.*weight*:*",
    bce_slopes=lambda e, o, y, t: Textbook.bce_slopes(e, but(o, weight=None), y, t),
    logits_slopes=lambda e, o, y, t: Textbook.logits_slopes(e, but(o, weight=None), y, t),
    cross_entropy_slopes=lambda e, o, y, t: Textbook.cross_entropy_slopes(
        e, but(o, weight=None), y, t
    ),
)
bug(
    "weight-applied-twice",
    "The option weight is applied to the loss, and once more to the gradient.",
    wrong="∂L/∂y = w² (…) / D",
    right="∂L/∂y = w (…) / D",
    killed_by="loss.*weight*:*",
    bce_slopes=lambda e, o, y, t: e.sample_weight(o) * Textbook.bce_slopes(e, o, y, t),
    logits_slopes=lambda e, o, y, t: e.sample_weight(o) * Textbook.logits_slopes(e, o, y, t),
    cross_entropy_slopes=lambda e, o, y, t: Textbook.cross_entropy_slopes(
        e, but(o, weight=None if o.weight is None else np.square(o.weight)), y, t
    ),
)
bug(
    "weight-in-divisor",
    "A weighted mean divides by the sum of the weights, where torch divides by the count.",
    wrong="D = Σ w",
    right="D = N K",
    killed_by="loss.BCE*weight*:*",
    divisor=lambda e, o, y, t: (
        e.total(np.broadcast_to(e.sample_weight(o), y.shape))
        if o.type.startswith("BCE") and o.weight is not None and o.reduction == "mean"
        else Textbook.divisor(e, o, y, t)
    ),
)
bug(
    "logits-without-sigmoid",
    "The gradient takes the logits for probabilities.",
    wrong="∂L/∂y = (y − t) / D",
    right="∂L/∂y = (σ(y) − t) / D",
    killed_by="loss.BCEWithLogitsLoss*:*",
    logits_slopes=lambda e, o, y, t: (
        e.sample_weight(o) * ((1 - t) * y - e.pos_weight(o) * t * (1 - y))
    ),
)
bug(
    "logits-sigmoid-twice",
    "A sigmoid is applied to the logits before a loss that applies its own.",
    wrong="L(σ(y), t)",
    right="L(y, t)",
    killed_by="loss.BCEWithLogitsLoss*:*",
    logits_terms=lambda e, o, y, t: Textbook.logits_terms(e, o, e.sigma(y), t),
    logits_slopes=lambda e, o, y, t: Textbook.logits_slopes(e, o, e.sigma(y), t),
)
bug(
    "logits-log-of-sigmoid",
    "The logarithm of a sigmoid that has underflowed to 0 is infinite.",
    wrong="−t log σ(y) − (1 − t) log(1 − σ(y))",
    right="t softplus(−y) + (1 − t) softplus(y)",
    killed_by="certain:*",
    exact=False,
    logits_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (e.pos_weight(o) * t * np.log(e.sigma(y)) + (1 - t) * np.log(1 - e.sigma(y)))
    ),
)
bug(
    "logits-clipped",
    "The probabilities of logits are clipped away from 0 and 1.",
    wrong="−t log clip(σ(y), ε, 1 − ε) − …",
    right="t softplus(−y) + (1 − t) softplus(y)",
    killed_by="certain:*",
    exact=False,
    variants=[{"eps": eps} for eps in (1e-7, 1e-12, None)],
    logits_terms=lambda e, o, y, t: (
        -e.sample_weight(o)
        * (
            e.pos_weight(o) * t * np.log(clipped(e, e.sigma(y), e.eps))
            + (1 - t) * np.log(clipped(e, e.sigma(-y), e.eps))
        )
    ),
)
bug(
    "logits-exp-sign",
    "The stable form has a plus in the exponent, where it overflows.",
    wrong="max(y, 0) − y t + log(1 + exp(+|y|))",
    right="max(y, 0) − y t + log(1 + exp(−|y|))",
    source="pytorch #2221",
    killed_by="loss.BCEWithLogitsLoss*:*",
    softplus_of=lambda e, v: np.maximum(v, 0) + np.log1p(np.exp(np.abs(v))),
)
bug(
    "logits-slope-at-zero",
    "The stable form is differentiated with |y|′(0) = 0 and max(y, 0)′ = 0 at 0: ½ is missing.",
    wrong="∂L/∂y = −t / D at y = 0",
    right="∂L/∂y = (½ − t) / D at y = 0",
    source="pytorch #2298",
    killed_by="loss.BCEWithLogitsLoss*:*",
    logits_slopes=lambda e, o, y, t: np.where(
        y == 0, -e.sample_weight(o) * e.pos_weight(o) * t, Textbook.logits_slopes(e, o, y, t)
    ),
)
bug(
    "pos-weight-on-all",
    "pos_weight multiplies the whole loss.",
    wrong="term = p (t softplus(−y) + (1 − t) softplus(y))",
    right="term = p t softplus(−y) + (1 − t) softplus(y)",
    killed_by="loss.*pos_weight*:*",
    logits_terms=lambda e, o, y, t: (
        e.pos_weight(o) * Textbook.logits_terms(e, but(o, pos_weight=None), y, t)
    ),
    logits_slopes=lambda e, o, y, t: (
        e.pos_weight(o) * Textbook.logits_slopes(e, but(o, pos_weight=None), y, t)
    ),
)
bug(
    "pos-weight-as-sample-weight",
    "pos_weight weighs whole samples by their target: wrong for targets between 0 and 1.",
    wrong="term = (1 + (p − 1) t) (t softplus(−y) + (1 − t) softplus(y))",
    right="term = p t softplus(−y) + (1 − t) softplus(y)",
    source="aprender #2204",
    killed_by="loss.BCEWithLogitsLoss.pos_weight:*",
    logits_terms=lambda e, o, y, t: (
        (1 + (e.pos_weight(o) - 1) * t) * Textbook.logits_terms(e, but(o, pos_weight=None), y, t)
    ),
    logits_slopes=lambda e, o, y, t: (
        (1 + (e.pos_weight(o) - 1) * t) * Textbook.logits_slopes(e, but(o, pos_weight=None), y, t)
    ),
)
bug(
    "pos-weight-on-zeros",
    "pos_weight stands on the side of the zeros.",
    wrong="term = t softplus(−y) + p (1 − t) softplus(y)",
    right="term = p t softplus(−y) + (1 − t) softplus(y)",
    killed_by="loss.*pos_weight*:*",
    logits_terms=lambda e, o, y, t: Textbook.logits_terms(e, o, -y, 1 - t),
    logits_slopes=lambda e, o, y, t: -Textbook.logits_slopes(e, o, -y, 1 - t),
)
bug(
    "pos-weight-ignored",
    "pos_weight is ignored.",
    wrong="term = t softplus(−y) + (1 − t) softplus(y)",
    right="term = p t softplus(−y) + (1 − t) softplus(y)",
    killed_by="loss.*pos_weight*:*",
    pos_weight=lambda e, o: e.array(1),
)
bug(
    "pos-weight-not-in-slope",
    "pos_weight enters the loss, not the gradient.",
    wrong="∂L/∂y = (σ(y) − t) / D",
    right="∂L/∂y = ((1 − t) σ(y) − p t σ(−y)) / D",
    killed_by="loss.*pos_weight*:*",
    logits_slopes=lambda e, o, y, t: Textbook.logits_slopes(e, but(o, pos_weight=None), y, t),
)
bug(
    "pos-weight-on-target-only",
    "pos_weight multiplies the target in the gradient, not the sigmoid beside it.",
    wrong="∂L/∂y = (σ(y) − p t) / D",
    right="∂L/∂y = ((1 − t) σ(y) − p t σ(−y)) / D",
    killed_by="loss.*pos_weight*:*",
    logits_slopes=lambda e, o, y, t: e.sample_weight(o) * (e.sigma(y) - e.pos_weight(o) * t),
)
bug(
    "labels-plus-minus-1",
    "Targets are taken for labels −1 and 1: right for 0 and 1, wrong for anything between.",
    wrong="term = log(1 + exp(−(2t − 1) y))",
    right="term = t softplus(−y) + (1 − t) softplus(y)",
    killed_by="loss.BCEWithLogitsLoss*:*",
    logits_terms=lambda e, o, y, t: (
        e.sample_weight(o) * e.pos_weight(o) ** t * e.softplus_of(-(2 * t - 1) * y)
    ),
    logits_slopes=lambda e, o, y, t: (
        -e.sample_weight(o) * e.pos_weight(o) ** t * (2 * t - 1) * e.sigma(-(2 * t - 1) * y)
    ),
)
