"""Bugs of a constant in any loss: factors, additions, limits, and terms that are left out."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import with_result
from manualnn.oracle.bugs.fits import largest, solved
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
family = partial(bug, rank=1)
FACTORS = [2.0, 0.5, 3.0, 0.25, 10.0, 0.1]


def _sizes(case: Case) -> tuple[float, ...]:
    """Return factors of other bugs: those made of the sizes, and that of an equal number."""
    n, k = max(case.n, 1), case.widths[-1]
    sizes = {1.0 * n, 1.0 * k, 1.0 * n * k}
    return (0.0, 1.0, -1.0, *sizes, *(1 / size for size in sizes))


factor = Constant(FACTORS, solved(2.0, 3.0, linear=True, but=_sizes))

BUGS["loss-times-constant"] = family(
    "The loss is multiplied by a constant, but its gradient is not.",
    lines=("L = c Σ … / D, ∂L/∂y = … / D", "L = Σ … / D, ∂L/∂y = … / D"),
    c=factor,
    value=lambda e, o, y, t: e.num(e.c) * Textbook.value(e, o, y, t),
)
BUGS["slope-times-constant"] = family(
    "The gradient of the loss is multiplied by a constant, but the loss is not.",
    lines=("L = Σ … / D, ∂L/∂y = c … / D", "L = Σ … / D, ∂L/∂y = … / D"),
    c=factor,
    slope=lambda e, o, y, t: e.num(e.c) * Textbook.slope(e, o, y, t),
)
BUGS["loss-and-slope-times-constant"] = family(
    "The loss and its gradient are multiplied by a constant.",
    lines=("L = c Σ … / D, ∂L/∂y = c … / D", "L = Σ … / D, ∂L/∂y = … / D"),
    c=factor,
    value=lambda e, o, y, t: e.num(e.c) * Textbook.value(e, o, y, t),
    slope=lambda e, o, y, t: e.num(e.c) * Textbook.slope(e, o, y, t),
)
BUGS["loss-plus-constant"] = family(
    "A constant is added to the loss.",
    lines=("L = Σ … / D + c", "L = Σ … / D"),
    c=Constant([1e-8, 1e-7, 1e-6, 1.0], solved(1.0, 2.0, linear=True)),
    value=lambda e, o, y, t: Textbook.value(e, o, y, t) + e.num(e.c),
)
BUGS["loss-limited"] = family(
    "The loss has an upper limit, but its gradient has none.",
    lines=("L = min(Σ … / D, c)", "L = Σ … / D"),
    killed_by="loss.*.sum:*",
    c=Constant([100.0, 10.0], largest("loss")),
    value=lambda e, o, y, t: np.minimum(Textbook.value(e, o, y, t), e.array(e.c)),
)
BUGS["outputs-limited"] = family(
    "The outputs are clipped.",
    lines=("y = clip(f(x), −c, c)", "y = f(x)"),
    killed_by="*:outputs",
    c=Constant([100.0, 10.0], largest("outputs")),
    forward=lambda e, x: [
        *(ys := Textbook.forward(e, x))[:-1],
        np.clip(ys[-1], e.array(-e.c), e.array(e.c)),
    ],
)
BUGS["mse-slope-of-half-the-sum"] = bug(
    "The loss is a mean of squares, but its gradient is that of half their sum.",
    lines=("L = Σ (y − t)² / (N K), ∂L/∂y = y − t, or (y − t) / N", "∂L/∂y = 2 (y − t) / (N K)"),
    killed_by="loss.MSELoss.mean:*",
    source="RustNN",
    over=[lambda e, y: 1, lambda e, y: len(y)],
    where=lambda e, o, y, t: o.type == "MSELoss" and o.reduction != "sum",
    slope=lambda e, o, y, t: (y - t) / e.over(y),
)
BUGS["loss-negated"] = bug(
    "The loss has the wrong sign, but its gradient is right.",
    lines=("L = −Σ … / D", "L = Σ … / D"),
    value=lambda e, o, y, t: -Textbook.value(e, o, y, t),
)
BUGS["loss-and-slope-negated"] = bug(
    "The loss and its gradient have the wrong sign.",
    lines=("L = −Σ … / D, ∂L/∂y = −… / D", "L = Σ … / D, ∂L/∂y = … / D"),
    value=lambda e, o, y, t: -Textbook.value(e, o, y, t),
    slope=lambda e, o, y, t: -Textbook.slope(e, o, y, t),
)
BUGS["slope-zero"] = bug(
    "The gradient of the loss is 0.",
    lines=("∂L/∂y = 0", "∂L/∂y = … / D"),
    slope=lambda e, o, y, t: 0 * y,
)
BUGS["loss-mean-taken-twice"] = bug(
    "The loss is divided by N twice, but its gradient is right.",
    lines=("L = Σ … / (D N)", "L = Σ … / D"),
    value_divisor=lambda e, o, y, t: Textbook.divisor(e, o, y, t) * len(y),
)
BUGS["loss-and-slope-mean-taken-twice"] = bug(
    "The loss and its gradient are divided by N twice.",
    lines=("L = Σ … / (D N), ∂L/∂y = … / (D N)", "L = Σ … / D, ∂L/∂y = … / D"),
    divisor=lambda e, o, y, t: Textbook.divisor(e, o, y, t) * len(y),
)


def _slope_of_sample(e: Any, o: Options, y: Array, t: Array) -> Array:
    """Return the gradient with zeros for the samples that the loss leaves out."""
    dy = 0 * y
    dy[e.samples] = Textbook.slope(e, o, y, t)[e.samples]
    return dy


def _value_of_sample(e: Any, o: Options, y: Array, t: Array) -> Array:
    terms = e.equation(o, "_terms")(o, y, t)[e.samples]
    return np.asarray(e.total(terms) / e.value_divisor(o, y, t))


SAMPLES = [slice(1), slice(-1, None), slice(-1), slice(1, None)]
"""The first sample, the last one, all but the last, and all but the first."""
BUGS["samples-left-out-of-loss"] = bug(
    "The loss leaves out samples: a loop is off by one, or only one sample counts.",
    lines=("Σ over n = 1 … N − 1, or over one n", "Σ over all samples"),
    samples=SAMPLES,
    value=_value_of_sample,
)
BUGS["samples-left-out-of-slope"] = bug(
    "Samples get no gradient from the loss: a loop is off by one, or only one sample counts.",
    lines=("∂L/∂y[n] = 0 for the first or last n, or for all others", "∂L/∂y[n] = … / D"),
    samples=SAMPLES,
    slope=_slope_of_sample,
)
BUGS["samples-left-out"] = bug(
    "The loss and its gradient leave out samples: a loop is off by one, or only one sample counts.",
    lines=("L = Σ over n = 1 … N − 1, or over one n", "L = Σ over all samples"),
    samples=SAMPLES,
    value=_value_of_sample,
    slope=_slope_of_sample,
)
BUGS["outputs-left-out-of-slope"] = bug(
    "The loss gives no gradient to the first or last output, because a loop is off by one.",
    lines=("∂L/∂y[:, 0] = 0, or ∂L/∂y[:, −1] = 0", "∂L/∂y[:, k] = … / D"),
    column=[0, -1],
    slope=lambda e, o, y, t: (
        Textbook.slope(e, o, y, t) * (np.arange(y.shape[1]) != e.column % y.shape[1])
    ),
)
BUGS["slope-of-mean-over-samples"] = bug(
    "All samples get the mean of the gradients of the loss.",
    lines=("∂L/∂y[n] = mean over n", "∂L/∂y[n] of each sample"),
    slope=lambda e, o, y, t: (
        0 * y + Textbook.slope(e, o, y, t).sum(axis=0, keepdims=True) / max(len(y), 1)
    ),
)
BUGS["loss-of-last-step-missing"] = bug(
    "The returned loss is that before the first update, whatever the number of steps.",
    lines=("L(θ₀)", "L(θₜ₋₁)"),
    killed_by="steps:*",
    result=with_result(
        "loss",
        lambda e, value: (
            Textbook.step(Textbook(e.dtype), e.case.but(steps=1))["loss"]
            if e.case.steps > 1
            else value
        ),
    ),
)
