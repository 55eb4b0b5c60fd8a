"""The curve of the loss, from a History or from the log of `manualnn train`."""

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manualnn.errors import SpecError, TableError
from manualnn.plot.axes import COLORS, as_axes, as_label
from manualnn.training.history import History
from manualnn.validation import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["loss"]

FEW = 30
"""With at most so many epochs, each has a marker."""
WIDE = 100
"""If the largest loss is more than so many times the smallest, the axis is logarithmic."""

Curves = Mapping[str, Sequence[float]]


def loss(history: Any, ax: "Axes | None" = None, *, label: str = "") -> "Axes":
    """Draw the training loss of each epoch, and the validation loss if there is one.

    The lowest validation loss is marked. The axis of the loss becomes logarithmic if the largest
    loss is more than a hundred times the smallest.

    Parameters
    ----------
    history : History or path
        The result of `Trainer.fit`, or the file of `manualnn train --log`, CSV or JSON lines.
    ax : Axes, optional
        The axes to draw in; those of a new figure if None.
    label : str
        Name of the run in the legend, if several share the axes.

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        If history is neither, or has no epoch.
    TableError
        If the log cannot be read.
    MissingExtraError
        If Matplotlib is not installed.

    """
    curves = read_curves(history)
    ax = as_axes(ax)
    from matplotlib.ticker import MaxNLocator

    prefix = f"{as_label(label)}, " if label else ""
    for (name, values), style in zip(curves.items(), ("-", "--"), strict=False):
        epochs = range(1, len(values) + 1)
        color = COLORS[len(ax.lines) % len(COLORS)]
        marker = {"-": "o", "--": "s"}[style] if len(values) <= FEW else ""
        ax.plot(
            epochs, values, style, color=color, marker=marker, markersize=3.5, label=prefix + name
        )
        if name == "validation":
            lowest = min(epochs, key=lambda epoch: values[epoch - 1])
            text = f"{prefix}lowest validation: {values[lowest - 1]:.4g} in epoch {lowest}"
            ax.scatter(
                lowest, values[lowest - 1], s=60, color=color, marker="D", zorder=3, label=text
            )
    found = [value for values in curves.values() for value in values]
    if 0 < WIDE * min(found) < max(found):
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", ylabel="loss")
    ax.legend()
    return ax


def read_curves(history: Any) -> Curves:
    """Return {"training": losses, "validation": losses}, the latter only if there are some."""
    if isinstance(history, str | os.PathLike):
        training, validation = _read_log(Path(history))
    elif isinstance(history, History):
        training, validation = history.loss, history.validation_loss
    else:
        message = (
            f"expected the History that fit returned, or the path of a log, got {shown(history)}."
        )
        raise SpecError(message)
    if not training:
        message = f"{shown(history)} has no epoch to draw; train for at least one."
        raise SpecError(message)
    return {"training": training} | ({"validation": validation} if validation else {})


def _read_log(path: Path) -> tuple[list[float], list[float]]:
    """Return the training and validation losses of a log."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        message = f"cannot read the log {path}: {getattr(error, 'strerror', None) or error}."
        raise TableError(message) from error
    training, validation = [], []
    number = 1
    try:
        if path.name.endswith((".json", ".jsonl")):  # as `train --log` chooses
            rows: Any = map(json.loads, _whole(text).splitlines())
        else:
            rows = csv.DictReader(_whole(text).splitlines())
            _ = [*(rows.fieldnames or ())].index("loss")  # which raises if the header is another
        for number, row in enumerate(rows, 1):  # noqa: B007 - the message names the last one
            training.append(_finite(row["loss"]))
            if row["validation_loss"] not in {"", None}:
                validation.append(_finite(row["validation_loss"]))
        if validation:
            _ = [*zip(training, validation, strict=True)]  # which raises if some epochs lack one
    except (ValueError, TypeError, LookupError, csv.Error) as error:
        message = (
            f"{path} is no log of `manualnn train --log`: entry {number} cannot be read ({error}); "
            f"expected the columns epoch, loss, validation_loss, lr and seconds."
        )
        raise TableError(message) from error
    return training, validation


def _whole(text: str) -> str:
    """Return a log without a last line that was cut, as when the training was killed."""
    *lines, last = text.splitlines(keepends=True) or [""]
    width = lines[0].count(",") if lines else 0
    is_short = last.startswith("{") or last.count(",") < width
    is_cut = is_short and not last.endswith(("\n", "}"))
    return "".join(lines) if is_cut else text


def _finite(cell: Any) -> float:
    number = float(cell)
    if not math.isfinite(number):
        message = f"the loss is {cell}"
        raise ValueError(message)
    return number
