"""Columns of cells: which are numbers, which are missing, and which are the same class.

A cell is a number, a text or missing. Two cells are the same class if they are equal numbers,
however they are spelled (0, 0.0, 0e0): whole numbers exactly, those with an exponent or a fraction
as float64. So are true and false in any case, and other texts only if they are equal. A text with a
leading zero, such as 00210, is no number.
"""

import math
import re
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from manualnn.elementary import Array

__all__ = ["COMMA", "MISSING", "NUMERAL", "Column", "label_of"]

MISSING = frozenset([
    "", "?", "-", "--", ".", "..", "NA", "N/A", "n/a", "na", "<NA>", "#N/A", "#NA", "NaN", "NAN",
    "nan", "-nan", "NaT", "null", "NULL", "Null", "none", "None", "NONE", "#NULL!", "#DIV/0!",
    "#VALUE!", "\\N",
])  # fmt: skip
"""Texts that programs write for a missing value. Na, the symbol of sodium, is none of them."""


NUMERAL = r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
COMMA = re.compile(r"[+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]*),[0-9]+(?:[eE][+-]?[0-9]+)?")
"""A number with a decimal comma, and perhaps points between its thousands."""
_NUMBER = re.compile(f"{NUMERAL}|[+-]?(?i:inf|infinity)")
_NO_NUMBER = re.compile(rf"(?m)^(?!(?:{_NUMBER.pattern})$)")
_WHOLE = re.compile(r"([+-]?)(0|[1-9][0-9]*)(?:\.0*)?")
_DECORATED = re.compile(
    r"(?!0[0-9]+$)([+-]?)[$€£]?((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?)\s?%?"
)
_DATE = re.compile(
    r"(?:[0-9]{4}([-/.])[0-9]{1,2}\1[0-9]{1,2}|[0-9]{1,2}([-/.])[0-9]{1,2}\2[0-9]{2,4}"
    r"|[0-9]{1,2}[- /](?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- /,]*[0-9]{2,4})"
    r"(?:[T ].*)?"
)
_BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})


def label_of(cell: str | float) -> str:
    """Return the one spelling of a cell's class, the cell being a text or a float."""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if whole := _WHOLE.fullmatch(cell):
        return "0" if whole[2] == "0" else whole[1].replace("+", "") + whole[2]
    if cell[:1] in {"t", "T", "f", "F"} and cell.lower() in {"true", "false"}:
        return cell.capitalize()
    return label_of(float(cell)) if _NUMBER.fullmatch(cell) else cell


