"""Second derivatives that do not exist: inputs on which a gradient depends without a graph.

A backward pass of torch that uses a tensor of forward which is neither an input nor an output has
no graph from it to the inputs. Then the gradient's own gradient is zero. So it is in every backward
pass that calls a kernel. Nobody claims a second derivative there, but torch does not refuse it
either, because the function is not marked `once_differentiable`.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from manualnn.gradcheck.data import Array, Point
from manualnn.gradcheck.functions.base import Function, FunctionFailed

REMEDY = {
    "torch": "Mark backward with torch.autograd.function.once_differentiable, or compute it from "
    "inputs and outputs that forward gave to ctx.save_for_backward",
    "jax": "Remove stop_gradient from the backward rule",
}
"""What to do about a second derivative that is wrong or missing, in each framework."""


def find_missing(second: Function, points: Sequence[Point]) -> tuple[str, ...]:
    """Return the inputs for which the gradient's own gradient is exactly zero at all points.

    `second` is a gradient as a function, `Function.gradient_function()`. Its cotangents are not
    among the result, because a gradient is linear in them.
    """
    slots = [slot for slot in second.inputs if slot.is_differentiable]
    alive: set[str] = set()
    for point in points:
        try:
            gradients = second.vjp(point.arrays, point.cotangents)
        except FunctionFailed:
            continue
        alive |= {s.name for s, g in zip(slots, gradients, strict=True) if np.any(g)}
    return tuple(s.name for s in slots if s.name not in alive and not is_cotangent(s.name))


def is_cotangent(name: str) -> bool:
    """Return True for the name of an input of a gradient function that is a cotangent."""
    return name.partition(" ")[0] == "cotangent"


def reason_missing(missing: Collection[str], framework: str) -> str:
    """Return the sentence about inputs without second derivatives."""
    names = " and ".join(missing)
    remedy = REMEDY.get(framework, "")
    return f"the gradient has no derivative for {names}: it is zero, without an error. {remedy}"


class Part:
    """A function that has no derivatives for some of its inputs."""

    def __init__(self, function: Function, without: Collection[str]) -> None:
        self._function = function
        self._kept = [s.name not in without for s in function.inputs if s.is_differentiable]
        self.inputs = tuple(
            replace(slot, is_differentiable=slot.is_differentiable and slot.name not in without)
            for slot in function.inputs
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def vjp(self, arrays: Sequence[Array], cotangents: Sequence[Array]) -> tuple[Array, ...]:
        """Return the gradients of the other inputs."""
        gradients = self._function.vjp(arrays, cotangents)
        return tuple(g for g, kept in zip(gradients, self._kept, strict=True) if kept)

    def jvp(self, arrays: Sequence[Array], tangents: Sequence[Array]) -> None:
        """Return None: there is no jvp of a part."""
