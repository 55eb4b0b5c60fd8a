"""Axes, colours and arguments of all pictures. The first picture loads Matplotlib."""

from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DomainError, MissingExtraError, ShapeError, SpecError
from manualnn.network.sequential import Sequential
from manualnn.validation import as_array, require_finite, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6A3D9A")
"""Colours that colour-blind readers can tell apart; all but the last are those of Okabe & Ito."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""Markers of the classes, because a print without colours needs a second sign."""

MOST_LETTERS = 30
"""Longer names of classes and columns are cut."""


def require_matplotlib() -> None:
    """Raise MissingExtraError if Matplotlib is not installed."""
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        message = "pictures need Matplotlib; pip install 'manualnn[plot]'."
        raise MissingExtraError(message) from error


def as_label(value: object) -> str:
    """Return a name from data as Matplotlib shows it: short, without formulas, never left out."""
    text = " ".join(str(value).split())
    text = text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
    # A legend leaves out names that begin with an underscore; two dollars are a formula.
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def as_axes(ax: Any, height: float | None = None) -> "Axes":
    """Return ax, or the axes of a new figure of pyplot if ax is None.

    The new figure is at least `height` inches high, and as high as others without it.

    Raises MissingExtraError without Matplotlib, SpecError if ax is something else.
    """
    require_matplotlib()
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot as plt

        figure, new = plt.subplots(layout="constrained")
        if height is not None:
            figure.set_figheight(max(height, figure.get_figheight()))
        made: Axes = new
        return made
    if not isinstance(ax, Axes):
        message = (
            f"ax must be one Axes of Matplotlib, got {shown(ax)}; pass one of those that "
            f"plt.subplots() returns, or none for a new figure."
        )
        raise SpecError(message)
    return ax


def require_network(net: Any) -> None:
    """Raise SpecError if net is no Sequential."""
    if not isinstance(net, Sequential):
        message = f"expected a Sequential, such as trainer.net, got {shown(net)}."
        raise SpecError(message)


def as_column(values: Any, name: str) -> Array:
    """Return labels or numbers of shape (N,) or (N, 1) as an array (N,) of at least one entry.

    Raises ShapeError for another shape, DTypeError as `as_array`, DomainError for a number that is
    not finite.
    """
    column = as_array(values, name)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1 or not len(column):
        message = f"{name} must have shape (N,), with N of at least 1, got {column.shape}."
        raise ShapeError(message)
    require_finite(column, name)
    return column


def as_pair(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Return both as arrays (N,). Raises ShapeError if they differ in length."""
    true, predicted = as_column(y_true, "y_true"), as_column(y_pred, "y_pred")
    if len(true) != len(predicted):
        message = (
            f"y_true and y_pred must have one entry for each row, got {len(true)} and "
            f"{len(predicted)}."
        )
        raise ShapeError(message)
    return true, predicted


def as_codes(labels: Any, columns: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Return the labels, and each column as indices into them; the labels found if None.

    Raises DomainError for a label that is not among those given, for labels that stand twice among
    them, or if labels cannot be sorted.
    """
    try:
        found = np.unique(np.concatenate([*columns.values()]))
        order = found if labels is None else as_column(labels, "labels")
        index = {label: i for i, label in enumerate(order.tolist())}
    except TypeError as error:
        message = f"labels must be all texts or all numbers ({error})."
        raise DomainError(message) from error
    if len(index) < len(order):
        message = f"labels must be distinct, got {shown(order.tolist())}."
        raise DomainError(message)
    codes = {}
    for name, column in columns.items():
        codes[name] = np.array([index.get(label, -1) for label in column.tolist()], np.intp)
        if (codes[name] < 0).any():
            other = column.tolist()[codes[name].argmin()]
            message = f"{name} has the label {other!r}, which is not in labels: {shown([*index])}."
            raise DomainError(message)
    return order, codes
