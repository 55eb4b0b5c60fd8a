"""Bugs of any loss: sign, divisor, reduction."""

from functools import partial

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import with_options
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
mean_bug = partial(bug, killed_by="loss.*.mean*:*")
sum_bug = partial(bug, killed_by="loss.*.sum*:*")


def _is_mean(e: Textbook, o: Options, y: Array, t: Array) -> bool:
    """Return True if a loss is a mean; cross-entropy has a divisor of its own."""
    return bool(o.reduction == "mean" and o.type != "CrossEntropyLoss")


BUGS["gradient-negated"] = bug(
    "The gradient of the loss has the wrong sign.",
    lines=("∂L/∂y = … (t − y)", "∂L/∂y = … (y − t)"),
    slope=lambda e, o, y, t: -Textbook.slope(e, o, y, t),
)
BUGS["mean-over-samples-only"] = mean_bug(
    '"mean" divides by the number of samples instead of the number of all outputs.',
    lines=('D = N for "mean"', 'D = N K for "mean"; N is torch\'s "batchmean"'),
    source="smolgrad",
    where=_is_mean,
    divisor=lambda e, o, y, t: len(y),
)
BUGS["slope-over-samples-only"] = mean_bug(
    "The loss is a mean over all outputs, but its gradient divides by the number of samples: it is "
    "wrong by the factor K.",
    lines=("L = Σ … / (N K), ∂L/∂y = … / N", "L = Σ … / (N K), ∂L/∂y = … / (N K)"),
    source="scikit-learn #8349",
    where=_is_mean,
    slope_divisor=lambda e, o, y, t: len(y),
)
BUGS["slope-of-the-sum"] = mean_bug(
    "The loss is a mean, but its gradient is the gradient of the sum.",
    lines=("L = Σ … / D, ∂L/∂y = …", "L = Σ … / D, ∂L/∂y = … / D"),
    source="RECHE23",
    slope_divisor=lambda e, o, y, t: 1,
)
BUGS["slope-of-the-mean"] = sum_bug(
    'The loss follows its reduction, but its gradient is always that of "mean".',
    lines=('∂L/∂y = … / (N K) for "sum"', '∂L/∂y = … for "sum"'),
    source="RECHE23",
    slope_divisor=with_options("divisor", reduction="mean")["divisor"],
)
BUGS["value-of-the-sum"] = mean_bug(
    "The gradient is that of the mean, but the loss itself is the sum.",
    lines=("L = Σ …, ∂L/∂y = … / D", "L = Σ … / D, ∂L/∂y = … / D"),
    value_divisor=lambda e, o, y, t: 1,
)
BUGS["mean-over-outputs-only"] = mean_bug(
    '"mean" divides by the number of outputs and sums over samples.',
    lines=('D = K for "mean"', 'D = N K for "mean"'),
    where=_is_mean,
    divisor=lambda e, o, y, t: y.shape[1],
)
BUGS["divides-by-n-minus-1"] = mean_bug(
    "The mean divides by N − 1, as a sample variance does.",
    lines=("D = (N − 1) K", "D = N K"),
    where=lambda e, o, y, t: o.reduction != "sum" and len(y) > 1,
    divisor=lambda e, o, y, t: Textbook.divisor(e, o, y, t) / len(y) * (len(y) - 1),
)
BUGS["divides-by-d-minus-1"] = mean_bug(
    "The mean divides by the number of its terms minus 1, as a sample variance does.",
    lines=("D = N K − 1", "D = N K"),
    divisor=lambda e, o, y, t: (
        (D := Textbook.divisor(e, o, y, t)) - (o.reduction != "sum" and D > 1)
    ),
)
BUGS["mean-taken-twice"] = bug(
    "The gradient is divided by N in the loss and again in the layers.",
    lines=("∂L/∂y = … / (D N)", "∂L/∂y = … / D"),
    slope_divisor=lambda e, o, y, t: Textbook.divisor(e, o, y, t) * len(y),
)
BUGS["sum-is-mean"] = sum_bug(
    'The loss is always a mean: the reduction "sum" is ignored.',
    lines=('D = N K for "sum"', 'D = 1 for "sum"'),
    **with_options(
        "divisor", reduction=lambda e, o: "mean" if o.reduction == "sum" else o.reduction
    ),
)
BUGS["batchmean-is-mean"] = bug(
    '"batchmean" divides by the number of all outputs, as "mean" does.',
    lines=('D = N K for "batchmean"', 'D = N for "batchmean"'),
    killed_by="loss.*.batchmean*:*",
    where=lambda e, o, y, t: o.reduction == "batchmean",
    divisor=lambda e, o, y, t: y.size,
)
BUGS["factor-of-the-loss-alone"] = bug(
    "The constant factor multiplies the loss, but not its gradient.",
    lines=("L = c Σ … / D, ∂L/∂y = … / D", "L = c Σ … / D, ∂L/∂y = c … / D"),
    killed_by="loss.*.factor:*",
    slope_factor=lambda e, o: e.num(1),
)
BUGS["factor-of-the-slope-alone"] = bug(
    "The constant factor multiplies the gradient of the loss, but not the loss.",
    lines=("L = Σ … / D, ∂L/∂y = c … / D", "L = c Σ … / D, ∂L/∂y = c … / D"),
    killed_by="loss.*.factor:*",
    value_factor=lambda e, o: e.num(1),
)
BUGS["integer-division"] = mean_bug(
    "1/D is an integer division: the gradient is 0 if D > 1.",
    lines=("∂L/∂y = … · (1 // D)", "∂L/∂y = … · (1 / D)"),
    where=lambda e, o, y, t: Textbook.divisor(e, o, y, t) > 1,
    slope=lambda e, o, y, t: Textbook.slope(e, o, y, t) * 0,
)
BUGS["divisor-plus-eps"] = bug(
    "A small number is added to the divisor of the mean, against division by zero.",
    lines=("L = Σ … / (D + ε)", "L = Σ … / D"),
    source="keras",
    eps=Constant([1e-8, 1e-7, 1e-12], solved(1e-8)),
    divisor=lambda e, o, y, t: Textbook.divisor(e, o, y, t) + e.num(e.eps),
)
