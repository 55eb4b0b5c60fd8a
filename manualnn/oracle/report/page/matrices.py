"""Numbers of a finding as tables of HTML.

    wrong_table(entries)      one row for each wrong quantity: got, truth, error, bound
    wrong_matrix(entry)       an array around its first wrong entry; wrong entries are marked
    case_arrays(case)         the arrays of a case

An element with a number has the name of the number as `data-q` and all of its digits as
`data-value`, because its text is rounded.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from manualnn.oracle.findings import Entry
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.report.wording import counted, four_numbers, index_text
from manualnn.page.markup import element, scrolling

MOST_ENTRIES = 12
"""Largest number of wrong quantities that are listed."""
MOST_ARRAYS, MOST_ROWS = 12, 8
"""Largest numbers of arrays of a case, and of rows and columns of one, that are shown."""
LABELS = ("got", "truth", "error", "bound")


def wrong_table(entries: Sequence[Entry]) -> Element:
    """Return a table of the first wrong entry of every wrong quantity."""
    heads = ("first wrong entry", "got", "truth", "|err|", "bound", "wrong entries")
    rows = []
    for entry in entries[:MOST_ENTRIES]:
        name = entry.quantity + index_text(entry.index)
        numbers = zip(LABELS, _four(name, entry.got, entry.expected, entry.bound), strict=True)
        cells = [
            element("td", number, class_="number got" if label == "got" else "number")
            for label, number in numbers
        ]
        of = f"{entry.wrong:,} of {entry.size:,}"
        head = element("th", element("code", name), scope="row")
        rows.append(element("tr", head, cells, element("td", of, class_="number")))
    table = element(
        "table",
        element(
            "caption", "Wrong quantities, in the order of a training step", class_="visually-hidden"
        ),
        element("thead", element("tr", [_column(head) for head in heads])),
        element("tbody", rows),
        class_="wrong-quantities",
    )
    left = len(entries) - MOST_ENTRIES
    note = (
        element("p", f"… and {left} more quantities.", class_="small muted") if left > 0 else None
    )
    return element("div", scrolling(table, "Wrong quantities"), note)


def wrong_matrix(entry: Entry) -> Element | None:
    """Return an array around its first wrong entry; None if it has one entry or three axes."""
    array = entry.array
    if array is None or entry.size == 1 or len(array.shape) not in {1, 2}:
        return None
    got, truth, bound, wrong = (
        np.atleast_2d(np.asarray(part))
        for part in (array.got, array.expected, array.bound, array.wrong)
    )
    is_matrix = len(array.shape) == 2
    top, left = array.start if is_matrix else (0, *array.start)
    rows = []
    for i, row in enumerate(got.tolist()):
        before = (top + i,) if is_matrix else ()
        cells = [element("th", str(number), scope="row") for number in before]
        for j, number in enumerate(row):
            name = entry.quantity + index_text((*before, left + j))
            cells.append(_cell(name, number, truth[i, j], bound[i, j], is_wrong=wrong[i, j]))
        rows.append(element("tr", cells))
    corner = [element("td")] if is_matrix else []
    columns = [element("th", str(left + j), scope="col") for j in range(got.shape[1])]
    table = element(
        "table",
        element("caption", _caption(entry, got.size)),
        element("thead", element("tr", corner, columns)),
        element("tbody", rows),
        class_="matrix",
    )
    return scrolling(table, f"{entry.quantity}, with the wrong entries marked")


def case_arrays(case: Case) -> Iterator[Element]:
    """Yield a table for each array of a case; large arrays are shortened, which is said."""
    arrays = case.arrays()
    for name, array in list(arrays.items())[:MOST_ARRAYS]:
        yield _case_array(name.removeprefix("params."), np.asarray(array))
    left = len(arrays) - MOST_ARRAYS
    if left > 0:
        yield element("p", f"… and {counted(left, 'more array')}.", class_="small muted")


def _case_array(name: str, array: Any) -> Element:
    flat = np.atleast_2d(array) if array.ndim < 3 else array.reshape(len(array), -1)
    part = flat[:MOST_ROWS, :MOST_ROWS]
    rows = []
    for i, row in enumerate(part):
        cells = []
        for j, number in enumerate(row):
            index = ((), (j,), (i, j))[min(array.ndim, 2)]
            value = str(number.item())
            attributes = {"class_": "number", "data_q": name + index_text(index)}
            cells.append(element("td", str(number), **attributes, data_value=value))
        rows.append(element("tr", cells))
    shape = " × ".join(map(str, array.shape)) or "a number"
    cut = f"; {part.shape[0]} × {part.shape[1]} of them are shown" if part.size < array.size else ""
    caption = element("caption", element("code", name), f" ({shape}{cut})")
    body = rows or element("tr", element("td", "no entries", class_="muted"))
    table = element("table", caption, element("tbody", body), class_="array")
    return scrolling(table, f"the numbers of {name}")


def _cell(name: str, got: float, truth: float, bound: float, *, is_wrong: Any) -> Element:
    if not is_wrong:
        value = element("span", f"{got:.4g}", data_q=name, data_value=repr(float(got)))
        return element("td", value, class_="number")
    numbers = _four(name, float(got), float(truth), float(bound))
    marks = ("✗ ", "truth ", "|err| ", "bound ")
    lines = [
        element("span", mark, number, class_=kind)
        for mark, kind, number in zip(marks, ("got", "truth", None, None), numbers, strict=True)
    ]
    hidden = element("span", "wrong: ", class_="visually-hidden")
    return element("td", hidden, lines, class_="number wrong")


def _four(name: str, got: float, truth: float, bound: float) -> Iterator[Element]:
    """Yield got, truth, error and bound with the digits that show their difference."""
    values = (got, truth, abs(got - truth), bound)
    texts = four_numbers(got, truth, bound)
    for label, value, text in zip(LABELS, values, texts, strict=True):
        q = name if label == "got" else f"{label} {name}"
        yield element("span", text, data_q=q, data_value=repr(float(value)))


def _caption(entry: Entry, shown: int) -> list[Any]:
    of = f"{entry.wrong:,} of {entry.size:,} entries wrong"
    cut = f"; {shown} around the first wrong one are shown" if shown < entry.size else ""
    return [element("code", entry.quantity), f": {of}{cut}"]


def _column(text: str) -> Element:
    return element("th", text, scope="col", class_=None if text.startswith("first") else "number")
