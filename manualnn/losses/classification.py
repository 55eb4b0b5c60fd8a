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
from manualnn.errors import DomainError, SpecError
from manualnn.losses.base import Loss
from manualnn.losses.indices import ClassLoss, column_weights
from manualnn.spec import require
from manualnn.validation import as_array

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "MultiLabelSoftMarginLoss"]

LEAST_ROOM = float(np.float32(1e-12))
"""Least denominator of BCELoss's gradient. torch stores it in float32: 4·10⁻⁹ below 10⁻¹²."""


@dataclass(frozen=True, repr=False, eq=False)
class _BinaryLoss(Loss):
    """Base of the losses with one binary class for each output: `weight` has a factor for each."""

    weight: tuple[float, ...] | None = None

    def targets(self, t: Any, y: Array, /) -> Array:
        column_weights(self.weight, y, "weight")
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

    Shapes: y, t in [0, 1], dy (N, K); weight (K,). Raises DomainError for y or t outside [0, 1].
    Source: torch.nn.BCELoss, and batchmean.
    """

    def terms(self, y: Array, t: Array, /) -> Array:
        yes = maximum(log(y), -100)
        no = maximum(log1p(-y), -100)
        # −x would make a zero negative
        return 0 - column_weights(self.weight, y, "weight") * (t * yes + (1 - t) * no)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = np.subtract(y, t, out=out)
        np.divide(dy, maximum(y * (1 - y), LEAST_ROOM), out=dy)
        factor = column_weights(self.weight, y, "weight") * self.share(y, t)
        return np.multiply(dy, factor, out=dy)

    def targets(self, t: Any, y: Array, /) -> Array:
        t = _BinaryLoss.targets(self, t, y)
        _require_probabilities("t", t, "pass (t + 1) / 2 for classes −1 and 1")
        return t

    def require_outputs(self, y: Array, /) -> None:
        _require_probabilities("y", y, "end the network in Sigmoid()")

    def probabilities(self, y: Array, /) -> Array:
        return np.positive(y)


def _require_probabilities(symbol: str, a: Array, hint: str) -> None:
    """Raise DomainError for the first entry outside of [0, 1]; NaN shows in the loss."""
    if is_symbolic(a) or not (outside := (a < 0) | (a > 1)).any():
        return
    row, column = np.argwhere(outside)[0]
    message = (
        f"BCELoss expects probabilities, 0 ≤ {symbol} ≤ 1, got {symbol}[{row}, {column}] = "
        f"{a[row, column]}; {hint}, or use BCEWithLogitsLoss."
    )
    raise DomainError(message)


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
        column_weights(self.pos_weight, y, "pos_weight")
        return _BinaryLoss.targets(self, t, y)

    def terms(self, y: Array, t: Array, /) -> Array:
        yes = column_weights(self.pos_weight, y, "pos_weight") * t * softplus(-y)
        return column_weights(self.weight, y, "weight") * (yes + (1 - t) * softplus(y))

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        yes = column_weights(self.pos_weight, y, "pos_weight") * t * sigmoid(-y)
        dy = np.subtract((1 - t) * sigmoid(y), yes, out=out)
        factor = column_weights(self.weight, y, "weight") * self.share(y, t)
        return np.multiply(dy, factor, out=dy)

    def probabilities(self, y: Array, /) -> Array:
        return sigmoid(y)


@dataclass(frozen=True, repr=False, eq=False)
class MultiLabelSoftMarginLoss(_BinaryLoss):
    """Mean over the K outputs of a binary cross-entropy of σ(y), one term for each sample.

    Forward, w = weight (one for each output), D the divisor of the reduction
        L = 1/D Σₙ 1/K Σₖ w[k] (t softplus(−y) + (1 − t) softplus(y))

    Backward, σ(y) = 1 / (1 + exp(−y))
        dy = 1/D w/K ⊙ ((1 − t) σ(y) − t σ(−y))       = 1/(D K) (σ(y) − t) where w = 1

    D is N for mean and batchmean, also with weights, and 1 for sum. With mean it is
    BCEWithLogitsLoss; with sum or batchmean, that divided by K.

    Shapes: y, t, dy (N, K); weight (K,). Source: torch.nn.MultiLabelSoftMarginLoss, and batchmean.
    """

    def divisor(self, y: Array, t: Array, /) -> Any:
        return 1 if self.reduction == "sum" else len(y)

    def divisors(self, y: Array, t: Array, /) -> Array:
        return np.ones(len(y), y.dtype)

    def terms(self, y: Array, t: Array, /) -> Array:
        return BCEWithLogitsLoss(weight=self.weight).terms(y, t) / y.shape[1]

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        total = BCEWithLogitsLoss("sum", self.weight)
        dy = total.backward(y, t, out=out)
        return np.multiply(dy, self.share(y, t) / y.shape[1], out=dy)

    def probabilities(self, y: Array, /) -> Array:
        return sigmoid(y)


@dataclass(frozen=True, repr=False, eq=False)
class CrossEntropyLoss(ClassLoss):
    """Cross-entropy of softmax(y): one of K classes for each sample.

    Forward, q[n,k] the target's probability of class k, w = weight, D the divisor
        L = −1/D Σₙₖ w[k] q[n,k] log softmax(y)[n,k]

    Backward, a = softmax(y)
        dy[n,k] = 1/D (a[n,k] Σⱼ w[j] q[n,j] − w[k] q[n,k])        = 1/D (a − q) where w = 1

    Targets are class indices, integers of shape (N,), for which q is 1 at the index and 0
    elsewhere; or probabilities of shape (N, K). With label_smoothing ε, q becomes (1 − ε) q + ε/K.
    Samples whose index is ignore_index do not count; probabilities with an ignore_index of 0 or
    more raise SpecError, as in torch.

    D for reduction mean: Σₙ w[tₙ] over the samples that count (indices), or N (probabilities). D is
    N for batchmean and 1 for sum.

    Shapes: y, dy (N, K); t (N,) or (N, K); weight (K,).
    Source: torch.nn.CrossEntropyLoss, and batchmean.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        inside = 0 <= self.label_smoothing <= 1
        require(self, "label_smoothing", "from 0 to 1", inside)

    def targets(self, t: Any, y: Array, /) -> Array:
        if as_array(t, "t").ndim == 2:
            if self.ignore_index >= 0:
                message = (
                    f"CrossEntropyLoss: ignore_index={self.ignore_index} needs class indices, got "
                    f"probabilities; pass indices, or leave ignore_index out."
                )
                raise SpecError(message)
            column_weights(self.weight, y, "weight")
            return Loss.targets(self, t, y)
        return ClassLoss.targets(self, t, y)

    def _other_targets(self, y: Array) -> str:
        return f", or probabilities of shape {y.shape}"

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
        return self.divided(a, y, t, out)

    def probabilities(self, y: Array, /) -> Array:
        return softmax(y)

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
        return q if self.weight is None else q * column_weights(self.weight, y, "weight")
