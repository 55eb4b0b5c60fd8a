"""Histograms of activations and gradients by layer: what a network does with its samples."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ShapeError
from manualnn.layers import Dropout, Layer, ReLU, Sigmoid, Softsign, Tanh
from manualnn.losses import Loss
from manualnn.network.sequential import Sequential
from manualnn.parameters import Parameters
from manualnn.plot.axes import COLORS, as_axes, require_network
from manualnn.validation import as_batch, require_count, require_finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["activations", "gradients"]

FLAT = 0.05
"""A unit is saturated for a sample if its slope is below this share of the largest slope."""
STEEPEST: dict[type[Layer], float] = {Sigmoid: 0.25, Tanh: 1.0, Softsign: 1.0}
"""The largest slope of each layer that saturates at both ends."""
ENDS: dict[type[Layer], tuple[float, float]] = {
    Sigmoid: (0, 1),
    Tanh: (-1, 1),
    Softsign: (-1, 1),
}
"""The range of each layer whose outputs are bounded."""


ROW = 0.65
"""Least room for a histogram in a figure of its own, in inches."""
HIGHEST = 0.58
"""Height of the largest bin, as a share of the room; above it stands the remark."""


class Histogram(NamedTuple):
    """The counts of some values, and what is to be said about them."""

    name: str
    counts: Array
    edges: Array
    remark: str


def activations(
    net: Sequential, params: Parameters, x: Any, *, bins: int = 40, ax: "Axes | None" = None
) -> "Axes":
    """Draw for each layer a histogram of its outputs, without dropout.

    Each histogram has its own scale, whose ends are written below it. Its label counts the dead
    units of a ReLU, whose output is 0 for every sample, and the saturated values of Sigmoid, Tanh
    and Softsign, where the slope is below 5 % of the largest one.

    Parameters
    ----------
    net : Sequential
        The network, such as `trainer.net`.
    params : Parameters
        Its parameters, such as `trainer.params`.
    x : array (N, in)
        Inputs, at least one.
    bins : int
        Number of bins of each histogram.
    ax : Axes, optional
        The axes to draw in; those of a new figure if None.

    Raises
    ------
    SpecError, ShapeError, DTypeError, DomainError
        If net is no Sequential, x or params do not fit, or if an output is not finite.
    MissingExtraError
        If Matplotlib is not installed.

    """
    found = activation_histograms(net, params, x, bins)
    ax = as_axes(ax, 1 + ROW * len(found))
    for row, histogram in enumerate(found):
        low, high = histogram.edges[[0, -1]]
        # The remark is in the middle, because the scale of the row above has its ends beside it.
        _draw(ax, row, histogram, (histogram.edges - low) / (high - low), 0.5)
        for end, value, side in ((0.0, low, "left"), (1.0, high, "right")):
            ax.text(end, row + 0.04, f"{value:.3g}", ha=side, va="top", fontsize=8, color="0.5")
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks([])
    _finish(ax, found, f"outputs of each layer for {len(x)} samples")
    return ax


def gradients(
    net: Sequential,
    params: Parameters,
    loss: Loss,
    x: Any,
    t: Any,
    *,
    bins: int = 40,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw for each array of parameters a histogram of |∂L/∂θ|, on one logarithmic scale.

    Vanishing and exploding gradients are rows that lie left or right of the others. Zeros have no
    place on the scale; the label of the row counts them.

    Parameters
    ----------
    net, params, loss
        The network, its parameters and the loss, such as those of a Trainer.
    x, t : arrays
        Inputs and targets of the samples that the gradient is of, as in `value_and_grad`.
    bins : int
        Number of bins of each histogram.
    ax : Axes, optional
        The axes to draw in; those of a new figure if None.

    Raises
    ------
    SpecError, ShapeError, DTypeError, DomainError
        If an argument does not fit, or if a gradient is not finite.
    MissingExtraError
        If Matplotlib is not installed.

    """
    found = gradient_histograms(net, params, loss, x, t, bins=bins)
    ax = as_axes(ax, 1 + ROW * len(found))
    ax.set_xscale("log")
    for row, histogram in enumerate(found):
        _draw(ax, row, histogram, histogram.edges, 0.0)
    _finish(ax, found, f"gradient of each parameter over {len(x)} samples")
    ax.set_xlabel("|∂L/∂θ|")
    return ax


