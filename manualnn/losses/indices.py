"""Losses of class indices: t has one of K classes for each sample."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array, exp, ratio
from manualnn.errors import DomainError, ShapeError
from manualnn.losses.base import Loss
from manualnn.validation import as_array

__all__ = ["NLLLoss"]


def column_weights(weight: tuple[float, ...] | None, y: Array, option: str) -> Array | int:
    """Return one factor for each column of y."""
    if weight is None:
        return 1
    factors = np.array(weight, dtype=y.dtype)
    if factors.shape != y.shape[1:]:
        message = f"{option} must have one number for each of {y.shape[1]} outputs, got {weight!r}."
        raise ShapeError(message)
    return factors


@dataclass(frozen=True, repr=False, eq=False)
class ClassLoss(Loss):
    """Base of the losses of class indices t, one of K classes for each sample.

    `weight` has a factor for each class. Samples whose index is `ignore_index` do not count.
    """

    weight: tuple[float, ...] | None = None
    ignore_index: int = -100

    def targets(self, t: Any, y: Array, /) -> Array:
        column_weights(self.weight, y, "weight")
        kind, t = type(self).__name__, as_array(t, "t")
        if t.dtype.kind not in "iu" or t.shape != y.shape[:1]:
            message = (
                f"{kind} expects class indices, integers of shape ({len(y)},)"
                f"{self._other_targets(y)}; got t of dtype {t.dtype} and shape {t.shape}."
            )
            raise ShapeError(message)
        counts = t != self.ignore_index
        is_unknown = counts & ((t < 0) | (t >= y.shape[1]))
        if is_unknown.any():
            row = int(np.argmax(is_unknown))
            message = (
                f"{kind} expects class indices from 0 to {y.shape[1] - 1}, got t[{row}] = {t[row]}."
            )
            raise DomainError(message)
        return t

    def divisor(self, y: Array, t: Array, /) -> Any:
        if self.reduction == "mean" and t.ndim == 1:
            counts = t != self.ignore_index
            if self.weight is None:
                return int(np.count_nonzero(counts))
            return np.add.reduce(np.array(self.weight, dtype=y.dtype)[t[counts]])
        return 1 if self.reduction == "sum" else len(y)

    def divisors(self, y: Array, t: Array, /) -> Array:
        if self.reduction != "mean" or t.ndim == 2:
            return np.ones(len(y), y.dtype)
        counts = t != self.ignore_index
        if self.weight is None:
            return counts.astype(y.dtype)
        return counts * np.array(self.weight, dtype=y.dtype)[np.where(counts, t, 0)]

    def classify(self, y: Any, /) -> tuple[Array, Array]:
        """Return the likeliest class of each sample and its probability; both (N,)."""
        p = self.probabilities(self._outputs(y))
        classes = np.argmax(p, axis=-1)
        return classes, p[np.arange(len(p)), classes]

    def _other_targets(self, y: Array) -> str:
        """Return the words for other targets than indices."""
        return ""


@dataclass(frozen=True, repr=False, eq=False)
class NLLLoss(ClassLoss):
    """Negative log-likelihood of log-probabilities y, such as LogSoftmax's: one of K classes.

    Forward, q[n,k] = 1 where k is the index tₙ, else 0; w = weight, D the divisor
        L = −1/D Σₙₖ w[k] q[n,k] y[n,k]

    Backward
        dy[n,k] = −1/D w[k] q[n,k]

    Samples whose index is ignore_index do not count. D for reduction mean is Σₙ w[tₙ] over the
    samples that count; D is N for batchmean and 1 for sum. After LogSoftmax it is CrossEntropyLoss.

    Shapes: y, dy (N, K); t (N,), integers; weight (K,). Source: torch.nn.NLLLoss, and batchmean.
    """

    def terms(self, y: Array, t: Array, /) -> Array:
        places, w = self._places(t, y)
        terms = np.zeros_like(y, subok=False)
        terms[places] = 0 - w * y[places]
        return terms

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        places, w = self._places(t, y)
        dy = np.empty_like(y, order="C", subok=False) if out is None else out
        dy[...] = ratio(0, 1, y)
        dy[places] = w * ratio(-1, 1, y)
        return self.divided(dy, y, t, dy)

    def probabilities(self, y: Array, /) -> Array:
        return exp(y)

    def _places(self, t: Array, y: Array) -> tuple[tuple[Array, Array], Any]:
        """Return the rows and columns of the samples that count, and their weights."""
        rows = np.flatnonzero(t != self.ignore_index)
        w = column_weights(self.weight, y, "weight")
        return (rows, t[rows]), w if self.weight is None else w[t[rows]]
