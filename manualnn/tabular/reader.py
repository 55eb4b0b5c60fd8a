"""Reading of files into tables, with DuckDB.

DuckDB finds the separator, the quotes and the lines before the table, and splits the text into
cells; it reads Parquet and compressed files as well. Which cells are numbers is decided here, over
all rows and not over a sample: see `manualnn.tabular.table`.
"""

import csv
import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

from manualnn.errors import MissingExtraError, TableError
from manualnn.tabular.column import COMMA, MISSING, NUMERAL, Column
from manualnn.tabular.layout import Layout, find_layout, name_columns
from manualnn.tabular.source import Source
from manualnn.tabular.table import Table, count_noun

__all__ = ["read_batches", "read_table"]

_NARROW = 1000
"""Largest number of columns of which DuckDB casts the numbers; SQL on more takes long to plan."""


def read_table(path: str | os.PathLike[str], **options: Any) -> Table:
    """Read a whole file. The options and errors are those of `read_batches`."""
    return Table.joined(read_batches(path, **options))


def read_batches(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    missing: Iterable[str] = (),
    columns: Collection[str] | None = None,
    text: Collection[str] = (),
    rows: int = 65536,
) -> Iterator[Table]:
    """Read a file part by part. There is always a first part, perhaps without rows.

    Parameters
    ----------
    path : path
        A text of separated values, plain or compressed (gzip, bz2, xz, zstd), or a Parquet file;
        "-" is the standard input.
    delimiter : str, optional
        The character between the cells; detected if None.
    header : bool, optional
        Whether the first row names the columns. If None, it does unless it looks like data.
    decimal : {".", ","}, optional
        The decimal mark. If None, a comma only where the cells leave no other choice.
    encoding : str, optional
        Name of the text's encoding. If None, UTF-8 or UTF-16, or else Windows-1252, which is
        Latin-1 with more signs.
    missing : iterable of str
        Texts that mean a missing value, besides `manualnn.tabular.column.MISSING`.
    columns : collection of str, optional
        Names of the columns to return. If None or if the file lacks one, all are returned; an error
        about the missing one can name them then.
    text : collection of str
        Columns, by name or number, whose cells are also returned as they stand, in `Table.texts`.
    rows : int
        Largest number of rows in a part.

    Yields
    ------
    Table
        A part of the rows, in order.

    Raises
    ------
    TableError
        If the file is empty or no table, if a row has more or fewer cells than the first, or if a
        column of `text` is not there.
    OSError
        If the file cannot be read.
    MissingExtraError
        If DuckDB is not installed.

    """
    try:
        import duckdb
    except ImportError:
        message = "reading tables needs DuckDB; pip install 'manualnn[data]'."
        raise MissingExtraError(message) from None
    absent = MISSING | set(missing)
    with TemporaryDirectory(prefix="manualnn-") as folder, duckdb.connect() as connection:
        source, layout = Source(path, folder, encoding), None
        try:
            if source.form == "parquet":
                cells = connection.execute("FROM read_parquet(?)", [str(source.path)])
                names, start = [column[0] for column in cells.description], cells.fetchmany(rows)
                part = start
            else:
                layout = find_layout(connection, source, delimiter)
                cells = _query(connection, layout, source)
                start = cells.fetchmany(rows)
                if decimal is None and _has_decimal_commas(start[1:] or start):
                    decimal = ","
                    source.remarks.append("decimal commas")
                names, part, remarks = name_columns(
                    start, layout, header=header, decimal=decimal or "."
                )
                source.remarks += remarks
            wanted = {*names} if columns is None or not {*columns} <= {*names} else {*columns}
            found = Table(source.name, dict.fromkeys(names, Column.of([])), 0)
            copied = [found.find(column) for column in text]
            header_rows = len(start) - len(part)
            is_long = len(start) == rows and len(names) <= _NARROW and header_rows < 2
            if layout and is_long and decimal != ",":
                layout = replace(layout, has_header=bool(header_rows))
                numbers = [
                    i
                    for i, sample in enumerate(zip(*part, strict=True))
                    if names[i] not in copied and Column.of(sample, absent).values.dtype == float
                ]
                cells = _cast(connection, layout, source, numbers, absent)
                part = cells.fetchmany(rows)
            first = 1
            while True:
                cut = zip(*part, strict=True) if part else [()] * len(names)
                by_name = dict(zip(names, cut, strict=True))
                kept = {
                    column: Column.of(values, absent, decimal or ".")
                    for column, values in by_name.items()
                    if column in wanted
                }
                texts = {
                    column: ["" if cell is None else str(cell) for cell in by_name[column]]
                    for column in copied
                }
                numbering = range(first, first + len(part))
                yield Table(source.name, kept, len(part), source.remarks, numbering, texts)
                first += len(part)
                part = cells.fetchmany(rows)
                if not part:
                    return
        except (duckdb.Error, csv.Error) as error:
            is_blank = layout is not None and layout.delimiter == " "
            raise TableError(_explain(source.name, str(error), is_blank=is_blank)) from None


