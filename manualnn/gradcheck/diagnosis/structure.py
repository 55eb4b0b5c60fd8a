"""Hypotheses about axes, sums and inputs: a right Jacobian that is used in a wrong way.

    input_hypotheses(bench, view)          (text, predicted gradient), …
    structure_hypotheses(bench, view)

The right gradient is Jᵀw. Here are gradients with other cotangents (ignored, transposed, without
their last row), with parts of J (its diagonal), of other inputs, or changed afterwards (reversed,
transposed, summed over another axis).
"""

import math
from collections.abc import Iterator

import numpy as np

from manualnn.gradcheck.data import Array, Point
from manualnn.gradcheck.diagnosis.observation import Bench, View


def input_hypotheses(bench: Bench, view: View) -> Iterator[tuple[str, Array]]:
    """Yield the gradients of other inputs, which say more than a formula of this one."""
    del bench
    for other in view.seen.names:
        partner = view.seen.view(other) if other != view.name else None
        if partner is not None and partner.x.size == view.x.size:
            reference = partner.reference.reshape(view.x.shape)
            yield f"the gradients of {view.name} and {other} are exchanged", reference
            yield f"got = −1 × the gradient of {other}", -reference
            yield f"the gradient of {other} is added", view.reference + reference


def structure_hypotheses(bench: Bench, view: View) -> Iterator[tuple[str, Array]]:
    """Yield hypotheses that hold for any function."""
    for text, w in _cotangents(view):
        yield text, view.product(w)
    yield from _other_parts(view)
    yield from _changed("the gradient", view.reference)
    yield from _unsummed(view)
    yield from _per_row(view)
    yield from _of_other_arrays(bench, view)


def _cotangents(view: View) -> Iterator[tuple[str, Array]]:
    """Yield other cotangents of all outputs."""
    w, given = view.seen.w, view.seen.point.cotangents
    yield "the cotangent dy is ignored: got is the gradient for ones", np.ones_like(w)
    yield "the cotangent dy is used twice", w * w
    yield "dy is summed before it is used", np.full_like(w, w.sum())
    yield "dy is averaged before it is used", np.full_like(w, w.mean() if w.size else 0)
    yield "only the first entry of dy is used", np.full_like(w, w[0] if w.size else 0)
    yield "the sign of dy is lost", np.abs(w)
    starts = np.cumsum([0, *(c.size for c in given)])
    for k, c in enumerate(given):
        which = f"dy of output {k}" if len(given) > 1 else "dy"

        def replaced(new: Array, k: int = k) -> Array:
            changed = w.copy()
            changed[starts[k] : starts[k + 1]] = new.ravel()
            return changed

        if len(given) > 1:
            yield f"{which} is not used", replaced(np.zeros_like(c))
            yield f"only {which} is used", w - replaced(np.zeros_like(c))
        for text, changed in _changed(which, c.astype(np.float64)):
            yield text, replaced(changed)
        for axis, size in enumerate(c.shape):
            for word, at in (("first", 0), ("last", -1)):
                if size > 1:
                    rest, one = c.astype(np.float64).copy(), np.zeros(c.shape)
                    index = (slice(None),) * axis + (at,)
                    rest[index], one[index] = 0, c[index]
                    yield f"the {word} outputs along axis {axis} are left out", replaced(rest)
                    yield f"only the {word} outputs along axis {axis} count", replaced(one)


def _changed(name: str, a: Array) -> Iterator[tuple[str, Array]]:
    """Yield an array with other axes or another order."""
    if a.ndim >= 2:
        swapped = a.swapaxes(-1, -2)
        if swapped.shape == a.shape:
            yield f"{name} is transposed", swapped
        yield f"{name} is transposed and reshaped", swapped.reshape(a.shape)
    for axis in range(a.ndim):
        if a.shape[axis] > 1:
            yield f"{name} is reversed along axis {axis}", np.flip(a, axis)
            for by in (1, -1):
                yield f"{name} is shifted by {by} along axis {axis}", np.roll(a, by, axis)
            yield f"{name} is summed over axis {axis}", a.sum(axis, keepdims=True) + 0 * a
            yield f"{name} is averaged over axis {axis}", a.mean(axis, keepdims=True) + 0 * a
            yield f"{name} is accumulated along axis {axis}", np.cumsum(a, axis)


