"""The domain of an example beyond ±1, found by asking the function for values there.

An example of torch.rand, with all numbers between 0 and 1, may belong to log(1 − x) or to softplus.
The function tells: outside of its domain it returns NaN or raises an exception.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.draws import YOURS, draw_array
from manualnn.gradcheck.inputs.read import Example

Arrays = Sequence[NDArray[Any]]
ENTRIES = 64
"""Number of entries, at least, that are tried beyond an end of a domain."""
MOST_DRAWS = 8


def widen(specs: Sequence[Array], value: Callable[[Arrays], Arrays]) -> list[Array]:
    """Return the inputs, where ends ±1 of an example's domain are gone if there are values beyond.

    `value` returns the function's outputs. The signs of an example stay: an example of positive
    numbers has only positive ones.
    """
    result = list(specs)
    rng = np.random.default_rng(0)
    given = [draw_array(spec, YOURS, rng) for spec in specs]
    for place, spec in enumerate(specs):
        if not isinstance(spec, Example) or spec.fixed or spec.kind not in {"real", "sorted"}:
            continue

        def call(array: NDArray[Any], place: int = place) -> Arrays:
            return value([*given[:place], array, *given[place + 1 :]])

        for end in ("low", "high"):
            narrow = result[place]
            wider = _without(narrow, end)
            if wider is not None and _has_values(call, wider, narrow, rng):
                result[place] = wider
    return result


def _without(spec: Array, end: str) -> Array | None:
    """Return the input without an end ±1 of its domain; 0 is the next end towards 0."""
    number = getattr(spec, end)
    if number is None or abs(number) != 1:
        return None
    changes: dict[str, Any] = {end: None}
    if (number < 0) != (end == "low"):
        changes = {end: 0.0, "open": True}
    return replace(spec, **changes)


def _has_values(
    call: Callable[[NDArray[Any]], Arrays], wider: Array, narrow: Array, rng: np.random.Generator
) -> bool:
    """Return whether the function has numbers for outputs beyond the narrower domain."""
    for number in range(min(MOST_DRAWS, 2 + ENTRIES // max(wider.size, 1))):
        array = draw_array(wider, ("sweep of ±10", "magnitudes 2^±6")[number % 2], rng)
        if narrow.contains(array):
            continue
        try:
            outputs = call(array)
        except Exception:  # noqa: BLE001 - whatever the user's function raises: it has no value
            return False
        if any(np.isnan(output).any() for output in outputs):
            return False
    return True
