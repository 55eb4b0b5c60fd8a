"""Tables in memory: named columns, from files, mappings, records, arrays or data frames."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import TableError
from manualnn.spec import closest
from manualnn.tabular.column import Column

__all__ = ["Table", "as_tuples", "count_noun", "shorten"]

_NAMELESS = {"column 1", "rownames", "row.names", "Unnamed: 0", "index", "__index_level_0__"}
_ID_NAMES = {"id", "row", "rownum", "row_number", "obs", "#"}


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    name      what messages call it, such as the path of the file
    columns   the columns by name, in the file's order
    rows      number of rows
    remarks   sentences on how the file was read
    numbering numbers of the rows in the file, for messages; from 1 on if None
    texts     cells as they stand in the file, of the columns for which that was asked
    """

    name: str
    columns: Mapping[str, Column]
    rows: int
    remarks: list[str] = field(default_factory=list)
    numbering: Any = None
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    @classmethod
    def of(cls, data: Any, names: Sequence[str] = ()) -> "Table":
        """Return data as a table, with NumPy alone.

        Parameters
        ----------
        data : Table, mapping, records, array or data frame
            A mapping of names to columns (or to single cells: one row), a sequence of such
            mappings, one a row, a structured array, a pandas or polars data frame, or an array
            (N, number of names) or list of rows, whose columns have the given names.
        names : sequence of str
            Names of the columns of a plain array.

        Raises
        ------
        TableError
            If data is none of these, or if its columns differ in length.

        """
        if isinstance(data, Table):
            return data
        columns = {key: Column.of(cells) for key, cells in _columns_of(data, names)}
        lengths = {len(column.values) for column in columns.values()}
        if len(lengths) > 1:
            message = f"the columns of the data must have one length, got {sorted(lengths)} rows."
            raise TableError(message)
        return cls("the data", columns, lengths.pop() if lengths else len(data))

    @classmethod
    def joined(cls, parts: "Iterable[Table]") -> "Table":
        """Return the table of the rows of all parts, which have the same columns."""
        first, *rest = parts
        if not rest:
            return first
        tables = [first, *rest]
        columns = {name: Column.joined([t.columns[name] for t in tables]) for name in first.columns}
        return cls(first.name, columns, sum(map(len, tables)), first.remarks)

    def take(self, rows: Array) -> "Table":
        """Return the table of the given rows: indices or a mask."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        numbering = np.arange(1, len(self) + 1) if self.numbering is None else self.numbering
        taken = np.asarray(numbering)[rows]
        return Table(self.name, columns, len(taken), self.remarks, taken)

    def find(self, column: str) -> str:
        """Return the name of a column, given by its name or its number, counted from 1.

        Raises TableError if there is no such column.
        """
        if column in self.columns:
            return column
        names = list(self.columns)
        if column.isdecimal() and 1 <= int(column) <= len(names):
            return names[int(column) - 1]
        parts = [part.strip() for part in column.split(",")]
        if set(parts) <= set(names):
            message = (
                f"{self.name} has no column {column!r}, but {' and '.join(map(repr, parts))}; name "
                f"each on its own (several targets by several --target)."
            )
            raise TableError(message)
        meant = closest(column, names)
        hint = f"; did you mean {meant!r}?" if meant else "."
        message = f"{self.name} has no column {column!r}, but {shorten(names, 20)}{hint}"
        raise TableError(message)

    @cached_property
    def row_names(self) -> str | None:
        """The first column, if it only counts or names the rows; otherwise None.

        It has no name, or that of an index, and its numbers rise or its texts all differ; or it is
        called id or the like, counts the rows from 0 or 1, and is not the only feature.
        """
        if len(self.columns) < 2 or len(self) < 2:
            return None
        name, second, *more = self.columns
        column = self.columns[name]
        is_nameless = name in _NAMELESS and second != "column 2"
        if column.kind != "number":
            return name if is_nameless and len(column.distinct) == len(self) else None
        cells = column.numbers()
        if not np.isfinite(cells).all():
            return None
        steps = np.diff(cells)
        counts = cells[0] in {0, 1} and (steps == 1).all()
        rises = (steps > 0).all() and (cells % 1 == 0).all()
        is_id = name in _NAMELESS or (name.lower() in _ID_NAMES and more)
        return name if (is_id and counts) or (is_nameless and rises) else None

    def require(self, names: Iterable[str], targets: Iterable[str] = ()) -> None:
        """Raise TableError if columns are missing, which names the first ten of them.

        `targets` are required like `names`, and called targets in the message.
        """
        targets = dict.fromkeys(targets, " (the target)")
        names = [*names, *targets]
        missing = [name for name in names if name not in self.columns]
        if not missing:
            return
        known = set(names)
        spare = [name for name in self.columns if name not in known]
        pairs = {name: closest(name, spare[:1000]) for name in missing[:10]}
        called = [name + targets.get(name, "") for name in missing]
        meant = [f"{name!r} by {other!r}" for name, other in pairs.items() if other]
        message = (
            f"{self.name} lacks {len(missing)} of the {len(names)} columns that the model was "
            f"trained on: {shorten(called, 10)}. It has {shorten(list(self.columns), 10)}; rename "
            f"or add columns.{' Did you mean ' + ', '.join(meant) + '?' if meant else ''}"
        )
        raise TableError(message)

    def numbers(self, column: str) -> Array:
        """Return a column as float64, NaN for missing. Raises TableError for text or infinity."""
        try:
            values = self.columns[column].numbers()
        except ValueError as error:
            row, cell = error.args
            self.refuse(column, f"got the text {cell!r}, expected a number; correct it", row)
        if np.isinf(values).any():
            row = int(np.argmax(np.isinf(values)))
            what = f"got {values[row]}, expected a finite number; correct it, remove the row, or"
            self.refuse(column, f"{what} declare such a text as missing", row)
        return values

    def refuse(self, column: str, what: str, row: int | None = None) -> Any:
        """Raise TableError about a column and, counted from 0, one of its rows."""
        number = row if row is None else row + 1 if self.numbering is None else self.numbering[row]
        at = "" if number is None else f", row {number}"
        message = f"{self.name}{at}, column {column!r}: {what}."
        raise TableError(message)


def as_tuples(value: Any) -> Any:
    """Return JSON data with tuples in place of lists."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


