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
"""Share that each step keeps of the running average, which tells when the loss diverges."""
WORSE = 4.0
"""The test ends when the running average is so many times the lowest one, as in fastai."""
NEAR = 0.1
"""The share of the steps over which the smooth loss averages to each side."""
MARGIN = 10.0
"""A suggested rate is below the rate of the divergence by at least this factor."""


@dataclass(frozen=True)
class RangeTest:
    """The record of a range test, step by step."""

    lr: Array
    """The learning rate of each step, shape (steps,)."""
    loss: Array
    """The loss of each step's batch before the step, shape (steps,)."""
    smooth: Array
    """Its average over the steps around, shape (steps,).

    The weights fall linearly to 0 at a tenth of the steps. An average of past steps alone would
    show a fall of the loss at rates that are too high.
    """
    diverged: bool
    """True if the test ended early, because the loss grew or was no longer finite."""

    @property
    def suggestion(self) -> float | None:
        """The learning rate where the smooth loss falls steepest over log(lr), or None.

        Only rates before the lowest smooth loss count, and if the loss diverged, only rates of at
        most a tenth of the last one. It is None if the loss does not fall there.
        """
        if len(self.lr) < 3:
            return None
        end = int(self.smooth.argmin())
        if self.diverged:
            end = min(end, int(np.sum(self.lr <= self.lr[-1] / MARGIN)))
        slope = np.gradient(self.smooth)[:end]  # the rates are equally spaced on a log scale
        return float(self.lr[slope.argmin()]) if end and slope.min() < 0 else None


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

    The trainer itself does not change. The test ends early if the running average of the loss
    exceeds four times its lowest value, or if a number is no longer finite. It needs no Matplotlib.

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
    total, lowest, diverged = 0.0, np.inf, False
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
        average = total / (1 - MEMORY ** len(losses))  # the first steps count in full
        lowest = min(lowest, average)
        if average > WORSE * lowest:
            diverged = True
            break
    loss = np.array(losses)
    return RangeTest(rates[: len(loss)], loss, _smooth(loss, NEAR * steps), diverged)


def _smooth(loss: Array, reach: float) -> Array:
    """Return the average around each step, with weights that fall linearly to 0 at the reach."""
    steps = np.arange(len(loss))
    weights = np.maximum(1 - abs(steps[:, None] - steps) / max(reach, 1), 0)
    smooth: Array = weights / weights.sum(axis=1, keepdims=True) @ loss
    return smooth


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
    ax.plot(found.lr, found.smooth, color=COLORS[0], label="smooth loss")
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
