"""The encoding of a table's columns as inputs of a network.

scikit-learn learns it: SimpleImputer the medians, StandardScaler the scaling, OneHotEncoder the
categories. Encoding needs NumPy alone, and an encoder is plain JSON in a model file.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import TableError
from manualnn.tabular.learning import (
    is_constant,
    learn_categories,
    learn_numbers,
    refuse_missing,
    refuse_unusable,
)
from manualnn.tabular.table import Table, as_tuples, count_noun, shorten
from manualnn.validation import is_finite_number

__all__ = ["Encoder"]

MOST_CATEGORIES = 100
"""A column of text with more different values is refused."""


@dataclass(frozen=True)
class Encoder:
    """Columns of a table, and the numbers by which they become inputs of a network.

    The inputs are, in this order: each number, with its median in place of missing cells, then an
    indicator of missing cells for each column that had some, both standardised; for each category
    of each column of text 1 or 0; for each hashed column 1 in one of its buckets.
    """

    features: tuple[str, ...] = ()
    """The columns that are needed, in the order of the table."""
    numbers: tuple[str, ...] = ()
    """Columns of numbers."""
    medians: tuple[float, ...] = ()
    indicated: tuple[int, ...] = ()
    """Indices in `numbers` of the columns with an indicator."""
    mean: tuple[float, ...] = ()
    """Of each number, then of each indicator."""
    scale: tuple[float, ...] = ()
    """Deviations, in the same order; more than 0."""
    categories: tuple[tuple[str, tuple[str | None, ...]], ...] = ()
    """Columns of text with the labels of their categories; None is the missing cell."""
    hashed: tuple[tuple[str, int], ...] = ()
    """Columns of text with their number of buckets."""
    left_out: tuple[str, ...] = ()
    """Columns without effect, because all their cells were equal or missing."""

    @property
    def width(self) -> int:
        """The number of inputs of the network."""
        return len(self.inputs)

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs of the network."""
        return [
            *self.numbers,
            *(f"{self.numbers[i]} is missing" for i in self.indicated),
            *(f"{name}={label}" for name, labels in self.categories for label in labels),
            *(f"{name}#{bucket}" for name, buckets in self.hashed for bucket in range(buckets)),
        ]

    @classmethod
    def fit(
        cls,
        table: Table,
        features: Iterable[str],
        *,
        train: Array | None = None,
        missing: str = "impute",
        hashed: Collection[str] = (),
        buckets: int = 32,
        most_categories: int = MOST_CATEGORIES,
    ) -> "Encoder":
        """Learn the encoding of the features of a table. Needs scikit-learn.

        Parameters
        ----------
        table : Table
            The rows, all of which tell whether a column holds numbers.
        features : iterable of str
            Names of columns.
        train : array of indices, optional
            The rows to learn from; all if None.
        missing : {"impute", "fail"}
            What missing cells do: be filled and indicated, or be refused.
        hashed : collection of str
            Features to hash, whatever their number of different values.
        buckets : int
            Number of inputs of each hashed feature.
        most_categories : int
            Largest number of different values of a column of text that is not hashed.

        Raises
        ------
        TableError
            If a feature is a date, has too many categories, an infinite number, or a missing cell
            that must not be, or if none is left.
        MissingExtraError
            If scikit-learn is not installed.

        """
        columns = {name: table.columns[name] for name in features}
        if missing == "fail":
            refuse_missing(table, columns)
        if train is not None:
            table = table.take(train)
        used = [name for name in columns if not is_constant(table, name)]
        if not used:
            message = f"{table.name} has no column to predict from that varies; add one."
            raise TableError(message)
        rest = {name: columns[name] for name in used if name not in hashed}
        numbers = [name for name, column in rest.items() if column.kind == "number"]
        texts = {name: column for name, column in rest.items() if column.kind != "number"}
        refuse_unusable(table, texts, most_categories)
        return cls(
            features=tuple(used),
            **learn_numbers(table, numbers),
            categories=learn_categories(table, texts),
            hashed=tuple((name, buckets) for name in used if name in hashed),
            left_out=tuple(name for name in columns if name not in used),
        )

    def describe(self) -> list[tuple[str, str, str]]:
        """Return name, kind and a sentence on the encoding of each column that is used."""
        found = []
        for i, (name, median) in enumerate(zip(self.numbers, self.medians, strict=True)):
            filled = f"missing: {median:g} and an indicator" if i in self.indicated else ""
            scaled = f"mean {self.mean[i]:g}, deviation {self.scale[i]:g}"
            found.append((name, "number", f"{scaled}; {filled}" if filled else scaled))
        for name, labels in self.categories:
            shown = shorten(["missing" if s is None else s for s in labels], 10)
            found.append((name, "text", f"{count_noun(len(labels), 'category')}: {shown}"))
        found += [(name, "text", f"hashed to {n} inputs") for name, n in self.hashed]
        return found

    def table(self, data: Any) -> Table:
        """Return data of any form as a table. Raises TableError if it lacks a column."""
        table = Table.of(data, self.features)
        table.require(self.features)
        return table

    def transform(self, data: Any, dtype: Any = np.float64) -> Array:
        """Return the inputs of the network, shape (N, number of inputs).

        Parameters
        ----------
        data : Table, mapping, records, array or data frame
            The columns; see `Table.of`. A category that is not known has 0 in all its inputs.
        dtype : data type
            The dtype of the network.

        Raises
        ------
        TableError
            If a column is missing, or if a cell is no number or too large.

        """
        table = self.table(data)
        x = np.zeros((len(table), len(self.inputs)), dtype)
        values = np.empty((len(table), len(self.numbers)))
        for i, name in enumerate(self.numbers):
            values[:, i] = table.numbers(name)
        absent = np.isnan(values)
        filled = np.where(absent, np.array(self.medians), values)
        filled = np.concatenate([filled, absent[:, list(self.indicated)]], axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            start = filled.shape[1]
            x[:, :start] = (filled - np.array(self.mean)) / np.array(self.scale)
        if not np.isfinite(x[:, :start]).all():
            row, column = np.argwhere(~np.isfinite(x[:, :start]))[0]
            what = f"the number is too large to be scaled in {np.dtype(dtype)}; check its unit"
            table.refuse(self.numbers[column], what, row)
        for name, categories in self.categories:
            index = {label: start + i for i, label in enumerate(categories)}
            labels = table.columns[name].labels()
            places = np.array([index.get(label, -1) for label in labels], int)
            x[np.flatnonzero(places >= 0), places[places >= 0]] = 1
            start += len(categories)
        for name, buckets in self.hashed:
            labels = table.columns[name].labels()
            hashes = [zlib.crc32(str(label).encode()) % buckets for label in labels]
            x[np.arange(len(hashes)), start + np.array(hashes, int)] = 1
            start += buckets
        return x

    def count_unknown(self, data: Any) -> dict[str, int]:
        """Return for each column with cells of no known category the number of these cells."""
        table = self.table(data)
        counts = {}
        for name, categories in self.categories:
            known = set(categories)
            labels = table.columns[name].labels()
            counts[name] = sum(label not in known for label in labels.tolist())
        return {name: count for name, count in counts.items() if count}

    def to_json(self) -> dict[str, Any]:
        """Return the encoder as JSON data, from which `from_json` restores it exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Encoder":
        """Return the encoder of JSON data. Raises ValueError or TypeError for any other data."""
        encoder = cls(**{key: as_tuples(value) for key, value in data.items()})
        numbers = len(encoder.numbers)
        scaled = numbers + len(encoder.indicated)
        names = [*encoder.numbers, *(name for name, _ in (*encoder.categories, *encoder.hashed))]
        labels = [label for _, of in encoder.categories for label in of if label is not None]
        is_sound = (
            len(encoder.medians) == numbers
            and len(encoder.mean) == len(encoder.scale) == scaled
            and all(type(i) is int and 0 <= i < numbers for i in encoder.indicated)
            and all(map(is_finite_number, (*encoder.medians, *encoder.mean, *encoder.scale)))
            and all(scale > 0 for scale in encoder.scale)
            and all(type(n) is int and 0 < n < 2**31 for _, n in encoder.hashed)
            and all(type(name) is str for name in (*names, *labels))
            and sorted(encoder.features) == sorted(names)
        )
        if not is_sound:
            message = "the encoding of the columns is damaged"
            raise ValueError(message)
        return encoder