def _query(connection: Any, layout: Layout, source: Source) -> Any:
    """Return the cursor over all cells as text."""
    import duckdb

    try:
        return connection.execute(*layout.query(source))
    except duckdb.Error as error:
        if "state machine" not in str(error):
            raise
    source.rewrite(newline=None)  # because DuckDB wants all lines to end in one way
    return connection.execute(*layout.query(source))


def _cast(
    connection: Any, layout: Layout, source: Source, columns: list[int], missing: Collection[str]
) -> Any:
    """Return the cursor over a long file, where DuckDB casts columns of numbers.

    It reads the file twice: first to see in which of the columns every cell is missing or a numeral
    that float64 holds. So the result is the same as without, several times faster.
    """
    query, parameters = layout.query(source)
    pattern = "|".join([NUMERAL, *map(re.escape, missing)]).replace("'", "''")
    gaps = [f"'{text}'" for text in missing if re.fullmatch(NUMERAL, text)]
    sound: set[int] = set()
    if columns:
        check = (
            "bool_and(c{0} IS NULL OR (regexp_full_match(trim(c{0}), '{1}') AND coalesce("
            "abs(TRY_CAST(c{0} AS DOUBLE)) < 2**53 OR isnan(TRY_CAST(c{0} AS DOUBLE)), true)))"
        )
        checks = ", ".join(check.format(i, pattern) for i in columns)
        found = connection.execute(f"SELECT {checks} {query}", parameters).fetchone()
        sound = {i for i, is_sound in zip(columns, found, strict=True) if is_sound}
    where = f"WHEN trim(c{{0}}) NOT IN ({', '.join(gaps)}) " if gaps else "WHEN true "
    cast = f"CASE {where}THEN TRY_CAST(c{{0}} AS DOUBLE) END"
    cells = (cast.format(i) if i in sound else f"c{i}" for i in range(layout.width))
    return connection.execute(f"SELECT {', '.join(cells)} {query}", parameters)


def _has_decimal_commas(rows: list[Any]) -> bool:
    """Return True if a column has numbers with commas that cannot separate thousands."""
    for cells in zip(*rows[:1000], strict=True):
        texts = [cell.strip() for cell in cells if cell and "," in cell]
        if texts and all(map(COMMA.fullmatch, texts)):
            return any("." in text or len(text.partition(",")[2]) != 3 for text in texts)
    return False


def _explain(name: str, error: str, *, is_blank: bool) -> str:
    """Return DuckDB's error about a line as a message."""
    line = re.search(r"Line: (\d+)", error)
    cells = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", error)
    at = f"{name}, line {line[1]}" if line else name
    if cells and is_blank:
        return (
            f"{name}: the rows have different numbers of words, so blanks do not separate the "
            "columns; quote texts with blanks in them, or save the table as CSV."
        )
    if cells:
        return (
            f"{at}: got {count_noun(int(cells[2]), 'cell')}, expected {cells[1]} as in other "
            "rows; complete the line, quote a cell with a separator in it, or name the separator."
        )
    if "quote" in error:
        return f"{at}: a quote opens here and is not closed; write a quote inside a cell twice."
    reason = error.partition("\n\nLINE")[0].replace("Invalid Input Error: ", "").splitlines()
    return f"{at} cannot be read: {' '.join(reason[:3])}"
