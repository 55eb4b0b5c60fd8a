"""Likely causes: hypotheses that reproduce the wrong numbers.

    likely_causes(bench, views)      [Cause(text, everywhere), …], the likeliest first

A hypothesis predicts the gradient of one input, from the cotangents, the Jacobian, the inputs and
the outputs. It is named if it gives all wrong entries of all views, to within 1e-6 relative and a
hundredth of their error. It is true `everywhere` if it gives the right entries, too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.diagnosis.elementwise import slope_hypotheses
from manualnn.gradcheck.diagnosis.observation import Bench, View
from manualnn.gradcheck.diagnosis.structure import input_hypotheses, structure_hypotheses
from manualnn.oracle.diagnosis.factors import FIXED

RELATIVE = 1e-6
"""Largest relative difference of a prediction from the wrong number."""
SHARE = 1e-2
"""Largest difference of a prediction from the wrong number, as a share of that number's error."""
MOST = 2
"""Largest number of causes that are named."""
FEWEST = 3
"""A number of wrong entries below which a factor without a name may be chance."""

Hypotheses = Callable[[Bench, View], Iterator[tuple[str, Array]]]
SOURCES: tuple[Hypotheses, ...] = (input_hypotheses, slope_hypotheses, structure_hypotheses)


@dataclass(frozen=True)
class Cause:
    """A hypothesis that gives the wrong numbers."""

    text: str
    everywhere: bool = False
    """True if it gives the right numbers, too: the mistake is everywhere, but not visible there."""


def likely_causes(bench: Bench, views: Sequence[View], right: Sequence[View]) -> list[Cause]:
    """Return the causes that give the wrong entries of all views, the likeliest first.

    `right` are views without a wrong entry, which tell whether a cause is true everywhere.
    """
    views = [view for view in views if view.wrong.any()]
    if not views:
        return []
    with np.errstate(all="ignore"):
        if (cause := _not_finite(views)) is not None:
            return [cause]
        if (cause := _factor(views, right)) is not None:
            return [cause]
        found = _matching(bench, views, right) or list(_from_the_error(views))
        return found[:MOST]


def _matching(bench: Bench, views: Sequence[View], right: Sequence[View]) -> list[Cause]:
    left: dict[str, bool] | None = None
    for view in views:
        own: dict[str, bool] = {}
        for text, predicted in _predictions(bench, view):
            if np.shape(predicted) == view.got.shape and gives(view, predicted):
                own.setdefault(text, gives(view, predicted, view.decided))
        left = own if left is None else {t: e and own[t] for t, e in left.items() if t in own}
        if not left:
            return []
    causes = left or {}
    for view in right if any(causes.values()) else ():
        for text, predicted in _predictions(bench, view):
            if causes.get(text) and np.shape(predicted) == view.got.shape:
                causes[text] = gives(view, predicted, view.decided)
    return [Cause(text, everywhere) for text, everywhere in causes.items()]


def _predictions(bench: Bench, view: View) -> Iterator[tuple[str, Array]]:
    for source in SOURCES:
        yield from source(bench, view)


def gives(view: View, predicted: Array, mask: Array | None = None) -> bool:
    """Return True if a prediction gives the wrong entries, or all entries of a mask."""
    at = view.wrong if mask is None else mask
    off = np.abs(predicted - view.got)[at]
    error = np.abs(view.got - view.reference)[at]
    near = off <= np.maximum(view.bound[at], RELATIVE * np.abs(view.got[at]))
    if mask is None:
        near &= off <= SHARE * error
    return bool(near.all())


def _not_finite(views: Sequence[View]) -> Cause | None:
    got = np.concatenate([view.got[view.wrong] for view in views])
    if np.isfinite(got).any():
        return None
    word = "NaN" if np.isnan(got).all() else "infinite" if np.isinf(got).all() else "not finite"
    reason = "0·∞ or ∞ − ∞ after an overflow, or 0/0" if "NaN" in word else "an overflow, or 1/0"
    return Cause(f"the gradient is {word}: {reason}")


def _factor(views: Sequence[View], right: Sequence[View]) -> Cause | None:
    """Return got = c × reference, with one c, or with a c that is a size at every view."""
    ratios = []
    for view in views:
        ref = view.reference
        at = view.wrong & (ref != 0) & (view.low == view.high)
        if (view.wrong & ~at).any():
            return None
        ratio = view.got[at] / ref[at]
        best = float(ratio[np.argmin(view.bound[at] / np.abs(ref[at]))])
        if not np.isfinite(best) or not gives(view, best * ref):
            return None
        ratios.append(best)
    first = ratios[0]
    agree = all(_same(c, first) for c in ratios)
    pairs = [*zip(views, ratios, strict=True), *((v, first) for v in right if agree)]
    everywhere = all(gives(v, c * v.reference, v.decided) for v, c in pairs)
    named = [name for name, value in FIXED.items() if all(_same(c, value) for c in ratios)]
    if "0" in named:
        return Cause("the gradient is 0", everywhere)
    sizes = [] if named else [_sizes(view) for view in views]
    named += [
        name
        for name in (sizes[0] if sizes else ())
        if all(_same(c, s.get(name, np.nan)) for c, s in zip(ratios, sizes, strict=True))
    ]
    entries = sum(int(view.wrong.sum()) for view in views)
    if not named and (not agree or entries < FEWEST):
        return None
    formula = f"got = {named[0] if not agree else number(first)} × reference"
    meaning = " or ".join(name for name in named[:2] if name != number(first))
    if "−1" in named:
        meaning = "the sign is wrong"
    return Cause(f"{formula}: {meaning}" if meaning and agree else formula, everywhere)


