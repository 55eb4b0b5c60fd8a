"""Losses for classification: y are probabilities or their logits, t are the correct classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import (
    Array,
    by_columns,
    is_symbolic,
    log,
    log1p,
    log_softmax,
    maximum,
    sigmoid,
    softmax,
    softmax_and_log,
    softplus,
)
from manualnn.errors import DomainError, ShapeError
from manualnn.losses.base import Loss
from manualnn.spec import require
from manualnn.validation import as_array

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss"]

LEAST_ROOM = float(np.float32(1e-12))
"""Least denominator of BCELoss's gradient. torch stores it in float32: 4·10⁻⁹ below 10⁻¹²."""


def _weights(weight: tuple[float, ...] | None, y: Array, option: str) -> Array | int:
    """Return one factor for each column of y."""
    if weight is None:
        return 1
    factors = np.array(weight, dtype=y.dtype)
    if factors.shape != y.shape[1:]:
        message = f"{option} must have one number for each of {y.shape[1]} outputs, got {weight!r}."
        raise ShapeError(message)
    return factors


@dataclass(frozen=True, repr=False, eq=False)
class _BinaryLoss(Loss):
    """Base of the losses with one binary class for each output: `weight` has a factor for each."""

    weight: tuple[float, ...] | None = None

    def targets(self, t: Any, y: Array, /) -> Array:
        _weights(self.weight, y, "weight")
        return Loss.targets(self, t, y)


@dataclass(frozen=True, repr=False, eq=False)
class BCELoss(_BinaryLoss):
    """Binary cross-entropy of probabilities. Each output is a class of its own.

    Forward, w = weight (one for each output), D the divisor of the reduction
        L = −1/D Σₙₖ w[k] (t log y + (1 − t) log(1 − y))       each logarithm at least −100

    Backward
        dy = 1/D w ⊙ (y − t) / (y (1 − y))       the denominator at least 10⁻¹²

    The two limits are torch's: at y = 0 and y = 1 the loss and the gradient stay finite. A network
    that ends in a Sigmoid loses accuracy near 0 and 1. Without the Sigmoid, BCEWithLogitsLoss does
    not.

    Shapes: y in [0, 1], t, dy (N, K); weight (K,). Raises DomainError for y outside [0, 1].
    Source: torch.nn.BCELoss, and batchmean.
    """

    def terms(self, y: Array, t: Array, /) -> Array:
        yes = maximum(log(y), -100)
        no = maximum(log1p(-y), -100)
        # −x would make a zero negative
        return 0 - _weights(self.weight, y, "weight") * (t * yes + (1 - t) * no)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = np.subtract(y, t, out=out)
        np.divide(dy, maximum(y * (1 - y), LEAST_ROOM), out=dy)
        factor = _weights(self.weight, y, "weight") * self.share(y, t)
        return np.multiply(dy, factor, out=dy)

    def require_outputs(self, y: Array, /) -> None:
        if is_symbolic(y):
            return
        outside = (y < 0) | (y > 1)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            message = (
                f"BCELoss expects probabilities, 0 ≤ y ≤ 1, got y[{row}, {column}] = "
                f"{y[row, column]}; end the network in Sigmoid(), or use BCEWithLogitsLoss."
            )
            raise DomainError(message)

    def probabilities(self, y: Array, /) -> Array:
        return np.positive(y)


@dataclass(frozen=True, repr=False, eq=False)
class BCEWithLogitsLoss(_BinaryLoss):
    """Binary cross-entropy of σ(y), accurate for any y. Each output is a class of its own.

    Forward, p = pos_weight, w = weight (one for each output), D the divisor of the reduction
        L = 1/D Σₙₖ w[k] (p[k] t softplus(−y) + (1 − t) softplus(y))

    Backward, σ(y) = 1 / (1 + exp(−y))
        dy = 1/D w ⊙ ((1 − t) σ(y) − p t σ(−y))       = 1/D (σ(y) − t) where w = p = 1

    softplus(y) = log(1 + exp(y)); log σ(y) = −softplus(−y).

    Shapes: y, t, dy (N, K); weight, pos_weight (K,).
    Source: torch.nn.BCEWithLogitsLoss, and batchmean.
    """

    pos_weight: tuple[float, ...] | None = None

    def targets(self, t: Any, y: Array, /) -> Array:
        _weights(self.pos_weight, y, "pos_weight")
        return _BinaryLoss.targets(self, t, y)

    def terms(self, y: Array, t: Array, /) -> Array:
        yes = _weights(self.pos_weight, y, "pos_weight") * t * softplus(-y)
        return _weights(self.weight, y, "weight") * (yes + (1 - t) * softplus(y))

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        yes = _weights(self.pos_weight, y, "pos_weight") * t * sigmoid(-y)
        dy = np.subtract((1 - t) * sigmoid(y), yes, out=out)
        factor = _weights(self.weight, y, "weight") * self.share(y, t)
        return np.multiply(dy, factor, out=dy)

    def probabilities(self, y: Array, /) -> Array:
        return sigmoid(y)


