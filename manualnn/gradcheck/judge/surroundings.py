"""Derivatives around a point: near it, on the way from it to 0, and with numbers exchanged."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from manualnn.gradcheck.data import Array, Jacobian
from manualnn.gradcheck.functions.base import FunctionFailed
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.reference.jacobian import Reference

NUDGE = 2.0**-12
"""Relative change of the inputs by which the condition is measured."""
FRACTIONS = (0.5, 0.25, 0.1, 0.04, 0.0)
"""Points on the way from an input to 0, as fractions of it."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Jacobians near a point, on the way from it to 0, and with its numbers exchanged."""

    near: list[Jacobian]
    on_the_way: list[Jacobian]
    exchanged: list[Jacobian]
    columns: Array
    """The parameters whose derivatives are known."""

    @classmethod
    def find(
        cls,
        reference: Reference,
        specs: Sequence[Spec],
        arrays: Sequence[Array],
        columns: Array,
        *,
        few: bool = False,
    ) -> "Surroundings":
        """Compute the derivatives by some parameters; those that do not exist are left out.

        With `few`, half of the points have to do, because the function is known to be wrong.
        """
        found = [
            [jacobian_at(reference, point, columns) for point in points[:: 1 + few]]
            for points in (
                nearby(specs, arrays),
                on_the_way(specs, arrays),
                exchanged(specs, arrays),
            )
        ]
        near, way, others = (
            [jacobian for jacobian in part if jacobian is not None] for part in found
        )
        return cls(near, way, others, columns)


def nearby(specs: Sequence[Spec], arrays: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Return two points whose inputs are changed a little, relative to their size."""
    rng = np.random.default_rng(0)

    def moved(spec: Spec, array: Array) -> Array:
        signs = rng.choice([-1.0, 1.0], spec.free_size(np.shape(array)))
        return spec.move(array, NUDGE * signs)

    return [tuple(map(moved, specs, arrays)) for _ in range(2)]


def on_the_way(specs: Sequence[Spec], arrays: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Return points of which one input, or all, are between themselves and 0.

    An input with two ends of its domain also goes halfway to the middle.
    """
    inputs = [
        (k, spec, np.asarray(a))
        for k, (spec, a) in enumerate(zip(specs, arrays, strict=True))
        if spec.free_size(np.shape(a))
    ]
    changed = [(k, spec.shrink(a, f)) for k, spec, a in inputs for f in FRACTIONS]
    for k, spec, a in inputs:
        low, high = spec.bounds
        if spec.kind == "real" and np.isfinite(low) and np.isfinite(high):
            changed.append((k, (a / 2 + (low + high) / 4).astype(a.dtype)))
    points = [
        tuple(new if k == place else a for k, a in enumerate(arrays)) for place, new in changed
    ]
    if len(inputs) > 1:  # where a unit is saturated by one input, and the next one by another
        shrunk = ({k: spec.shrink(a, f) for k, spec, a in inputs} for f in FRACTIONS)
        points += [tuple(new.get(k, a) for k, a in enumerate(arrays)) for new in shrunk]
    return points


def exchanged(specs: Sequence[Spec], arrays: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Return points of which one input has its numbers in other places along the last axis."""
    return [
        tuple(np.roll(b, 1, axis=-1) if b is a else b for b in arrays)
        for spec, a in zip(specs, arrays, strict=True)
        if spec.kind in {"real", "positive", "probabilities"} and np.ndim(a) and spec.axis == -1
    ]


def jacobian_at(
    reference: Reference, point: tuple[Array, ...], columns: Array, *, alone: bool = False
) -> Jacobian | None:
    """Return the derivatives by some parameters; None where the function fails."""
    with suppress(FunctionFailed):
        return reference.jacobian(point, columns, alone=alone)
    return None
