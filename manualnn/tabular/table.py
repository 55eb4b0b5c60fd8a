"""Tables in memory: named columns of numbers or text, from files, mappings, records or arrays.

A cell is a number, a text or missing. One rule says whether two cells are the same class: equal
numbers are, however they are spelled (0, 0.0, 0e0): whole numbers exactly, numbers with an exponent
or a fraction as float64; true and false are, in any case; other texts are if they are equal. A text
with a leading zero, such as 00210, is no number. `Column.labels` spells each class in one way.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import TableError
from manualnn.spec import closest

__all__ = ["COMMA", "MISSING", "NUMERAL", "Column", "Table", "count_noun", "label_of", "shorten"]

MISSING = frozenset([
    "", "?", "-", "--", ".", "..", "NA", "N/A", "n/a", "na", "<NA>", "#N/A", "#NA", "NaN", "NAN",
    "nan", "-nan", "NaT", "null", "NULL", "Null", "none", "None", "NONE", "#NULL!", "#DIV/0!",
    "#VALUE!", "\\N",
])  # fmt: skip
"""Texts that programs write for a missing value. Na, the symbol of sodium, is none of them."""

NUMERAL = r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_IS_NUMERAL = re.compile(f"{NUMERAL}|[+-]?(?i:inf|infinity)")
_NO_NUMERAL = re.compile(rf"(?m)^(?!(?:{_IS_NUMERAL.pattern})$)")
_WHOLE = re.compile(r"([+-]?)(0|[1-9][0-9]*)(?:\.0*)?")
_DECORATED = re.compile(r"([+-]?)[$€£]?((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?)\s?%?")
COMMA = re.compile(r"[+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]*),[0-9]+(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(
    r"(?:[0-9]{4}([-/.])[0-9]{1,2}\1[0-9]{1,2}|[0-9]{1,2}([-/.])[0-9]{1,2}\2[0-9]{2,4}"
    r"|[0-9]{1,2}[- /](?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- /,]*[0-9]{2,4})"
    r"(?:[T ].*)?"
)
_INDEX_NAMES = {"column 1", "rownames", "row.names", "Unnamed: 0", "index", "__index_level_0__"}
_ID_NAMES = {"id", "index", "row", "rownum", "obs", "no", "nr", "#", "x", "case", "sample", "key"}
_BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})


def label_of(cell: str | float) -> str:
    """Return the one spelling of a cell's class, the cell being a text or a float."""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if whole := _WHOLE.fullmatch(cell):
        return "0" if whole[2] == "0" else whole[1].replace("+", "") + whole[2]
    if cell[:1] in {"t", "T", "f", "F"} and cell.lower() in {"true", "false"}:
        return cell.capitalize()
    if _IS_NUMERAL.fullmatch(cell) and math.isfinite(value := float(cell)):
        return label_of(value)
    return cell


