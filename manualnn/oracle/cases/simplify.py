"""Simpler numbers for the arrays of a case, of the kind that a person reads at a glance.

    simplified(case, name, value)           values simpler than one entry, the simplest first
    simplified_whole(case, arrays)          {name: array} with all entries made simpler at once

A weight or an input is 1 before it is 0: a network of zeros computes nothing, and a failure that
is left of it tells little. A bias, a target and a state are 0 first. Numbers are otherwise simpler
if they are a small integer, then by their digits. What may not be any number is left what it is:
a class is another class, a probability 0, ½ or 1, a square no less than 0.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import options_of, state_of

FACTORS = (1.0, 0.0, -1.0, 2.0, 0.5, -2.0, 3.0)
SUMMANDS = (0.0, 1.0, -1.0, 2.0, 0.5, -2.0, 3.0)
PROBABILITIES = (0.0, 1.0, 0.5)


def simplified(case: Case, name: str, value: Any) -> list[Any]:
    """Return the values to try in place of an entry of the array of that name."""
    if np.asarray(value).dtype.kind in "iu":
        return [0] if value > 0 and value != case.loss.get("ignore_index", -100) else []
    if name.startswith("noise.") or _is_distribution(case, name):
        return []
    simple = _simple(case, name)
    if float(value) in simple and not _is_negative_zero(value):
        return list(simple[: simple.index(float(value))])
    rounded = [_rounded(value, digits) for digits in (0, 1, 2)]
    return [*simple, *(r for r in rounded if _digits(r) < _digits(value) and r not in simple)]


def simplified_whole(case: Case, arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Yield these arrays with every entry simpler, in a few ways: the simplest first."""
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
    """Return it rounded; distributions are made certain."""
    if _is_distribution(case, name):
        return np.eye(array.shape[1])[array.argmax(axis=1)]
    return np.vectorize(lambda v: _rounded(v, digits), otypes=[float])(array)


def _all_simpler(new: Array, old: Array) -> bool:
    return sum(map(_digits, new.ravel())) <= sum(map(_digits, old.ravel()))


def _simple(case: Case, name: str) -> tuple[float, ...]:
    if name == "t" and case.loss["type"] in {"BCELoss", "BCEWithLogitsLoss"}:
        return PROBABILITIES
    state = state_of(options_of(case.optimizer)) if case.optimizer else ()
    if any(s.is_nonnegative and name.startswith(f"state.{s.name}.") for s in state):
        return tuple(value for value in SUMMANDS if value >= 0)
    return FACTORS if name == "x" or name.endswith(".weight") else SUMMANDS


def _is_distribution(case: Case, name: str) -> bool:
    """Whether the rows add up to 1."""
    return name == "t" and case.loss["type"] == "CrossEntropyLoss"


def _rounded(value: Any, digits: int) -> float:
    """Return a finite number with so many digits that count; 0: as an integer."""
    if not np.isfinite(value):
        return float(value)
    if digits == 0:
        return float(np.rint(value)) + 0.0
    return float(np.format_float_scientific(value, precision=digits - 1))


def _digits(value: Any) -> int:
    """Return how many characters a number takes, in the precision of its dtype."""
    text = np.format_float_scientific(value, trim="-")
    mantissa, _, exponent = text.partition("e")
    return len(mantissa) + (0 if -3 <= int(exponent or 0) <= 3 else len(exponent))


def _is_negative_zero(value: Any) -> bool:
    return bool(value == 0 and np.signbit(value))
