"""The encoding of a table's columns as inputs of a network.

scikit-learn learns it: SimpleImputer the medians, StandardScaler the scaling, OneHotEncoder the
categories. Encoding needs NumPy alone, and an encoder is plain JSON in a model file.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import MissingExtraError, TableError
from manualnn.tabular.table import Table, count_noun, shorten

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
    def features(self) -> list[str]:
        """The names of the columns that are needed."""
        return [*self.numbers, *(name for name, _ in (*self.categories, *self.hashed))]

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
        missing: str = "impute",
        hashed: Collection[str] = (),
        buckets: int = 32,
        most_categories: int = MOST_CATEGORIES,
    ) -> "Encoder":
        """Learn the encoding of the features from the rows of a table, those to train on.

        Parameters
        ----------
        table : Table
            The rows to learn from.
        features : iterable of str
            Names of columns.
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
        features = list(features)
        kinds = {name: table.columns[name].kind for name in features}
        constant = [name for name in features if _is_constant(table, name)]
        used = [name for name in features if name not in set(constant)]
        if missing == "fail":
            _refuse_missing(table, features)
        numbers = [n for n in used if kinds[n] == "number" and n not in hashed]
        texts = [n for n in used if n not in set(numbers) and n not in hashed]
        _refuse_unusable(table, texts, most_categories)
        if not used:
            message = f"{table.name} has no column to predict from that varies; add one."
            raise TableError(message)
        return cls(
            **_learn_numbers(table, numbers),
            categories=_learn_categories(table, texts),
            hashed=tuple((name, buckets) for name in used if name in hashed),
            left_out=tuple(constant),
        )

    def describe(self) -> list[tuple[str, str, str]]:
        """Return name, kind and a sentence on the encoding of each column that is used."""
        found = []
        for i, (name, median) in enumerate(zip(self.numbers, self.medians, strict=True)):
            filled = f"missing: {median:g} and an indicator" if i in self.indicated else ""
            scaled = f"mean {self.mean[i]:g}, deviation {self.scale[i]:g}"
            found.append((name, "number", f"{scaled}; {filled}" if filled else scaled))
        for name, labels in self.categories:
            shown = shorten([str(label) for label in labels], 10)
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
        return {
            "numbers": list(self.numbers), "medians": list(self.medians),
            "indicated": list(self.indicated), "mean": list(self.mean), "scale": list(self.scale),
            "categories": [[name, list(labels)] for name, labels in self.categories],
            "hashed": [list(pair) for pair in self.hashed], "left_out": list(self.left_out),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Encoder":
        """Return the encoder of JSON data. Raises ValueError or TypeError for any other data."""
        fields = ("numbers", "medians", "indicated", "mean", "scale")
        encoder = cls(
            **{key: tuple(data[key]) for key in fields},
            categories=tuple((name, tuple(labels)) for name, labels in data["categories"]),
            hashed=tuple((name, buckets) for name, buckets in data["hashed"]),
            left_out=tuple(data["left_out"]),
        )
        numbers = len(encoder.numbers)
        scaled = numbers + len(encoder.indicated)
        labels = [label for _, of in encoder.categories for label in of if label is not None]
        is_sound = (
            len(encoder.medians) == numbers
            and len(encoder.mean) == len(encoder.scale) == scaled
            and all(type(i) is int and 0 <= i < numbers for i in encoder.indicated)
            and all(map(np.isfinite, (*encoder.medians, *encoder.mean, *encoder.scale)))
            and all(scale > 0 for scale in encoder.scale)
            and all(type(n) is int and 0 < n < 2**31 for _, n in encoder.hashed)
            and all(type(name) is str for name in (*encoder.features, *labels))
        )
        if not is_sound:
            message = "the encoding of the columns is damaged"
            raise ValueError(message)
        return encoder


# ---------------------------------------------------------------------- learning


def _learn_numbers(table: Table, names: Sequence[str]) -> dict[str, Any]:
    """Return the fields of the encoder for columns of numbers."""
    if not names:
        return {}
    impute, preprocessing = _import_sklearn()
    values = np.column_stack([table.numbers(name) for name in names])
    imputer = impute.SimpleImputer(strategy="median", add_indicator=True)
    with np.errstate(over="ignore", invalid="ignore"):
        scaler = preprocessing.StandardScaler().fit(imputer.fit_transform(values))
    for name, *found in zip(names, scaler.mean_, scaler.var_, strict=False):
        if not np.isfinite(found).all():
            table.refuse(name, "the numbers are too large to be scaled; use a larger unit")
    return {
        "numbers": tuple(names),
        "medians": tuple(imputer.statistics_.tolist()),
        "indicated": tuple(imputer.indicator_.features_.tolist()),
        "mean": tuple(scaler.mean_.tolist()),
        "scale": tuple(scaler.scale_.tolist()),
    }


def _learn_categories(table: Table, names: Sequence[str]) -> tuple[Any, ...]:
    if not names:
        return ()
    _, preprocessing = _import_sklearn()
    labels = np.column_stack([table.columns[name].labels() for name in names])
    encoder = preprocessing.OneHotEncoder().fit(labels)
    return tuple(
        (name, tuple(found.tolist()))
        for name, found in zip(names, encoder.categories_, strict=True)
    )


def _is_constant(table: Table, name: str) -> bool:
    column = table.columns[name]
    values = column.distinct if column.values.dtype == float else set(column.labels().tolist())
    return len(values - {None}) + bool(column.missing.any()) < 2


def _refuse_missing(table: Table, names: Sequence[str]) -> None:
    found = [name for name in names if table.columns[name].missing.any()]
    if found:
        column = table.columns[found[0]]
        others = f"; so have {shorten(found[1:])}" if found[1:] else ""
        cells = count_noun(int(column.missing.sum()), "missing value")
        what = f"the value is missing ({cells} in the column{others}); fill it or remove the row"
        table.refuse(found[0], what, int(np.argmax(column.missing)))


def _refuse_unusable(table: Table, names: Sequence[str], most: int) -> None:
    """Raise TableError for dates and for columns of too many values, with what to do."""
    import shlex

    wrong, found = [], []
    for name in names:
        column = table.columns[name]
        different = len(column.distinct)
        if column.kind == "date":
            found.append(f"{name!r} holds dates, such as {min(column.distinct)!r}")
        elif different > most or (different > 20 and different == len(table)):
            found.append(f"{name!r} is text of {different} different values")
        else:
            continue
        wrong.append(name)
    if wrong:
        ignore = " ".join(f"--ignore {shlex.quote(name)}" for name in wrong[:10])
        message = (
            f"{table.name}: {count_noun(len(wrong), 'column')} cannot be used as a feature: "
            f"{'; '.join(found[:10])}. Leave out with {ignore}; or make numbers of a date (year, "
            f"month, days), and hash many values with --hash COLUMN."
        )
        raise TableError(message)


def _import_sklearn() -> tuple[Any, Any]:
    try:
        from sklearn import impute, preprocessing
    except ImportError:
        message = "learning from tables needs scikit-learn; pip install 'manualnn[data]'."
        raise MissingExtraError(message) from None
    return impute, preprocessing
