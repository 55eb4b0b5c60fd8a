"""Preparation of a table for training: target, features, parts of the rows, and estimator.

prepared = prepare(read_table("data.csv"), ["price"], seed=0)
history = prepared.fit(epochs=100, batch_size=32)
prepared.model.save("model.safetensors")
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError, TableError
from manualnn.estimators import MLPClassifier, MLPRegressor
from manualnn.layers import Layer, Sigmoid
from manualnn.losses import CrossEntropyLoss, Loss, MSELoss, regression
from manualnn.optimizers import AdamW, Optimizer
from manualnn.tabular.encoder import Encoder
from manualnn.tabular.model import TableModel
from manualnn.tabular.table import Table, count_noun, shorten
from manualnn.tabular.target import Target
from manualnn.training.trainer import History

__all__ = ["Prepared", "prepare"]

FEWEST_ROWS = 10
"""Fewer rows cannot be split into training rows and test rows."""


@dataclass(frozen=True)
class Prepared:
    """A model before its training, and its data."""

    model: TableModel
    estimator: Any
    """The estimator that trains the model's network."""
    x: Array
    """Inputs of all rows for the network."""
    t: Array
    """Targets of all rows for the loss."""
    weight: Array | None
    """Weights of all rows."""
    train: Array
    """Indices of the rows that are trained on."""
    validation: Array
    """Indices of the rows that early stopping watches; may be empty."""
    test: Array
    """Indices of the test rows; may be empty."""
    roles: Mapping[str, str]
    """The columns that are no features: target, ignored, sample weight or row names."""
    remarks: Sequence[str]
    """Sentences about the rows and columns that were left out."""

    @property
    def sizes(self) -> dict[str, int]:
        """The number of rows of each part."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: len(rows) for name, rows in parts.items()}

    @property
    def reported(self) -> Array:
        """The rows that the report is about: the test rows if there are some."""
        return self.test if len(self.test) else self.train

    def predict(self) -> Array:
        """Return the network's outputs for all rows."""
        return self.model.trainer.predict(self.x)

    def fit(self, **options: Any) -> History:
        """Train on the training rows, with the options of `Trainer.fit`."""

        def part(rows: Array) -> tuple[Array, ...]:
            arrays = (self.x, self.t, self.weight)
            return tuple(array[rows] for array in arrays if array is not None)

        if len(self.validation):
            options["validation_data"] = part(self.validation)
        x, t, *weight = part(self.train)
        if weight:
            options["sample_weight"] = weight[0]
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            history: History = self.estimator._fit_with(x, t, **options)  # noqa: SLF001 - made for this
        return history


def prepare(
    table: Table,
    targets: Sequence[str],
    *,
    task: str | None = None,
    ignore: Iterable[str] = (),
    sample_weight: str | None = None,
    missing: str = "impute",
    hashed: Iterable[str] = (),
    most_categories: int = 100,
    missing_class: bool = False,
    hidden: Sequence[int] = (32,),
    activation: Layer | None = None,
    loss: Loss | None = None,
    rule: Optimizer | None = None,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.0,
    seed: int = 0,
    dtype: Any = "float64",
    **options: Any,
) -> Prepared:
    """Return a model for the table, and the rows split into parts.

    Parameters
    ----------
    table : Table
        The data. All columns that have no other part are features.
    targets : sequence of str
        The columns to predict, by name or number: one for classification, one or more for
        regression.
    task : {"classification", "regression"}, optional
        Chosen by the target if None; see `manualnn.tabular.target`.
    ignore : iterable of str
        Columns that are not used, by name or number.
    sample_weight : str, optional
        The column with the weight of each row in the loss.
    missing : {"impute", "fail"}
        Whether missing values of features are replaced or refused.
    hashed : iterable of str
        Columns of text to hash, by name or number.
    most_categories : int
        Largest number of different values of a column of text that is not hashed.
    missing_class : bool
        If True, rows without a target are a class of their own, and otherwise they are left out.
    hidden : sequence of int
        Widths of the hidden layers. The output layer is linear.
    activation : Layer, optional
        The layer after each hidden layer; Sigmoid() if None.
    loss : Loss, optional
        CrossEntropyLoss() or MSELoss() if None.
    rule : Optimizer, optional
        AdamW(lr=0.005) if None.
    test_fraction, validation_fraction : float
        Fractions of the rows to hold out, and of the others to watch for early stopping. For
        classification, nearly the same fraction of each class; one row of each remains at least.
    seed : int
        Seed of the parts, the initial parameters and the order of the batches.
    dtype : data type
        The dtype of the network, float32 or float64.
    options
        Further options of the estimator: dropout, schedule, class_weight.

    Raises
    ------
    SpecError
        If an option is out of range.
    TableError
        If a column is missing or not usable, if there are too few rows, or if all rows have the
        same class or value.

    """
    for name, fraction in {"test": test_fraction, "validation": validation_fraction}.items():
        if not 0 <= fraction < 1:
            message = f"{name}_fraction must be from 0 to below 1, got {fraction}."
            raise SpecError(message)
    roles = _assign_roles(table, targets, ignore, sample_weight)
    names = tuple(name for name, role in roles.items() if role == "target")
    fewest = FEWEST_ROWS if test_fraction or validation_fraction else 2
    _require_rows(table, fewest)
    target = Target.fit(table, names, task=task, missing_class=missing_class)
    loss = _require_loss(loss, target)
    if "class_weight" in options and not target.classes:
        message = "class_weight is for classes, but the task is regression; use sample_weight."
        raise SpecError(message)
    remarks = []
    counter = table.row_names
    if counter is not None and counter not in roles:
        roles[counter] = "row names"
        remarks.append(f"the first column, {counter!r}, only counts or names the rows: left out")
    features = [name for name in table.columns if name not in roles]
    if not features:
        message = f"{table.name} has no column to predict {shorten(names)} from; add one."
        raise TableError("; ".join([*remarks, message]))
    checks = ((name, table.columns[name].remark) for name in (*names, *features))
    remarks += [f"{name!r} has {remark}" for name, remark in checks if remark]
    known = target.known(table)
    if not known.all():
        rows = count_noun(int((~known).sum()), "row")
        remarks.append(f"{rows} without {', '.join(map(repr, names))} left out")
        table = table.take(known)
        _require_rows(table, fewest)
    groups = target.encode(table) if target.classes else np.zeros(len(table), int)
    if alone := (np.bincount(groups) == 1).sum():
        of = f"{alone} of {len(target.classes)} classes"
        remarks.append(f"{of} with a single row, which is trained on")
    rng = np.random.default_rng(seed)
    rest, test = _hold_out(np.arange(len(table)), groups, test_fraction, rng)
    train, validation = _hold_out(rest, groups, validation_fraction, rng)
    if not target.classes:
        target = replace(
            Target.fit(table, names, task="regression", train=train), reason=target.reason
        )
    encoder = Encoder.fit(
        table,
        features,
        train=train,
        missing=missing,
        hashed=[table.find(column) for column in hashed],
        most_categories=most_categories,
    )
    x, t = encoder.transform(table, dtype), target.encode(table, dtype)
    kind = MLPClassifier if target.classes else MLPRegressor
    estimator = kind(
        hidden_layer_sizes=tuple(hidden),
        activation=activation or Sigmoid(),
        alpha=0.0,
        loss=loss,
        optimizer=rule or AdamW(lr=0.005),
        random_state=seed,
        dtype=dtype,
        **options,
    )
    # scikit-learn warns of targets in one column, and of many classes.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        trainer = estimator._start(x[train], t[train])  # noqa: SLF001 - made for this
    model = TableModel(trainer, encoder, target, {})
    weight = _weights(table, roles, train)
    return Prepared(model, estimator, x, t, weight, train, validation, test, roles, remarks)


