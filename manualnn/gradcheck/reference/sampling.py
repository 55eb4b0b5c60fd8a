"""Values of a function near a point, as one vector of outputs of one vector of free parameters.

place = Place(function, specs, arrays)
values = Values(place, "float64")
values.at(x)                     the outputs, NaN where the function fails
values.around(...)               samples of several columns at once, for `estimate`
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.functions.base import Function, FunctionFailed, Unsupported
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.inputs.numbers import rounded, unit_roundoff

Array = NDArray[Any]

DISTORTION = 0.1
"""Largest relative deviation of a step, after rounding, from the one that was meant."""


def floating(outputs: Sequence[Array]) -> list[Array]:
    """Return the outputs that have a derivative; indices and masks have none."""
    return [out for out in map(np.asanyarray, outputs) if out.dtype.kind not in "biu"]


class Place:
    """A point: its free parameters x, the size of each, and the ends of their domain."""

    def __init__(
        self, function: Function, specs: Sequence[Spec] | None, arrays: Sequence[Array]
    ) -> None:
        self.function = function
        self.base = [np.asarray(a) for a in arrays]
        self.specs = [Spec(a.shape) for a in self.base] if specs is None else list(specs)
        self.where = [k for k, slot in enumerate(function.inputs) if slot.is_differentiable]
        parts = [self.specs[k].parameters(self.base[k]).astype(np.float64) for k in self.where]
        self.ends = np.cumsum([0, *(part.size for part in parts)])
        self.x = np.concatenate([np.zeros(0), *parts])
        self.scale = np.maximum(1, np.abs(self.x))

    @cached_property
    def limits(self) -> tuple[Array, Array]:
        """The smallest and the largest number that each parameter may become."""
        lows, highs = np.full(self.x.size, -np.inf), np.full(self.x.size, np.inf)
        for k, start, end in zip(self.where, self.ends[:-1], self.ends[1:], strict=True):
            spec = self.specs[k]
            if spec.kind in {"symmetric", "spd"}:
                continue
            lows[start:end], highs[start:end] = spec.bounds
            if spec.kind == "sorted" and end > start:
                x = np.moveaxis(self.base[k].astype(np.float64), spec.axis, -1)
                below, above = (np.full(x.shape, side) for side in (-np.inf, np.inf))
                below[..., 1:], above[..., :-1] = x[..., :-1], x[..., 1:]
                low, high = (np.moveaxis(a, -1, spec.axis).ravel() for a in (below, above))
                lows[start:end] = np.maximum(lows[start:end], low)
                highs[start:end] = np.minimum(highs[start:end], high)
        return lows, highs

    def arrays(self, x: Array, convert: Callable[[Array, int], Array]) -> list[Array]:
        """Return the function's inputs for parameters x, each converted by convert(array, slot)."""
        arrays = list(self.base)
        for k, start, end in zip(self.where, self.ends[:-1], self.ends[1:], strict=True):
            arrays[k] = convert(self.specs[k].embed(x[start:end], self.base[k].shape), k)
        return arrays

    def own_dtype(self, array: Array, slot: int) -> Array:
        """Return an array rounded to the dtype of a slot."""
        return rounded(array, self.function.inputs[slot].dtype)

    @cached_property
    def coarsest(self) -> str:
        """The coarsest dtype of the differentiable inputs."""
        dtypes = [self.function.inputs[k].dtype for k in self.where] or ["float64"]
        return max(dtypes, key=unit_roundoff)


