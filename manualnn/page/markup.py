"""HTML made by Python: elements of the standard library, so that every text is escaped.

    element("td", "0.5 < 1", class_="got")      <td class="got">0.5 &lt; 1</td>
    scrolling(table, "All checks")              a box that scrolls a wide table
    to_html(elements)                           their text

Children are texts, elements, iterables of them, and None, which is left out. A trailing underscore
of an attribute is dropped, and the others become hyphens: `class_`, `data_q`. A value of None
leaves the attribute out. Control characters become spaces, because HTML has none.
"""

import re
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree as ET

__all__ = ["element", "scrolling", "to_html"]

_CONTROL = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(tag: str, *children: Any, **attributes: Any) -> ET.Element:
    """Return an element with its children."""
    made = ET.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), _CONTROL.sub(" ", str(value)))
    _append(made, children)
    return made


def scrolling(table: ET.Element, label: str) -> ET.Element:
    """Return a table in a box that scrolls by itself, also by keyboard."""
    return element("div", table, class_="scroll", tabindex="0", role="group", aria_label=label)


def to_html(elements: Iterable[ET.Element]) -> str:
    """Return the text of some elements, one after the other."""
    return "\n".join(ET.tostring(each, encoding="unicode", method="html") for each in elements)


def _append(parent: ET.Element, children: Iterable[Any]) -> None:
    for child in children:
        if child is None:
            continue
        if isinstance(child, ET.Element):
            parent.append(child)
        elif not isinstance(child, str):
            _append(parent, child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + _CONTROL.sub(" ", child)
        else:
            parent.text = (parent.text or "") + _CONTROL.sub(" ", child)
