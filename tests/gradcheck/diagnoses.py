"""Wrong NumPy functions with the region and the cause that a report has to name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.gradcheck import Array
from manualnn.gradcheck.data import Finding, Point
from manualnn.gradcheck.functions.find import find_function
from manualnn.gradcheck.inputs.read import read_inputs
from manualnn.gradcheck.run import Run

X, Y = Array((3, 4), name="x"), Array((3, 4), name="y")


@dataclass(frozen=True)
class Case:
    """A wrong function."""

    f: Callable[..., Any]
    vjp: Callable[..., Any]
    right: Callable[..., Any]
    region: str
    cause: str
    inputs: tuple[Array, ...] = (X,)
    size: int = 2
    """Largest number of numbers in the smallest point."""

    def is_wrong_at(self, point: Point) -> bool:
        """Return True if the gradients differ at a point."""
        dy = point.cotangents[0]
        pairs = zip(self.vjp(point.arrays, dy), self.right(point.arrays, dy), strict=True)
        with np.errstate(all="ignore"):
            return any(not np.allclose(a, b, rtol=1e-9, atol=0) for a, b in pairs)


def explained(case: Case) -> Finding:
    """Return the finding of a run over a few points."""
    function = find_function(case.f, case.inputs, vjp=case.vjp)
    run = Run(function, read_inputs(list(case.inputs)), kinks={}, only=["values"])
    run.check_values(8)
    run.explain()
    return run.results[0].findings[0]


def _of_one(slope, wrong):
    """Return the right and the wrong vjp of an elementwise function."""
    return (
        lambda arrays, dy: (dy * wrong(arrays[0]),),
        lambda arrays, dy: (dy * slope(arrays[0]),),
    )


def _case(f, slope, wrong, region, cause, **more):
    return Case(f, *_of_one(slope, wrong), region, cause, **more)


def _only_entry(x):
    slope = np.cos(x)
    if x.shape == (3, 4):
        slope[1, 2] += 1e-4
    return slope


FUNCTIONS = {
    "factor": _case(np.sin, np.cos, lambda x: 1.0005 * np.cos(x), "everywhere", "1 + 0.0005"),
    "sign": _case(np.sin, np.cos, lambda x: -np.cos(x), "everywhere", "the sign is wrong"),
    "threshold": _case(
        np.arctan,
        lambda x: 1 / (1 + x * x),
        lambda x: np.where(x > 4, 0, 1 / (1 + x * x)),
        "for x > 4",
        "the gradient is 0",
    ),
    "both sides": _case(
        np.sin, np.cos, lambda x: np.where(np.abs(x) > 3, 2, 1) * np.cos(x), "for |x| > 3", "2"
    ),
    "zero": _case(
        np.sin, np.cos, lambda x: np.where(x == 0, 0.5, np.cos(x)), "only at x = 0", "1/2"
    ),
    "entry": _case(
        np.sin,
        np.cos,
        _only_entry,
        "only entry [1, 2]",
        "got = reference + 0.0001 · dy",
        size=12,
    ),
    "input": _case(
        np.exp, np.exp, lambda x: x, "everywhere", "exp′ = y was given x instead of the output y"
    ),
    "variant": _case(
        np.tanh,
        lambda x: 1 / np.cosh(x) ** 2,
        lambda x: 1 / (1 + np.exp(-x)) / (1 + np.exp(x)),
        "everywhere",
        "the gradient is that of sigmoid",
    ),
    "cotangent": Case(
        np.sin,
        lambda arrays, dy: (np.cos(arrays[0]) + 0 * dy,),
        lambda arrays, dy: (dy * np.cos(arrays[0]),),
        "everywhere",
        "the cotangent dy is ignored",
    ),
    "exchanged": Case(
        np.multiply,
        lambda arrays, dy: (dy * arrays[0], dy * arrays[1]),
        lambda arrays, dy: (dy * arrays[1], dy * arrays[0]),
        "everywhere",
        "exchanged",
        (X, Y),
        size=2,
    ),
}
