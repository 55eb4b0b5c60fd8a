"""The pictures of `manualnn train --plots`, as PNG files in a folder."""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manualnn import __version__
from manualnn.output.files import write_whole

if TYPE_CHECKING:
    from manualnn.tabular.prepare import Prepared
    from manualnn.tabular.table import Table
    from manualnn.training.history import History

__all__ = ["outputs_in", "require_pictures", "write_pictures"]

NAMES = ("loss", "confusion_matrix", "prediction_error", "decision_boundary")
SIZE = (6.4, 4.8)
"""Width and height of a pair of axes, in inches."""
MOST_SAMPLES = 2000
"""Largest number of samples in the picture of a decision boundary."""
SIGNATURE = b"Software\0manualnn"
"""The note in a PNG file by which a picture is known as ours."""


def outputs_in(folder: str | None) -> dict[str, str]:
    """Return what `require_outputs` shall check: the files in a folder, or the folder to make."""
    if folder is None:
        return {}
    if not Path(folder).is_dir():
        return {"--plots": folder}
    return {f"--plots ({name})": str(Path(folder, f"{name}.png")) for name in NAMES}


def require_pictures(folder: str | None, *, force: bool) -> None:
    """Raise an error without Matplotlib, or if a file that is no picture of ours is in the way."""
    if folder is None:
        return
    from manualnn.plot.axes import require_matplotlib

    require_matplotlib()
    if not Path(folder).exists():  # the only way to know whether it can be made
        try:
            Path(folder).mkdir()
            Path(folder).rmdir()
        except OSError as error:
            message = f"the folder {folder} of --plots cannot be made: {error.strerror}."
            raise click.ClickException(message) from error
    for name in NAMES:
        path = Path(folder, f"{name}.png")
        if force or not path.exists():
            continue
        start = _start_of(path)
        if start and SIGNATURE not in start:
            message = (
                f"{path} would be replaced, but it is no picture of manualnn. Give another "
                f"--plots, or say --force."
            )
            raise click.UsageError(message)


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1000)


def write_pictures(folder: str, prepared: "Prepared", table: "Table", history: "History") -> str:
    """Write the pictures of a training, and return a line that names the files.

    Pictures of an earlier training that this one does not have are removed.

    Raises OSError if one cannot be written; those before it are whole.
    """
    from matplotlib import __version__ as matplotlib_version

    Path(folder).mkdir(exist_ok=True)
    software = f"{SIGNATURE.decode().partition(chr(0))[2]} {__version__}"
    written = []
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # letters without a font
        for name, figure in _draw(prepared, table, history):
            content = io.BytesIO()
            figure.savefig(
                content,
                format="png",
                dpi=150,
                metadata={"Software": f"{software}, Matplotlib {matplotlib_version}"},
            )
            written.append(f"{name}.png")
            write_whole(Path(folder, written[-1]), content.getvalue())
    for path in (Path(folder, f"{name}.png") for name in NAMES):
        if path.name not in written and path.is_file() and SIGNATURE in _start_of(path):
            path.unlink()
    return f"\npictures in {folder}: {', '.join(written)}"


def _draw(prepared: "Prepared", table: "Table", history: "History") -> Iterator[tuple[str, Any]]:
    """Yield the name of each picture and its figure."""
    import numpy as np
    from matplotlib.figure import Figure

    from manualnn import plot
    from manualnn.plot.axes import as_label

    def new(rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
        figure = Figure(figsize=(SIZE[0] * columns, SIZE[1] * rows), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)

    model = prepared.model
    if history.loss:
        figure, axes = new()
        plot.loss(history, axes[0, 0])
        if not model.target.classes:
            axes[0, 0].set_ylabel("loss of the standardised target")
        yield "loss", figure
    rows = prepared.reported
    y, t, target = prepared.predict()[rows], prepared.t[rows], model.target
    part = "held out" if len(prepared.test) else "trained on"
    if not target.classes:
        figure, axes = new(len(target.names), 2)
        found = zip(target.names, target.decode(t).T, target.decode(y).T, axes, strict=True)
        for name, true, predicted, (left, right) in found:
            plot.prediction_error(true, predicted, ax=left)
            plot.residuals(true, predicted, ax=right)
            left.set_title(f"{as_label(name)}, {part}: {left.get_title()}", fontsize=10)
        yield "prediction_error", figure
        return
    figure, axes = new()
    names = np.array(target.classes, object)
    predicted = names[model.probabilities_of(y).argmax(axis=1)]
    plot.confusion_matrix(names[t], predicted, labels=target.classes, ax=axes[0, 0])
    axes[0, 0].set_title(f"{part}: {axes[0, 0].get_title()}", fontsize=10)
    yield "confusion_matrix", figure
    features = model.encoder.features
    if len(features) == 2 and set(features) == set(model.encoder.numbers):
        figure, axes = new()
        table = table.take(target.known(table))
        x = np.column_stack([table.numbers(name) for name in features])
        whole = rows[np.isfinite(x[rows]).all(axis=1)]
        if not len(whole):
            return
        there = whole[:: -(-len(whole) // MOST_SAMPLES)]
        plot.decision_boundary(
            model, x[there], target.values[prepared.t[there]], names=features, ax=axes[0, 0]
        )
        count = f"{len(there)} of {len(whole)}" if len(there) < len(whole) else str(len(whole))
        axes[0, 0].set_title(
            f"{as_label(target.names[0])} as predicted, and rows {part}: {count}", fontsize=10
        )
        yield "decision_boundary", figure
