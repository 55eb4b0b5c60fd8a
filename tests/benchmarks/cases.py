"""What is timed: a network, a batch, a precision; and the data on which every peer trains."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Case:
    """One row of the results. The last layer is linear; the loss is the mean squared error."""

    widths: tuple[int, ...]
    batch: int
    dtype: str
    activation: str

    def __str__(self) -> str:
        return (
            f"{'-'.join(map(str, self.widths))} | {self.batch} | {self.dtype} | {self.activation}"
        )


class Batch(NamedTuple):
    """x (N, in), t (N, out)."""

    x: NDArray[Any]
    t: NDArray[Any]


GRID = [
    ((3, 2, 2), 1),
    ((4, 16, 3), 32),
    ((64, 128, 64, 10), 64),
    ((784, 128, 10), 64),
    ((784, 512, 256, 10), 128),
    ((1024, 1024, 1024, 1024), 256),
]
CASES = [
    Case(widths, batch, dtype, activation)
    for widths, batch in GRID
    for dtype in ("float32", "float64")
    for activation in ("Sigmoid", "ReLU")
]


def draw(case: Case) -> Batch:
    """Return the same random batch for every peer."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((case.batch, case.widths[0])).astype(case.dtype)
    t = rng.standard_normal((case.batch, case.widths[-1])).astype(case.dtype)
    return Batch(x, t)
