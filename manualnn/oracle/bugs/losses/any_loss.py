"""Bugs of any loss: sign, divisor, reduction."""

from collections.abc import Callable
from functools import partial
from typing import Any

from manualnn.oracle.bugs.bug import Bug, Method, add_bug, change, with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(add_bug, BUGS, "losses")
mean_bug = partial(bug, killed_by="loss.*.mean*:*")
any_bug = partial(bug, killed_by="loss.*:*")


def _mean_over(count: Callable[[Array], int]) -> Method:
    """Return a divisor for "mean" that counts something else; cross-entropy keeps its own."""

    def divisor(e: Textbook, o: Options, y: Array, t: Array) -> Any:
        if o.reduction != "mean" or o.type == "CrossEntropyLoss":
            return Textbook.divisor(e, o, y, t)
        return count(y)

    return divisor


any_bug(
    "gradient-negated",
    "The gradient of the loss has the wrong sign.",
    lines=("∂L/∂y = … (t − y)", "∂L/∂y = … (y − t)"),
    slope=lambda e, o, y, t: -Textbook.slope(e, o, y, t),
)
mean_bug(
    "mean-over-samples-only",
    '"mean" divides by the number of samples instead of the number of all outputs.',
    lines=('D = N for "mean"', 'D = N K for "mean"; N is torch\'s "batchmean"'),
    source="smolgrad",
    divisor=_mean_over(len),
)
mean_bug(
    "slope-over-samples-only",
    "The loss is a mean over all outputs, but its gradient divides by the number of samples: it is "
    "wrong by the factor K.",
    lines=("L = Σ … / (N K), ∂L/∂y = … / N", "L = Σ … / (N K), ∂L/∂y = … / (N K)"),
    source="scikit-learn #8349",
    slope_divisor=_mean_over(len),
)
mean_bug(
    "slope-of-the-sum",
    "The loss is a mean, but its gradient is the gradient of the sum.",
    lines=("L = Σ … / D, ∂L/∂y = …", "L = Σ … / D, ∂L/∂y = … / D"),
    source="RECHE23",
    slope_divisor=lambda e, o, y, t: 1,
)
bug(
    "slope-of-the-mean",
    'The loss follows its reduction, but its gradient is always that of "mean".',
    lines=('∂L/∂y = … / (N K) for "sum"', '∂L/∂y = … for "sum"'),
    source="RECHE23",
    killed_by="loss.*.sum*:*",
    slope_divisor=with_options("divisor", reduction="mean")["divisor"],
)
mean_bug(
    "value-of-the-sum",
    "The gradient is that of the mean, but the loss itself is the sum.",
    lines=("L = Σ …, ∂L/∂y = … / D", "L = Σ … / D, ∂L/∂y = … / D"),
    value_divisor=lambda e, o, y, t: 1,
)
mean_bug(
    "mean-over-outputs-only",
    '"mean" divides by the number of outputs and sums over samples.',
    lines=('D = K for "mean"', 'D = N K for "mean"'),
    divisor=_mean_over(lambda y: y.shape[1]),
)
mean_bug(
    "divides-by-n-minus-1",
    "The mean divides by N − 1, as a sample variance does.",
    lines=("D = (N − 1) K", "D = N K"),
    divisor=lambda e, o, y, t: (
        Textbook.divisor(e, o, y, t)
        if o.reduction == "sum" or len(y) < 2
        else Textbook.divisor(e, o, y, t) / len(y) * (len(y) - 1)
    ),
)
mean_bug(
    "divides-by-d-minus-1",
    "The mean divides by the number of its terms minus 1, as a sample variance does.",
    lines=("D = N K − 1", "D = N K"),
    divisor=lambda e, o, y, t: (
        (D := Textbook.divisor(e, o, y, t)) - (o.reduction != "sum" and D > 1)
    ),
)
any_bug(
    "mean-taken-twice",
    "The gradient is divided by N in the loss and again in the layers.",
    lines=("∂L/∂y = … / (D N)", "∂L/∂y = … / D"),
    slope_divisor=lambda e, o, y, t: Textbook.divisor(e, o, y, t) * len(y),
)
bug(
    "sum-is-mean",
    'The loss is always a mean: the reduction "sum" is ignored.',
    lines=('D = N K for "sum"', 'D = 1 for "sum"'),
    killed_by="loss.*.sum*:*",
    divisor=lambda e, o, y, t: Textbook.divisor(
        e, change(o, reduction="mean") if o.reduction == "sum" else o, y, t
    ),
)
bug(
    "batchmean-is-mean",
    '"batchmean" divides by the number of all outputs, as "mean" does.',
    lines=('D = N K for "batchmean"', 'D = N for "batchmean"'),
    killed_by="loss.*.batchmean*:*",
    divisor=lambda e, o, y, t: (
        y.size if o.reduction == "batchmean" else Textbook.divisor(e, o, y, t)
    ),
)
mean_bug(
    "integer-division",
    "1/D is an integer division: the gradient is 0 if D > 1.",
    lines=("∂L/∂y = … · (1 // D)", "∂L/∂y = … · (1 / D)"),
    slope=lambda e, o, y, t: (
        Textbook.slope(e, o, y, t) * (0 if Textbook.divisor(e, o, y, t) > 1 else 1)
    ),
)
any_bug(
    "divisor-plus-eps",
    "A small number is added to the divisor of the mean, against division by zero.",
    lines=("L = Σ … / (D + ε)", "L = Σ … / D"),
    source="keras",
    variants=[{"guard": guard} for guard in (1e-8, 1e-7, 1e-12)],
    divisor=lambda e, o, y, t: Textbook.divisor(e, o, y, t) + e.num(e.guard),
)
