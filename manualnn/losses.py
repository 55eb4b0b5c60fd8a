"""Loss functions: how far an output y is from its target t, as one number L, and ∂L/∂y.

A loss is a frozen description, as a layer is. `forward` and `backward` are its kernels; `value`,
`grad` and `value_and_grad` check their arguments first.

`reduction` says how the terms of a batch become one number. For outputs of shape (N, K):

    mean        divide by all terms         ÷ N K     torch's default
    batchmean   divide by the samples       ÷ N       the textbook's E = 1/N Σₙ Σₖ (t − y)²
    sum         divide by nothing           ÷ 1

Gradients differ by the same factors: from mean to batchmean K, from batchmean to sum N. Where a
loss averages over the samples only (CrossEntropyLoss), mean is what it calls the mean.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.checks import as_dtype, as_floats
from manualnn.elementary import (
    Array,
    exp,
    is_symbolic,
    log,
    log1p,
    log_softmax,
    maximum,
    minimum,
    ratio,
    sigmoid,
    sign,
    softmax,
    softplus,
)
from manualnn.errors import ShapeError, SpecError
from manualnn.spec import require

__all__ = [
    "LOSSES",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
]

REDUCTIONS = ("mean", "sum", "batchmean")


@dataclass(frozen=True)
class Loss:
    """Base of every loss: y and t of the same shape (N, K)."""

    reduction: str = "mean"

    def __post_init__(self) -> None:
        require(self, "reduction", f"one of {', '.join(REDUCTIONS)}", self.reduction in REDUCTIONS)

    def forward(self, y: Array, t: Array, /) -> Any:
        """Return L, a scalar of y's dtype."""
        raise NotImplementedError

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        """Return dy = ∂L/∂y."""
        raise NotImplementedError

    def forward_and_backward(
        self, y: Array, t: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        """Return L and dy; a loss whose two share work does that work once here."""
        return self.forward(y, t), self.backward(y, t, out=out)

    def divisor(self, y: Array, t: Array, /) -> Any:
        """Return the number by which the sum of all terms is divided."""
        return {"mean": y.size, "batchmean": len(y), "sum": 1}[self.reduction]

    def targets(self, t: Any, y: Array, /) -> Array:
        """Return the targets t as an array that fits the outputs y.

        Raises ShapeError, DTypeError or ValueError if it doesn't.
        """
        t = as_floats(t, y.dtype, "t")
        if t.shape != y.shape:
            hint = ""
            if t.size == y.size:
                hint = f"; pass t.reshape({', '.join(map(str, y.shape))})"
            message = (
                f"{type(self).__name__} expects t of shape {y.shape}, as y is, got {t.shape}{hint}."
            )
            raise ShapeError(message)
        self._require_terms(y)
        return t

    def require_outputs(self, y: Array, /) -> None:
        """Raise ValueError if the outputs y are outside the loss's domain."""

    def value(self, y: Any, t: Any, /) -> Any:
        """Return L, checked: a scalar of y's dtype. y (N, K); t as the loss's docstring says."""
        y, t = self._checked(y, t)
        with np.errstate(all="ignore"):
            return self.forward(y, t)

    def grad(self, y: Any, t: Any, /, *, out: Array | None = None) -> Array:
        """Return ∂L/∂y of shape (N, K), checked."""
        y, t = self._checked(y, t)
        with np.errstate(all="ignore"):
            return self.backward(y, t, out=out)

    def value_and_grad(self, y: Any, t: Any, /, *, out: Array | None = None) -> tuple[Any, Array]:
        """Return L and ∂L/∂y, checked."""
        y, t = self._checked(y, t)
        with np.errstate(all="ignore"):
            return self.forward_and_backward(y, t, out=out)

    def probabilities(self, y: Array, /) -> Array:
        """Return the probabilities that the outputs y stand for, shape (N, K)."""
        message = (
            f"{type(self).__name__} is a loss for regression: its outputs are no probabilities; "
            f"train with CrossEntropyLoss, BCELoss or BCEWithLogitsLoss to predict classes."
        )
        raise SpecError(message)

    def classify(self, y: Array, /) -> tuple[Array, Array]:
        """Return the likelier class of each output, 0 or 1, and its probability; both (N, K)."""
        p = self.probabilities(y)
        classes = (p >= 0.5).astype(np.intp)
        return classes, np.where(classes, p, 1 - p)

    def _checked(self, y: Any, t: Any) -> tuple[Array, Array]:
        y = np.asarray(y)
        y = as_floats(y, as_dtype(np.float64 if y.dtype.kind in "biu" else y.dtype), "y")
        if y.ndim != 2:
            message = f"{type(self).__name__} expects y of shape (N, K), got {y.shape}."
            raise ShapeError(message)
        self.require_outputs(y)
        return y, self.targets(t, y)

    def _require_terms(self, y: Array) -> None:
        if y.size == 0 and self.reduction != "sum":
            message = (
                f"{type(self).__name__} has no {self.reduction} over an empty batch, got y of "
                f"shape {y.shape}; pass at least one sample, or use reduction='sum'."
            )
            raise ShapeError(message)


def _one_over(divisor: int, dtype: np.dtype[Any]) -> Any:
    return ratio(1, divisor, dtype)


def _total(terms: Array) -> Any:
    return np.add.reduce(terms, axis=None)


@dataclass(frozen=True)
class MSELoss(Loss):
    """Squared error.

    Forward, D the divisor of the reduction
        L = 1/D Σₙₖ (y[n,k] − t[n,k])²

    Backward
        dy = 2/D (y − t)

    Shapes: y, t, dy (N, K). Source: torch.nn.MSELoss, and batchmean.
    """

    def forward(self, y: Array, t: Array, /) -> Any:
        error = np.subtract(y, t).ravel()
        return np.dot(error, error) * _one_over(self.divisor(y, t), y.dtype)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = np.subtract(y, t, out=out)
        return np.multiply(dy, ratio(2, self.divisor(y, t), y.dtype), out=dy)

    def forward_and_backward(
        self, y: Array, t: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        divisor = self.divisor(y, t)
        dy = np.subtract(y, t, out=out)
        error = dy.reshape(-1)
        value = np.dot(error, error) * _one_over(divisor, y.dtype)
        return value, np.multiply(dy, ratio(2, divisor, y.dtype), out=dy)


@dataclass(frozen=True)
class L1Loss(Loss):
    """Absolute error.

    Forward, D the divisor of the reduction
        L = 1/D Σₙₖ |y[n,k] − t[n,k]|

    Backward
        dy = 1/D sign(y − t)        0 where y = t

    Shapes: y, t, dy (N, K). Source: torch.nn.L1Loss, and batchmean.
    """

    def forward(self, y: Array, t: Array, /) -> Any:
        return _total(np.abs(y - t)) * _one_over(self.divisor(y, t), y.dtype)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = np.subtract(y, t, out=out)
        sign(dy, out=dy)
        return np.multiply(dy, _one_over(self.divisor(y, t), y.dtype), out=dy)


@dataclass(frozen=True)
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

    def forward(self, y: Array, t: Array, /) -> Any:
        distance = np.abs(y - t)
        bounded = minimum(distance, self.delta)
        total = _total(bounded * (distance - bounded * ratio(1, 2, y.dtype)))
        return total * _one_over(self.divisor(y, t), y.dtype)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = np.subtract(y, t, out=out)
        minimum(dy, self.delta, out=dy)
        maximum(dy, -self.delta, out=dy)
        return np.multiply(dy, _one_over(self.divisor(y, t), y.dtype), out=dy)


def _weights(weight: tuple[float, ...] | None, y: Array, option: str) -> Array | int:
    """Return one factor for each column of y."""
    if weight is None:
        return 1
    factors = np.array(weight, dtype=y.dtype)
    if factors.shape != y.shape[1:]:
        message = f"{option} must have one number for each of {y.shape[1]} outputs, got {weight!r}."
        raise ShapeError(message)
    return factors


@dataclass(frozen=True)
class BCELoss(Loss):
    """Binary cross-entropy of probabilities, each output a class of its own.

    Forward, w = weight (one for each output), D the divisor of the reduction
        L = −1/D Σₙₖ w[k] (t log y + (1 − t) log(1 − y))       each logarithm at least −100

    Backward
        dy = 1/D w ⊙ (y − t) / (y (1 − y))       the denominator at least 10⁻¹²

    The two bounds are torch's: at y = 0 and y = 1 the loss stays finite, and so does the gradient.
    Where the network ends in a Sigmoid, BCEWithLogitsLoss without it keeps its accuracy there.

    Shapes: y in [0, 1], t, dy (N, K); weight (K,). Raises ValueError for y outside [0, 1].
    Source: torch.nn.BCELoss, and batchmean.
    """

    weight: tuple[float, ...] | None = None

    def targets(self, t: Any, y: Array, /) -> Array:
        t = Loss.targets(self, t, y)
        _weights(self.weight, y, "weight")
        return t

    def forward(self, y: Array, t: Array, /) -> Any:
        yes = maximum(log(y), -100)
        no = maximum(log1p(-y), -100)
        terms = _weights(self.weight, y, "weight") * (t * yes + (1 - t) * no)
        return -_total(terms) * _one_over(self.divisor(y, t), y.dtype)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = np.subtract(y, t, out=out)
        np.divide(dy, maximum(y * (1 - y), 1e-12), out=dy)
        factor = _weights(self.weight, y, "weight") * _one_over(self.divisor(y, t), y.dtype)
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
            raise ValueError(message)

    def probabilities(self, y: Array, /) -> Array:
        return np.positive(y)


@dataclass(frozen=True)
class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of σ(y), each output a class of its own, accurate for any y.

    Forward, p = pos_weight, w = weight (one for each output), D the divisor of the reduction
        L = 1/D Σₙₖ w[k] (p[k] t softplus(−y) + (1 − t) softplus(y))

    Backward, σ(y) = 1 / (1 + exp(−y))
        dy = 1/D w ⊙ ((1 − t) σ(y) − p t σ(−y))       = 1/D (σ(y) − t) where w = p = 1

    softplus(y) = log(1 + exp(y)); log σ(y) = −softplus(−y).

    Shapes: y, t, dy (N, K); weight, pos_weight (K,).
    Source: torch.nn.BCEWithLogitsLoss, and batchmean.
    """

    weight: tuple[float, ...] | None = None
    pos_weight: tuple[float, ...] | None = None

    def targets(self, t: Any, y: Array, /) -> Array:
        t = Loss.targets(self, t, y)
        _weights(self.weight, y, "weight")
        _weights(self.pos_weight, y, "pos_weight")
        return t

    def forward(self, y: Array, t: Array, /) -> Any:
        yes = _weights(self.pos_weight, y, "pos_weight") * t * softplus(-y)
        terms = _weights(self.weight, y, "weight") * (yes + (1 - t) * softplus(y))
        return _total(terms) * _one_over(self.divisor(y, t), y.dtype)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        yes = _weights(self.pos_weight, y, "pos_weight") * t * sigmoid(-y)
        dy = np.subtract((1 - t) * sigmoid(y), yes, out=out)
        factor = _weights(self.weight, y, "weight") * _one_over(self.divisor(y, t), y.dtype)
        return np.multiply(dy, factor, out=dy)

    def probabilities(self, y: Array, /) -> Array:
        return sigmoid(y)


@dataclass(frozen=True)
class CrossEntropyLoss(Loss):
    """Cross-entropy of softmax(y): one class of K for each sample.

    Forward, q[n,k] the target's probability of class k, w = weight, D the divisor
        L = −1/D Σₙₖ w[k] q[n,k] log softmax(y)[n,k]

    Backward, a = softmax(y)
        dy[n,k] = 1/D (a[n,k] Σⱼ w[j] q[n,j] − w[k] q[n,k])        = 1/D (a − q) where w = 1

    Targets are class indices, integers of shape (N,), for which q is 1 at the index and 0
    elsewhere; or probabilities of shape (N, K). With label_smoothing ε, q becomes (1 − ε) q + ε/K.
    Samples whose index is ignore_index count for nothing.

    D for reduction mean is Σₙ w[tₙ] over the samples that count for indices, N for probabilities;
    for batchmean N, for sum 1.

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
        t = np.asarray(t)
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
        wrong = counts & ((t < 0) | (t >= y.shape[1]))
        if wrong.any():
            row = int(np.argmax(wrong))
            message = (
                f"CrossEntropyLoss expects class indices from 0 to {y.shape[1] - 1}, "
                f"got t[{row}] = {t[row]}."
            )
            raise ValueError(message)
        if self.reduction == "mean" and not counts.any():
            message = (
                f"CrossEntropyLoss: all {len(t)} targets are ignore_index; nothing to average."
            )
            raise ValueError(message)
        return t

    def divisor(self, y: Array, t: Array, /) -> Any:
        if self.reduction == "mean" and t.ndim == 1:
            counts = t != self.ignore_index
            if self.weight is None:
                return int(np.count_nonzero(counts))
            return _total(np.array(self.weight, dtype=y.dtype)[t[counts]])
        return 1 if self.reduction == "sum" else len(y)

    def forward(self, y: Array, t: Array, /) -> Any:
        return -_total(self._targets(y, t) * log_softmax(y)) / (self.divisor(y, t) or 1)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        q = self._targets(y, t)
        dy = softmax(y, out=out)
        np.multiply(dy, np.add.reduce(q, axis=-1, keepdims=True), out=dy)
        np.subtract(dy, q, out=dy)
        return np.divide(dy, self.divisor(y, t) or 1, out=dy)

    def forward_and_backward(
        self, y: Array, t: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        q, divisor = self._targets(y, t), self.divisor(y, t) or 1
        dy = log_softmax(y, out=out)
        value = -_total(q * dy) / divisor
        exp(dy, out=dy)
        np.multiply(dy, np.add.reduce(q, axis=-1, keepdims=True), out=dy)
        np.subtract(dy, q, out=dy)
        return value, np.divide(dy, divisor, out=dy)

    def probabilities(self, y: Array, /) -> Array:
        return softmax(y)

    def classify(self, y: Array, /) -> tuple[Array, Array]:
        """Return the likeliest class of each sample and its probability; both (N,)."""
        p = self.probabilities(y)
        classes = np.argmax(p, axis=-1)
        return classes, p[np.arange(len(p)), classes]

    def _targets(self, y: Array, t: Array) -> Array:
        """Return w[k] q[n,k], shape (N, K)."""
        rows, classes = y.shape
        if t.ndim == 1:
            q = np.zeros_like(y, order="C", subok=False)
            counted = np.flatnonzero(t != self.ignore_index)
            q[counted, t[counted]] = 1
        else:
            counted, q = np.arange(rows), t
        if self.label_smoothing:
            smoothed = q * (1 - self.label_smoothing)
            smoothed[counted] += self.label_smoothing / classes
            q = smoothed
        return q if self.weight is None else q * _weights(self.weight, y, "weight")


LOSSES: dict[str, type[Loss]] = {
    loss.__name__: loss
    for loss in (MSELoss, L1Loss, HuberLoss, BCELoss, BCEWithLogitsLoss, CrossEntropyLoss)
}
