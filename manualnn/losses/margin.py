"""Losses of a margin: t says on which side of it the outputs y belong."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import (
    Array,
    greater,
    is_symbolic,
    maximum,
    sigmoid,
    sign,
    softplus,
    step,
    where,
)
from manualnn.errors import DomainError
from manualnn.losses.base import Loss
from manualnn.spec import require

__all__ = ["HingeEmbeddingLoss", "SoftMarginLoss"]


@dataclass(frozen=True, repr=False, eq=False)
class _SignLoss(Loss):
    """Base of the losses whose targets are 1 and −1."""

    def targets(self, t: Any, y: Array, /) -> Array:
        t = Loss.targets(self, t, y)
        if not is_symbolic(t) and (np.abs(t) != 1).any():
            row, column = np.argwhere(np.abs(t) != 1)[0]
            message = (
                f"{type(self).__name__} expects targets 1 and −1, got t[{row}, {column}] = "
                f"{t[row, column]}; pass 2 * t - 1 for classes 0 and 1."
            )
            raise DomainError(message)
        return t


@dataclass(frozen=True, repr=False, eq=False)
class HingeEmbeddingLoss(_SignLoss):
    """Distance y of a pair that belongs together (t = 1), or what a margin is above it (t = −1).

    Forward, Δ = margin, D the divisor of the reduction
        L = 1/D Σₙₖ (y where t = 1, max(0, Δ − y) where t = −1)

    Backward
        dy = 1/D where t = 1; −1/D where t = −1 and y ≤ Δ, else 0

    At y = Δ the slope is torch's −1.

    Shapes: y, t, dy (N, K). Raises DomainError for other targets than 1 and −1.
    Source: torch.nn.HingeEmbeddingLoss, and batchmean.
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        require(self, "margin", "a number", condition=True)

    def terms(self, y: Array, t: Array, /) -> Array:
        return where(greater(t, 0), y, maximum(self.margin - y, 0))

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = step(y - self.margin, out=out)
        np.subtract(dy, 1, out=dy)  # the slope where t = −1; below the slope 1 elsewhere
        maximum(dy, sign(t), out=dy)
        return np.multiply(dy, self.share(y, t), out=dy)


@dataclass(frozen=True, repr=False, eq=False)
class SoftMarginLoss(_SignLoss):
    """Logistic loss of two classes, 1 and −1. Each output is a pair of classes of its own.

    Forward, D the divisor of the reduction
        L = 1/D Σₙₖ softplus(−t y)          softplus(z) = log(1 + exp(z))

    Backward, σ(z) = 1 / (1 + exp(−z))
        dy = −1/D t σ(−t y)

    It is BCEWithLogitsLoss with the classes 1 and −1. torch computes exp(−t y), and for −t y above
    88 in float32, or 709 in float64, its loss is ∞ and its gradient NaN; ours are finite.

    Shapes: y, t, dy (N, K). Raises DomainError for other targets than 1 and −1.
    Source: torch.nn.SoftMarginLoss, and batchmean.
    """

    def terms(self, y: Array, t: Array, /) -> Array:
        return softplus(-t * y)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = np.multiply(-t, y, out=out)
        sigmoid(dy, out=dy)
        np.multiply(dy, t, out=dy)
        return np.multiply(dy, self.share(y, t, -1), out=dy)