def _sizes(view: View) -> dict[str, float]:
    """Return the sizes that a factor may be, with their names."""
    sizes: dict[str, float] = {}
    many = view.seen.w.size
    for axis, size in enumerate(view.x.shape):
        sizes[f"the size of axis {axis} of {view.name}"] = size
    sizes[f"the number of entries of {view.name}"] = view.x.size
    sizes["the number of outputs"] = many
    sizes["the number of outputs of each entry"] = view.rows.size / max(view.x.size, 1)
    for shape in {c.shape for c in view.seen.point.cotangents}:
        sizes |= {f"the size of axis {axis} of the output": n for axis, n in enumerate(shape)}
    named: dict[str, float] = {}
    for name, size in sizes.items():
        if size > 1:
            named |= {name: size, f"1 / {name}": 1 / size, f"1 / the root of {name}": size**-0.5}
            named |= {
                f"n/(n − 1) with n {name}": size / (size - 1),
                f"(n − 1)/n with n {name}": 1 - 1 / size,
            }
    return named


def _from_the_error(views: Sequence[View]) -> Iterator[Cause]:
    """Yield descriptions of numbers that no hypothesis gives: rounding, a clip, a constant."""
    got = np.concatenate([view.got[view.wrong] for view in views])
    if got.size < FEWEST:
        return
    ref = np.concatenate([view.reference[view.wrong] for view in views])
    yield from _constants(views, got, ref)
    whole = np.concatenate([view.got[view.decided & (view.got != 0)] for view in views])
    is_wide = any(a.dtype == np.float64 for a in views[0].seen.point.arrays)
    if not is_wide or 2 * got.size < whole.size:
        return
    relative = np.abs(got - ref) / np.abs(ref)
    size = f"{np.median(relative):.0e}"
    for dtype, unit in (("float32", 2.0**-24), ("bfloat16", 2.0**-8), ("float16", 2.0**-11)):
        if dtype != "bfloat16" and (whole == whole.astype(dtype)).all():
            yield Cause(
                f"every entry is a {dtype} number: it was rounded to {dtype}", everywhere=True
            )
            return
        if unit / 64 < np.median(relative) < 4 * unit and np.max(relative) < 2**10 * unit:
            yield Cause(f"errors of {size} relative: computed by way of {dtype}", everywhere=True)
            return


def _constants(views: Sequence[View], got: Array, ref: Array) -> Iterator[Cause]:
    """Yield a constant that all wrong entries share: of the gradient, of the slope, an ε."""
    sizes = np.abs(got)
    if np.ptp(sizes) <= RELATIVE * sizes.max() and sizes.max() > 0:
        grows = sizes <= np.abs(ref)
        word = "clipped to" if grows.all() else "floored at" if not grows.any() else "always"
        yield Cause(f"the gradient is {word} ±{number(sizes[0])}")
    rows = [view.alone[view.wrong] for view in views]
    if any((row < 0).any() for row in rows):
        return
    dy = np.concatenate([v.seen.w[row] for v, row in zip(views, rows, strict=True)])
    slope, right = got / dy, ref / dy
    for text, values in (
        ("got = {} · dy: the slope is a constant", slope),
        ("got = reference + {} · dy", slope - right),
        ("dy/got = dy/reference + {}: an ε in a denominator", 1 / slope - 1 / right),
        ("(dy/got)² = (dy/reference)² + {}: an ε under a root", slope**-2 - right**-2),
    ):
        middle = float(np.median(values))
        if np.isfinite(middle) and (np.abs(values - middle) <= 1e-4 * abs(middle)).all():
            yield Cause(text.format(number(middle)), everywhere="ε" in text)
            return


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= RELATIVE * max(abs(a), abs(b), 1e-300)


def number(value: float) -> str:
    """Return a number in few digits; one near 1 by its distance from 1."""
    if 0 < abs(value - 1) < 1e-3:
        return f"(1 {'+' if value > 1 else '−'} {abs(value - 1):.3g})"
    return f"{value:.6g}".replace("-", "−", 1) if value < 0 else f"{value:.6g}"