def activation_histograms(
    net: Sequential, params: Parameters, x: Any, bins: int
) -> list[Histogram]:
    """Return a histogram of each layer's outputs, except of dropout."""
    require_network(net)
    require_count("bins", bins, 1)
    views = net.layer_arrays(params)
    y = as_batch(x, params.dtype, net.in_features, net)
    if not len(y) or not net.layers:
        message = f"activations need at least one sample and one layer, got {net!r}, x {y.shape}."
        raise ShapeError(message)
    found = []
    for i, (layer, own) in enumerate(zip(net.layers, views, strict=True)):
        if isinstance(layer, Dropout):  # which passes on all values in a prediction
            continue
        before = y
        with np.errstate(all="ignore"):
            y = layer.forward(own, before)
        require_finite(y, f"the output of layer {i}, {layer!r},")
        low, high = ENDS.get(type(layer), (float(y.min()), float(y.max())))
        require_finite(np.array([high - low]), f"the range of the outputs of layer {i}, {layer!r},")
        # So that the edges of the bins are different numbers.
        least = bins * float(np.spacing(max(abs(low), abs(high))))
        if high - low < least:
            room = max(least, 0.5 * (low == high))
            low, high = low - room, high + room
        counts, edges = np.histogram(y.astype(float), bins, (low, high))
        remark = _describe(layer, before, y)
        found.append(Histogram(f"{i} {type(layer).__name__} {y.shape[1]}", counts, edges, remark))
    return found


def gradient_histograms(
    net: Sequential, params: Parameters, loss: Loss, x: Any, t: Any, *, bins: int
) -> list[Histogram]:
    """Return a histogram of the magnitudes of each gradient, all with the same edges."""
    require_network(net)
    require_count("bins", bins, 1)
    _, grads = net.value_and_grad(params, loss, x, t)
    if not grads:
        message = f"{net!r} has no parameters, so that it has no gradients."
        raise ShapeError(message)
    sizes = {key: np.abs(g).astype(float).ravel() for key, g in grads.items()}
    for key, size in sizes.items():
        require_finite(size, f"the gradient of {key}")
    positive = np.concatenate([size[size > 0] for size in sizes.values()])
    low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    edges = np.geomspace(low, max(high, low * 1.0001), bins + 1)
    edges[[0, -1]] = low, max(high, edges[-1])  # geomspace rounds, and both belong into a bin
    found = []
    for key, size in sizes.items():
        counts = np.histogram(size, edges)[0]
        zeros = int((size == 0).sum())
        middle = f"median {np.median(size):.1e}"
        remark = f"{middle}; {zeros} of {size.size} are 0" if zeros else middle
        found.append(Histogram(key, counts, edges, remark))
    return found


def _describe(layer: Layer, x: Array, y: Array) -> str:
    """Return how many units of a layer are dead, or how many of its values are saturated."""
    if isinstance(layer, ReLU):
        dead = int((y == 0).all(axis=0).sum())
        return f"{dead} of {y.shape[1]} units dead; {np.mean(y == 0):.0%} of the outputs are 0"
    if type(layer) in STEEPEST:
        with np.errstate(all="ignore"):
            slope = layer.backward({}, x, y, np.ones_like(y))
        flat = slope < FLAT * STEEPEST[type(layer)]
        stuck = int(flat.all(axis=0).sum())
        always = f"; {stuck} of {y.shape[1]} units for every sample" if stuck else ""
        return f"{flat.mean():.0%} saturated{always}"
    return ""


def _draw(ax: "Axes", row: int, histogram: Histogram, edges: Array, place: float) -> None:
    """Draw a histogram that stands on the line of its row; rows go down.

    `place` is where its remark stands, from 0 (left) to 1.
    """
    heights = HIGHEST * histogram.counts / max(histogram.counts.max(), 1)
    ax.stairs(
        row - heights, edges, baseline=row, fill=True, color=COLORS[0], alpha=0.35,
        label=histogram.name,
    )  # fmt: skip
    ax.stairs(row - heights, edges, baseline=row, color=COLORS[0], linewidth=0.9)
    ax.text(
        place, row - HIGHEST - 0.04, histogram.remark, fontsize=8.5,
        va="bottom", ha="center" if place else "left", transform=ax.get_yaxis_transform(),
        bbox={"facecolor": ax.get_facecolor(), "alpha": 0.75, "linewidth": 0, "pad": 1},
    )  # fmt: skip


def _finish(ax: "Axes", found: list[Histogram], title: str) -> None:
    ax.set_yticks(range(len(found)), [histogram.name for histogram in found])
    ax.set_ylim(len(found) - 0.7, -0.9)
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "right", "top"]].set_visible(False)
    ax.set_title(title, fontsize=10)
