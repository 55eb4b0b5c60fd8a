"""Points and cotangents, drawn in a deliberate order.

The first points have a style each, so that a few points reach what a mistake needs to show: other
magnitudes, zeros, ties, saturation, the ends of the domain. Later points mix the styles, another
one for each input.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.data import Point
from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.kinds import (
    booleans,
    classes,
    positive_definite,
    probabilities,
    reals,
)
from manualnn.gradcheck.inputs.numbers import rounded
from manualnn.gradcheck.inputs.read import Drawn, Example, as_array, draw_examples
from manualnn.gradcheck.inputs.styles import ORIGIN, STYLES, Numbers, signs

YOURS = "your example"
HYPOTHESIS = "drawn by Hypothesis"
COMMON = ("normal", "magnitudes 2^±6", "sweep of ±10")
"""Half of the mixed points draw from these."""


def draw_points(
    specs: Sequence[Array],
    rng: np.random.Generator,
    count: int,
    styles: Sequence[str] | None = None,
) -> list[Point]:
    """Return points without cotangents; equal generators give equal points.

    The user's examples come first, if there are any, then a point of each style, then mixed ones.
    `styles` are the names of the styles to draw from, in this order; all by default.
    """
    names = list(STYLES) if styles is None else list(styles)
    first = _applicable(names, specs)
    plans: list[Sequence[str]] = [[style] * len(specs) for style in first]
    if any(isinstance(spec, Example) and not spec.fixed for spec in specs):
        plans.insert(0, [YOURS] * len(specs))
    common = [style for style in first if style in COMMON] or first
    while len(plans) < count:
        chosen = common if rng.random() < 0.5 else first
        plans.append([str(rng.choice(chosen)) for _ in specs])
    plans = plans[:count]
    drawn = _strategies(specs, rng, len(plans))
    return [_draw(specs, plan, rng, row) for plan, row in zip(plans, drawn, strict=True)]


def _applicable(names: list[str], specs: Sequence[Array]) -> list[str]:
    """Leave out the styles that no input has: ends of a domain, and zeros."""
    has_ends = any(spec.kind != "real" or any(map(math.isfinite, spec.bounds)) for spec in specs)
    has_zeros = any(spec.bounds[0] <= 0 <= spec.bounds[1] for spec in specs)
    without = {
        "ends of the domain": not has_ends,
        "zeros of both signs": not has_zeros,
        ORIGIN: not has_zeros,
    }
    return [name for name in names if not without.get(name)] or names


def _draw(
    specs: Sequence[Array], plan: Sequence[str], rng: np.random.Generator, row: dict[int, Any]
) -> Point:
    palette = np.round(rng.standard_normal(3), 1)
    arrays = tuple(
        as_array(row[place], spec) if place in row else draw_array(spec, style, rng, palette)
        for place, (spec, style) in enumerate(zip(specs, plan, strict=True))
    )
    names = [
        HYPOTHESIS if place in row else style
        for place, (spec, style) in enumerate(zip(specs, plan, strict=True))
        if not (isinstance(spec, Example) and spec.fixed)
    ]
    alike = len(set(names)) <= 1
    return Point(arrays, style=(names or [YOURS])[0] if alike else "mixed: " + ", ".join(names))


def draw_array(
    spec: Array, style: str, rng: np.random.Generator, palette: Numbers | None = None
) -> NDArray[Any]:
    """Return an array for an input, in a style of STYLES."""
    if isinstance(spec, Example) and (spec.fixed or style == YOURS):
        return spec.values.copy()
    if style == YOURS:
        style = "normal"
    match spec.kind:
        case "probabilities":
            return probabilities(spec, style, rng)
        case "spd":
            return positive_definite(spec, style, rng)
        case "classes" | "integers":
            return classes(spec, style, rng)
        case "boolean":
            return booleans(spec, style, rng)
    return reals(spec, style, rng, rng.standard_normal(3) if palette is None else palette)


def _strategies(
    specs: Sequence[Array], rng: np.random.Generator, count: int
) -> list[dict[int, Any]]:
    """Return for each point the values of the inputs that Hypothesis draws, by position."""
    places = [place for place, spec in enumerate(specs) if isinstance(spec, Drawn)]
    if not places:
        return [{} for _ in range(count)]
    strategies = [spec.strategy for spec in specs if isinstance(spec, Drawn)]
    examples = draw_examples(strategies, count, int(rng.integers(2**32)))
    return [
        dict(zip(places, examples[number % len(examples)], strict=True)) for number in range(count)
    ]


def draw_cotangents(
    shapes: Sequence[tuple[int, ...]],
    rng: np.random.Generator,
    dtypes: Sequence[Any] | None = None,
) -> list[tuple[str, tuple[NDArray[Any], ...]]]:
    """Return cotangents, each with its name, for outputs of these shapes and dtypes."""
    names = dtypes or ["float64"] * len(shapes)
    specs = [Array(shape, dtype=name) for shape, name in zip(shapes, names, strict=True)]
    total = sum(spec.size for spec in specs)
    one = np.zeros(total)
    one[rng.integers(0, max(total, 1), min(total, 1))] = 1
    flat = [
        ("normal", rng.standard_normal(total)),
        ("magnitudes 2^±6", signs(rng, total) * 2 ** rng.uniform(-6, 6, total)),
        ("ones", np.ones(total)),
        ("signs", signs(rng, total)),
        ("one entry", one),
    ]
    return [(name, _split(numbers, specs)) for name, numbers in flat]


def _split(numbers: Numbers, specs: Sequence[Array]) -> tuple[NDArray[Any], ...]:
    cuts = np.cumsum([spec.size for spec in specs])[:-1]
    parts = np.split(numbers, cuts) if specs else []
    return tuple(
        rounded(part, spec.dtype).reshape(spec.shape)
        for part, spec in zip(parts, specs, strict=True)
    )
