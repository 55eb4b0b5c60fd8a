"""The layout of a text of separated values: separator, quotes, skipped lines, names of columns."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from manualnn.errors import TableError
from manualnn.tabular.column import COMMA, Column
from manualnn.tabular.source import Source
from manualnn.tabular.table import count_noun

__all__ = ["Layout", "find_layout", "name_columns"]

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}
_SAMPLE = 200
"""Rows that tell whether the first row names the columns."""
_WIDE = 20_000
"""Length of a line from which on separators are counted, because sniffing takes long."""
_TEXT = {
    "auto_detect": False, "nullstr": "\x02",
    "max_line_size": 2**24, "buffer_size": 2**25,
}  # fmt: skip
"""Options of DuckDB's reader: cells as they stand, so that an empty line is no empty cell.

The buffer is given because it would be 32 lines of the largest size, which is a whole file.
"""


@dataclass(frozen=True)
class Layout:
    """How the lines of a text are divided into cells."""

    delimiter: str
    quote: str
    escape: str
    skip: int
    width: int
    """Number of columns."""
    header: tuple[str, ...] = ()
    """Names of the columns, if they are on a skipped line."""
    comment: tuple[str, ...] = ()
    """Cells of the comment before the first row: the names, if that row is data."""
    has_header: bool = False
    """Whether to leave out the first row."""

    def query(self, source: Source) -> tuple[str, dict[str, Any]]:
        """Return the SQL that reads all cells as text, and its parameters."""
        return source.call(
            "read_csv",
            delim=self.delimiter,
            quote=self.quote,
            escape=self.escape,
            skip=self.skip,
            header=self.has_header,
            columns={f"c{i}": "VARCHAR" for i in range(self.width)},
            **_TEXT,
        )


def find_layout(connection: Any, source: Source, delimiter: str | None) -> Layout:
    """Return the layout of a text, as DuckDB finds it. Raises TableError for an empty text."""
    lines, skip, comment, said = _read_start(connection, source)
    delimiter = delimiter or said or _find_by_commas(lines)
    layout = _guess(lines, delimiter)
    if title := _count_title(lines, layout):
        count, start = count_noun(title, "line"), lines[0]
        source.remarks.append(f"skipped {count} before the table, from {start!r} on")
        skip, lines = skip + title, lines[title:]
    sniffed = _sniff(connection, source, delimiter, skip) if len(lines[0]) < _WIDE else None
    if sniffed and sniffed.width > 1:
        layout = sniffed
    elif delimiter is None and _is_aligned(lines):
        source.rewrite(change=_squeeze)
        lines = list(map(_squeeze, lines))
        layout = _guess(lines, " ")
    layout = replace(layout, skip=skip)
    names = _complete_names(lines, layout)
    if names:
        layout = replace(layout, skip=skip + 1, width=len(names), header=names)
        if not names[0]:
            source.remarks.append(
                "there is one name less than columns, so the first column has no name"
            )
    if layout.delimiter != "," and layout.width > 1:
        source.remarks.append(f"separator {_SEPARATORS.get(layout.delimiter, layout.delimiter)}")
    cells = tuple(_split([comment], layout)[0]) if comment else ()
    return replace(layout, comment=cells if len(cells) == layout.width else ())


def name_columns(
    rows: list[Any],
    layout: Layout,
    *,
    header: bool | None,
    decimal: str,
) -> tuple[list[str], list[Any], list[str]]:
    """Return the names of the columns, the rows without the header, and remarks.

    The first row is the header if it differs in kind from the rows below it, or if nothing speaks
    for data. Columns without a name are called "column 3", repeated names "name.1".
    """
    while rows and not any(rows[0]) and not layout.header:  # as spreadsheets write them
        rows = rows[1:]
    first, rest = rows[0] if rows else (), rows[1:]
    for_header, for_data = _count_votes(first[:_SAMPLE], rest[:_SAMPLE], decimal)
    remarks = []
    if layout.header:
        first, rest = layout.header, rows
    elif header is False or (header is None and for_data and not for_header):
        if header is None and not layout.comment:
            remarks.append("the first row looks like data, so the columns have no names")
        first, rest = layout.comment or ("",) * layout.width, rows
    elif for_data and header is None:
        remarks.append(f"the first row was read as names, though {for_data} of them look like data")
    names: dict[str, int] = {}
    for number, cell in enumerate(first, 1):
        base = name = (cell or "").strip() or f"column {number}"
        while name in names:
            names[base] += 1
            name = f"{base}.{names[base]}"
        if name != base:
            remarks.append(f"a column of the same name as another is called {name!r}")
        names[name] = 0
    return list(names), rest, remarks


def _count_votes(
    first: Sequence[Any], rest: Sequence[Sequence[Any]], decimal: str = "."
) -> tuple[int, int]:
    """Return how many cells of the first row speak for a header, and how many for data.

    A text above numbers, or no text above cells that are all there, is a header. A number above
    numbers is data, unless the row's numbers count steps, such as 1990, 1991, 1992; so are texts
    that occur again below, if they are half of the row.
    """
    columns = [Column.of([cell], decimal=decimal) for cell in first]
    kinds = [column.kind for column in columns]
    numbers = [column.numbers()[0] for column in columns if column.kind == "number"]
    steps = {b - a for a, b in pairwise(numbers)}
    is_count = len(numbers) > 2 and len(steps) == 1 and steps != {0.0}
    for_header = for_data = repeated = 0
    for kind, cell, *below in zip(kinds, first, *rest, strict=False):
        column = Column.of(below, decimal=decimal)
        if kind == "empty":
            for_header += bool(len(below)) and cell in {None, ""} and not column.missing.any()
        elif kind != "text":
            for_data += column.kind in {kind, "empty"} and not (is_count and kind == "number")
        elif column.kind in {"number", "boolean", "date"}:
            for_header += 1
        else:
            repeated += cell in below
    return for_header, for_data + (repeated if 2 * repeated >= len(first) else 0)


def _first_lines(connection: Any, source: Source) -> list[str]:
    options = {"delim": "\x01", "quote": "", "escape": "", "strict_mode": False, "header": False}
    options = _TEXT | options | {"nullstr": "", "columns": {"line": "VARCHAR"}}
    cells = source.call("read_csv", **options)
    return [line or "" for (line,) in connection.execute(*cells).fetchmany(_SAMPLE)]


def _sniff(connection: Any, source: Source, delimiter: str | None, skip: int) -> Layout | None:
    """Return the layout that DuckDB finds, or None if it finds none."""
    import duckdb

    options = {"delim": delimiter} if delimiter else {}
    sql, parameters = source.call("sniff_csv", all_varchar=True, skip=skip, **options)
    columns = "SELECT Delimiter, Quote, Escape, SkipRows, len(Columns)"
    try:
        found = connection.execute(f"{columns} {sql}", parameters).fetchone()
    except duckdb.Error:
        return None
    separator, quote, escape = (cell.replace("(empty)", "") for cell in found[:3])
    quote = quote or '"'  # none were needed in the first rows
    return Layout(separator, quote, escape or quote, *found[3:])


def _read_start(connection: Any, source: Source) -> tuple[list[str], int, str, str | None]:
    """Return the first lines of the table, and what `_skip_preamble` found before them."""
    lines = _first_lines(connection, source)
    if _has_comments(lines[_skip_preamble(lines)[0] :]):
        source.rewrite(change=lambda line: "" if line.startswith("#") else line)
        source.remarks.append("lines that begin with # left out")
        lines = _first_lines(connection, source)
    skip, comment, said = _skip_preamble(lines)
    if comment:
        source.remarks.append("lines before the table that begin with # left out")
    if skip == len(lines):
        message = f"{source.name} is empty; expected a line of names, then a line for each row."
        raise TableError(message)
    return lines[skip:], skip, comment, said


def _skip_preamble(lines: Sequence[str]) -> tuple[int, str, str | None]:
    """Return the number of blank lines and comments at the start, the last, and a separator said.

    Spreadsheets say it in a line such as sep=; before the table.
    """
    skip = 0
    while skip < len(lines) and (not lines[skip].strip() or lines[skip].startswith("#")):
        skip += 1
    comment = lines[skip - 1].lstrip("# ") if skip else ""
    said = re.fullmatch(r'(?i)"?sep=(.)"?\s*', lines[skip]) if skip < len(lines) else None
    return (skip + 1, comment, said[1]) if said else (skip, comment, None)


def _complete_names(lines: Sequence[str], layout: Layout) -> tuple[str, ...]:
    """Return the names of the columns, if the header lacks one; otherwise nothing.

    R leaves out the name of the row names. Or all rows end with a separator, and the header not.
    """
    first, *rest = _split(lines, layout)
    if not rest or len(first) + 1 != len(rest[0]) or _count_votes(rest[0], rest[1:])[0]:
        return ()
    return ("", *first) if any(row[-1] for row in rest) else (*first, "")


def _has_comments(lines: Sequence[str]) -> bool:
    """Return True if some lines begin with # and have another number of cells than the rows."""
    commented = [line for line in lines if line.startswith("#")]
    if not commented or 2 * len(commented) > len(lines):
        return False
    layout = _guess(lines, None)
    return all(len(row) != layout.width for line in commented for row in _split([line], layout))


