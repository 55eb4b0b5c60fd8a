"""Bugs of weights of samples."""

from collections.abc import Callable
from functools import partial
from typing import Any

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
weights_bug = partial(bug, killed_by="loss.*.sample_weights:*")
Line = Callable[..., Any]


def _without_weights(line: Line) -> Line:
    """Return a line of the textbook engine as it is without weights."""

    def wrong(e: Textbook, *given: Any) -> Any:
        weights, e.weights = e.weights, None
        result = line(e, *given)
        e.weights = weights
        return result

    return wrong


def _sum_of_weights(e: Textbook, o: Options, y: Array, t: Array) -> Any:
    """Return the divisor of a mean of class indices without the weights of classes."""
    if e.weights is None or o.reduction == "batchmean" or t.ndim == 2:
        return Textbook.mean_divisor(e, o, y, t)
    return e.total(e.weights[e.counts(o, t)])


BUGS["sample-weights-ignored"] = weights_bug(
    "The weights of the samples are ignored.",
    lines=("L = Σₙ lₙ / N", "L = Σₙ wₙ lₙ / Σₙ wₙ"),
    load=lambda e, case: Textbook.load(e, case.but(sample_weights=None)),
)
BUGS["sample-weights-over-n"] = weights_bug(
    "A weighted mean divides by N instead of the sum of the weights, as Keras' default and "
    "torch's (w * loss).mean() do.",
    lines=("D = N", "D = Σₙ wₙ"),
    source="keras",
    divisor=_without_weights(Textbook.divisor),
)
BUGS["sample-weights-slope-over-n"] = weights_bug(
    "The loss divides by the sum of the weights, but its gradient divides by N.",
    lines=("∂L/∂y = wₙ … / N", "∂L/∂y = wₙ … / Σₙ wₙ"),
    slope_divisor=_without_weights(Textbook.divisor),
)
BUGS["sample-weights-in-the-loss-alone"] = weights_bug(
    "The weights of the samples multiply the loss, but not its gradient.",
    lines=("∂L/∂y = … / N", "∂L/∂y = wₙ … / Σₙ wₙ"),
    slope=_without_weights(Textbook.slope),
)
BUGS["sample-weights-in-the-gradient-alone"] = weights_bug(
    "The weights of the samples multiply the gradient of the loss, but not the loss.",
    lines=("L = Σₙ lₙ / N", "L = Σₙ wₙ lₙ / Σₙ wₙ"),
    value=_without_weights(Textbook.value),
)
BUGS["sample-weights-squared"] = weights_bug(
    "Each sample counts with the square of its weight, as where the weight multiplies y − t.",
    lines=("L = Σₙ wₙ² lₙ / D", "L = Σₙ wₙ lₙ / D"),
    where=lambda e, o, terms: e.weights is not None,
    times_weights=lambda e, o, terms: terms * e.weights[:, None] ** 2,
)
BUGS["sample-weights-scaled-to-n"] = weights_bug(
    "The weights of the samples are scaled so that their sum is N, also in a loss that is a sum.",
    lines=('L = N Σₙ wₙ lₙ / Σₙ wₙ for "sum"', 'L = Σₙ wₙ lₙ for "sum"'),
    where=lambda e, o, y, t: o.reduction == "sum" and e.weights is not None,
    divisor=lambda e, o, y, t: e.total(e.weights) / len(y),
)
BUGS["sample-weights-without-those-of-classes"] = weights_bug(
    "The mean divides by the weights of the samples, without the weights of their classes.",
    lines=("D = Σₙ wₙ", "D = Σₙ wₙ w[tₙ]"),
    killed_by="loss.CrossEntropyLoss.sample_weights:*",
    mean_divisor=_sum_of_weights,
)
