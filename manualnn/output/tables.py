"""Tables of text cells, for a terminal and in Markdown.

    align_columns(rows, "lr")                      lines whose columns line up
    format_markdown(header, rows, "lr")            lines of a Markdown table, padded to line up
    format_markdown(header, rows, padded=False)    the same without padding, for long cells

The letters of `alignment` say where the cells of each column stand: l left, r right, c centered.
The last letter holds for all further columns. Wide (East Asian) characters count as two columns of
the terminal, combining characters as none.
"""

import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["align_columns", "format_markdown", "measure_width"]

_RULES = {"l": "---", "r": "--:", "c": ":-:"}


def align_columns(
    rows: Iterable[Sequence[str]], alignment: str = "l", gap: str = "   "
) -> list[str]:
    """Return a line for each row, without blanks at its end; `gap` stands between two columns."""
    return [gap.join(cells).rstrip() for cells in _padded([*rows], alignment)]


def format_markdown(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    alignment: str = "l",
    *,
    padded: bool = True,
) -> list[str]:
    """Return the lines of a table in Markdown; bars inside cells are escaped."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (header, *rows)]
    rule = [_RULES[letter] for letter in _letters(alignment, len(header))]
    table = [cells[0], rule, *cells[1:]]
    if padded:
        table = _padded(table, alignment)
        table[1] = [
            mark[0] + "-" * (len(cell) - 2) + mark[-1]
            for mark, cell in zip(rule, table[1], strict=True)
        ]
    return [f"| {' | '.join(row)} |" for row in table]


def measure_width(text: str) -> int:
    """Return the number of columns that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def _padded(rows: Sequence[Sequence[str]], alignment: str) -> list[list[str]]:
    """Return the cells, all cells of a column with the same width."""
    widths = [max(map(measure_width, column)) for column in zip(*rows, strict=True)]
    letters = _letters(alignment, len(widths))
    return [list(map(_pad, row, widths, letters)) for row in rows]


def _pad(text: str, columns: int, letter: str) -> str:
    missing = columns - measure_width(text)
    left = {"l": 0, "r": missing, "c": missing // 2}[letter]
    return " " * left + text + " " * (missing - left)


def _letters(alignment: str, columns: int) -> str:
    return alignment[:columns].ljust(columns, alignment[-1])
