"""Checks of one gradient: its shape and dtype, linearity in the cotangent, the jvp as adjoint."""

import re
from collections.abc import Iterable
from functools import partial

import numpy as np

from manualnn.gradcheck.behaviour.check import Check, Trial, check, last_line
from manualnn.gradcheck.data import Array, Finding, Point
from manualnn.gradcheck.functions.base import FunctionFailed, Unsupported

SCALES = (-1.0, 2.0**-8, 2.0**6)
"""Factors of a cotangent. They are powers of two, because products with them are not rounded."""
_REFUSED_BY_TORCH = re.compile(
    r"gradient at index (\d+) - got (\[.*?\]) but expected shape compatible with (\[.*?\])"
)


@check("shape", "each gradient has the shape of its input", takes_failures=True)
def _shape(trial: Trial) -> Finding | None:
    try:
        gradients = trial.base
    except FunctionFailed as failed:
        refused = _REFUSED_BY_TORCH.search(str(failed.trace))
        if refused is None:
            raise
        return trial.finding(
            f"backward returns a gradient of shape {_as_tuple(refused[2])} for input "
            f"{int(refused[1]) + 1}, which has shape {_as_tuple(refused[3])}. "
            "Return a gradient of the shape of each input"
        )
    for name, gradient, array in zip(trial.names, gradients, trial.inputs, strict=True):
        got, shape = np.shape(gradient), array.shape
        if got == shape:
            continue
        remedy = f"Return an array of shape {shape}"
        if got == _broadcast(got, shape):
            remedy = "Sum the gradient over the axes along which the input was broadcast"
        return trial.finding(
            f"the gradient of {name} has shape {got}; the input {name} has shape {shape}. {remedy}"
        )
    return None


@check("dtype", "each gradient has the dtype of its input", needs="forward", frameworks=("numpy",))
def _dtype(trial: Trial) -> Finding | None:
    """Require the input's dtype where all inputs, outputs and cotangents have that one dtype.

    A function whose output has a wider dtype gets a cotangent of that dtype. Then the gradient is
    as wide by the rules of NumPy, which is right.
    """
    point = trial.point.copied()
    graph = trial.function.forward(point.arrays)
    arrays = (*trial.inputs, *graph.outputs, *trial.point.cotangents)
    if len({array.dtype for array in arrays}) != 1:
        return None
    gradients = graph.backward(point.cotangents)
    for name, gradient, array in zip(trial.names, gradients, trial.inputs, strict=True):
        if gradient is not None and gradient.dtype != array.dtype:
            return trial.finding(
                f"the gradient of {name} has dtype {gradient.dtype}; the input {name} has dtype "
                f"{array.dtype}. Return the gradient in the dtype of its input"
            )
    return None


@check("zero", "a zero cotangent gives a zero gradient")
def _zero(trial: Trial) -> Finding | None:
    if not trial.is_finite():  # 0·∞ is NaN, also in a right backward pass
        return None
    zeros = tuple(np.zeros_like(w) for w in trial.point.cotangents)
    point = Point(trial.point.arrays, zeros, trial.point.style)
    nothing = tuple(np.zeros(array.shape) for array in trial.inputs)
    message = (
        "a zero cotangent gives a gradient other than zero. Multiply each term by the cotangent"
    )
    return trial.compare(message, trial.vjp(point), nothing, lambda: nothing, point)


@check("linear", "the gradient is linear in the cotangent")
def _linear(trial: Trial) -> Finding | None:
    """Compare vjp(a·u) with a·vjp(u) for powers of two a, and vjp(u + v) with vjp(u) + vjp(v)."""
    if not trial.is_finite():
        return None
    return _scaled(trial) or _added(trial)


def _scaled(trial: Trial) -> Finding | None:
    arrays, cotangents = trial.point.arrays, trial.point.cotangents
    for scale in SCALES:
        with np.errstate(all="ignore"):
            scaled = tuple((scale * w).astype(w.dtype) for w in cotangents)
        if any((w / scale != u).any() for w, u in zip(scaled, cotangents, strict=True)):
            continue  # it has under- or overflowed
        point = Point(arrays, scaled, trial.point.style)
        got = trial.vjp(point)
        expected = tuple(scale * np.asarray(gradient, float) for gradient in trial.base)
        if not all(np.isfinite(gradient).all() for gradient in got):
            continue  # a right gradient of a large cotangent may overflow
        found = trial.compare(
            f"the cotangent times {scale:g} does not give the gradient times {scale:g}. "
            "Make backward linear in the cotangent",
            got,
            expected,
            partial(_bounds_of_scaled, trial, point, abs(scale)),
            point,
        )
        if found:
            return found
    return None


