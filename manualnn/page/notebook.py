"""HTML for notebooks: tables, and curves as SVG.

Text and lines take the notebook's own colour, so that they are readable on light and on dark
ground. Styles stand in the elements, because notebooks drop style sheets of others.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from manualnn.page.markup import element, to_html

__all__ = ["chart", "heading", "table"]

WIDTH, HEIGHT = 480, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 28, 34
"""Margins of a chart, in pixels."""
MOST_POINTS = 400
"""Longer curves are drawn by the lowest and highest value of each of half as many parts."""
WIDE = 100
"""If the largest value is more than so many times the smallest, the scale is logarithmic."""
STYLES = (("#2b7bba", None), ("#d9661f", "6 3"), ("#3a9a6b", "2 3"))
"""Colour and dashes of each curve; all have a contrast of at least 3 on white and on #1e1e1e."""
KEY = 116
"""Width of the name of a curve, in pixels."""


def heading(kind: str, text: str) -> str:
    """Return a line with the name of a class and what it is."""
    return to_html([element("div", element("b", kind), f" {text}")])


def table(
    rows: Iterable[Sequence[object]], header: Sequence[object] = (), *, alignment: str = "l"
) -> str:
    """Return a table. The letters of `alignment`, l or r, are those of `align_columns`."""
    style = "border:0;padding:2px 12px 2px 0;background:none;color:inherit;text-align:"

    def line(cells: Sequence[object], tag: str) -> Any:
        letters = alignment.ljust(len(cells), alignment[-1])
        sides = ["right" if letter == "r" else "left" for letter in letters]
        made = [
            element(tag, str(text), style=style + side)
            for text, side in zip(cells, sides, strict=False)
        ]
        return element("tr", made, style="background:none")

    head = element("thead", line(header, "th")) if header else None
    body = element("tbody", [line(row, "td") for row in rows])
    style_of_all = "border-collapse:collapse;color:inherit;margin:4px 0"
    return to_html([element("table", head, body, style=style_of_all)])


def chart(curves: Mapping[str, Sequence[float]], *, x_name: str, y_name: str) -> str:
    """Return an SVG with a line for each of up to three curves, given by its values at x = 1, 2, ….

    No curve is empty, and all values are finite. The scale is logarithmic if all are positive and
    the largest is more than a hundred times the smallest.
    """
    values = [value for curve in curves.values() for value in curve]
    low, high = min(values), max(values)
    is_log = 0 < WIDE * low < high
    scale = math.log10 if is_log else float
    ends = scale(low), scale(high)
    count = max(map(len, curves.values()))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(i: float) -> float:
        return round(LEFT + (right - LEFT) * ((i - 1) / (count - 1) if count > 1 else 0.5), 1)

    def up(value: float) -> float:
        # Halved, because the difference of two finite numbers may be infinite.
        part = (scale(value) / 2 - ends[0] / 2) / (ends[1] / 2 - ends[0] / 2 or 1)
        return round(bottom - (bottom - TOP) * part, 1)

    def text(words: str, x: float, y: float, anchor: str = "start") -> Any:
        return element("text", words, x=x, y=y, text_anchor=anchor)

    parts = []
    marks = [low, 10 ** (sum(ends) / 2) if is_log else low / 2 + high / 2, high]
    for value in marks if low < high else marks[:1]:
        y = up(value)
        rule = element("line", x1=LEFT, x2=right, y1=y, y2=y, stroke="currentColor")
        rule.set("stroke-opacity", ".2")
        parts += [rule, text(f"{value:.3g}", LEFT - 6, y + 4, "end")]
    for i, anchor in {1: "middle", count: "end" if count > 1 else "middle"}.items():
        parts.append(text(str(i), across(i), bottom + 16, anchor))
    parts.append(text(x_name, (LEFT + right) / 2, HEIGHT - 6, "middle"))
    parts.append(text(y_name + (", logarithmic scale" if is_log else ""), 6, 16))
    key = right - KEY * len(curves)
    for (name, curve), (color, dashes) in zip(curves.items(), STYLES, strict=False):
        line = {"stroke": color, "stroke_width": 2, "stroke_dasharray": dashes, "fill": "none"}
        places = [(across(i), up(value)) for i, value in _thinned(curve)]
        points = " ".join(f"{x},{y}" for x, y in places)
        parts.append(element("polyline", points=points, **line))
        if len(places) == 1:  # a line of one point is not seen
            parts.append(element("circle", cx=places[0][0], cy=places[0][1], r=3, fill=color))
        parts += [element("path", d=f"M{key} 12h24", **line), text(name, key + 30, 16)]
        key += KEY
    said = "; ".join(
        f"{name}: from {curve[0]:.4g} to {curve[-1]:.4g}" for name, curve in curves.items()
    )
    svg = element(
        "svg",
        parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        style=f"max-width:{WIDTH}px;width:100%;font:12px system-ui,sans-serif",
        role="img",
        aria_label=f"{y_name} by {x_name}, {count} of them. {said}.",
        fill="currentColor",
    )
    return to_html([svg])


def _thinned(curve: Sequence[float]) -> list[tuple[int, float]]:
    """Return (x, value) of the curve, or of the extremes of its parts if it is long."""
    points = [*enumerate(curve, 1)]
    if len(points) <= MOST_POINTS:
        return points
    size = -(-len(points) // (MOST_POINTS // 2))
    chosen = {points[0], points[-1]}
    for start in range(0, len(points), size):
        part = points[start : start + size]
        chosen |= {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
    return sorted(chosen)
