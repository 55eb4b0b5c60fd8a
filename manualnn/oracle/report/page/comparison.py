"""The table of several engines as HTML: one row for each feature, with footnotes."""

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from manualnn.oracle.report.compliance import Cell, Comparison
from manualnn.page.markup import element, scrolling


def comparison(table: Comparison) -> Iterator[Element]:
    """Yield the table and its footnotes."""
    heads = [element("td"), *(element("th", name, scope="col") for name in table.engines)]
    rows = [
        element("tr", element("th", name, scope="row"), map(_cell, cells))
        if cells
        else element("tr", element("th", name, colspan=str(len(heads)), class_="group"))
        for name, cells in table.rows
    ]
    shown = element(
        "table",
        element("thead", element("tr", heads)),
        element("tbody", rows),
        class_="comparison",
    )
    label = "Table of all features and engines"
    box = scrolling(shown, label)
    legend, *remarks = [element("p", remark, class_="small") for remark in table.remarks]
    yield element("section", element("h2", "Feature by feature"), legend, box, remarks)
    if table.notes:
        notes = [element("li", n, id=f"note-{i}") for i, n in enumerate(table.notes, 1)]
        listed = element("ol", notes, class_="small")
        yield element("section", element("h2", "Notes"), listed)


def _cell(cell: Cell) -> Element:
    mark, notes = cell
    links: list[Any] = [element("a", str(note), href=f"#note-{note}") for note in notes]
    separated = [part for link in links for part in (", ", link)][1:]
    kind = "failed" if mark[:1] in {"✗", "e"} else None
    return element(
        "td", element("span", mark, class_=kind), element("sup", separated) if links else None
    )
