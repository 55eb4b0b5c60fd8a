"""Pictures of predictions: confusion matrix, prediction error, residuals, decision boundary."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ShapeError, SpecError
from manualnn.plot.axes import COLORS, MARKERS, as_axes, as_codes, as_column, as_label, as_pair
from manualnn.validation import (
    as_array,
    as_numbers,
    require_choice,
    require_count,
    require_finite,
    shown,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion_matrix", "decision_boundary", "prediction_error", "residuals"]

MOST_NUMBERS = 20
"""With more classes than this, the cells of a confusion matrix have no numbers."""
MOST_LINES = 5000
"""With more rows than this, residuals have no lines."""
MOST_CLASSES = 100
"""A model that predicts more different numbers than this on a grid is taken for a regression."""


def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    normalize: str | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the number of rows for each pair of an actual class and a predicted class.

    The shade of a cell is its share of its row, so that a small class is seen as well.

    Parameters
    ----------
    y_true, y_pred : sequence (N,)
        Actual and predicted class of each row: texts or numbers.
    labels : sequence, optional
        All classes, in the order of the axes; sorted ones if None.
    normalize : {"true", "pred", "all"}, optional
        Show shares of the row, of the column or of all in place of counts, as scikit-learn does.
    ax : Axes, optional
        The axes to draw in; those of a new figure if None.

    Raises
    ------
    ShapeError, DomainError, SpecError
        If the lengths differ, a class is not in labels, or normalize is unknown.
    MissingExtraError
        If Matplotlib is not installed.

    """
    if normalize is not None:
        require_choice("normalize", normalize, ("true", "pred", "all"))
    true, predicted = as_pair(y_true, y_pred)
    order, codes = as_codes(labels, {"y_true": true, "y_pred": predicted})
    n = len(order)
    counts = np.bincount(codes["y_true"] * n + codes["y_pred"], minlength=n * n).reshape(n, n)
    rows = counts.sum(axis=1, keepdims=True)
    totals: Any = {"true": rows, "pred": counts.sum(axis=0), "all": counts.sum()}
    shares = counts / np.maximum(rows, 1)
    ax = as_axes(ax)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if n <= MOST_NUMBERS:
        shown_values = counts / np.maximum(totals[normalize], 1) if normalize else counts
        for (i, j), value in np.ndenumerate(shown_values):
            color = "white" if shares[i, j] > 0.5 else "black" if value else "0.65"
            text = f"{value:.2f}" if normalize else str(value)
            size = min(10.0, (60 if normalize else 90) / n)
            ax.text(j, i, text, ha="center", va="center", color=color, fontsize=size)
    step = -(-n // (MOST_NUMBERS + 5))  # all ticks, or every second, third, …
    ticks, names = range(0, n, step), [as_label(label) for label in order[::step].tolist()]
    is_long = max(map(len, names)) > 40 / len(names)
    ax.set_xticks(ticks, names, rotation=45 if is_long else 0, ha="right" if is_long else "center")
    ax.set_yticks(ticks, names)
    ax.tick_params(labelsize=10 if n <= 10 else 7)
    accuracy = counts.trace() / len(true)
    ax.set(xlabel="predicted class", ylabel="actual class")
    ax.set_title(f"accuracy {accuracy:.1%} of {len(true)} rows", fontsize=10)
    return ax


def prediction_error(y_true: Any, y_pred: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the actual number of each row against the predicted one, and its residual as a line.

    The residual, actual − predicted, is the vertical distance from the diagonal. More than 5000
    rows have no lines. The title says RMSE = √(mean of residual²) and
    R² = 1 − Σ residual² / Σ (actual − mean)².

    Parameters
    ----------
    y_true, y_pred : sequence (N,) of numbers
        Actual and predicted number of each row, of one target.
    ax : Axes, optional
        The axes to draw in; those of a new figure if None.

    Raises
    ------
    ShapeError, DTypeError, DomainError
        If the lengths differ, or if an entry is no finite number.
    MissingExtraError
        If Matplotlib is not installed.

    """
    true, predicted = _as_numbers(y_true, y_pred)
    error = true - predicted
    ax = as_axes(ax)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    ax.plot(ends, ends, "--", color=COLORS[1], linewidth=1.2, label="actual = predicted", zorder=3)
    if len(true) <= MOST_LINES:
        ax.vlines(
            predicted, predicted, true, color="0.6", linewidth=0.6, label="residual", zorder=1
        )
    _scatter(ax, predicted, true)
    r2 = ""
    if true.min() < true.max():
        r2 = f", R² {1 - np.mean(np.square(error)) / true.var():.3f}"
    ax.set(xlabel="predicted", ylabel="actual")
    ax.set_title(f"RMSE {_root_mean_square(error):.4g}{r2}, {len(true)} rows", fontsize=10)
    ax.legend()
    return ax


def residuals(y_true: Any, y_pred: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the residual of each row, actual − predicted, against the predicted number.

    Residuals of a good model show no pattern. The arguments and errors are those of
    `prediction_error`.
    """
    true, predicted = _as_numbers(y_true, y_pred)
    error = true - predicted
    rmse = _root_mean_square(error)
    ax = as_axes(ax)
    ax.axhline(0, linestyle="--", color=COLORS[1], linewidth=1.2)
    for side in (-rmse, rmse):
        ax.axhline(side, linestyle=":", color="0.5", linewidth=1)
    _scatter(ax, predicted, error)
    ax.set(xlabel="predicted", ylabel="residual: actual − predicted")
    ax.set_title(f"mean {error.mean():.4g}, RMSE {rmse:.4g} (dotted)", fontsize=10)
    return ax


def decision_boundary(
    model: Any,
    x: Any,
    t: Any = None,
    *,
    names: Sequence[str] = ("x[0]", "x[1]"),
    resolution: int = 200,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the class that a model of two inputs predicts at each place, and the samples.

    Parameters
    ----------
    model : Trainer, object with predict, or callable
        Gives the classes for inputs of shape (N, 2): `Trainer.classify`, `predict(x)`, or
        `model(x)`.
    x : array (N, 2)
        Samples. The picture shows their range and a margin of 5 %.
    t : sequence (N,), optional
        Their classes. Without them, no samples are drawn.
    names : two texts
        Names of the inputs.
    resolution : int
        Number of places along each axis, at least 2.
    ax : Axes, optional
        The axes to draw in; those of a new figure if None.

    Raises
    ------
    ShapeError, DTypeError, DomainError, SpecError
        If x does not have two columns of finite numbers, t does not fit, or the model predicts
        numbers in place of classes.
    MissingExtraError
        If Matplotlib is not installed.

    """
    x = as_array(x, "x")
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        message = (
            f"a decision boundary needs x of shape (N, 2), with N of at least 1, got {x.shape}."
        )
        raise ShapeError(message)
    x = x if x.dtype.kind == "f" else as_numbers(x, np.dtype(float), "x")
    require_finite(x, "x")
    if len(names) != 2:
        message = f"names must be two texts, got {shown(names)}."
        raise SpecError(message)
    require_count("resolution", resolution, 2)
    given = {} if t is None else {"t": as_column(t, "t")}
    if given and len(given["t"]) != len(x):
        message = (
            f"t must have one class for each of the {len(x)} rows of x, got {len(given['t'])}."
        )
        raise ShapeError(message)
    margin = 0.05 * np.ptp(x, axis=0)
    margin = np.where(margin, margin, 0.5)
    low, high = x.min(axis=0) - margin, x.max(axis=0) + margin
    across, up = np.linspace(low, high, resolution, dtype=x.dtype).T
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    predicted = _classes(model, grid)
    order, codes = as_codes(None, given | {"model": predicted})
    ax = as_axes(ax)
    from matplotlib.colors import ListedColormap

    n = len(order)
    colors = [COLORS[i % len(COLORS)] for i in range(n)]
    z = codes["model"].reshape(resolution, resolution)
    ax.pcolormesh(
        across, up, z, cmap=ListedColormap(colors), vmin=-0.5, vmax=n - 0.5, alpha=0.25,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    for i in range(n - (n == 2)):
        if 0 < np.count_nonzero(z == i) < z.size:
            ax.contour(across, up, z == i, [0.5], colors="0.25", linewidths=0.8)
    for i, label in enumerate(order.tolist() if given else ()):
        of = x[codes["t"] == i]
        ax.scatter(
            of[:, 0], of[:, 1], s=22, color=colors[i], marker=MARKERS[i % len(MARKERS)],
            edgecolors="black", linewidths=0.4, label=as_label(label),
        )  # fmt: skip
    if given:
        ax.legend(title="class")
    ax.set(xlabel=as_label(names[0]), ylabel=as_label(names[1]))
    return ax


def _classes(model: Any, grid: Array) -> Array:
    """Return the classes that a model predicts for the places of a grid, shape (N,)."""
    predict = next(
        (getattr(model, name) for name in ("classify", "predict") if hasattr(model, name)), model
    )
    if not callable(predict):
        message = f"expected a Trainer, an object with predict, or a function, got {shown(model)}."
        raise SpecError(message)
    found = predict(grid)
    found = as_column(found[0] if isinstance(found, tuple) else found, "the prediction")
    if len(found) != len(grid):
        message = f"the model predicted {len(found)} classes for {len(grid)} places."
        raise ShapeError(message)
    if found.dtype.kind == "f" and len(np.unique(found)) > MOST_CLASSES:
        message = (
            f"a decision boundary is of classes, but the model predicts more than {MOST_CLASSES} "
            f"different numbers; pass a classifier."
        )
        raise SpecError(message)
    return found


def _as_numbers(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    true, predicted = as_pair(y_true, y_pred)
    found = [
        as_numbers(column, np.dtype(float), name)
        for name, column in {"y_true": true, "y_pred": predicted}.items()
    ]
    return found[0], found[1]


def _root_mean_square(error: Array) -> float:
    return float(np.sqrt(np.mean(np.square(error))))


def _scatter(ax: "Axes", x: Array, y: Array) -> None:
    """Draw points, the fainter the more there are."""
    faint = float(np.clip(30 / np.sqrt(len(x)), 0.1, 0.8))
    ax.scatter(x, y, s=16, color=COLORS[0], alpha=faint, linewidths=0, rasterized=True, zorder=2)
