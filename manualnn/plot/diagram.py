"""The diagram of a network: its units, and its weights as lines."""

from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.layers import Linear
from manualnn.network.sequential import Sequential
from manualnn.parameters import Parameters
from manualnn.plot.axes import COLORS, as_axes, require_network
from manualnn.validation import require_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["network"]

SIGNS = {"positive": (COLORS[0], "solid"), "negative": (COLORS[1], (0, (4, 2)))}
"""Colour and line style of the weights of each sign."""
WRITABLE = 16.0
"""The smallest width of a circle, in points, that has room for a number."""


def network(
    net: Sequential,
    params: Parameters | None = None,
    *,
    most: int = 12,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the inputs and the units of each Linear layer, with a line for each weight.

    A line is the wider, the larger the weight is in magnitude; negative ones are dashed. A number
    in a unit is its bias. The column of a layer names the layers without weights that follow it. Of
    a layer with more than `most` units, those with the largest weights (root of the sum of squares)
    are drawn, and the picture says how many are left out.

    Parameters
    ----------
    net : Sequential
        The network, such as `trainer.net`.
    params : Parameters, optional
        Its parameters; without them all lines are alike.
    most : int
        The largest number of units drawn of a layer, at least 1.
    ax : Axes, optional
        The axes to draw in; those of a new figure if None.

    Raises
    ------
    SpecError, ShapeError
        If the network has no Linear layer, or if params are not its own.
    MissingExtraError
        If Matplotlib is not installed.

    """
    require_count("most", most, 1)
    require_network(net)
    linear = {i: layer for i, layer in enumerate(net.layers) if isinstance(layer, Linear)}
    if not linear:
        message = f"a diagram needs a network with a Linear layer, got {net!r}."
        raise SpecError(message)
    arrays: Any = {} if params is None else dict(enumerate(net.layer_arrays(params)))
    weights = [
        arrays[i]["weight"] if arrays else np.ones((layer.out_features, layer.in_features))
        for i, layer in linear.items()
    ]
    ax = as_axes(ax)
    widths = [weights[0].shape[1], *(len(w) for w in weights)]
    kept = [_strongest(weights, column, most) for column in range(len(widths))]
    heights = [_heights(len(units), n) for units, n in zip(kept, widths, strict=True)]
    _draw_weights(ax, weights, kept, heights, is_signed=bool(arrays))
    rows = max(map(len, kept))
    # The width of a circle in points: three fifths of the room, but no more than a number needs.
    room = ax.get_window_extent().height / ax.figure.dpi * 72 / (rows + 3)
    width = min(0.6 * room, 26.0)
    biases = [None, *(arrays[i].get("bias") if arrays else None for i in linear)]
    for column, (units, y, bias) in enumerate(zip(kept, heights, biases, strict=True)):
        ax.scatter([column] * len(units), y, s=width**2, color="white", edgecolors="0.2", zorder=2)
        for unit, place in zip(units, y, strict=True):
            if column in {0, len(linear)}:
                name, side = (f"x[{unit}]", -1) if column == 0 else (f"y[{unit}]", 1)
                ax.annotate(
                    name, (column, place), (side * (width / 2 + 4), 0), va="center", fontsize=8.5,
                    textcoords="offset points", ha="right" if column == 0 else "left",
                )  # fmt: skip
            if bias is not None and width >= WRITABLE:
                ax.text(
                    column, place, f"{bias[unit]:.2g}", ha="center", va="center", fontsize=6.5,
                    color="black", zorder=3,
                )  # fmt: skip
        if len(units) < widths[column]:
            more = f"⋮\n{widths[column] - len(units)} more"
            ax.text(column, y[-1] - 0.6, more, ha="center", va="top", fontsize=8.5)
    _label(ax, net, linear, rows)
    return ax


def _strongest(weights: list[Array], column: int, most: int) -> Array:
    """Return the indices of the units to draw, in their order."""
    n = weights[0].shape[1] if column == 0 else len(weights[column - 1])
    strength = np.zeros(n)
    if column:
        strength += (weights[column - 1].astype(float) ** 2).sum(axis=1)
    if column < len(weights):
        strength += (weights[column].astype(float) ** 2).sum(axis=0)
    return np.sort(np.argsort(-strength, kind="stable")[:most])


def _heights(drawn: int, n: int) -> Array:
    """Return the heights of the units of a column, from the top, with room for "… more"."""
    return (drawn - 1) / 2 - np.arange(drawn) + (0.6 if drawn < n else 0)


def _draw_weights(
    ax: "Axes", weights: list[Array], kept: list[Array], heights: list[Array], *, is_signed: bool
) -> None:
    """Draw the lines, and a legend of their signs and widths."""
    from matplotlib.collections import LineCollection

    shown_weights = [w[np.ix_(kept[i + 1], kept[i])].astype(float) for i, w in enumerate(weights)]
    largest = max(float(np.abs(w).max()) for w in shown_weights) or 1.0
    for sign, (color, style) in SIGNS.items():
        lines: list[Any] = []
        widths = []
        for column, w in enumerate(shown_weights):
            for (j, k), weight in np.ndenumerate(w):
                if (weight < 0) == (sign == "negative"):
                    start = (column, heights[column][k])
                    lines.append([start, (column + 1, heights[column + 1][j])])
                    widths.append(0.2 + 2.8 * abs(weight) / largest if is_signed else 0.7)
        if not lines:
            continue
        found = LineCollection(
            lines,
            linewidths=widths,
            colors=color if is_signed else "0.5",
            linestyles=[style],
            alpha=0.8,
            zorder=1,
        )
        ax.add_collection(found)
        if is_signed:
            ax.plot([], [], color=color, linestyle=style, linewidth=2, label=f"{sign} weight")
    if is_signed:
        ax.legend(
            title=f"widest line: |weight| = {largest:.3g}", fontsize=8.5, title_fontsize=8.5,
            loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False,
        )  # fmt: skip


def _label(ax: "Axes", net: Sequential, linear: dict[int, Linear], rows: int) -> None:
    """Name each column by its layer and by the layers without weights that follow it."""
    starts = [-1, *linear]
    heads = ["inputs", *(f"{i} Linear {layer.out_features}" for i, layer in linear.items())]
    names = []
    for head, start, end in zip(heads, starts, [*linear, len(net.layers)], strict=True):
        after = [repr(layer).removesuffix("()") for layer in net.layers[start + 1 : end]]
        names.append("\n".join([head, *after]))
    top = (rows - 1) / 2 + 1.2
    for column, name in enumerate(names):
        ax.text(column, top, name, ha="center", va="bottom", fontsize=9)
    ax.set_xlim(-0.4, len(linear) + 0.4)
    ax.set_ylim(-(rows - 1) / 2 - 1.2, top + 0.08 * rows * (1 + max(map(_count_lines, names))))
    ax.set_axis_off()


def _count_lines(text: str) -> int:
    return text.count("\n") + 1