@dataclass(frozen=True, repr=False, eq=False)
class CrossEntropyLoss(Loss):
    """Cross-entropy of softmax(y): one of K classes for each sample.

    Forward, q[n,k] the target's probability of class k, w = weight, D the divisor
        L = −1/D Σₙₖ w[k] q[n,k] log softmax(y)[n,k]

    Backward, a = softmax(y)
        dy[n,k] = 1/D (a[n,k] Σⱼ w[j] q[n,j] − w[k] q[n,k])        = 1/D (a − q) where w = 1

    Targets are class indices, integers of shape (N,), for which q is 1 at the index and 0
    elsewhere; or probabilities of shape (N, K). With label_smoothing ε, q becomes (1 − ε) q + ε/K.
    Samples whose index is ignore_index do not count.

    D for reduction mean: Σₙ w[tₙ] over the samples that count (indices), or N (probabilities). D is
    N for batchmean and 1 for sum.

    Shapes: y, dy (N, K); t (N,) or (N, K); weight (K,).
    Source: torch.nn.CrossEntropyLoss, and batchmean.
    """

    weight: tuple[float, ...] | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        inside = 0 <= self.label_smoothing <= 1
        require(self, "label_smoothing", "from 0 to 1", inside)

    def targets(self, t: Any, y: Array, /) -> Array:
        _weights(self.weight, y, "weight")
        t = as_array(t, "t")
        if t.ndim == 2:
            return Loss.targets(self, t, y)
        if t.dtype.kind not in "iu" or t.shape != y.shape[:1]:
            message = (
                f"CrossEntropyLoss expects class indices, integers of shape ({len(y)},), or "
                f"probabilities of shape {y.shape}; got t of dtype {t.dtype} and shape {t.shape}."
            )
            raise ShapeError(message)
        self._require_terms(y)
        counts = t != self.ignore_index
        is_unknown = counts & ((t < 0) | (t >= y.shape[1]))
        if is_unknown.any():
            row = int(np.argmax(is_unknown))
            message = (
                f"CrossEntropyLoss expects class indices from 0 to {y.shape[1] - 1}, "
                f"got t[{row}] = {t[row]}."
            )
            raise DomainError(message)
        if self.reduction == "mean" and not counts.any():
            message = (
                f"CrossEntropyLoss: all {len(t)} targets are ignore_index; nothing to average."
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

    def terms(self, y: Array, t: Array, /) -> Array:
        return 0 - self._targets(y, t) * log_softmax(y)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        return self._gradient(softmax(y), self._targets(y, t), y, t, out)

    def forward_and_backward(
        self, y: Array, t: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        y = by_columns(y)
        q = by_columns(self._targets(y, t))
        a, log_a = softmax_and_log(y)
        return 0 - self.reduced(q * log_a, y, t), self._gradient(a, q, y, t, out)

    def _gradient(self, a: Array, q: Array, y: Array, t: Array, out: Array | None) -> Array:
        """Return dy, computed in the memory of a = softmax(y)."""
        np.multiply(a, np.add.reduce(q, axis=-1, keepdims=True), out=a)
        np.subtract(a, q, out=a)
        return np.divide(a, self.divisor(y, t) or 1, out=out, order="C")

    def probabilities(self, y: Array, /) -> Array:
        return softmax(y)

    def classify(self, y: Any, /) -> tuple[Array, Array]:
        """Return the likeliest class of each sample and its probability; both (N,)."""
        p = self.probabilities(self._outputs(y))
        classes = np.argmax(p, axis=-1)
        return classes, p[np.arange(len(p)), classes]

    def _targets(self, y: Array, t: Array) -> Array:
        """Return w[k] q[n,k], shape (N, K)."""
        rows, classes = y.shape
        if t.ndim == 1:
            q = np.zeros_like(y, subok=False)
            counting = np.flatnonzero(t != self.ignore_index)
            q[counting, t[counting]] = 1
        else:
            counting, q = np.arange(rows), t
        if self.label_smoothing:
            # A Python float as in torch. In longdouble its rounding to float64 would be visible.
            smoothing: Any = self.label_smoothing
            if y.dtype == np.longdouble:
                smoothing = np.longdouble(smoothing)
            smoothed = q * (1 - smoothing)
            smoothed[counting] += smoothing / classes
            q = smoothed
        return q if self.weight is None else q * _weights(self.weight, y, "weight")