def _bounds_of_scaled(trial: Trial, scaled: Point, scale: float) -> tuple[Array, ...]:
    """Return the largest distance of vjp(scale·w) from scale·vjp(w)."""
    bounds = trial.rounding.bounds
    return _sum((bounds(scaled), tuple(scale * bound for bound in bounds(trial.point))))


def _added(trial: Trial) -> Finding | None:
    arrays, first = trial.point.arrays, trial.point.cotangents
    second = tuple(trial.rng.permutation(np.ravel(w)).reshape(w.shape) for w in first)
    with np.errstate(all="ignore"):
        total = tuple((u + v).astype(u.dtype) for u, v in zip(first, second, strict=True))
    other, both = Point(arrays, second), Point(arrays, total)
    parts, got = (trial.base, trial.vjp(other)), trial.vjp(both)
    if not all(np.isfinite(gradient).all() for gradient in (*got, *parts[1])):
        return None
    return trial.compare(
        "the sum of two cotangents does not give the sum of their gradients. "
        "Make backward linear in the cotangent",
        got,
        tuple(np.asarray(a, float) + b for a, b in zip(*parts, strict=True)),
        lambda: _sum(trial.rounding.bounds(point) for point in (trial.point, other, both)),
        both,
    )


@check("jvp", "the jvp is the adjoint of the vjp: ⟨w, jvp(v)⟩ = ⟨vjp(w), v⟩", needs="jvp")
def _jvp(trial: Trial) -> Finding | None:
    """Compare both products for a random v, to within the rounding of the vjp and of the jvp.

    v is symmetric where an input is, because functions of symmetric matrices differ in which of
    the two equal entries they read.
    """
    if not trial.is_finite():
        return None
    cotangents = trial.point.cotangents
    tangents = tuple(_tangent(array, trial.rng) for array in trial.inputs)
    try:
        pushed = trial.function.jvp(trial.point.arrays, tangents)
    except FunctionFailed as failed:  # a forward mode that refuses is not wrong
        raise Unsupported(f"the jvp fails: {last_line(failed)}") from failed
    if pushed is None or not all(np.isfinite(array).all() for array in pushed):
        return None
    left = [np.asarray(w, float) * array for w, array in zip(cotangents, pushed, strict=True)]
    right = [np.asarray(v, float) * g for v, g in zip(tangents, trial.base, strict=True)]
    by_jvp, by_vjp = _total(left), _total(right)
    n = sum(term.size for term in (*left, *right))
    size = _total(np.abs(term) for term in (*left, *right))
    bound = (8 + n) * trial.rounding.unit * size
    if abs(by_jvp - by_vjp) <= bound:
        return None
    of_vjp = trial.rounding.bounds(trial.point)
    of_jvp = trial.rounding.bounds_of(
        lambda point: trial.function.jvp(point.arrays, point.cotangents) or (),
        Point(trial.point.arrays, tangents),
    )
    bound += _total(b * np.abs(v) for b, v in zip(of_vjp, tangents, strict=True))
    bound += _total(b * np.abs(w) for b, w in zip(of_jvp, cotangents, strict=True))
    if not abs(by_jvp - by_vjp) > bound:
        return None
    return trial.finding(
        f"⟨w, jvp(v)⟩ is {by_jvp:.9g} and ⟨vjp(w), v⟩ is {by_vjp:.9g}, with an error bound of "
        f"{bound:.1g}. Both are equal for right functions; compare the formulas of jvp and vjp",
        details={"tangents": [v.tolist() for v in tangents]},
    )


def _tangent(array: Array, rng: np.random.Generator) -> Array:
    """Return a random tangent of an array, symmetric where the array is."""
    tangent = rng.standard_normal(array.shape)
    turned = np.swapaxes(array, -1, -2) if array.ndim > 1 else None
    if turned is not None and np.array_equal(turned, array):
        tangent = tangent + np.swapaxes(tangent, -1, -2)
    return np.asarray(tangent.astype(array.dtype))


def _sum(bounds: Iterable[tuple[Array, ...]]) -> tuple[Array, ...]:
    return tuple(np.sum(each, axis=0) for each in zip(*bounds, strict=True))


def _total(terms: Iterable[Array]) -> float:
    return float(sum(np.sum(term, dtype=np.longdouble) for term in terms))


def _broadcast(shape: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(shape, other)
    except ValueError:
        return None


def _as_tuple(shape: str) -> tuple[int, ...]:
    """Return a shape that torch wrote as a list."""
    return tuple(int(size) for size in re.findall(r"\d+", shape))


CHECKS: tuple[Check, ...] = (_shape, _dtype, _zero, _linear, _jvp)
