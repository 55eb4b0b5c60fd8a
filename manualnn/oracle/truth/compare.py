"""The comparison of results with the truth: the only definition of "wrong".

    find_wrong(got, value, bound)        mask of the wrong entries of one array
    refutes(truth, got)                  the same for an array of bounded numbers
    truth_arrays(truths, got)            values and bounds of the quantities of a result
    compare(got, values, bounds)         wrong entries and right quantities of the result
    find_differences(got, other)         entries that are not equal bit for bit

An entry is wrong if |got − value| ≤ bound does not hold and the bound is finite. So NaN and
infinity are wrong wherever there is a bound. `Bounded.bounds` gives no bound (infinity) where a
correct engine may overflow: |value| + bound reaches the end of the dtype's range, or an
intermediate number of some usual formula does. A result without a bound is never wrong.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from manualnn.oracle.findings import Entry, Excerpt
from manualnn.oracle.truth.bounded import Array, Bounded

Comparison = tuple[tuple[Entry, ...], tuple[str, ...]]
"""The first wrong entry of every quantity that is wrong, and the names of the right quantities."""

MOST_SHOWN = 8
"""Largest number of rows and of columns of an excerpt."""


def find_wrong(got: Any, value: Any, bound: Any) -> Array:
    """Return the mask of the entries of `got` that are farther from `value` than `bound`."""
    with np.errstate(all="ignore"):
        distance = np.asarray(np.abs(np.asarray(got) - value)).astype(np.longdouble)
        return np.asarray(~(distance <= bound) & np.isfinite(bound))


def true_values(truth: Bounded) -> Array:
    """Return the true values in longdouble."""
    return np.asarray(truth.v).astype(np.longdouble)


def refutes(truth: Bounded, got: Any) -> Array:
    """Return the mask of the entries of `got` that the truth proves wrong."""
    return find_wrong(got, truth.v, truth.bounds)


def truth_arrays(
    truths: Mapping[str, Bounded], got: Mapping[str, Any]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the true values and the error bounds of the quantities that a result has."""
    present = {name: truth for name, truth in truths.items() if name in got}
    if not present:
        return {}, {}
    # One bound of all entries is faster than one for each array.
    bounds, end = Bounded.joined(present.values()).bounds, 0
    found = {}
    for name, truth in present.items():
        start, end = end, end + truth.v.size
        found[name] = bounds[start:end].reshape(truth.v.shape)
    return {name: truth.v for name, truth in present.items()}, found


def compare(
    got: Mapping[str, Any], values: Mapping[str, Array], bounds: Mapping[str, Array]
) -> Comparison:
    """Compare the quantities of a result with values, to within bounds.

    Quantities that only one side has are left out.
    """
    names = [name for name in values if name in got]
    if not names:
        return (), ()
    # One comparison of all entries is faster than one for each array.
    wrong = find_wrong(*(joined(arrays, names) for arrays in (got, values, bounds)))
    if not wrong.any():
        return (), tuple(names)
    masks = np.split(wrong, np.cumsum([values[name].size for name in names])[:-1])
    entries, right = [], []
    for name, mask in zip(names, masks, strict=True):
        if mask.any():
            shaped = mask.reshape(values[name].shape)
            entries.append(first_entry(name, shaped, got[name], values[name], bounds[name]))
        else:
            right.append(name)
    return tuple(entries), tuple(right)


def first_entry(name: str, wrong: Array, got: Any, expected: Any, bound: Any = 0.0) -> Entry:
    """Return the first wrong entry of a quantity, with the number of its wrong entries."""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    arrays = [np.broadcast_to(a, wrong.shape) for a in (got, expected, bound)]
    g, v, e = (float(array[index]) for array in arrays)
    excerpt = _cut(index, wrong, arrays) if wrong.ndim else None
    return Entry(name, index, g, v, e, int(wrong.sum()), wrong.size, excerpt)


def _cut(index: tuple[int, ...], wrong: Array, arrays: list[Array]) -> Excerpt:
    """Return at most MOST_SHOWN entries of every axis, the first wrong one among them."""
    start = tuple(
        max(0, min(i - MOST_SHOWN // 2, size - MOST_SHOWN))
        for i, size in zip(index, wrong.shape, strict=True)
    )
    part = tuple(slice(first, first + MOST_SHOWN) for first in start)
    with np.errstate(all="ignore"):
        got, expected, bound = (array[part].astype(np.float64).tolist() for array in arrays)
    return Excerpt(start, wrong.shape, got, expected, bound, wrong[part].tolist())


def group_of(quantity: str) -> str:
    """Return the group of a quantity: "grads" of "grads.0.weight", "loss" of "loss"."""
    return quantity.partition(".")[0]


def is_same(a: Any, b: Any) -> bool:
    """Return True if two arrays hold the same numbers; NaN equals NaN, and 0 equals −0."""
    return np.array_equal(a, b, equal_nan=True)


def find_differences(got: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Return the first entry of every quantity whose numbers are not the same."""
    entries = []
    for name in other:
        if name in got and not is_same(got[name], other[name]):
            a, b = np.asarray(got[name]), np.asarray(other[name])
            wrong = ~((a == b) | (np.isnan(a) & np.isnan(b)))
            entries.append(first_entry(name, wrong, a, b))
    return tuple(entries)


def joined(arrays: Mapping[str, Any], names: Iterable[str]) -> Array:
    """Return the entries of some arrays as one vector."""
    return np.concatenate([np.asarray(arrays[name]).ravel() for name in names])
