"""HTML for notebooks: tables, and curves as SVG. No other package is needed.

Text and lines take the notebook's own colour, so that they are readable on light and on dark
ground. All texts are escaped.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

__all__ = ["chart", "table"]

WIDTH, HEIGHT = 480, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 28, 34
"""Margins of a chart, in pixels."""
MOST_POINTS = 400
"""Longer curves are drawn by the lowest and highest value of each of half as many parts."""
WIDE = 100
"""If the largest value is more than so many times the smallest, the scale is logarithmic."""
STYLES = (("#2b7bba", ""), ("#d9661f", "6 3"), ("#3a9a6b", "2 3"))
"""Colour and dashes of each curve; all have a contrast of at least 3 on white and on #1e1e1e."""


def table(
    rows: Iterable[Sequence[object]], header: Sequence[object] = (), *, alignment: str = "l"
) -> str:
    """Return a table. The letters of `alignment`, l or r, are those of `align_columns`."""
    cell = "border:0;padding:2px 12px 2px 0;background:none;color:inherit;text-align:"

    def line(cells: Sequence[object], tag: str, extra: str = "") -> str:
        letters = alignment.ljust(len(cells), alignment[-1])
        sides = ["right" if letter == "r" else "left" for letter in letters]
        found = [
            f'<{tag} style="{cell}{side}{extra}">{escape(str(text))}</{tag}>'
            for text, side in zip(cells, sides, strict=False)
        ]
        return f'<tr style="background:none">{"".join(found)}</tr>'

    head = f"<thead>{line(header, 'th', ';font-weight:600')}</thead>" if header else ""
    body = "".join(line(row, "td") for row in rows)
    return (
        f'<table style="border-collapse:collapse;color:inherit;margin:4px 0">{head}'
        f"<tbody>{body}</tbody></table>"
    )


def chart(curves: Mapping[str, Sequence[float]], *, x_name: str, y_name: str) -> str:
    """Return an SVG with a line for each of up to three curves, given by its values at x = 1, 2, ….

    No curve is empty, and all values are finite. The scale is logarithmic if all are
    positive and the largest is more than a hundred times the smallest.
    """
    values = [value for curve in curves.values() for value in curve]
    low, high = min(values), max(values)
    is_log = 0 < WIDE * low < high
    scale = math.log10 if is_log else float
    ends = scale(low), scale(high)
    count = max(map(len, curves.values()))

    def across(i: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((i - 1) / (count - 1) if count > 1 else 0.5)

    def up(value: float) -> float:
        # Halved, because the difference of two finite numbers may be infinite.
        part = (scale(value) / 2 - ends[0] / 2) / (ends[1] / 2 - ends[0] / 2 or 1)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part

    marks = [low, 10 ** (sum(ends) / 2) if is_log else low / 2 + high / 2, high]
    parts = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(value):.1f}" y2="{up(value):.1f}" '
        f'stroke="currentColor" stroke-opacity=".2"/>'
        f'<text x="{LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in (marks if low < high else marks[:1])
    ]
    for i, anchor in {1: "middle", count: "end" if count > 1 else "middle"}.items():
        place = f'x="{across(i):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}"'
        parts.append(f"<text {place}>{i}</text>")
    middle = (LEFT + WIDTH - RIGHT) // 2
    note = ", logarithmic scale" if is_log else ""
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_name)}</text>'
    )
    parts.append(f'<text x="6" y="16">{escape(y_name)}{note}</text>')
    key = WIDTH - RIGHT - 116 * len(curves)
    for (name, curve), (color, dashes) in zip(curves.items(), STYLES, strict=False):
        line = f'fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"'
        points = [f"{across(i):.1f},{up(value):.1f}" for i, value in _thinned(curve)]
        parts.append(f'<polyline {line} points="{" ".join(points)}"/>')
        if len(curve) == 1:  # a line of one point is not seen
            x, _, y = points[0].partition(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>')
        parts.append(
            f'<path {line} d="M{key} 12h24"/><text x="{key + 30}" y="16">{escape(name)}</text>'
        )
        key += 116
    said = "; ".join(
        f"{name}: from {curve[0]:.4g} to {curve[-1]:.4g}" for name, curve in curves.items()
    )
    label = escape(f"{y_name} by {x_name}, {count} of them. {said}.", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'style="max-width:{WIDTH}px;width:100%;font:12px system-ui,sans-serif" role="img" '
        f'aria-label="{label}" fill="currentColor">{"".join(parts)}</svg>'
    )


def _thinned(curve: Sequence[float]) -> list[tuple[int, float]]:
    """Return (x, value) of the curve, or of the extremes of its parts if it is long."""
    points = [*enumerate(curve, 1)]
    if len(points) <= MOST_POINTS:
        return points
    size = -(-len(points) // (MOST_POINTS // 2))
    chosen: set[tuple[int, float]] = {points[0], points[-1]}
    for start in range(0, len(points), size):
        part = points[start : start + size]
        chosen |= {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
    return sorted(chosen)
