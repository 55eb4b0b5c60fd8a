"""CSV files as tables with named columns of numbers or labels.

The csv module reads the file. Cells may be quoted, lines may end as on Windows, and a byte order
mark is skipped.
The first line names the columns. Every error names the column and the line, where the header is
line 1 as in an editor.
"""

import csv
import io
import math
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import TableError
from manualnn.spec import closest

__all__ = ["Table", "count_noun", "find_column", "read_csv"]

DELIMITERS = ",;\t|"
"""The characters that are tried as delimiter if none is given."""
SNIFFED_LINES = 20
"""Lines that are read to find the delimiter."""
MISSING = {"", "?", "-", "na", "n/a", "nan", "null", "none", "#n/a"}
"""Texts that other programs write for a missing value, in lower case."""
NO_NUMBERS = {"missing": "missing value", "infinite": "infinite number", "text": "text"}
"""The kinds of cells that are not finite numbers, and their nouns for messages."""


@dataclass(frozen=True)
class Table:
    """Named columns of text cells, with the line of the file at which each row begins."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def numbers(self, columns: Iterable[str]) -> Array:
        """Return columns as finite numbers, float64 of shape (rows, columns).

        Raises TableError if there is no such column, or if a cell is not a finite number. The
        message names the first such cell and the number of the others.
        """
        columns = list(columns)
        values = [self._numbers(column) for column in columns]
        wrong = [c for c, numbers in zip(columns, values, strict=True) if numbers is None]
        if wrong:
            self._refuse_numbers(wrong)
        return np.array(values).reshape(-1, len(self)).T

    def labels(self, column: str) -> list[str]:
        """Return a column as text. A whole number written as 3.0 is the same label as 3.

        Raises TableError if there is no such column, or if a cell is empty.
        """
        labels = [re.sub(r"^([+-]?\d+)\.0*$", r"\1", cell) for cell in self._cells(column)]
        if "" in labels:
            more = _count_others({column: ["missing"] * (labels.count("") - 1)})
            advice = f"fill it or remove the row{more}"
            self._refuse(column, labels.index(""), "the cell is empty", advice)
        return labels

    def kinds(self, column: str) -> set[str]:
        """Return the kinds of the column's cells: number, text, missing, infinite."""
        return set(map(_kind, self._cells(column)))

    def _cells(self, column: str) -> list[str]:
        at = self.columns.index(find_column(column, self.columns, self.name))
        return [row[at].strip() for row in self.rows]

    def _numbers(self, column: str) -> Array | None:
        """Return a column as finite numbers, or None if a cell is not a finite number."""
        cells = self._cells(column)
        try:
            values = np.array([float(cell) for cell in cells])
        except ValueError:
            return None
        # Python reads 1_000 as a number, but in a table it is more probably a name.
        return values if np.isfinite(values).all() and "_" not in "".join(cells) else None

    def _refuse_numbers(self, columns: Sequence[str]) -> Never:
        """Raise TableError for the first cell that is not a finite number, with advice.

        Each of the columns has such a cell. Columns of text only come first and together, because
        the same advice holds for all of them.
        """
        cells = {column: self._cells(column) for column in columns}
        kinds = {column: list(map(_kind, cells[column])) for column in columns}
        texts = [c for c in columns if "number" not in kinds[c] and any(map(_is_name, cells[c]))]
        column = texts[0] if texts else columns[0]
        reported = {"text"} if texts else set(NO_NUMBERS)
        row = next(i for i, kind in enumerate(kinds[column]) if kind in reported)
        cell, kind = cells[column][row], kinds[column][row]
        kinds[column][row] = "reported"
        also = _count_others({c: kinds[c] for c in columns if c not in texts})
        what, advice = f"got the text {cell!r}, expected a number", "correct it or remove the row"
        if kind == "missing":
            what = f"the value is missing (got {cell!r})" if cell else "the cell is empty"
            advice = "fill it or remove the row"
        elif kind == "infinite":
            what, advice = f"got {cell!r}, expected a finite number", "remove the row"
        elif texts:
            advice = _advise_on_text(texts)
        else:
            advice = _advise_on_commas(cell) or advice
        self._refuse(column, row, what, advice + also)

    def _refuse(self, column: str, row: int, what: str, advice: str) -> Never:
        message = f"{self.name}, line {self.lines[row]}, column {column!r}: {what}; {advice}."
        raise TableError(message)


def read_csv(path: str | os.PathLike[str], delimiter: str | None = None) -> Table:
    """Read a CSV file in UTF-8 whose first line names the columns.

    If no delimiter is given, it is the one of comma, semicolon, tab and bar that makes the most
    columns of the first lines. Blank lines are skipped.

    Raises
    ------
    TableError
        If the file is empty or is not UTF-8, if it has no header, a column without a name, two
        columns with the same name, a row of another length than the header, or an open quote.
    OSError
        If the file cannot be read.

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
            f"{name}, line {line}: this is not CSV ({error}); "
            f'expected a text with quotes in it as "…", with every inner quote doubled.'
        )
        raise TableError(message) from error
    columns = tuple(cell.strip() for cell in rows[0])
    _require_header(name, columns)
    for row, at in zip(rows, lines, strict=True):
        if len(row) != len(columns):
            message = (
                f"{name}, line {at}: got {count_noun(len(row), 'cell')}, expected "
                f"{len(columns)} as in the header (delimiter {found!r}); complete the line, quote "
                f"a cell that holds the delimiter, or say --delimiter."
            )
            raise TableError(message)
    return Table(name, columns, rows[1:], lines[1:])


def find_column(column: str, columns: Sequence[str], name: str) -> str:
    """Return the column. Raises TableError if it is not one of the columns."""
    if column in columns:
        return column
    meant = closest(column, columns)
    shown = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")
    hint = f"; did you mean {meant!r}?" if meant else "."
    message = f"{name} has no column {column!r}, but {shown}{hint}"
    raise TableError(message)


def count_noun(number: int, noun: str) -> str:
    """Return the number with its noun in singular or plural: 1 row, 2 rows."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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


def _is_name(cell: str) -> bool:
    return _kind(cell) == "text" and not _advise_on_commas(cell)


def _advise_on_commas(cell: str) -> str:
    """Return how to write a number that has commas; "" for any other text."""
    if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", cell):
        thousands, decimals = cell.replace(",", ""), cell.replace(",", ".")
        return f"write {thousands} if the comma groups thousands, {decimals} if it marks decimals"
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", cell):
        return f"write the thousands without commas, {cell.replace(',', '')}"
    return "write the decimals with a point" if re.fullmatch(r"[+-]?\d*,\d+", cell) else ""


def _advise_on_text(columns: Sequence[str]) -> str:
    """Return what to do with columns of text only."""
    ignore = " ".join(f"--ignore {shlex.quote(column)}" for column in columns)
    if len(columns) > 1:
        return (
            f"{len(columns)} columns are text: encode them as numbers, or leave them out with "
            f"{ignore}"
        )
    return (
        f"encode it as numbers, or leave it out with {ignore}; as a target, text is for "
        f"--task classification"
    )


def _count_others(kinds: Mapping[str, Sequence[str]]) -> str:
    """Return the number of further cells that are not finite numbers, for each kind."""
    found = []
    for kind, noun in NO_NUMBERS.items():
        counts = [of.count(kind) for of in kinds.values() if kind in of]
        if counts:
            found.append(f"{count_noun(sum(counts), noun)} in {count_noun(len(counts), 'column')}")
    return f". Also wrong: {', '.join(found)}" if found else ""
