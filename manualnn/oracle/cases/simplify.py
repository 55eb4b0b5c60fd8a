"""Simpler numbers for the arrays of a case, so that a person can read a failing case at a glance.

    simpler_values(case, name, value)       simpler values for one entry, the simplest first
    simpler_arrays(case, arrays)            {name: array} with all entries simpler at once
    rounded(value, digits)                  the number with so many digits
    digits_of(value)                        its number of characters

A weight or an input becomes 1 before it becomes 0, because a network of zeros computes nothing and
shows little. A bias, a target and a state become 0 first. Other numbers are simpler if they are
small integers or have fewer digits. Restricted numbers stay allowed: a class becomes another class,
a probability becomes 0, ½ or 1, and an average of squares stays nonnegative.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LOSS_ROWS, options_of, state_of

FACTORS = (1.0, 0.0, -1.0, 2.0, 0.5, -2.0, 3.0)
SUMMANDS = (0.0, 1.0, -1.0, 2.0, 0.5, -2.0, 3.0)
PROBABILITIES = (0.0, 1.0, 0.5)


def simpler_values(case: Case, name: str, value: Any) -> list[Any]:
    """Return the values to try in place of an entry of the named array."""
    if np.asarray(value).dtype.kind in "iu":
        simplest = -1 if LOSS_ROWS[case.loss["type"]].targets == "labels" else 0
        is_class = value > simplest and value != case.loss.get("ignore_index", -100)
        return [simplest] if is_class else []
    if name.startswith("noise.") or _is_distribution(case, name):
        return []
    simple = _simple(case, name)
    if float(value) in simple and not _is_negative_zero(value):
        return list(simple[: simple.index(float(value))])
    near = [rounded(value, digits) for digits in (0, 1, 2)]
    return [*simple, *(r for r in near if digits_of(r) < digits_of(value) and r not in simple)]


def simpler_arrays(case: Case, arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Yield the arrays with every entry simpler, in several ways, the simplest first."""
    names = [
        name
        for name, array in arrays.items()
        if array.dtype.kind == "f" and not name.startswith("noise.")
    ]
    for change in _changes(case):
        changed = {}
        for name in names:
            array = change(name, arrays[name]).astype(arrays[name].dtype)
            if not np.array_equal(array, arrays[name]) and _all_simpler(array, arrays[name]):
                changed[name] = array
        if changed:
            yield changed


def _changes(case: Case) -> Iterator[Callable[[str, Array], Array]]:
    yield lambda name, array: np.full_like(array, _simple(case, name)[0])
    for digits in (0, 1, 2):
        yield partial(_array_rounded, case, digits)


def _array_rounded(case: Case, digits: int, name: str, array: Array) -> Array:
    """Return a rounded array; probabilities of classes become 0 and 1."""
    if _is_distribution(case, name):
        return np.eye(array.shape[1])[array.argmax(axis=1)]
    return np.vectorize(lambda v: rounded(v, digits), otypes=[float])(array)


def _all_simpler(new: Array, old: Array) -> bool:
    return sum(map(digits_of, new.ravel())) <= sum(map(digits_of, old.ravel()))


def _simple(case: Case, name: str) -> tuple[float, ...]:
    targets = LOSS_ROWS[case.loss["type"]].targets
    if name == "t" and targets in ("probabilities", "signs"):
        return PROBABILITIES if targets == "probabilities" else (1.0, -1.0)
    if name == "sample_weights":
        return tuple(value for value in FACTORS if value >= 0)
    state = state_of(options_of(case.optimizer)) if case.optimizer else ()
    if any(s.is_nonnegative and name.startswith(f"state.{s.name}.") for s in state):
        return tuple(value for value in SUMMANDS if value >= 0)
    return FACTORS if name == "x" or name.endswith(".weight") else SUMMANDS


def _is_distribution(case: Case, name: str) -> bool:
    """Return True if the rows of the array sum to 1."""
    return name == "t" and LOSS_ROWS[case.loss["type"]].targets == "classes"


def rounded(value: Any, digits: int) -> float:
    """Return a number with `digits` significant digits; with 0 digits, the nearest integer."""
    if not np.isfinite(value):
        return float(value)
    if digits == 0:
        return float(np.rint(value)) + 0.0
    return float(np.format_float_scientific(value, precision=digits - 1))


def digits_of(value: Any) -> int:
    """Return the number of characters of a number, in the precision of its dtype."""
    text = np.format_float_scientific(value, trim="-")
    mantissa, _, exponent = text.partition("e")
    return len(mantissa) + (0 if -3 <= int(exponent or 0) <= 3 else len(exponent))


def _is_negative_zero(value: Any) -> bool:
    return bool(value == 0 and np.signbit(value))