class Values:
    """The function in one kind of numbers: "longdouble", "float64", or the inputs' own dtype."""

    def __init__(self, place: Place, kind: str, unit: float = 0.0) -> None:
        """Evaluate the function; `unit` is the unit roundoff of shorter numbers inside it."""
        self.place, self.kind = place, kind
        self.dtype = np.dtype(np.longdouble if kind == "longdouble" else np.float64)
        self.calls = 0
        x = place.x.astype(self.dtype)
        outputs = self._call(x)
        self.sizes = [np.size(out) for out in outputs]
        self.center = self._flat(outputs)
        self.unit = max(unit, self._unit([np.asarray(out).dtype for out in outputs]))
        self.relative_noise: Array = np.zeros(self.center.size)
        """The noise of each output relative to it, where it has been measured."""

    def _unit(self, dtypes: Sequence[np.dtype[Any]]) -> float:
        if self.kind == "longdouble":
            if any(dtype != np.longdouble for dtype in dtypes):
                raise Unsupported("the function does not return longdouble numbers.")
            return float(np.finfo(np.longdouble).eps) / 2
        units = [unit_roundoff(dtype.name) for dtype in dtypes]
        if self.kind == "own":
            units.append(unit_roundoff(self.place.coarsest))
        return max(units, default=unit_roundoff("float64"))

    def _call(self, x: Array) -> Sequence[Array]:
        self.calls += 1
        place = self.place
        if self.kind == "own":
            return place.function.value(place.arrays(x, place.own_dtype))
        arrays = place.arrays(x, lambda array, _: array.astype(self.dtype))
        return floating(place.function.value_in(self.kind, arrays))

    def _flat(self, outputs: Sequence[Array]) -> Array:
        parts = [np.ravel(out).astype(self.dtype) for out in outputs]
        return np.concatenate([np.zeros(0, self.dtype), *parts])

    def at(self, x: Array) -> Array:
        """Return all outputs at x, NaN if the function raises an exception there."""
        try:
            outputs = self._call(x)
        except (FunctionFailed, Unsupported):
            return np.full(self.center.shape, np.nan, self.dtype)
        flat = self._flat(outputs)
        return flat if flat.shape == self.center.shape else np.full_like(self.center, np.nan)

    def moved(self, step: Array) -> tuple[Array, Array]:
        """Return x + step as the function's numbers, and the step that was really made.

        Both are those of the parameters; NaN where a step leaves the domain or is rounded away.
        """
        place = self.place
        x = place.x.astype(self.dtype)
        there = x + step
        if self.kind == "own":
            pieces = place.arrays(there, place.own_dtype)
            there = np.concatenate(
                [np.zeros(0), *(place.specs[k].parameters(pieces[k]) for k in place.where)]
            ).astype(self.dtype)
        made = there - x
        low, high = place.limits
        off = (there < low) | (there > high) | (np.abs(made - step) > DISTORTION * np.abs(step))
        return np.where(off, x, there), np.where(off & (step != 0), np.nan, made)

    def along(self, v: Array, t: Any) -> Array:
        """Return all outputs at x + t v, corrected for the rounding of the steps, or NaN."""
        step = t * v.astype(self.dtype)
        there, made = self.moved(step)
        if np.isnan(made).any():
            return np.full_like(self.center, np.nan)
        # Rounded steps are no multiple of v. Their mean length is corrected for.
        length = (made * step).sum() / (step * step).sum()
        value = self.at(there)
        return value + (value - self.center) * (1 / length - 1)

    def around(
        self, columns: Array, rows: tuple[Array, Array], steps: Array
    ) -> tuple[Array, Array]:
        """Return values of outputs on the right and the left, where `columns` move together.

        `steps` has a row for each level and a column for each parameter of `columns`;
        `rows` has, for each entry, the output and the position in `columns`.
        """
        outputs, position = rows
        sides = []
        for sign in (1, -1):
            values = np.empty((len(steps), outputs.size), self.dtype)
            for level, h in enumerate(steps):
                step = np.zeros(self.place.x.size, self.dtype)
                step[columns] = sign * h
                there, made = self.moved(step)
                value = self.at(there)[outputs] if np.isfinite(made[columns]).any() else np.nan
                made = (sign * made[columns] / h)[position]
                # A rounded step is a little longer or shorter: add what the slope makes of it.
                values[level] = value + (value - self.center[outputs]) * (1 / made - 1)
            sides.append(values)
        return sides[0], sides[1]
