"""A network together with the columns that it is for: what `manualnn train` saves.

model = TableModel.load("model.safetensors")
predictions = model.predict(read_csv("new.csv"))
"""

import difflib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ModelFileError, TableError
from manualnn.losses import CrossEntropyLoss, MSELoss
from manualnn.serialization import load_with_notes, save
from manualnn.tabular.csv_table import Table
from manualnn.training.trainer import Trainer

__all__ = ["Columns", "TableModel"]


@dataclass(frozen=True)
class Columns:
    """What a model takes from a table, and how numbers become the network's and back.

    inputs   (feature − mean) · scale, scale = 1 / deviation; 0 where a feature never varies
    target   its number among the classes; or (target − target_mean) / target_deviation

    Means and deviations are those of the rows trained on, and of no others.
    """

    target: str
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    classes: tuple[str, ...] = ()
    """In the order of the outputs; none for regression."""
    target_mean: float = 0.0
    target_deviation: float = 1.0

    @property
    def task(self) -> str:
        """What the model does."""
        return "classification" if self.classes else "regression"

    def fit(self, trainer: Trainer) -> bool:
        """Whether they are as many as the network's inputs and outputs, and as its loss asks."""
        numbers = (*self.mean, *self.scale, self.target_mean, self.target_deviation)
        return (
            trainer.net.in_features == len(self.features) == len(self.mean) == len(self.scale)
            and trainer.net.out_features == (len(self.classes) or 1)
            and type(trainer.loss) is (CrossEntropyLoss if self.classes else MSELoss)
            and bool(np.isfinite(numbers).all())
        )

    def inputs(self, table: Table, dtype: Any) -> Array:
        """Return the network's inputs, shape (rows, features).

        Raises TableError for a column that is not there, and for a cell that is no number or too
        large a one.
        """
        missing = [f for f in self.features if f not in table.columns]
        if missing:
            message = (
                f"{table.name} lacks {len(missing)} of the {len(self.features)} columns that the "
                f"model was trained on: {', '.join(missing)}. {_nearest(missing, table)}"
            )
            raise TableError(message)
        return self.scaled(table, table.numbers(self.features), dtype)

    def scaled(self, table: Table, features: Array, dtype: Any) -> Array:
        """Return the features, numbers of the table, as the network takes them."""
        with np.errstate(over="ignore", invalid="ignore"):
            x = np.ascontiguousarray(((features - self.mean) * self.scale).astype(dtype))
        if not np.isfinite(x).all():
            row, column = np.argwhere(~np.isfinite(x))[0]
            message = (
                f"{table.name}, line {table.lines[row]}, column {self.features[column]!r}: the "
                f"number is too large to be scaled in {np.dtype(dtype)}; check its unit."
            )
            raise TableError(message)
        return x

    def targets(self, table: Table, dtype: Any) -> Array:
        """Return the network's targets: shape (rows,) of class numbers, or (rows, 1).

        Raises TableError for a cell that is no number, or no class that was trained.
        """
        if not self.classes:
            t = table.numbers([self.target])
            return ((t - self.target_mean) / self.target_deviation).astype(dtype)
        number = {name: i for i, name in enumerate(self.classes)}
        labels = table.labels(self.target)
        unknown = next((i for i, label in enumerate(labels) if label not in number), None)
        if unknown is not None:
            message = (
                f"{table.name}, line {table.lines[unknown]}, column {self.target!r}: the model "
                f"does not know the class {labels[unknown]!r}, but {', '.join(self.classes)}."
            )
            raise TableError(message)
        return np.array([number[label] for label in labels])


@dataclass(frozen=True)
class TableModel:
    """A network, and the columns that it is for."""

    trainer: Trainer
    columns: Columns

    def outputs(self, table: Table) -> Array:
        """Return what the network says of each row, before it is made a prediction."""
        return self.trainer.predict(self.columns.inputs(table, self.trainer.params.dtype))

    def predict(self, table: Table) -> dict[str, Sequence[Any]]:
        """Return columns of predictions, one entry for each row.

        {"prediction": class names, "probability": of each} or {"prediction": numbers}, the numbers
        in the target's own unit. Raises TableError where the table does not fit.
        """
        return self.interpret(self.outputs(table))

    def interpret(self, y: Array) -> dict[str, Sequence[Any]]:
        """Return outputs of the network as columns of predictions."""
        if not self.columns.classes:
            return {"prediction": self.in_units(y)[:, 0].tolist()}
        classes, probabilities = self.trainer.loss.classify(y)
        names = [self.columns.classes[i] for i in classes]
        return {"prediction": names, "probability": probabilities.astype(float).tolist()}

    def in_units(self, y: Array) -> Array:
        """Return outputs or targets of a regression in the target's own unit."""
        return y.astype(float) * self.columns.target_deviation + self.columns.target_mean

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write network, columns and scaling to a file; raise ModelFileError if it cannot be."""
        save(path, self.trainer, resumable=False, notes={"table": asdict(self.columns)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TableModel":
        """Read what `save` wrote; raise ModelFileError where it is damaged or of another kind."""
        trainer, notes = load_with_notes(path)
        if "table" not in notes:
            message = (
                f"{path} holds a network, but not the columns that it is for; expected a model "
                f"from `manualnn train`. Use it from Python with manualnn.serialization.load."
            )
            raise ModelFileError(message)
        saved = notes["table"]
        try:
            fields: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in saved.items()
            }
            columns = Columns(**fields)
            fits = columns.fit(trainer)
        except (TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            message = (
                f"{path}: the columns do not fit the network {trainer.net!r}, got {saved}; "
                f"train the model anew."
            )
            raise ModelFileError(message)
        return cls(trainer, columns)


def _nearest(missing: Sequence[str], table: Table) -> str:
    """Say which columns that are there may be meant."""
    pairs = {m: difflib.get_close_matches(m, table.columns, n=1) for m in missing}
    meant = [f"{m!r} by {close[0]!r}" for m, close in pairs.items() if close]
    hint = f" Did you mean {', '.join(meant)}?" if meant else ""
    return f"It has {', '.join(table.columns)}; rename or add columns.{hint}"
