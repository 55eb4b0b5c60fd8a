"""The free parameters of all differentiable inputs as one vector, and their names and units."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from manualnn.gradcheck.data import Array, Entry, flat
from manualnn.gradcheck.functions.base import Function
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.inputs.numbers import SMALLEST, largest_number, unit_roundoff

MOST_ENTRIES = 8
"""Largest number of wrong entries that are reported."""


class Places:
    """The places of the parameters at one point."""

    def __init__(self, function: Function, specs: Sequence[Spec], arrays: Sequence[Array]) -> None:
        self._slots = [
            (slot, spec, np.asarray(array))
            for slot, spec, array in zip(function.inputs, specs, arrays, strict=True)
            if slot.is_differentiable
        ]
        self.names = [slot.name for slot, _, _ in self._slots]
        self.shapes = [array.shape for _, _, array in self._slots]
        self.sizes = [spec.free_size(array.shape) for _, spec, array in self._slots]
        self.ends = np.cumsum([0, *self.sizes])

    def pull(self, gradients: Sequence[Array]) -> Array:
        """Return the gradient of all parameters from the gradients of the inputs."""
        pairs = zip(self._slots, gradients, strict=True)
        return flat(spec.pull(np.asarray(g, np.float64)) for (_, spec, _), g in pairs)

    @cached_property
    def parameters(self) -> Array:
        """The values of all parameters."""
        values = [spec.parameters(array) for _, spec, array in self._slots]
        return flat(values)

    @cached_property
    def units(self) -> Array:
        """The unit roundoff of each parameter's gradient: that of the coarsest input."""
        units = (unit_roundoff(slot.dtype) for slot, _, _ in self._slots)
        return np.full(self.ends[-1], max(units, default=0.0))

    @cached_property
    def smallest(self) -> float:
        """The smallest normal number of the coarsest input."""
        return max((SMALLEST[slot.dtype] for slot, _, _ in self._slots), default=0.0)

    @cached_property
    def largest(self) -> float:
        """The largest number of the shortest dtype of the inputs: larger gradients overflow."""
        return min((largest_number(slot.dtype) for slot, _, _ in self._slots), default=np.inf)

    @cached_property
    def at_an_end(self) -> Array:
        """True for each parameter that is at an end of its domain."""
        ends = [
            np.repeat([spec.bounds], n, 0)
            for (_, spec, _), n in zip(self._slots, self.sizes, strict=True)
        ]
        bounds = np.concatenate([np.zeros((0, 2)), *ends])
        return np.asarray((self.parameters[:, None] == bounds).any(axis=1))

    def locate(self, column: int) -> tuple[str, tuple[int, ...]]:
        """Return the name of the input and the index in it of a parameter."""
        number = int(np.searchsorted(self.ends, column, side="right")) - 1
        slot, spec, array = self._slots[number]
        return slot.name, spec.index(column - int(self.ends[number]), array.shape)

    def entries(
        self, got: Array, low: Array, high: Array, bound: Array, wrong: Array
    ) -> tuple[Entry, ...]:
        """Return the wrong entries, the worst first."""
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = np.maximum(low - got, got - high)[wrong] / bound[wrong]
        order = np.argsort(-np.nan_to_num(distance, nan=np.inf, posinf=np.inf), kind="stable")
        return tuple(
            Entry(
                *self.locate(int(k)),
                float(got[k]),
                float(low[k]),
                float(high[k]),
                float(bound[k]),
            )
            for k in wrong[order[:MOST_ENTRIES]]
        )


def distance_from(got: Array, low: Array | float, high: Array | float) -> Array:
    """Return the distance of numbers from intervals; NaN where a number is not finite."""
    with np.errstate(invalid="ignore"):
        return np.maximum(np.maximum(low - got, got - high), 0) + 0 * got


def is_outside(got: Array, low: Array | float, high: Array | float, bound: Array | float) -> Array:
    """Return which numbers are outside of an interval by more than a bound that is finite."""
    return ~(distance_from(got, low, high) <= bound) & np.isfinite(bound)
