"""Tables of data: a CSV file as named columns of numbers or of labels.

Read as the csv module does (quotes, either line ending, a byte order mark); the first line names
the columns. Every complaint names the line as an editor counts it, the header being line 1, and the
column.
"""

import csv
import difflib
import io
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import TableError

__all__ = ["Table", "find_column", "read_csv"]

DELIMITERS = ",;\t|"
"""What may stand between cells, where it is not said."""
SNIFFED_LINES = 20
"""How many lines tell the delimiter."""
MISSING = {"", "?", "-", "na", "n/a", "nan", "null", "none", "#n/a"}
"""What other programs write, in lower case, where there is no number."""


@dataclass(frozen=True)
class Table:
    """Named columns of text cells, with the line of the file on which each row begins."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def numbers(self, columns: Iterable[str]) -> Array:
        """Return columns as finite numbers, float64 of shape (rows, columns).

        Raises TableError for a column that is not there, and for the first cell that is no finite
        number.
        """
        return np.array([self._numbers(c) for c in columns]).reshape(-1, len(self)).T

    def labels(self, column: str) -> list[str]:
        """Return a column as text; a whole number written as 3.0 is the same label as 3.

        Raises TableError for a column or a cell that is not there.
        """
        labels = [re.sub(r"^([+-]?\d+)\.0*$", r"\1", cell) for cell in self._cells(column)]
        if "" in labels:
            self._refuse(column, labels.index(""), "the cell is empty", "fill it or remove the row")
        return labels

    def kinds(self, column: str) -> set[str]:
        """Return which there are among the column's cells: number, text, missing, infinite."""
        return set(map(_kind, self._cells(column)))

    def _cells(self, column: str) -> list[str]:
        at = self.columns.index(find_column(column, self.columns, self.name))
        return [row[at].strip() for row in self.rows]

    def _numbers(self, column: str) -> Array:
        cells = self._cells(column)
        try:
            values = np.array([float(cell) for cell in cells])
        except ValueError:
            values = None
        # Python's float also reads 1_000, which in a table is rather a name than a number.
        if values is None or not np.isfinite(values).all() or "_" in "".join(cells):
            self._refuse_numbers(column, cells)
        return values

    def _refuse_numbers(self, column: str, cells: list[str]) -> Never:
        """Raise for the first cell that is no finite number, and say what is the matter."""
        kinds = [_kind(cell) for cell in cells]
        row = next(i for i, kind in enumerate(kinds) if kind != "number")
        cell, kind = cells[row], kinds[row]
        if kind == "missing":
            what = f"the value is missing (got {cell!r})" if cell else "the cell is empty"
            self._refuse(column, row, what, "fill it or remove the row")
        if kind == "infinite":
            self._refuse(column, row, f"got {cell!r}, expected a finite number", "remove the row")
        advice = "correct it or remove the row"
        if re.fullmatch(r"[+-]?\d*,\d+", cell):
            advice = "write the decimals with a point"
        elif "number" not in kinds:
            advice = (
                f"encode it as numbers, or leave it out with --ignore {column!r}; as a target, "
                f"text is for --task classification"
            )
        self._refuse(column, row, f"got the text {cell!r}, expected a number", advice)

    def _refuse(self, column: str, row: int, what: str, advice: str) -> Never:
        message = f"{self.name}, line {self.lines[row]}, column {column!r}: {what}; {advice}."
        raise TableError(message)


def read_csv(path: str | os.PathLike[str], delimiter: str | None = None) -> Table:
    """Read a CSV file in UTF-8, its first line the names of the columns.

    The delimiter is the one of comma, semicolon, tab and bar that makes most columns of the first
    lines, unless it is given. Blank lines count for nothing.

    Raises
    ------
    TableError
        If it is empty, is not UTF-8, has no header, two columns of one name, a column without a
        name, a row of more or fewer cells than the header, or a quote that is never closed.
    OSError
        If it cannot be read.

    """
    name = os.fspath(path)
    text = _text(name)
    if not text.strip():
        message = f"{name} is empty; expected a line of column names, then a line for each row."
        raise TableError(message)
    found = delimiter or _delimiter(text)
    rows, lines = [], []
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, delimiter=found, skipinitialspace=True, strict=True)
    line = 1
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        message = (
            f"{name}, line {line}: this is no CSV ({error}); "
            f'expected a text with quotes in it as "…", with every inner quote doubled.'
        )
        raise TableError(message) from error
    columns = tuple(cell.strip() for cell in rows[0])
    _require_header(name, columns)
    for row, at in zip(rows, lines, strict=True):
        if len(row) != len(columns):
            message = (
                f"{name}, line {at}: got {len(row)} cells, expected {len(columns)} as in the "
                f"header (delimiter {found!r}); complete the line, quote a cell that holds the "
                f"delimiter, or say --delimiter."
            )
            raise TableError(message)
    return Table(name, columns, rows[1:], lines[1:])


def find_column(column: str, columns: Sequence[str], name: str) -> str:
    """Return the column if it is one of them; raise TableError that says what there is."""
    if column in columns:
        return column
    close = difflib.get_close_matches(column, columns, n=1)
    shown = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")
    hint = f"; did you mean {close[0]!r}?" if close else "."
    message = f"{name} has no column {column!r}, but {shown}{hint}"
    raise TableError(message)


def _text(name: str) -> str:
    content = Path(name).read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = (
            f"{name}, line {line}: byte {content[error.start]:#04x} is not UTF-8; "
            f"save the file as UTF-8 (in a spreadsheet: “CSV UTF-8”)."
        )
        raise TableError(message) from None


def _delimiter(text: str) -> str:
    lines = text.lstrip().splitlines(keepends=True)[:SNIFFED_LINES]

    def columns(delimiter: str) -> tuple[bool, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        return len(set(widths)) == 1 and widths[0] > 1, widths[0]

    return max(DELIMITERS, key=columns)


def _require_header(name: str, columns: tuple[str, ...]) -> None:
    message = ""
    repeated = [c for c in dict.fromkeys(columns) if columns.count(c) > 1]
    if all(_kind(column) == "number" for column in columns):
        message = (
            f"{name}, line 1: expected the names of the columns, got only numbers "
            f"({', '.join(columns[:3])}, …); add a header line."
        )
    elif "" in columns:
        message = (
            f"{name}, line 1: column {columns.index('') + 1} has no name; give it one "
            f"(pandas: to_csv(…, index=False) leaves its row numbers out)."
        )
    elif repeated:
        message = f"{name}, line 1: two columns are called {repeated[0]!r}; rename one."
    if message:
        raise TableError(message)


def _kind(cell: str) -> str:
    if cell.lower() in MISSING:
        return "missing"
    try:
        value = float(cell)
    except ValueError:
        return "text"
    if "_" in cell:
        return "text"
    return "number" if math.isfinite(value) else "missing" if math.isnan(value) else "infinite"
