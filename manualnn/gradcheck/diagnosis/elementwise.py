"""Hypotheses about functions of single entries: got = dy · s with a wrong slope s.

    slope_hypotheses(bench, view)      (text, predicted gradient), …

They need that each entry of the input moves one output only. Then the slope is a function of that
entry x, of its output y, and of the entries of other inputs that move the same output.
"""

from collections.abc import Callable, Iterator

import numpy as np

from manualnn.gradcheck.data import Array, Point, flat
from manualnn.gradcheck.diagnosis.observation import Bench, View
from manualnn.gradcheck.diagnosis.variants import VARIANTS

CONSTANTS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
SAME = 1e-9
"""Largest relative difference of slopes that are the same."""
BY_OUTPUT: dict[str, Callable[[Array], Array]] = {
    "sigmoid′ = y(1 − y)": lambda y: y * (1 - y),
    "tanh′ = 1 − y²": lambda y: 1 - y * y,
    "exp′ = y": lambda y: y,
    "sqrt′ = 1/(2y)": lambda y: 0.5 / y,
    "(1/x)′ = −y²": lambda y: -y * y,
    "softplus′ = 1 − exp(−y)": lambda y: -np.expm1(-y),
    "tan′ = 1 + y²": lambda y: 1 + y * y,
}
"""Slopes as functions of the output."""


def slope_hypotheses(bench: Bench, view: View) -> Iterator[tuple[str, Array]]:
    """Yield hypotheses about the slope at each entry; none if entries move several outputs."""
    row = view.alone
    if not view.x.size or not (row >= 0)[view.wrong].all():
        return
    dy = np.where(row >= 0, view.seen.w[row], 0)
    slope = view.product(np.ones_like(view.seen.w))
    try:
        y = flat(bench.outputs(view.seen.point.arrays))[row].reshape(view.x.shape)
    except Exception:  # noqa: BLE001  the function is anybody's
        return
    x, name = view.x, view.name
    terms = {name: x, "y": y} | dict(_partners(view))
    own = (view.got / dy)[view.wrong]
    is_constant = own.size > 1 and np.ptp(own) <= SAME * np.abs(own).max()
    for text, s in _constant_slopes(x) if is_constant else _slopes(x, y, slope, terms, name):
        yield text, dy * s
    if is_constant:
        return
    there = _slope_at(bench, view, y)
    if there is not None:
        yield "the derivative was taken at the output y instead of the input", dy * there


def _slopes(
    x: Array, y: Array, slope: Array, terms: dict[str, Array], name: str
) -> Iterator[tuple[str, Array]]:
    """Yield wrong slopes, the simplest first."""
    yield from _constant_slopes(x)
    for text, formula in BY_OUTPUT.items():
        if np.allclose(formula(y), slope, rtol=1e-6, atol=1e-300):
            yield f"{text} was given {name} instead of the output y", formula(x)
    yield "got = |reference|: the sign is lost", np.abs(slope)
    for variant, (_, derivative) in VARIANTS.items():
        yield f"the gradient is that of {variant}", derivative(x)
    monomials = list(_monomials(terms))
    for text, factor in monomials:
        yield f"got = {text} × reference", factor * slope
    for text, factor in monomials:
        yield f"got = {text} · dy", factor
    for variant, (value, _) in VARIANTS.items():
        yield f"got = dy · f({name}) with f {_bare(variant)}, not its derivative", value(x)
    yield "got = reference² / dy: the slope enters twice", slope * slope
    yield "got = dy² / reference: the slope is inverted", 1 / slope
    for c in CONSTANTS:
        yield f"got = reference {_plus(c)}dy: a term is missing", slope + c
        for text, factor in monomials:
            yield f"got = reference {_plus(c)}{text} · dy: a term is missing", slope + c * factor


def _constant_slopes(x: Array) -> Iterator[tuple[str, Array]]:
    for c in CONSTANTS:
        yield f"got = {_times(c)}dy: the slope is a constant", np.full_like(x, c)


def _times(c: float) -> str:
    return {1.0: "", -1.0: "−"}.get(c, f"{c:g} · ".replace("-", "−"))


def _plus(c: float) -> str:
    return f"{'+' if c > 0 else '−'} {_times(abs(c))}"


def _monomials(terms: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    for name, v in terms.items():
        yield name, v
        yield f"1/{name}", 1 / v
        yield f"{name}²", v * v
        yield f"1/{name}²", 1 / (v * v)
        yield f"sqrt({name})", np.sqrt(v)
        yield f"1/sqrt({name})", 1 / np.sqrt(v)
        yield f"|{name}|", np.abs(v)
        yield f"sign({name})", np.sign(v)
        yield f"(1 − {name})", 1 - v
        yield f"(1 + {name})", 1 + v
        yield f"(1 − {name}²)", 1 - v * v
        yield f"log({name})", np.log(v)
        yield f"exp({name})", np.exp(v)
    names = list(terms)
    for k, a in enumerate(names):
        for b in names[k + 1 :]:
            yield f"{a}·{b}", terms[a] * terms[b]
            yield f"{a}/{b}", terms[a] / terms[b]
            yield f"{b}/{a}", terms[b] / terms[a]
            yield f"({a} − {b})", terms[a] - terms[b]


def _partners(view: View) -> Iterator[tuple[str, Array]]:
    """Yield other inputs that have one entry for each entry of this one."""
    for other in view.seen.names:
        partner = view.seen.view(other) if other != view.name else None
        if partner is None or np.ptp(np.bincount(partner.rows, minlength=1)) > 1:
            continue
        place = np.full(view.seen.w.size, -1)
        place[partner.rows] = partner.cols
        at = place[view.alone]
        if (at[view.wrong] >= 0).all():
            yield other, np.where(at >= 0, partner.x.ravel()[at], np.nan)


def _slope_at(bench: Bench, view: View, x: Array) -> Array | None:
    """Return the slopes of the function where this input has other entries."""
    number = next(
        (k for k, slot in enumerate(bench.function.inputs) if slot.name == view.name), None
    )
    if number is None:
        return None
    arrays = list(view.seen.point.arrays)
    if np.shape(arrays[number]) != x.shape or not np.isfinite(x).all():
        return None
    arrays[number] = x.astype(np.asarray(arrays[number]).dtype)
    other = bench.observe(
        Point(tuple(arrays), tuple(map(np.ones_like, view.seen.point.cotangents)))
    )
    there = other.view(view.name) if other is not None else None
    return there.reference if there is not None else None


def _bare(variant: str) -> str:
    return variant.removeprefix("the ")
