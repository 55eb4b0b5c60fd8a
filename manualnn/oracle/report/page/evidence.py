"""What is known about one finding, as HTML: its cause, its wrong numbers, its case.

    cause(finding, heading)            the likely causes, with the wrong and the right line
    wrong_numbers(finding, heading)    the wrong quantities, their arrays, a place for a drawing
    case_numbers(finding)              the arrays of the case
    titled(text)                       a title with the ids of bugs as code

`heading` is the element of the headings, such as "h4".
"""

import re
from typing import Any
from xml.etree.ElementTree import Element

from manualnn.oracle.findings import Cause, Finding
from manualnn.oracle.report.finding_text import choice, unknown_cause
from manualnn.oracle.report.page.matrices import case_arrays, wrong_matrix, wrong_table
from manualnn.oracle.report.wording import FEW
from manualnn.page.markup import element

MOST_MATRICES = 6
"""Largest number of arrays of a finding that are shown entry by entry."""


def cause(finding: Finding, heading: str) -> Element | None:
    """Return the likely causes with their lines, or why none is known."""
    diagnosis = finding.diagnosis
    if diagnosis is None:
        return None
    unknown, several = unknown_cause(diagnosis, finding.kind), choice(diagnosis)
    if not diagnosis.likely and not unknown:
        return None
    has_title = heading != "h4" or bool(several)  # else it is the title of the mistake
    notes = [note[:1].upper() + note[1:] + "." for note in (several, unknown) if note]
    return element(
        "div",
        element(heading, "Likely cause"),
        [_lines(found, has_title=has_title) for found in diagnosis.likely],
        [element("p", note, class_="small") for note in notes],
    )


def wrong_numbers(finding: Finding, heading: str) -> Element:
    """Return the wrong numbers, and a place for the drawing of the network."""
    matrices = [m for entry in finding.entries if (m := wrong_matrix(entry)) is not None]
    figure = element("figure", class_="network", hidden="")
    arrays = element("div", matrices[:MOST_MATRICES], figure, class_="arrays")
    if not finding.entries:
        return arrays
    table = wrong_table(finding.entries)
    return element("div", element(heading, "Wrong numbers"), table, arrays)


def case_numbers(finding: Finding) -> Element:
    """Return the numbers of the case, closed if they are many."""
    size = sum(array.size for array in finding.case.arrays().values())
    return element(
        "details",
        element("summary", f"The numbers of the case ({size:,})"),
        element("div", case_arrays(finding.case), class_="arrays"),
        open="" if size <= FEW else None,
    )


def titled(title: str) -> list[Any]:
    """Return a mistake's title with a capital letter, and the ids of bugs as code."""
    parts = re.split(r"(\[[\w-]+\])", title[:1].upper() + title[1:])
    return [element("code", p, class_="bug") if i % 2 else p for i, p in enumerate(parts) if p]


def _lines(cause: Cause, *, has_title: bool) -> Element:
    """Return a cause with its wrong and its right line side by side."""
    lines = (("✗ ", "The engine seems to compute", cause.wrong), ("✓ ", "Right", cause.right))
    sides = [
        element(
            "div",
            element("p", element("span", mark, class_=kind), label, class_="label"),
            element("pre", element("code", line), class_=kind),
        )
        for kind, (mark, label, line) in zip(("wrong", "right"), lines, strict=True)
    ]
    title = element("p", titled(f"{cause.title} [{cause.bug}]"), class_="small")
    return element("div", title if has_title else None, element("div", sides, class_="sides"))
