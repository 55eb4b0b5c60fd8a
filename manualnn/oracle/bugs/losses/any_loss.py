"""Mistakes that any loss may have: its sign, its divisor, its reduction."""

from functools import partial

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "losses")

bug(
    "gradient-negated",
    "The gradient of the loss has the wrong sign.",
    wrong="∂L/∂y = … (t − y)",
    right="∂L/∂y = … (y − t)",
    killed_by="loss.*:*",
    slope=lambda e, o, y, t: -Textbook.slope(e, o, y, t),
)
bug(
    "mean-over-samples-only",
    '"mean" divides by the number of samples, not by that of all outputs.',
    wrong='D = N for "mean"',
    right='D = N K for "mean"; N is torch\'s "batchmean"',
    source="smolgrad",
    killed_by="loss.*.mean*:*",
    divisor=lambda e, o, y, t: (
        len(y)
        if o.reduction == "mean" and o.type != "CrossEntropyLoss"
        else Textbook.divisor(e, o, y, t)
    ),
)
bug(
    "slope-over-samples-only",
    "The loss is a mean over all outputs, its gradient one over samples: wrong by the factor K.",
    wrong="L = Σ … / (N K), ∂L/∂y = … / N",
    right="L = Σ … / (N K), ∂L/∂y = … / (N K)",
    source="scikit-learn #8349",
    killed_by="loss.*.mean*:*",
    slope_divisor=lambda e, o, y, t: (
        len(y)
        if o.reduction == "mean" and o.type != "CrossEntropyLoss"
        else Textbook.divisor(e, o, y, t)
    ),
)
bug(
    "slope-of-the-sum",
    "The loss is a mean, its gradient that of the sum.",
    wrong="L = Σ … / D, ∂L/∂y = …",
    right="L = Σ … / D, ∂L/∂y = … / D",
    source="RECHE23",
    killed_by="loss.*.mean*:*",
    slope_divisor=lambda e, o, y, t: 1,
)
bug(
    "slope-of-the-mean",
    'The loss heeds its reduction, its gradient is always that of "mean".',
    wrong='∂L/∂y = … / (N K) for "sum"',
    right='∂L/∂y = … for "sum"',
    source="RECHE23",
    killed_by="loss.*.sum*:*",
    slope_divisor=lambda e, o, y, t: Textbook.divisor(e, but(o, reduction="mean"), y, t),
)
bug(
    "value-of-the-sum",
    "The gradient is that of the mean, the loss itself is the sum.",
    wrong="L = Σ …, ∂L/∂y = … / D",
    right="L = Σ … / D, ∂L/∂y = … / D",
    killed_by="loss.*.mean*:*",
    value_divisor=lambda e, o, y, t: 1,
)
bug(
    "mean-over-outputs-only",
    '"mean" divides by the number of outputs, and sums over samples.',
    wrong='D = K for "mean"',
    right='D = N K for "mean"',
    killed_by="loss.*.mean*:*",
    divisor=lambda e, o, y, t: (
        y.shape[1]
        if o.reduction == "mean" and o.type != "CrossEntropyLoss"
        else Textbook.divisor(e, o, y, t)
    ),
)
bug(
    "divides-by-n-minus-1",
    "The mean divides by N − 1, as a sample variance does.",
    wrong="D = (N − 1) K",
    right="D = N K",
    killed_by="loss.*.mean*:*",
    divisor=lambda e, o, y, t: (
        Textbook.divisor(e, o, y, t)
        if o.reduction == "sum" or len(y) < 2
        else Textbook.divisor(e, o, y, t) / len(y) * (len(y) - 1)
    ),
)
bug(
    "divides-by-d-minus-1",
    "The mean divides by one less than the number of its terms, as a sample variance does.",
    wrong="D = N K − 1",
    right="D = N K",
    killed_by="loss.*.mean*:*",
    divisor=lambda e, o, y, t: (
        Textbook.divisor(e, o, y, t) - 1
        if o.reduction != "sum" and Textbook.divisor(e, o, y, t) > 1
        else Textbook.divisor(e, o, y, t)
    ),
)
bug(
    "mean-taken-twice",
    "The gradient is divided by N in the loss, and once more in the layers.",
    wrong="∂L/∂y = … / (D N)",
    right="∂L/∂y = … / D",
    killed_by="loss.*:*",
    slope_divisor=lambda e, o, y, t: Textbook.divisor(e, o, y, t) * len(y),
)
bug(
    "sum-is-mean",
    'Whatever the reduction, the loss is a mean: "sum" is ignored.',
    wrong='D = N K for "sum"',
    right='D = 1 for "sum"',
    killed_by="loss.*.sum*:*",
    divisor=lambda e, o, y, t: Textbook.divisor(
        e, but(o, reduction="mean") if o.reduction == "sum" else o, y, t
    ),
)
bug(
    "batchmean-is-mean",
    '"batchmean" divides by all outputs, as "mean" does.',
    wrong='D = N K for "batchmean"',
    right='D = N for "batchmean"',
    killed_by="loss.*.batchmean*:*",
    divisor=lambda e, o, y, t: (
        y.size if o.reduction == "batchmean" else Textbook.divisor(e, o, y, t)
    ),
)
bug(
    "integer-division",
    "1/D is computed of integers: the gradient vanishes as soon as D > 1.",
    wrong="∂L/∂y = … · (1 // D)",
    right="∂L/∂y = … · (1 / D)",
    killed_by="loss.*.mean*:*",
    slope=lambda e, o, y, t: (
        Textbook.slope(e, o, y, t) * (0 if Textbook.divisor(e, o, y, t) > 1 else 1)
    ),
)
bug(
    "divisor-plus-eps",
    "A small number is added to the divisor of the mean, against division by zero.",
    wrong="L = Σ … / (D + ε)",
    right="L = Σ … / D",
    source="keras",
    killed_by="loss.*:*",
    variants=[{"guard": guard} for guard in (1e-8, 1e-7, 1e-12)],
    divisor=lambda e, o, y, t: Textbook.divisor(e, o, y, t) + e.num(e.guard),
)