@dataclass(frozen=True)
class Column:
    """The cells of a column: float64 with NaN for missing, or objects, text or None for missing.

    Text may consist of numerals too, where float64 would lose their digits.
    """

    values: Array

    @classmethod
    def of(cls, cells: Any, missing: Iterable[str] = MISSING, decimal: str = ".") -> "Column":
        """Return the column of cells of any type: an array or a sequence.

        Parameters
        ----------
        cells : array or sequence
            Numbers, texts, booleans, dates, None; of a text the blanks at its ends do not count.
        missing : set of str
            Texts that mean a missing value. None, NaN and NaT always do.
        decimal : {".", ","}
            The decimal mark of numbers in texts.

        """
        kind = cells.dtype.kind if isinstance(cells, np.ndarray) else ""
        if kind == "f" or (kind in {"i", "u"} and not _may_be_rounded(cells.astype(float))):
            return cls(cells.astype(float))
        cells = cells.tolist() if kind else list(cells)
        kinds = set(map(type, cells))
        if float in kinds and kinds <= {float, type(None)}:
            return cls(np.array([np.nan if cell is None else cell for cell in cells]))
        texts = [_text_of(cell, missing) for cell in cells]
        if decimal == ",":
            texts = [_with_point(text) for text in texts]
        present = [text for text in texts if text is not None]
        if present and not _NO_NUMERAL.search("\n".join(present)):
            numbers = np.array([np.nan if t is None else float(t) for t in texts])
            if not _may_be_rounded(numbers):
                return cls(numbers)
        pool: dict[Any, Any] = {}
        shared = np.empty(len(texts), object)
        shared[:] = [pool.setdefault(text, text) for text in texts]
        return cls(shared)

    @classmethod
    def joined(cls, parts: "Sequence[Column]") -> "Column":
        """Return the column of all cells of the parts."""
        arrays = [part.values for part in parts]
        if any(array.dtype == object for array in arrays):
            arrays = [_as_texts(array) for array in arrays]
        return cls(np.concatenate(arrays))

    def take(self, rows: Array) -> "Column":
        """Return the column of the given rows: indices or a mask."""
        return Column(self.values[rows])

    @cached_property
    def missing(self) -> Array:
        """A mask of the missing cells."""
        values = self.values
        return np.isnan(values) if values.dtype == float else values == np.array(None)

    @cached_property
    def distinct(self) -> set[Any]:
        """The different cells that are not missing."""
        return set(self.values[~self.missing].tolist())

    @cached_property
    def kind(self) -> str:
        """The kind of the cells: "number", "boolean", "date", "text", or "empty" if all miss.

        Numbers may be decorated, all of them in texts such as 12%, 1,234 or $5.
        """
        if self.missing.all():
            return "empty"
        if self.values.dtype == float:
            return "number"
        cells = self.distinct
        if all(map(_IS_NUMERAL.fullmatch, cells)):
            return "number"
        if {cell.lower() for cell in cells} in _BOOLEANS:
            return "boolean"
        if all(map(_DATE.fullmatch, cells)):
            return "date"
        is_number = all(map(_number_of_decorated, cells)) and not any(map(_has_zeros, cells))
        return "number" if is_number else "text"

    def numbers(self) -> Array:
        """Return float64 numbers, NaN for missing. Raises ValueError(row, cell) for a text."""
        if self.values.dtype == float:
            return self.values
        found = {cell: _float_of(cell) for cell in self.distinct}
        wrong = {cell for cell, number in found.items() if number is None}
        if wrong:
            row = next(i for i, cell in enumerate(self.values) if cell in wrong)
            raise ValueError(row, self.values[row])
        return np.array([found.get(cell, np.nan) for cell in self.values], float)

    def labels(self) -> Array:
        """Return an array of objects: the one spelling of each cell's class, None for missing."""
        found: dict[Any, Any] = {cell: label_of(cell) for cell in self.distinct}
        labels = np.empty(len(self.values), object)
        labels[:] = [found.get(cell) for cell in self.values.tolist()]
        return labels


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
    def of(cls, data: Any, names: Sequence[str] = (), name: str = "the data") -> "Table":
        """Return data as a table, with NumPy alone.

        Parameters
        ----------
        data : Table, mapping, records, array or data frame
            A mapping of names to columns (or to single cells: one row), a sequence of such
            mappings, one a row, a structured array, a pandas or polars data frame, or an array
            (N, number of names) or list of rows, whose columns have the given names.
        names : sequence of str
            Names of the columns of a plain array.
        name : str
            What messages call the table.

        Raises
        ------
        TableError
            If data is none of these, or if its columns differ in length.

        """
        if isinstance(data, Table):
            return data
        columns = {key: Column.of(cells) for key, cells in _columns_of(data, names, name)}
        lengths = {len(column.values) for column in columns.values()}
        if len(lengths) > 1:
            message = f"{name}: the columns must have one length, got {sorted(lengths)} rows."
            raise TableError(message)
        return cls(name, columns, lengths.pop() if lengths else len(data))

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
        meant = closest(column, names)
        hint = f"; did you mean {meant!r}?" if meant else "."
        message = f"{self.name} has no column {column!r}, but {shorten(names, 20)}{hint}"
        raise TableError(message)

    @cached_property
    def row_names(self) -> str | None:
        """The first column, if it only counts or names the rows; otherwise None.

        It has no name, or that of an index, and all its cells differ; or it is called id or the
        like, and counts the rows from 0 or 1.
        """
        if len(self.columns) < 2 or len(self) < 2:
            return None
        name, second, *_ = self.columns
        column = self.columns[name]
        is_nameless = name in _INDEX_NAMES and second != "column 2"
        if column.kind == "number":
            steps = np.diff(column.numbers())
            counts = (steps == 1).all() and column.numbers()[0] in {0, 1}
            is_named = name.lower() in _ID_NAMES or name in _INDEX_NAMES
            whole = bool((column.numbers() % 1 == 0).all())
            return (
                name
                if (counts and is_named) or (is_nameless and whole and (steps > 0).all())
                else None
            )
        return name if is_nameless and len(column.distinct) == len(self) else None

    def require(self, names: Iterable[str]) -> None:
        """Raise TableError if columns are missing, which names the first ten of them."""
        names = list(names)
        missing = [name for name in names if name not in self.columns]
        if not missing:
            return
        known = set(names)
        spare = [name for name in self.columns if name not in known]
        pairs = {name: closest(name, spare[:1000]) for name in missing[:10]}
        meant = [f"{name!r} by {other!r}" for name, other in pairs.items() if other]
        message = (
            f"{self.name} lacks {len(missing)} of the {len(names)} columns that the model was "
            f"trained on: {shorten(missing, 10)}. It has {shorten(list(self.columns), 10)}; rename "
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


def count_noun(number: int, noun: str) -> str:
    """Return the number with its noun in singular or plural: 1 row, 2 rows, 2 categories."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def shorten(names: Sequence[str], most: int = 6) -> str:
    """Return the first names, and the number of the others."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))


# ---------------------------------------------------------------------- cells


def _may_be_rounded(numbers: Array) -> bool:
    """Return True if a finite number is so large that float64 does not hold all whole numbers."""
    return bool((np.isfinite(numbers) & (abs(numbers) >= 2.0**53)).any())


def _text_of(cell: Any, missing: Iterable[str]) -> str | None:
    """Return a cell of any type as stripped text, or None if it is missing."""
    if isinstance(cell, float):
        return None if math.isnan(cell) else label_of(cell)
    text = "" if cell is None else str(cell).strip()
    return None if text in missing else text


def _as_texts(values: Array) -> Array:
    if values.dtype == object:
        return values
    texts = np.empty(len(values), object)
    texts[:] = [None if math.isnan(v) else label_of(v) for v in values.tolist()]
    return texts


def _with_point(text: str | None) -> str | None:
    if text is None or not COMMA.fullmatch(text):
        return text
    return text.replace(".", "").replace(",", ".")


def _number_of_decorated(cell: str) -> str | None:
    match = _DECORATED.fullmatch(cell)
    return match and match[1] + match[2].replace(",", "")


def _has_zeros(cell: str) -> bool:
    """Return True for a whole number with a leading zero, which is a code."""
    return bool(re.fullmatch("0[0-9]+", cell))


def _float_of(cell: str) -> float | None:
    text = cell if _IS_NUMERAL.fullmatch(cell) else _number_of_decorated(cell)
    return None if text is None else float(text)


def _columns_of(data: Any, names: Sequence[str], name: str) -> Iterator[tuple[str, Any]]:
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
        if array.ndim != 2 or array.shape[1] != len(names):
            message = (
                f"{name}: expected columns with names (a mapping, records or a data frame), or an "
                f"array of shape (N, {len(names)}) in the order {shorten(list(names), 10)}; got "
                f"{type(data).__name__} of shape {array.shape}."
            )
            raise TableError(message)
        yield from zip(names, array.T, strict=True)
