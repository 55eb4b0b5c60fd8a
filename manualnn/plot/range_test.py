"""The learning-rate range test: a training whose learning rate grows with every step.

Source: Smith 2017, Cyclical Learning Rates for Training Neural Networks, section 3.3.
"""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DivergedError, SpecError
from manualnn.plot.axes import COLORS, as_axes
from manualnn.training.trainer import Trainer
from manualnn.validation import require_count, require_number, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RangeTest", "learning_rate_range", "range_test"]

MEMORY = 0.9
"""Share of the average that each step keeps."""
WORSE = 4.0
"""The test ends when the average is so many times the lowest one, as in fastai."""


@dataclass(frozen=True)
class RangeTest:
    """The record of a range test, step by step."""

    lr: Array
    """The learning rate of each step, shape (steps,)."""
    loss: Array
    """The loss of each step's batch before the step, shape (steps,)."""
    smooth: Array
    """Its average over the last steps, shape (steps,)."""
    diverged: bool
    """True if the test ended early, because the loss grew or was no longer finite."""

    @property
    def suggestion(self) -> float | None:
        """The learning rate where the average falls steepest over log(lr), or None if none does."""
        if len(self.lr) < 3:
            return None
        slope = np.gradient(self.smooth)  # the rates are equally spaced on a logarithmic scale
        steepest = int(slope.argmin())
        return float(self.lr[steepest]) if slope[steepest] < 0 else None


def range_test(
    trainer: Trainer,
    x: Any,
    t: Any,
    *,
    lr_min: float = 1e-6,
    lr_max: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
) -> RangeTest:
    """Train a copy of the trainer with a learning rate that grows from lr_min to lr_max.

    The trainer itself does not change. The test ends early if the average loss exceeds four times
    its lowest value, or if a number is no longer finite. It needs no Matplotlib.

    Parameters
    ----------
    trainer : Trainer
        The network with its loss, optimizer and parameters.
    x, t : arrays
        Inputs (N, in) and targets, as in `Trainer.fit`.
    lr_min, lr_max : float
        First and last learning rate; those between are equally spaced on a logarithmic scale.
    steps : int
        Number of steps, at least 2.
    batch_size : int
        Samples in a step, at least 1. The samples are visited in new orders, drawn by the
        trainer's generator.

    Raises
    ------
    SpecError
        If trainer is no Trainer, or if an option is out of range.
    ShapeError, DTypeError, DomainError
        If x or t does not fit.

    """
    if not isinstance(trainer, Trainer):
        message = f"a range test needs a Trainer, got {shown(trainer)}."
        raise SpecError(message)
    require_number("lr_min", lr_min, 0)
    require_number("lr_max", lr_max, 0)
    require_count("steps", steps, 2)
    require_count("batch_size", batch_size, 1)
    if not 0 < lr_min < lr_max:
        message = f"expected 0 < lr_min < lr_max, got {lr_min} and {lr_max}."
        raise SpecError(message)
    trainer.evaluate(x, t)  # which checks the samples
    x, t = np.asarray(x), np.asarray(t)
    run = copy.deepcopy(trainer)
    order = np.empty(0, np.intp)
    rates = np.geomspace(lr_min, lr_max, steps)
    losses: list[float] = []
    averages: list[float] = []
    total, diverged = 0.0, False
    for lr in rates.tolist():
        while len(order) < min(batch_size, len(x)):
            order = np.append(order, run.rng.permutation(len(x)))
        batch, order = order[:batch_size], order[batch_size:]
        run.lr = lr
        try:
            losses.append(run.step(x[batch], t[batch]))
        except DivergedError:
            diverged = True
            break
        total = MEMORY * total + (1 - MEMORY) * losses[-1]
        averages.append(total / (1 - MEMORY ** len(losses)))  # the first steps count in full
        if averages[-1] > WORSE * min(averages):
            diverged = True
            break
    n = len(losses)
    return RangeTest(rates[:n], np.array(losses), np.array(averages), diverged)


def learning_rate_range(found: RangeTest, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the loss against the learning rate, and the rate where it falls steepest.

    Parameters
    ----------
    found : RangeTest
        The result of `range_test`.
    ax : Axes, optional
        The axes to draw in; those of a new figure if None.

    Raises
    ------
    SpecError
        If found is no RangeTest, or has no step.
    MissingExtraError
        If Matplotlib is not installed.

    """
    if not len(getattr(found, "smooth", ())):  # a Trainer has a `lr`, too
        message = f"expected the result of range_test, with at least one step, got {shown(found)}."
        raise SpecError(message)
    ax = as_axes(ax)
    ax.plot(found.lr, found.loss, ":", color="0.55", linewidth=1, label="loss of each batch")
    ax.plot(found.lr, found.smooth, color=COLORS[0], label="average")
    if (lr := found.suggestion) is not None:
        height = found.smooth[found.lr.tolist().index(lr)]
        ax.scatter(
            lr, height, s=60, color=COLORS[1], marker="D", zorder=3, label=f"steepest at {lr:.2g}"
        )
    lowest, first = float(found.smooth.min()), float(found.smooth[0])
    if found.diverged:  # the last losses would flatten all others
        room = max(first - lowest, 0.05 * abs(first), 1e-300)
        ax.set_ylim(lowest - 0.3 * room, first + room)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
    ax.set_title("ended early: the loss diverged" if found.diverged else "", fontsize=10)
    ax.legend()
    return ax
