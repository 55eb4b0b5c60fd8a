"""The type of a check of behaviour, and the trial of a function by a check at a point.

@check("zero", "a zero cotangent gives a zero gradient")
def zero(trial): …                      the function becomes a `Check`

zero.judge(function, point, rng)        a Finding, or None if the function is right
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from manualnn.gradcheck.behaviour.rounding import Rounding, find_differences
from manualnn.gradcheck.data import Array, Finding, Point
from manualnn.gradcheck.functions.base import Function, FunctionFailed, Unsupported

WITH_MEMORY = ("numpy", "torch")
"""Frameworks whose arrays can be written to, and whose functions can keep them between calls."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One function at one point, on trial by one check."""

    function: Function
    point: Point
    rng: np.random.Generator
    check: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the differentiable inputs."""
        return tuple(slot.name for slot in self.function.inputs if slot.is_differentiable)

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The differentiable inputs."""
        pairs = zip(self.function.inputs, self.point.arrays, strict=True)
        return tuple(array for slot, array in pairs if slot.is_differentiable)

    @cached_property
    def base(self) -> tuple[Array, ...]:
        """The gradients at the point."""
        return self.vjp(self.point)

    def vjp(self, point: Point) -> tuple[Array, ...]:
        """Return the gradients at any point."""
        return self.function.vjp(point.arrays, point.cotangents)

    @property
    def has_right_shapes(self) -> bool:
        """True if each gradient has the shape of its input."""
        pairs = zip(self.base, self.inputs, strict=True)
        return all(np.shape(gradient) == array.shape for gradient, array in pairs)

    @cached_property
    def rounding(self) -> Rounding:
        """The rounding errors of the gradients."""
        return Rounding(self.function, self.function.value(self.point.arrays), self.rng)

    def is_finite(self, point: Point | None = None) -> bool:
        """Return True if all outputs and all gradients at a point are finite."""
        gradients = self.base if point is None else self.vjp(point)
        values = self.function.value((point or self.point).arrays)
        return all(np.isfinite(array).all() for array in (*values, *gradients))

    def other_point(self) -> Point | None:
        """Return a point of other numbers and the same shapes; None if the function fails there.

        All axes are reversed. That keeps to most domains: positive numbers, classes,
        probabilities, and symmetric and positive definite matrices.
        """
        arrays = tuple(np.flip(array).copy() for array in self.point.arrays)
        cotangents = tuple(np.flip(w).copy() * w.dtype.type(2) for w in self.point.cotangents)
        point = Point(arrays, cotangents)
        try:
            return point if self.is_finite(point) else None
        except FunctionFailed:
            return None

    def alone(self, point: Point) -> list[Array]:
        """Return the gradients of one forward and one backward pass at a point."""
        at = point.copied()
        return self.filled(self.function.forward(at.arrays).backward(at.cotangents))

    def filled(self, gradients: Sequence[Array | None]) -> list[Array]:
        """Return copies of gradients, with zeros for None."""
        pairs = zip(gradients, self.inputs, strict=True)
        return [np.zeros(x.shape) if g is None else np.array(g) for g, x in pairs]

    def finding(self, message: str, **parts: Any) -> Finding:
        """Return the finding of the check at the point."""
        return Finding(self.check, message, parts.pop("point", self.point), **parts)

    def failure(self, message: str, failed: FunctionFailed) -> Finding:
        """Return the finding of a call that failed, with the last line of its error."""
        return self.finding(f"{message}: {last_line(failed)}", details={"trace": failed.trace})

    def repeat(
        self, message: str, got: Sequence[Array], first: Sequence[Array], point: Point
    ) -> Finding | None:
        """Return the finding of the same call whose gradients differ from those of the first.

        The rounding is not measured, because calls that depend on earlier ones cannot measure it.
        Most gradients agree in all bits, but sums in the order of threads, or by the alignment of
        memory, change the last ones.
        """
        return self.compare(message, got, first, lambda: self.rounding.repeat_bounds(first), point)

    def compare(
        self,
        message: str,
        got: Sequence[Array | None],
        expected: Sequence[Array],
        bounds: Callable[[], Sequence[Array]] | None = None,
        point: Point | None = None,
    ) -> Finding | None:
        """Return the finding of gradients that differ from the expected ones by more than rounding.

        `got` may have None where a gradient was not asked for. `bounds` computes the largest
        distances of right gradients; it is called only if the bits differ.
        """
        point = point or self.point
        at = point
        limits = bounds or (lambda: self.rounding.bounds(at))
        entries, wrong, size = find_differences(self.names, got, expected, limits)
        if not wrong:
            return None
        return self.finding(message, point=point, entries=entries, wrong=wrong, size=size)


@dataclass(frozen=True)
class Check:
    """An assertion about the behaviour of a function, judged at one point at a time."""

    id: str
    sentence: str
    test: Callable[[Trial], Finding | None]
    needs: str = ""
    """The method of a function without which the check is not possible."""
    takes_failures: bool = False
    """True if the check also judges a gradient that fails."""
    frameworks: tuple[str, ...] = ()
    """The frameworks of the functions that it is for; empty for all."""

    def reason_not_claimed(self, function: Function) -> str:
        """Return the reason why the check is not for a function; empty if it is."""
        if self.frameworks and function.framework not in self.frameworks:
            return f"only for functions of {' and '.join(self.frameworks)}"
        if self.needs and getattr(function, self.needs, None) is None:
            return f"functions of {function.framework} have no {self.needs}"
        return ""

    def judge(self, function: Function, point: Point, rng: np.random.Generator) -> Finding | None:
        """Return the finding at a point, or None if the function is right.

        Raises Unsupported where the function cannot be judged, also where its ordinary gradient
        fails, because the check of values reports that.
        """
        trial = Trial(function, point, rng, self.id)
        try:
            if not self.takes_failures:
                _ = trial.base
        except FunctionFailed as failed:
            raise Unsupported(f"the gradient fails: {last_line(failed)}") from failed
        if not self.takes_failures and not trial.has_right_shapes:
            raise Unsupported("a gradient has not the shape of its input")
        try:
            return self.test(trial)
        except FunctionFailed as failed:
            if self.takes_failures:
                raise Unsupported(f"the gradient fails: {last_line(failed)}") from failed
            return trial.failure("a call fails, but the ordinary gradient works", failed)


def last_line(failed: FunctionFailed) -> str:
    """Return the message of a failed call: the last line that names an error. JAX adds notes."""
    lines = failed.trace.strip().splitlines()
    return next((line for line in reversed(lines) if "Error" in line), (lines or ["?"])[-1])


def check(id: str, sentence: str, **options: Any) -> Callable[..., Check]:  # noqa: A002
    """Return a decorator that makes a function a check with these options."""
    return lambda test: Check(id, sentence, test, **options)
