"""Models for tables: a network and the columns that it reads and predicts.

model = TableModel.load("model.safetensors")
predictions = model.predict(read_csv("new.csv"))
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ModelFileError, TableError
from manualnn.losses import CrossEntropyLoss, MSELoss
from manualnn.serialization import load_with_notes, save
from manualnn.spec import closest
from manualnn.tabular.csv_table import Table
from manualnn.training.trainer import Trainer
from manualnn.validation import first_nonfinite

__all__ = ["Columns", "TableModel"]


@dataclass(frozen=True)
class Columns:
    """The columns of a table that a model uses, and their scaling.

    inputs   (feature − mean) · scale, scale = 1 / deviation; scale = 0 for a constant feature
    target   the index of its class; or (target − target_mean) / target_deviation

    Means and deviations are computed from the training rows only.
    """

    target: str
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    classes: tuple[str, ...] = ()
    """Class names in the order of the outputs; empty for regression."""
    target_mean: float = 0.0
    target_deviation: float = 1.0

    @property
    def task(self) -> str:
        """The task: "classification" or "regression"."""
        return "classification" if self.classes else "regression"

    def is_for(self, trainer: Trainer) -> bool:
        """Return True if the columns fit the inputs, the outputs and the loss of the network."""
        numbers = (*self.mean, *self.scale, self.target_mean, self.target_deviation)
        return (
            trainer.net.in_features == len(self.features) == len(self.mean) == len(self.scale)
            and trainer.net.out_features == (len(self.classes) or 1)
            and type(trainer.loss) is (CrossEntropyLoss if self.classes else MSELoss)
            and bool(np.isfinite(numbers).all())
        )

    def inputs(self, table: Table, dtype: Any) -> Array:
        """Return the network's inputs, shape (rows, features).

        Raises TableError if a column is missing, or if a cell is not a number or too large.
        """
        missing = [f for f in self.features if f not in table.columns]
        if missing:
            message = (
                f"{table.name} lacks {len(missing)} of the {len(self.features)} columns that the "
                f"model was trained on: {', '.join(missing)}. {_suggest_columns(missing, table)}"
            )
            raise TableError(message)
        return self.scaled(table, table.numbers(self.features), dtype)

    def scaled(self, table: Table, features: Array, dtype: Any) -> Array:
        """Return the features of the table, standardised for the network."""
        with np.errstate(over="ignore", invalid="ignore"):
            x = np.ascontiguousarray(((features - self.mean) * self.scale).astype(dtype))
        if where := first_nonfinite(x):
            row, column = where
            message = (
                f"{table.name}, line {table.lines[row]}, column {self.features[column]!r}: the "
                f"number is too large to be scaled in {np.dtype(dtype)}; check its unit."
            )
            raise TableError(message)
        return x

    def targets(self, table: Table, dtype: Any) -> Array:
        """Return the network's targets: class indices of shape (rows,), or numbers (rows, 1).

        Raises TableError if a cell is not a number, or not a class of the model.
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
    """A network with its trainer, and the columns that it reads and predicts."""

    trainer: Trainer
    columns: Columns

    def outputs(self, table: Table) -> Array:
        """Return the network's output for each row."""
        return self.trainer.predict(self.columns.inputs(table, self.trainer.params.dtype))

    def predict(self, table: Table) -> dict[str, Sequence[Any]]:
        """Return columns of predictions, one entry for each row.

        For classes {"prediction": names, "probability": numbers}; for regression {"prediction":
        numbers} in the unit of the target. Raises TableError if the table does not fit.
        """
        return self.interpret(self.outputs(table))

    def interpret(self, y: Array) -> dict[str, Sequence[Any]]:
        """Return the columns of predictions for outputs y of the network."""
        if not self.columns.classes:
            return {"prediction": self.in_units(y)[:, 0].tolist()}
        classes, probabilities = self.trainer.loss.classify(y)
        names = [self.columns.classes[i] for i in classes]
        return {"prediction": names, "probability": probabilities.astype(float).tolist()}

    def in_units(self, y: Array) -> Array:
        """Return outputs or targets of a regression in the unit of the target column."""
        return y.astype(float) * self.columns.target_deviation + self.columns.target_mean

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write network, columns and scaling to a file. Raises ModelFileError if that fails."""
        save(path, self.trainer, resumable=False, notes={"table": asdict(self.columns)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TableModel":
        """Read a file that `save` wrote. Raises ModelFileError if it is damaged or not a model."""
        trainer, notes, _ = load_with_notes(path)
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
            fits = columns.is_for(trainer)
        except (TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            message = (
                f"{path}: the columns do not fit the network {trainer.net!r}, got {saved}; "
                f"train the model again."
            )
            raise ModelFileError(message)
        return cls(trainer, columns)


def _suggest_columns(missing: Sequence[str], table: Table) -> str:
    """Return the columns of the table, with a guess which of them are the missing ones."""
    pairs = {column: closest(column, table.columns) for column in missing}
    meant = [f"{column!r} by {other!r}" for column, other in pairs.items() if other]
    hint = f" Did you mean {', '.join(meant)}?" if meant else ""
    return f"It has {', '.join(table.columns)}; rename or add columns.{hint}"
