"""The plain data of a gradcheck: points, references, and findings."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Point:
    """One call: the inputs of a function, and the cotangents of its outputs."""

    arrays: tuple[Array, ...]
    cotangents: tuple[Array, ...] = ()
    style: str = ""
    """How the inputs were drawn, such as "magnitudes 2^±6"."""

    def copied(self) -> "Point":
        """Return the same point in arrays of its own, which may be written to."""
        arrays, cotangents = (tuple(map(np.array, p)) for p in (self.arrays, self.cotangents))
        return Point(arrays, cotangents, self.style)


def flat(arrays: Iterable[Array]) -> Array:
    """Return the entries of all arrays, one after the other, in float64."""
    return np.concatenate([np.zeros(0), *(np.ravel(a).astype(np.float64) for a in arrays)])


@dataclass(frozen=True, eq=False)
class Jacobian:
    """The derivatives of all outputs with respect to all free parameters, and their errors.

    Entry k is ∂output[rows[k]] / ∂parameter[cols[k]]; what is not listed is 0. `low` and `high` are
    equal where the function is smooth. At a kink they are the smaller and the larger of the slopes
    from both sides.
    """

    rows: Array
    """Flat indices over all outputs, one output after the other."""
    cols: Array
    """Flat indices over the free parameters of all differentiable inputs."""
    low: Array
    high: Array
    error: Array
    """Estimated error of low and high; inf where the derivative could not be decided."""
    method: str
    """The way it was computed, such as "complex step"."""
    shape: tuple[int, int] = (0, 0)

    def transposed_product(self, w: Array) -> tuple[Array, Array, Array, Array]:
        """Return the bounds of Jᵀw, its error, and Σ|w||J|, for cotangents of all outputs."""
        factor = w[self.rows]
        with np.errstate(invalid="ignore", over="ignore"):
            ends = factor * self.low, factor * self.high
            size = np.abs(factor) * np.maximum(np.abs(self.low), np.abs(self.high))
            error = np.where(factor == 0, 0, np.abs(factor) * self.error)
        terms = np.minimum(*ends), np.maximum(*ends), error, size
        low, high, error, size = (
            np.bincount(self.cols, weights=term, minlength=self.shape[1]).astype(float)
            for term in terms  # bincount gives integers where there is no entry
        )
        return low, high, error, size


@dataclass(frozen=True)
class Entry:
    """One wrong entry of a gradient."""

    input: str
    index: tuple[int, ...]
    got: float
    low: float
    """The reference; the smaller slope at a kink."""
    high: float
    bound: float
    """Largest distance of a right gradient from the reference."""


@dataclass(frozen=True, eq=False)
class Finding:
    """One failed check, with the point that shows it."""

    check: str
    """The check's id, such as "values", "linear" or "second:values"."""
    message: str
    """What failed, as a sentence."""
    point: Point
    entries: tuple[Entry, ...] = ()
    """The wrong entries, the worst first; empty where no number was compared."""
    wrong: int = 0
    """Number of wrong entries at the point."""
    size: int = 0
    """Number of compared entries at the point."""
    method: str = ""
    """How the reference was computed."""
    region: str = ""
    """Where it is wrong, such as "for x > 4"."""
    likely: tuple[str, ...] = ()
    """Likely causes, the likeliest first."""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class CheckResult:
    """The status of one check."""

    id: str
    sentence: str
    """What the check asserts."""
    status: str = "passed"
    """"passed", "failed", "errored", "not_judged" (too little could be decided), "not_claimed"."""
    points: int = 0
    entries: int = 0
    findings: list[Finding] = field(default_factory=list)
    reason: str = ""
