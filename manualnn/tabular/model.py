"""Models for tables: a network, and the columns that it reads and predicts.

model = load_model("model.safetensors")
model.predict({"age": [41], "city": ["Rome"]})
"""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ModelFileError, SpecError
from manualnn.serialization import load_with_notes, save
from manualnn.tabular.encoder import Encoder
from manualnn.tabular.table import Table
from manualnn.tabular.target import Target
from manualnn.training.trainer import Trainer

__all__ = ["TableModel", "load_model"]


@dataclass(frozen=True)
class TableModel:
    """A network with its trainer, the encoding of its inputs, and what it predicts.

    All methods take data as a Table, a mapping of columns, records, a data frame, or an array whose
    columns are `encoder.features`, in the order of the training table, and need NumPy alone. They
    raise TableError if the data lacks a column, or has a text where a number is expected.
    """

    trainer: Trainer
    encoder: Encoder
    target: Target
    about: dict[str, Any] = field(default_factory=dict)
    """Notes on the training, which fit into JSON."""

    def outputs(self, data: Any) -> Array:
        """Return the network's outputs, shape (N, number of outputs)."""
        return self.trainer.predict(self.encoder.transform(data, self.trainer.params.dtype))

    def predict(self, data: Any) -> Array:
        """Return the class of each row, (N,); or its number, (N,), or numbers, (N, targets)."""
        return self.decide(self.outputs(data))

    def probabilities(self, data: Any) -> Array:
        """Return the probability of each class, (N, classes), in the order of `target.classes`.

        Raises SpecError for a regression.
        """
        return self.probabilities_of(self.outputs(data))

    def scores(self, data: Any, sample_weight: Any = None) -> dict[str, float | None]:
        """Return the scores on the rows that have a target. See `scores_of`."""
        table = Table.of(data, self.encoder.features)
        table.require(self.encoder.features, self.target.names)
        rows = self.target.known(table)
        weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
        t = self.target.encode(table, self.trainer.params.dtype)
        return self.scores_of(self.outputs(table.take(rows)), t, weight)

    def decide(self, y: Array) -> Array:
        """Return the predictions for outputs y of the network."""
        if self.target.classes:
            return self.target.values[self.probabilities_of(y).argmax(axis=1)]
        values = self.target.decode(y)
        return values[:, 0] if len(self.target.names) == 1 else values

    def probabilities_of(self, y: Array) -> Array:
        """Return the probabilities of the classes, (N, classes), for outputs y of the network."""
        if not self.target.classes:
            message = "a regression has no probabilities; use predict."
            raise SpecError(message)
        with np.errstate(all="ignore"):
            p = self.trainer.loss.probabilities(y).astype(float)
        return np.hstack([1 - p, p]) if p.shape[1] == 1 else p

    def scores_of(self, y: Array, t: Array, weight: Array | None = None) -> dict[str, float | None]:
        """Return the scores of outputs y against the network's targets t, with weights (N,).

        Classification: accuracy, the fraction of rows whose likeliest class is right; log-loss, the
        mean of −log(probability of the right class). Regression, for each target, with errors e in
        its unit: RMSE √(mean of e²); MAE, the mean of |e|; R², 1 − Σe² / Σ(truth − its mean)². A
        score is None if it is not defined: any without rows, R² of a target that does not vary.
        """
        if self.target.classes:
            p = self.probabilities_of(y)
            right = p[np.arange(len(t)), t]
            loss = -np.log(np.maximum(right, np.finfo(float).tiny))
            return {
                "accuracy": _mean(p.argmax(axis=1) == t, weight),
                "log-loss": _mean(loss, weight),
            }
        scores: dict[str, float | None] = {}
        truths, values = self.target.decode(t).T, self.target.decode(y).T
        for name, truth, value in zip(self.target.names, truths, values, strict=True):
            mse, center = _mean((value - truth) ** 2, weight), _mean(truth, weight)
            varies = len(truth) and truth.min() < truth.max()
            spread = _mean((truth - center) ** 2, weight) if varies else None
            found = {
                "RMSE": None if mse is None else mse**0.5,
                "MAE": _mean(abs(value - truth), weight),
                "R²": 1 - mse / spread if mse is not None and spread else None,
            }
            of = f" of {name}" if len(self.target.names) > 1 else ""
            scores |= {f"{score}{of}": number for score, number in found.items()}
        return scores

    def _repr_html_(self) -> str:
        """Return what the model predicts, its network and its scores, for a notebook."""
        from manualnn.tabular.report import as_html

        return as_html(self)

    def save(self, path: str | os.PathLike[str], *, resumable: bool = False) -> None:
        """Write the model to a file. Raises ModelFileError if that fails."""
        table = {
            "encoder": self.encoder.to_json(),
            "target": self.target.to_json(),
            "about": dict(self.about),
        }
        save(path, self.trainer, resumable=resumable, notes={"table": table})


def load_model(path: str | os.PathLike[str]) -> TableModel:
    """Return the model that `TableModel.save` wrote to a file.

    Raises ModelFileError if there is no such file, or if it is damaged or no model of a table.
    """
    trainer, notes, _ = load_with_notes(path)
    if "table" not in notes:
        message = (
            f"{path} holds a network, but not the columns that it is for; expected a model from "
            f"`manualnn train`. Use it from Python with manualnn.load."
        )
        raise ModelFileError(message)
    try:
        table = notes["table"]
        encoder, target = Encoder.from_json(table["encoder"]), Target.from_json(table["target"])
        about = dict(table["about"])
        inputs, outputs = trainer.net.in_features, trainer.net.out_features
        widths = {target.width} | ({1} if len(target.classes) == 2 else set())
        fits = inputs in {None, len(encoder.inputs)} and outputs in {None, *widths}
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        message = f"{path}: the columns of the model are damaged ({error}); train it again."
        raise ModelFileError(message) from error
    if not fits:
        message = (
            f"{path}: the columns do not fit the network {trainer.net!r}, which has {inputs} "
            f"inputs and {outputs} outputs; train the model again."
        )
        raise ModelFileError(message)
    return TableModel(trainer, encoder, target, about)


def _mean(values: Array, weight: Array | None) -> float | None:
    """Return the weighted mean, or None without rows or with no weight."""
    if not len(values) or (weight is not None and not weight.sum()):
        return None
    return float(np.average(values, weights=weight))