def _find_by_commas(lines: Sequence[str]) -> str | None:
    """Return the separator by which all commas are decimal marks, if there is one."""
    for separator in ";\t|":
        rows = _split(lines, Layout(separator, '"', '"', 0, 0))
        commas = [cell.strip() for row in rows for cell in row if "," in cell]
        is_even = len({len(row) for row in rows}) == 1 < len(rows[0])
        if commas and is_even and all(map(COMMA.fullmatch, commas)):
            return separator
    return None


def _count_title(lines: Sequence[str], layout: Layout) -> int:
    """Return the number of lines of a title above the table.

    They have no separators, or a blank line below them and no line of as many cells as the table
    has columns; and they are fewer than the lines of the table.
    """
    widths = [len(_split([line], layout)[0]) if line.strip() else 0 for line in lines]
    plain = next((i for i, width in enumerate(widths) if width > 1), 0)
    blank = widths.index(0) if 0 in widths else 0
    apart = blank + 1 if layout.width not in widths[:blank] and blank else 0
    count = max(plain, apart)
    return count if layout.width > 1 and 2 * count < len(lines) else 0


def _is_aligned(lines: Sequence[str]) -> bool:
    """Return True if columns of equal number are separated by several blanks."""
    widths = {len(line.split()) for line in lines if line.strip()}
    return len(widths) == 1 and widths != {1} and any("  " in line.strip() for line in lines)


def _squeeze(line: str) -> str:
    """Return the line with one blank between words."""
    return " ".join(line.split()) + "\n"


def _guess(lines: Sequence[str], delimiter: str | None) -> Layout:
    """Return the layout with the separator that divides the most lines into as many cells."""

    def score(separator: str) -> tuple[bool, int, int]:
        rows = _split(lines[:20], Layout(separator, '"', '"', 0, 0))
        width, count = Counter(map(len, rows)).most_common(1)[0]
        return width > 1, count, width

    best = delimiter or max(_SEPARATORS, key=score)
    return Layout(best, '"', '"', 0, score(best)[2])


def _split(lines: Sequence[str], layout: Layout) -> list[list[str]]:
    """Return the cells of the first lines, without blank lines."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(
        (f"{line}\n" for line in lines),
        delimiter=layout.delimiter,
        quotechar=layout.quote,
        escapechar="\\" if layout.escape == "\\" else None,
        skipinitialspace=True,
    )
    return [row for row in reader if row]
