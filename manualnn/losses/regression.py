"""Losses for regression: y and t are numbers in the same unit."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array, maximum, minimum, ratio, sign, sum_of_squares
from manualnn.losses.base import Loss
from manualnn.spec import require

__all__ = ["HuberLoss", "L1Loss", "MSELoss", "SmoothL1Loss"]


@dataclass(frozen=True, repr=False, eq=False)
class MSELoss(Loss):
    """Squared error.

    Forward, D the divisor of the reduction
        L = 1/D Σₙₖ (y[n,k] − t[n,k])²

    Backward
        dy = 2/D (y − t)

    Shapes: y, t, dy (N, K). Source: torch.nn.MSELoss, and batchmean.
    """

    def terms(self, y: Array, t: Array, /) -> Array:
        e = y - t
        return np.multiply(e, e)

    def forward(self, y: Array, t: Array, /) -> Any:
        return self.over(sum_of_squares(y - t), self.divisor(y, t), y)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = np.subtract(y, t, out=out)
        return np.multiply(dy, self.share(y, t, 2), out=dy)

    def forward_and_backward(
        self, y: Array, t: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        dy = np.subtract(y, t, out=out)
        value = self.over(sum_of_squares(dy), self.divisor(y, t), y)
        return value, np.multiply(dy, self.share(y, t, 2), out=dy)


@dataclass(frozen=True, repr=False, eq=False)
class L1Loss(Loss):
    """Absolute error.

    Forward, D the divisor of the reduction
        L = 1/D Σₙₖ |y[n,k] − t[n,k]|

    Backward
        dy = 1/D sign(y − t)        0 where y = t

    Shapes: y, t, dy (N, K). Source: torch.nn.L1Loss, and batchmean.
    """

    def terms(self, y: Array, t: Array, /) -> Array:
        return np.abs(y - t)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        # NumPy takes several times as long for a sign that is written over its argument.
        dy = sign(y - t, out=out)
        return np.multiply(dy, self.share(y, t), out=dy)


@dataclass(frozen=True, repr=False, eq=False)
class HuberLoss(Loss):
    """Squared error for small errors, absolute error for large ones.

    Forward, e = y − t, c = min(|e|, δ), δ = delta, D the divisor of the reduction
        L = 1/D Σₙₖ c (|e| − c/2)       e²/2 where |e| ≤ δ, else δ (|e| − δ/2)

    Backward
        dy = 1/D min(max(e, −δ), δ)

    Shapes: y, t, dy (N, K). Source: Huber 1964; torch.nn.HuberLoss, and batchmean.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        require(self, "delta", "greater than 0", self.delta > 0)

    def terms(self, y: Array, t: Array, /) -> Array:
        distance = np.abs(y - t)
        bounded = minimum(distance, self.delta)
        return bounded * (distance - bounded * ratio(1, 2, y))

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = np.subtract(y, t, out=out)
        minimum(dy, self.delta, out=dy)
        maximum(dy, -self.delta, out=dy)
        return np.multiply(dy, self.share(y, t), out=dy)


@dataclass(frozen=True, repr=False, eq=False)
class SmoothL1Loss(Loss):
    """Absolute error, with a parabola in place of its kink.

    Forward, e = y − t, c = min(|e|, β), β = beta, D the divisor of the reduction
        L = 1/D Σₙₖ c/β (|e| − c/2)     e²/(2β) where |e| ≤ β, else |e| − β/2; |e| if β = 0

    Backward
        dy = 1/D min(max(e/β, −1), 1)   sign(e) if β = 0, and 0 where e = 0

    It is HuberLoss(delta=β) divided by β, and for β = 0 L1Loss.

    Shapes: y, t, dy (N, K). Source: Girshick 2015; torch.nn.SmoothL1Loss, and batchmean.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        require(self, "beta", "at least 0", self.beta >= 0)

    def terms(self, y: Array, t: Array, /) -> Array:
        size = np.abs(y - t)
        if self.beta == 0:
            return size
        inner = minimum(size, self.beta)
        return inner / self.beta * (size - inner / 2)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        if self.beta == 0:
            dy = sign(y - t, out=out)
        else:
            dy = minimum(y - t, self.beta, out=out)
            maximum(dy, -self.beta, out=dy)
            np.divide(dy, self.beta, out=dy)
        return np.multiply(dy, self.share(y, t), out=dy)
