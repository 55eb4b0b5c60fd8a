"""The target of a model for tables: classes, or numbers and their scaling."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import TableError
from manualnn.tabular.column import Column
from manualnn.tabular.table import Table, as_tuples, shorten
from manualnn.validation import is_finite_number

__all__ = ["MISSING_CLASS", "Target"]

MOST_CLASSES = 20
"""A target with more different whole numbers than this holds quantities, not classes."""
MISSING_CLASS = "(missing)"
"""The class of a missing text, where it is one."""


@dataclass(frozen=True)
class Target:
    """What a model predicts: the class of one column, or the numbers of one or several.

    The targets of the network are the index of the class, or (number − mean) / deviation.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    """Labels of the classes in the order of the outputs; empty for regression."""
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    reason: str = field(default="", compare=False)
    """The reason for the task, as a clause."""

    @property
    def task(self) -> str:
        """The task: "classification" or "regression"."""
        return "classification" if self.classes else "regression"

    @property
    def width(self) -> int:
        """The number of classes, or of numbers."""
        return len(self.classes or self.names)

    @classmethod
    def fit(
        cls,
        table: Table,
        names: Sequence[str],
        *,
        task: str | None = None,
        missing_class: bool = False,
        train: Array | None = None,
    ) -> "Target":
        """Return the target of a table.

        Parameters
        ----------
        table : Table
            The rows.
        names : sequence of str
            The columns to predict: one for classification, one or more for regression.
        task : {"classification", "regression"}, optional
            If None, classification for a target of text, or of at most 20 different whole numbers
            that are no more than half as many as the rows; otherwise regression.
        missing_class : bool
            If True, a missing text is a class.
        train : array of indices, optional
            The rows that give mean and deviation; all if None.

        Raises
        ------
        TableError
            If a column cannot be a target for the task, or if all rows have the same target.

        """
        column = table.columns[names[0]]
        reason = "as requested"
        if task is None and len(names) > 1:
            task, reason = "regression", "because there are several targets"
        elif task is None:
            task, reason = _choose_task(column)
        if task == "classification":
            if len(names) > 1:
                message = f"classification has one target, got {shorten(names)}; name one of them."
                raise TableError(message)
            return cls(tuple(names), _classes(table, names[0], missing_class), reason=reason)
        if missing_class:
            table.refuse(names[0], "a missing number cannot be a class; leave missing_class out")
        known = cls(tuple(names)).known(table)
        rows = known.nonzero()[0] if train is None else train
        scaling = [_scaling(table, name, rows) for name in names]
        mean, deviation = zip(*scaling, strict=True)
        return cls(tuple(names), (), mean, deviation, reason)

    def known(self, table: Table) -> Array:
        """Return a mask of the rows that have a target."""
        if MISSING_CLASS in self.classes:
            return np.ones(len(table), bool)
        return ~np.any([table.columns[name].missing for name in self.names], axis=0)

    def encode(self, table: Table, dtype: Any = np.float64) -> Array:
        """Return the network's targets of the rows that have one.

        They are class indices of shape (N,), or scaled numbers of shape (N, number of targets).
        Raises TableError for a class that is not known, or for a text in place of a number.
        """
        rows = self.known(table).nonzero()[0]
        if not self.classes:
            numbers = np.column_stack([table.numbers(name)[rows] for name in self.names])
            return ((numbers - self.mean) / self.deviation).astype(dtype)
        index = {label: i for i, label in enumerate(self.classes)}
        labels = table.columns[self.names[0]].labels()[rows].tolist()
        places = [index.get(MISSING_CLASS if label is None else label, -1) for label in labels]
        if -1 in places:
            row = places.index(-1)
            what = f"the class {labels[row]!r} is not known, but {shorten(self.classes, 20)}"
            table.refuse(self.names[0], what, rows[row])
        return np.array(places, np.intp)

    def decode(self, y: Array) -> Array:
        """Return outputs or targets of a regression in the units of the columns, float64."""
        return y.astype(float) * self.deviation + self.mean

    @property
    def values(self) -> Array:
        """The classes as an array: of numbers if all are, otherwise of texts."""
        column = Column.of(self.classes)
        if column.values.dtype != float or not np.isfinite(column.values).all():
            return np.array(self.classes, object)
        are_whole = (column.values % 1 == 0).all()
        return column.values.astype(np.int64) if are_whole else column.values

    def to_json(self) -> dict[str, Any]:
        """Return the target as JSON data, from which `from_json` restores it exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Target":
        """Return the target of JSON data. Raises ValueError or TypeError for any other data."""
        target = cls(**{key: as_tuples(value) for key, value in data.items()})
        numbers = (*target.mean, *target.deviation)
        expected = 0 if target.classes else len(target.names)
        is_sound = (
            all(type(name) is str for name in (*target.names, *target.classes, target.reason))
            and len(target.names) >= 1
            and len(set(target.classes)) == len(target.classes) != 1
            and len(target.mean) == len(target.deviation) == expected
            and all(map(is_finite_number, numbers))
        )
        if not is_sound:
            message = "the description of the target is damaged"
            raise ValueError(message)
        return target


def _choose_task(column: Column) -> tuple[str, str]:
    """Return the task for the target, and the reason as a clause."""
    if column.kind != "number":
        return "classification", "because the target is text"
    values = column.numbers()[~column.missing]
    different = len(np.unique(values))
    if (values != np.round(values)).any():
        return "regression", "because the target has numbers with a fraction"
    reason = f"because the target has {different} different whole numbers"
    if different <= min(MOST_CLASSES, len(values) // 2):
        return "classification", f"{reason} (if they are quantities: --task regression)"
    return "regression", f"{reason} (if they are classes: --task classification)"


def _classes(table: Table, name: str, missing_class: bool) -> tuple[str, ...]:  # noqa: FBT001
    column = table.columns[name]
    labels = set(column.labels().tolist()) - {None}
    found = sorted(labels, key=Decimal) if column.kind == "number" else sorted(labels)
    if missing_class and column.kind == "number":
        table.refuse(name, "a missing number cannot be a class; leave missing_class out")
    if missing_class and column.missing.any():
        found.append(MISSING_CLASS)
    if len(found) < 2:
        got = f"every row is of the class {found[0]!r}" if found else "every row lacks its class"
        table.refuse(name, f"{got}; expected at least two classes")
    if len(found) == len(table) > 2:
        table.refuse(name, f"each of the {len(found)} rows has a class of its own; name another")
    return tuple(found)


def _scaling(table: Table, name: str, rows: Array) -> tuple[float, float]:
    """Return mean and deviation of a target in the rows."""
    kind = table.columns[name].kind
    if kind not in {"number", "empty"}:
        table.refuse(name, f"the target is {kind}, expected numbers; use classification")
    values = table.numbers(name)[rows]
    if not len(values):
        table.refuse(name, "every row lacks its target; name another column")
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(values.mean()), float(values.std())
    if not np.isfinite([mean, deviation]).all():
        table.refuse(name, "the numbers are too large to be scaled; use a larger unit")
    if values.min() == values.max() or not deviation:
        what = f"every row to train on has the same value, {mean:g}; expected a target that varies"
        table.refuse(name, what)
    return mean, deviation