def count_noun(number: int, noun: str) -> str:
    """Return the number with its noun in singular or plural: 1 row, 2 rows, 2 categories."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def shorten(names: Sequence[str], most: int = 6) -> str:
    """Return the first names, and the number of the others."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))


def _columns_of(data: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the cells of each column of data of any form."""
    if isinstance(data, Mapping):
        cells = list(data.values())
        if cells and all(isinstance(c, str) or not hasattr(c, "__len__") for c in cells):
            data = {key: [cell] for key, cell in data.items()}  # one row
        yield from ((str(key), cells) for key, cells in data.items())
    elif hasattr(data, "columns"):  # a data frame
        for key in data.columns:
            cells = data[key]
            yield str(key), cells.to_numpy() if hasattr(cells, "to_numpy") else cells
    elif isinstance(data, np.ndarray) and data.dtype.names:
        yield from ((key, data[key]) for key in data.dtype.names)
    elif isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
        keys = dict.fromkeys(key for row in data for key in row)
        yield from ((str(key), [row.get(key) for row in data]) for key in keys)
    else:
        array = np.asarray(data, object if isinstance(data, Sequence) else None)
        array = array.reshape(0, len(names)) if array.shape == (0,) else array  # no records
        if array.ndim != 2 or array.shape[1] != len(names):
            message = (
                "the data: expected columns with names (a mapping, records or a data frame), or an "
                f"array of shape (N, {len(names)}) in the order {shorten(list(names), 10)}; got "
                f"{type(data).__name__} of shape {array.shape}."
            )
            raise TableError(message)
        yield from zip(names, array.T, strict=True)
