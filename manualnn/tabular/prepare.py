"""Preparation of a table for training: task, scaling, split into rows, and network.

prepared = prepare(read_csv("data.csv"), "price", seed=0)
train = prepared.train
prepared.model.trainer.fit(prepared.x[train], prepared.t[train], epochs=100, batch_size=32)
prepared.model.save("model.safetensors")
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError, TableError
from manualnn.layers import LAYERS, Linear
from manualnn.losses import CrossEntropyLoss, MSELoss
from manualnn.network.sequential import Sequential
from manualnn.optimizers import AdamW, Optimizer
from manualnn.tabular.csv_model import Columns, TableModel
from manualnn.tabular.csv_table import Table, find_column
from manualnn.training.trainer import Trainer

__all__ = ["Prepared", "prepare"]

MOST_CLASSES = 20
"""A target with more different whole numbers than this holds quantities, not classes."""
FEWEST_ROWS = 10
"""Fewer rows cannot be split into training rows and test rows."""


@dataclass(frozen=True)
class Prepared:
    """A model before its training, and its data."""

    model: TableModel
    reason: str
    """The reason for the task, as a clause."""
    x: Array
    """Inputs of all rows for the network."""
    t: Array
    """Targets of all rows for the loss."""
    train: Array
    """Indices of the training rows."""
    test: Array
    """Indices of the test rows; may be empty."""


def prepare(
    table: Table,
    target: str,
    *,
    task: str | None = None,
    ignore: Iterable[str] = (),
    hidden: Sequence[int] = (32,),
    activation: str = "Sigmoid",
    rule: Optimizer | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    dtype: Any = np.float64,
) -> Prepared:
    """Return a model for the table, and the rows split into training rows and test rows.

    Parameters
    ----------
    table : Table
        The data. All columns except the target and those to ignore are features.
    target : str
        The column to predict.
    task : {"classification", "regression"}, optional
        If None, classification for a target of text, or of at most 20 different whole numbers that
        are no more than half as many as the rows; otherwise regression.
    ignore : iterable of str
        Columns that are not used.
    hidden : sequence of int
        Widths of the hidden layers. The output layer is linear.
    activation : str
        Name of the layer after each hidden layer.
    rule : Optimizer, optional
        AdamW(lr=0.005) if None.
    test_fraction : float
        Fraction of the rows to hold out as test rows, drawn from the seed. For classification, the
        same fraction of each class.
    seed : int
        Seed of the split, the initial parameters and the order of the batches.
    dtype : data type
        The dtype of the network, float32 or float64.

    Raises
    ------
    SpecError
        If test_fraction is out of range.
    TableError
        If a column is missing or not usable, if there are too few rows, or if all rows have the
        same class or value.

    """
    if not 0 <= test_fraction < 1:
        message = f"test_fraction must be from 0 to below 1, got {test_fraction}."
        raise SpecError(message)
    find_column(target, table.columns, table.name)
    ignored = {find_column(column, table.columns, table.name) for column in ignore}
    features = tuple(c for c in table.columns if c != target and c not in ignored)
    if not features:
        message = f"{table.name} has no column to predict {target!r} from; add one."
        raise TableError(message)
    fewest = FEWEST_ROWS if test_fraction else 2
    if len(table) < fewest:
        message = (
            f"{table.name} has too few rows: got {len(table)}, expected at least {fewest}; "
            f"add rows, or train on all of them with --test-fraction 0 (at least 2)."
        )
        raise TableError(message)
    numbers = table.numbers(features)
    task, reason = (task, "as requested") if task else _choose_task(table, target)
    split, rest = np.random.default_rng(seed).spawn(2)
    classes: tuple[str, ...] = ()
    groups = [np.arange(len(table))]
    if task == "classification":
        classes, groups = _classes(table, target)
    train, test = _split(groups, test_fraction, split)
    mean, scale = _standard(numbers[train], table, features)
    columns = Columns(target, features, mean, scale, classes)
    if not classes:
        center, deviation = _target_standard(table, target, train)
        columns = replace(columns, target_mean=center, target_deviation=deviation)
    widths = [len(features), *hidden]
    layers = [layer for n, m in pairwise(widths) for layer in (Linear(n, m), LAYERS[activation]())]
    net = Sequential(*layers, Linear(widths[-1], len(classes) or 1))
    loss = CrossEntropyLoss() if classes else MSELoss()
    trainer = Trainer(net, loss, rule or AdamW(lr=0.005), seed=rest, dtype=dtype)
    x, t = columns.scaled(table, numbers, dtype), columns.targets(table, dtype)
    return Prepared(TableModel(trainer, columns), reason, x, t, train, test)


def _choose_task(table: Table, target: str) -> tuple[str, str]:
    """Return the task for the target, and the reason as a clause."""
    if "text" in table.kinds(target):
        return "classification", "because the target is text"
    values = table.numbers([target])
    different = len(np.unique(values))
    if (values != np.round(values)).any():
        return "regression", "because the target has numbers with a fraction"
    reason = f"because the target has {different} different whole numbers"
    if different <= min(MOST_CLASSES, len(table) // 2):
        return "classification", f"{reason} (if they are quantities: --task regression)"
    return "regression", f"{reason} (if they are classes: --task classification)"


def _classes(table: Table, target: str) -> tuple[tuple[str, ...], list[Array]]:
    """Return the names of the classes in order, and the rows of each."""
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(table.labels(target)):
        rows.setdefault(label, []).append(row)
    if len(rows) < 2:
        message = (
            f"{table.name}, column {target!r}: every row is of the class {next(iter(rows))!r}; "
            f"expected at least two classes."
        )
        raise TableError(message)
    alone = [label for label in rows if len(rows[label]) == 1]
    if alone:
        line = table.lines[rows[alone[0]][0]]
        message = (
            f"{table.name}, line {line}, column {target!r}: {alone[0]!r} is the only row of its "
            f"class ({len(alone)} of {len(rows)} classes have one row), expected at least two of "
            f"each; add rows, remove it, or say --task regression."
        )
        raise TableError(message)
    numeric = table.kinds(target) == {"number"}
    classes = sorted(rows, key=float) if numeric else sorted(rows)
    return tuple(classes), [np.array(rows[label]) for label in classes]


def _split(
    groups: Sequence[Array], fraction: float, rng: "np.random.Generator"
) -> tuple[Array, Array]:
    """Return training rows and test rows: of each group the fraction, but at least one row."""
    test = []
    for rows in groups:
        held_out = min(max(round(fraction * len(rows)), 1), len(rows) - 1) if fraction else 0
        test.append(rng.permutation(rows)[:held_out])
    held = np.sort(np.concatenate(test))
    return np.setdiff1d(np.concatenate(groups), held), held


def _standard(
    x: Array, table: Table, features: Sequence[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and 1 / deviation of each column; 0 for a constant column."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = x.mean(axis=0), x.std(axis=0)
    for name, finite in zip(features, np.isfinite(mean + deviation), strict=True):
        if not finite:
            message = (
                f"{table.name}, column {name!r}: the numbers are too large to be scaled; "
                f"use a larger unit."
            )
            raise TableError(message)
    # Rounding may give equal numbers a deviation other than 0.
    varies = (x.min(axis=0) < x.max(axis=0)) & (deviation > 0)
    scale = np.divide(1, deviation, where=varies, out=np.zeros_like(mean))
    return tuple(mean.tolist()), tuple(scale.tolist())


def _target_standard(table: Table, target: str, train: Array) -> tuple[float, float]:
    ((mean,), (scale,)) = _standard(table.numbers([target])[train], table, [target])
    if not scale:
        message = (
            f"{table.name}, column {target!r}: every row to train on has the same value, "
            f"{mean:g}; expected a target that varies."
        )
        raise TableError(message)
    return mean, 1 / scale
