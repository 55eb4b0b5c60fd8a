"""Numbers of a case: inputs and targets, and their layout in memory.

Most entries of an array follow from a drawn seed, in one of several styles that are difficult in
different ways. A short drawn list of special entries lets failures shrink to few, simple numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from manualnn import Loss
from manualnn.oracle.protocol.features import LOSS_ROWS

Array = NDArray[Any]
Strategy = st.SearchStrategy[Any]

SEEDS = st.integers(0, 2**32 - 1)
SATURATING = np.array([12, 20, 40, 88.7, 104, 710, 745, 1e4])
STYLES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "integers": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
    "sparse": lambda rng, shape: rng.standard_normal(shape) * rng.integers(0, 2, shape),
    "ladder": lambda rng, shape: rng.standard_normal(shape) * 2.0 ** rng.integers(-20, 12, shape),
    "columns": lambda rng, shape: (
        rng.standard_normal(shape) * 2.0 ** rng.integers(-20, 8, shape[-1:])
    ),
    "saturated": lambda rng, shape: rng.choice(SATURATING, shape) * rng.choice([-1, 1], shape),
    "subnormal": lambda rng, shape: rng.standard_normal(shape) * 2.0**-140,
    "large": lambda rng, shape: rng.standard_normal(shape) * 30,
}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 20.0, -40.0, 88.7, -104.0, 710.0, -745.0, 1e-30]


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    styles: tuple[str, ...] = tuple(STYLES),
) -> Array:
    """Draw numbers of one of the styles, with up to three special entries."""
    array = STYLES[draw(st.sampled_from(styles))](np.random.default_rng(draw(SEEDS)), shape)
    entries = st.tuples(st.integers(0, 10_000), st.sampled_from(SPECIAL))
    for place, value in draw(st.lists(entries, max_size=3)):
        if array.size:
            array.flat[place % array.size] = value
    return array.astype(dtype)


def _unaligned(array: Array) -> Array:
    room = np.empty(array.nbytes + 1, np.uint8)
    moved = room[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def _strided(array: Array) -> Array:
    room = np.full([2 * n for n in array.shape], 7, array.dtype)
    every_second = room[(slice(None, None, 2),) * array.ndim]
    every_second[...] = array
    return every_second


def _read_only(array: Array) -> Array:
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": _strided,
    "negative strides": lambda a: np.flip(np.ascontiguousarray(np.flip(a))),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "read-only": _read_only,
    "unaligned": _unaligned,
}
"""Ways to keep an array in memory; the values stay, only "broadcast" makes every row the first."""


@st.composite
def _binary(draw: st.DrawFn, y: Array, loss: Loss) -> Array:  # noqa: ARG001
    rng = np.random.default_rng(draw(SEEDS))
    kind = draw(st.sampled_from(["hard", "soft", "all 0", "all 1"]))
    uniform = rng.random(y.shape)
    return {
        "hard": np.rint(uniform),
        "soft": uniform,
        "all 0": np.zeros(y.shape),
        "all 1": np.ones(y.shape),
    }[kind].astype(y.dtype)


@st.composite
def _classes(draw: st.DrawFn, y: Array, loss: Loss) -> Array:
    n, classes = y.shape
    rng = np.random.default_rng(draw(SEEDS))
    ignored = vars(loss).get("ignore_index", -100)
    # With probabilities there is no index to ignore: torch refuses one that could be an index.
    has_rows = "probabilities" in LOSS_ROWS[type(loss).__name__].class_targets
    if has_rows and ignored < 0 and draw(st.booleans()):
        rows = rng.random(y.shape) ** draw(st.sampled_from([1, 8, 200]))
        rows[:, 0] += 1e-3
        return (rows / rows.sum(axis=1, keepdims=True)).astype(y.dtype)
    # Few of the classes, so that some are missing, sometimes all but one.
    t = rng.integers(0, draw(st.integers(1, classes)), n)
    if "ignore_index" in vars(loss) and draw(st.booleans()):
        t[rng.random(n) < draw(st.sampled_from([0.2, 0.8]))] = ignored
    if (t == ignored).all():
        t[0] = classes - 1 if ignored != classes - 1 else 0
    return t


@st.composite
def _numbers(draw: st.DrawFn, y: Array, loss: Loss) -> Array:  # noqa: ARG001
    return draw(arrays(y.shape, y.dtype, ("normal", "integers", "sparse", "large")))


@st.composite
def _signs(draw: st.DrawFn, y: Array, loss: Loss) -> Array:  # noqa: ARG001
    signs = draw(st.sampled_from([[1.0, -1.0], [1.0], [-1.0]]))
    return np.random.default_rng(draw(SEEDS)).choice(signs, y.shape).astype(y.dtype)


@st.composite
def _labels(draw: st.DrawFn, y: Array, loss: Loss) -> Array:  # noqa: ARG001
    rng, (n, classes) = np.random.default_rng(draw(SEEDS)), y.shape
    t = rng.permuted(np.tile(np.arange(classes), (n, 1)), axis=1)
    if draw(st.booleans()):  # The same class may stand twice in a list.
        t = rng.integers(0, classes, (n, classes))
    t[rng.random(t.shape) < draw(st.sampled_from([0.0, 0.3, 0.7]))] = -1
    return t


TARGETS: dict[str, Callable[[Array, Loss], Strategy]] = {
    "numbers": _numbers,
    "probabilities": _binary,
    "classes": _classes,
    "labels": _labels,
    "signs": _signs,
}
"""Strategies by the kind of targets in the oracle's table of features."""


def of_kind(name: str, t: Array) -> Array:
    """Return targets from 0 to 1 as a loss takes them, which may be as signs or as lists."""
    match LOSS_ROWS[name].targets:
        case "signs":
            return np.where(t < 0.5, -1, 1).astype(t.dtype)
        case "labels":
            order = np.argsort(t < 0.5, axis=1, kind="stable")
            return np.where(np.take_along_axis(t, order, axis=1) < 0.5, -1, order)
        case _:
            return t


def targets_for(loss: Loss, shape: tuple[int, int], dtype: np.dtype[Any]) -> Strategy:
    """Draw targets for outputs of that shape."""
    return TARGETS[LOSS_ROWS[type(loss).__name__].targets](np.zeros(shape, dtype), loss)