def _require_rows(table: Table, fewest: int) -> None:
    if len(table) < fewest:
        message = (
            f"{table.name} has too few rows with a target: got {len(table)}, expected at least "
            f"{fewest}; add rows, or train on all of them with --test-fraction 0 (at least 2)."
        )
        raise TableError(message)


def _assign_roles(
    table: Table, targets: Iterable[str], ignore: Iterable[str], sample_weight: str | None
) -> dict[str, str]:
    """Return the role of each column that is no feature. Raise TableError if it has two."""
    roles: dict[str, str] = {}
    for role, columns in {
        "target": targets,
        "ignored": ignore,
        "sample weight": [sample_weight] if sample_weight else [],
    }.items():
        for column in columns:
            name = table.find(column)
            if roles.setdefault(name, role) != role:
                table.refuse(name, f"it cannot be {roles[name]} and {role} at once; choose one")
    return roles


def _require_loss(loss: Loss | None, target: Target) -> Loss:
    """Return the loss, or the usual one. Raise SpecError if it does not suit the task."""
    if target.classes:
        loss = loss or CrossEntropyLoss()
        fits, expected = isinstance(loss, CrossEntropyLoss), "CrossEntropyLoss"
    else:
        loss = loss or MSELoss()
        fits, expected = type(loss).__name__ in regression.__all__, ", ".join(regression.__all__)
    if not fits:
        message = f"{loss!r} is no loss for {target.task} of a table; expected {expected}."
        raise SpecError(message)
    return loss


def _hold_out(
    rows: Array, groups: Array, fraction: float, rng: "np.random.Generator"
) -> tuple[Array, Array]:
    """Return the rows to keep and a random fraction of them to hold out.

    Nearly the same fraction of each group is held out, and one row of each group stays.
    """
    order = rng.permutation(rows)
    order = order[np.argsort(groups[order], kind="stable")]
    is_first = np.diff(groups[order], prepend=-1) != 0
    spare = order[~is_first]
    count = min(round(fraction * len(rows)), len(spare))
    # Every k-th row of rows that are sorted by group is the same share of each group.
    held = spare[((np.arange(count) + rng.random()) * len(spare) / max(count, 1)).astype(int)]
    return np.setdiff1d(rows, held), np.sort(held)


def _weights(table: Table, roles: Mapping[str, str], train: Array) -> Array | None:
    """Return the weights of the rows, or None if no column has them."""
    name = next((name for name, role in roles.items() if role == "sample weight"), None)
    if name is None:
        return None
    weight = table.numbers(name)
    wrong = ~(weight >= 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        what = "is missing" if np.isnan(weight[row]) else f"is {weight[row]:g}"
        table.refuse(name, f"the weight {what}, expected a number of 0 or more; correct it", row)
    if not weight[train].any():
        table.refuse(name, "the weights of all rows to train on are 0; expected one above 0")
    return weight