def _other_parts(view: View) -> Iterator[tuple[str, Array]]:
    """Yield gradients of parts of the Jacobian."""
    w, size = view.seen.w, view.x.size
    for word, order in (("last", 1), ("first", -1)):
        one = np.zeros(size)
        one[view.cols[::order]] = (w[view.rows] * view.slopes)[::order]
        text = f"of the outputs that use an entry, only the {word} counts: they are not added"
        yield text, one.reshape(view.x.shape)
    if w.size == size:
        own = view.rows == view.cols
        diagonal = np.bincount(view.cols[own], (w[view.rows] * view.slopes)[own], size)
        shaped = diagonal.reshape(view.x.shape)
        yield "only the diagonal of the Jacobian is used: the sum over a row is missing", shaped
        yield "the diagonal of the Jacobian is missing", view.reference - shaped
        forward = np.bincount(view.rows, w.ravel()[view.cols] * view.slopes, size)
        yield "the Jacobian is not transposed: got = J dy", forward.reshape(view.x.shape)
        if (view.alone < 0).any():
            yield "got = dy: the derivative is missing", w.reshape(view.x.shape)


def _unsummed(view: View) -> Iterator[tuple[str, Array]]:
    """Yield wrong sums of a broadcast input, whose outputs depend on one of its entries each."""
    given = view.seen.point.cotangents
    if len(given) != 1 or np.bincount(view.rows, minlength=1).max(initial=0) > 1:
        return
    shape = given[0].shape
    flat_terms = np.zeros(given[0].size)
    flat_terms[view.rows] = view.seen.w[view.rows] * view.slopes
    terms: Array = flat_terms.reshape(shape)
    axes = _broadcast_axes(view, shape)
    if not axes:
        return
    first, last = (
        tuple(at if a in axes else slice(None) for a in range(terms.ndim))
        for at in (slice(0, 1), slice(-1, None))
    )
    for word, part in (
        ("the first slice is used", terms[first]),
        ("the last slice is used", terms[last]),
        ("the average is used", terms.mean(tuple(axes), keepdims=True)),
        ("the largest is used", terms.max(tuple(axes), keepdims=True) if terms.size else terms),
    ):
        if part.size == view.x.size:
            text = f"{view.name} is broadcast, but not summed over: {word}"
            yield text, part.reshape(view.x.shape)
    for left in range(terms.ndim):
        over = tuple(a for a in range(terms.ndim) if a != left)
        if left in axes and shape[left] == view.x.size and over:
            summed = terms.sum(over).reshape(view.x.shape)
            yield f"summed over axis {over[0]} instead of axis {left}", summed


def _broadcast_axes(view: View, shape: tuple[int, ...]) -> list[int]:
    """Return the axes of the output over which an input is broadcast."""
    own = (1,) * (len(shape) - view.x.ndim) + view.x.shape
    if len(own) != len(shape) or math.prod(shape) == view.x.size:
        return []
    return [a for a, n in enumerate(shape) if own[a] == 1 and n != 1]


def _per_row(view: View) -> Iterator[tuple[str, Array]]:
    """Yield gradients that differ from the reference by one number for each row.

    Each is fitted to the numbers, so a row needs three entries or more.
    """
    got, ref = view.got, view.reference
    for axis in range(got.ndim):
        if got.shape[axis] < 3 or not np.isfinite(got).all():
            continue
        error = got - ref
        along = error.mean(axis, keepdims=True) + 0 * got
        text = "the same for all entries along axis"
        yield f"got − reference is {text} {axis}: a sum or mean of the row is missing", ref + along
        for name, v in ((view.name, view.x), ("the gradient itself", ref)):
            norm = (v * v).sum(axis, keepdims=True)
            part = (error * v).sum(axis, keepdims=True) / norm * v
            if name == view.name:
                text = f"got − reference is a multiple of {name} along axis {axis}"
                yield f"{text}: a term of the row is missing", ref + part
            else:
                yield f"each row along axis {axis} has a factor of its own", ref + part


def _of_other_arrays(bench: Bench, view: View) -> Iterator[tuple[str, Array]]:
    """Yield the gradient at other inputs: one of them transposed, or two of them exchanged."""
    arrays = view.seen.point.arrays
    for k, slot in enumerate(bench.function.inputs[: len(arrays)]):
        a = np.asarray(arrays[k])
        if a.ndim >= 2 and a.shape[-1] == a.shape[-2] > 1 and a.dtype.kind == "f":
            moved = (*arrays[:k], np.ascontiguousarray(a.swapaxes(-1, -2)), *arrays[k + 1 :])
            other = bench.observe(Point(moved, view.seen.point.cotangents))
            there = other.view(view.name) if other is not None else None
            if there is not None:
                yield f"{slot.name} is transposed in the gradient of {view.name}", there.reference