@dataclass(frozen=True)
class Column:
    """The cells of a column: float64 with NaN for missing, or objects, text or None for missing.

    Text may consist of numerals too, where float64 would lose their digits.
    """

    values: Array

    @classmethod
    def of(cls, cells: Any, missing: Collection[str] = MISSING, decimal: str = ".") -> "Column":
        """Return the column of cells of any type: an array or a sequence.

        Parameters
        ----------
        cells : array or sequence
            Numbers, texts, booleans, dates, None; of a text the blanks at its ends do not count.
        missing : set of str
            Texts that mean a missing value. None and NaN always do.
        decimal : {".", ","}
            The decimal mark of numbers in texts.

        """
        kind = cells.dtype.kind if isinstance(cells, np.ndarray) else ""
        if kind == "f" or (kind in {"i", "u"} and not _may_be_rounded(cells.astype(float))):
            return cls(cells.astype(float))
        if kind == "M":  # whose list would be of whole numbers
            cells = cells.astype(str)
        cells = cells.tolist() if kind else list(cells)
        kinds = set(map(type, cells))
        if kinds <= {float, type(None)}:
            return cls(np.array(cells, float))
        texts = [_text_of(cell, missing) for cell in cells]
        if decimal == ",":
            texts = [_with_point(text) for text in texts]
        present = [text for text in texts if text is not None]
        joined = "\n".join(present)
        if not present or not (_NO_NUMBER.search(joined) or joined.count("\n") >= len(present)):
            numbers = np.array([np.nan if text is None else float(text) for text in texts])
            if not _may_be_rounded(numbers):
                return cls(numbers)
        pool: dict[Any, Any] = dict(zip(present, present, strict=True))  # equal cells share a text
        return cls(_objects([pool.get(text) for text in texts]))

    @classmethod
    def joined(cls, parts: "Sequence[Column]") -> "Column":
        """Return the column of all cells of the parts."""
        arrays = [part.values for part in parts]
        if any(array.dtype == object for array in arrays):
            arrays = [v if v.dtype == object else Column(v).labels() for v in arrays]
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
        if self.values.dtype == float or all(map(_NUMBER.fullmatch, self.distinct)):
            return "number"
        if {cell.lower() for cell in self.distinct} in _BOOLEANS:
            return "boolean"
        if all(map(_DATE.fullmatch, self.distinct)):
            return "date"
        return "number" if all(map(_DECORATED.fullmatch, self.distinct)) else "text"

    @cached_property
    def remark(self) -> str:
        """What a user may want to check of the numbers, as the object of "has"; perhaps nothing."""
        if self.values.dtype == float or self.kind not in {"number", "text"}:
            return ""
        texts = sorted(cell for cell in self.distinct if not _NUMBER.fullmatch(cell))
        if self.kind == "number":
            return f"{texts[0]!r} for {_float_of(texts[0])!r}, and the like" if texts else ""
        odd = [cell for cell in texts if _float_of(cell) is None]
        rows = sum(map(set(odd).__contains__, self.values.tolist()))
        all_rows = int((~self.missing).sum())
        is_code = any(map(str.isdecimal, odd)) or len(self.distinct) - len(odd) < 10
        if is_code or 2 * rows >= all_rows:
            return ""
        options = " ".join(f"--missing-value={shlex.quote(cell)}" for cell in odd[:3])
        shown = f"{', '.join(map(repr, odd[:3]))}{' …' * (len(odd) > 3)}"
        return (
            f"numbers in {all_rows - rows} rows and text in {rows}: {shown} (read as text; if it "
            f"means missing: {options}{' …' * (len(odd) > 3)})"
        )

    def numbers(self) -> Array:
        """Return float64 numbers, NaN for missing. Raises ValueError(row, cell) for a text."""
        if self.values.dtype == float:
            return self.values
        found = np.array(self._map_distinct(_float_of), float)
        if (is_text := np.isnan(found) & ~self.missing).any():
            row = int(is_text.argmax())
            raise ValueError(row, self.values[row])
        return found

    def labels(self) -> Array:
        """Return an array of objects: the one spelling of each cell's class, None for missing."""
        return _objects(self._map_distinct(label_of))

    def _map_distinct(self, function: Callable[[Any], Any]) -> list[Any]:
        """Return the function of each cell, computed once for equal cells; None for missing."""
        found = {cell: function(cell) for cell in self.distinct}
        return [found.get(cell) for cell in self.values.tolist()]


def _objects(cells: list[Any]) -> Array:
    array = np.empty(len(cells), object)
    array[:] = cells
    return array


def _may_be_rounded(numbers: Array) -> bool:
    """Return True if a finite number is so large that float64 does not hold all whole numbers."""
    return bool((np.isfinite(numbers) & (abs(numbers) >= 2.0**53)).any())


def _text_of(cell: Any, missing: Collection[str]) -> str | None:
    """Return a cell of any type as stripped text, or None if it is missing."""
    if isinstance(cell, float):
        return None if math.isnan(cell) else label_of(cell)
    text = cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
    text = text.strip()
    return None if cell is None or text in missing else text


def _with_point(text: str | None) -> str | None:
    if text is None or not COMMA.fullmatch(text):
        return text
    return text.replace(".", "").replace(",", ".")


def _float_of(cell: str) -> float | None:
    if _NUMBER.fullmatch(cell):
        return float(cell)
    match = _DECORATED.fullmatch(cell)
    return match and float(match[1] + match[2].replace(",", ""))
