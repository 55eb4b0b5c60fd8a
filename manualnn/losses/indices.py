"""Losses of class indices: t has one of K classes for each sample, or several."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array, exp, maximum, ratio, step
from manualnn.errors import DomainError, ShapeError
from manualnn.losses.base import Loss
from manualnn.spec import require
from manualnn.validation import as_array

__all__ = ["MultiLabelMarginLoss", "MultiMarginLoss", "NLLLoss"]


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
class IndexLoss(Loss):
    """Base of the losses of class indices t; `weight` has a factor for each of K classes."""

    weight: tuple[float, ...] | None = None

    def targets(self, t: Any, y: Array, /) -> Array:
        column_weights(self.weight, y, "weight")
        kind, t = type(self).__name__, as_array(t, "t")
        if t.dtype.kind not in "iu" or t.shape != y.shape[:1]:
            message = (
                f"{kind} expects class indices, integers of shape ({len(y)},)"
                f"{self._other_targets(y)}; got t of dtype {t.dtype} and shape {t.shape}."
            )
            raise ShapeError(message)
        counts = self._counts(t)
        is_unknown = counts & ((t < 0) | (t >= y.shape[1]))
        if is_unknown.any():
            row = int(np.argmax(is_unknown))
            message = (
                f"{kind} expects class indices from 0 to {y.shape[1] - 1}, got t[{row}] = {t[row]}."
            )
            raise DomainError(message)
        return t

    def _weights_of(self, t: Array, y: Array) -> Any:
        """Return the weights of these classes, or 1."""
        return 1 if self.weight is None else np.array(self.weight, dtype=y.dtype)[t]

    def _counts(self, t: Array) -> Array:
        """Return which samples count."""
        return np.ones(t.shape, bool)

    def _other_targets(self, y: Array) -> str:
        """Return the words for other targets than indices."""
        return ""


@dataclass(frozen=True, repr=False, eq=False)
class ClassLoss(IndexLoss):
    """Base of the losses that leave out samples whose index is `ignore_index`."""

    ignore_index: int = -100

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

    def _counts(self, t: Array) -> Array:
        return np.asarray(t != self.ignore_index)


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
        return (rows, t[rows]), self._weights_of(t[rows], y)


@dataclass(frozen=True, repr=False, eq=False)
class MultiMarginLoss(IndexLoss):
    """Hinge loss of K classes: the target's output has to exceed each other one by a margin.

    Forward, h[n,k] = max(0, Δ − y[n,tₙ] + y[n,k]) for k ≠ tₙ, else 0; Δ = margin, w = weight
        L = 1/D Σₙ w[tₙ]/K Σₖ h[n,k]ᵖ

    Backward, s = 1 where h > 0, else 0, for p = 1; s = 2 h for p = 2
        dy[n,k] = 1/D w[tₙ]/K s[n,k]        k ≠ tₙ
        dy[n,tₙ] = −Σₖ dy[n,k]              each h falls with the target's output

    D is N for mean and batchmean, also with weights, and 1 for sum. At h = 0 the slope is torch's
    0. The sum over the classes is divided by their number K.

    Shapes: y, dy (N, K); t (N,), integers; weight (K,).
    Source: Crammer and Singer 2001; torch.nn.MultiMarginLoss, and batchmean.
    """

    p: int = 1
    margin: float = 1.0

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        require(self, "p", "1 or 2", self.p in {1, 2})
        require(self, "margin", "a number", condition=True)

    def divisor(self, y: Array, t: Array, /) -> Any:
        return 1 if self.reduction == "sum" else len(y)

    def divisors(self, y: Array, t: Array, /) -> Array:
        return np.ones(len(y), y.dtype)

    def terms(self, y: Array, t: Array, /) -> Array:
        excess = maximum(self._excess(y, t), 0)
        return self._weighted(excess if self.p == 1 else excess * excess, y, t)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy = self._excess(y, t)
        dy = step(dy) if self.p == 1 else 2 * maximum(dy, 0)
        dy[np.arange(len(t)), t] = 0 - np.add.reduce(dy, axis=1)
        return np.multiply(self._weighted(dy, y, t), self.share(y, t), out=out)

    def _excess(self, y: Array, t: Array) -> Array:
        """Return by how much each output exceeds the target's less the margin; 0 at the target.

        The order is torch's, so that both decide alike where rounding decides.
        """
        samples = np.arange(len(t))
        excess = (self.margin - y[samples, t])[:, None] + y
        excess[samples, t] = ratio(0, 1, y)
        return excess

    def _weighted(self, terms: Array, y: Array, t: Array) -> Array:
        """Return each sample's terms times its weight, divided by the number of classes."""
        w = self._weights_of(t, y)
        return terms / y.shape[1] if self.weight is None else terms * (w / y.shape[1])[:, None]


@dataclass(frozen=True, repr=False, eq=False)
class MultiLabelMarginLoss(Loss):
    """Hinge loss of several classes of a sample: the output of each exceeds all others' by 1.

    Forward, Tₙ the classes of sample n, h[n,j,k] = max(0, 1 − y[n,j] + y[n,k]) for j ∈ Tₙ, k ∉ Tₙ
        L = 1/D Σₙ 1/K Σⱼₖ h[n,j,k]

    Backward, s = 1 where h > 0, else 0
        dy[n,k] = 1/D 1/K Σⱼ s[n,j,k]       k ∉ Tₙ
        dy[n,j] = −1/D 1/K Σₖ s[n,j,k]      j ∈ Tₙ

    A row of t lists the classes of its sample. The list ends before the first −1, and what stands
    behind it does not count. A class that stands twice in the list counts twice. D is N for mean
    and batchmean, and 1 for sum. At h = 0 the slope is torch's 0.

    Shapes: y, dy (N, K); t (N, K), integers from −1 to K − 1.
    Source: torch.nn.MultiLabelMarginLoss, and batchmean.
    """

    def targets(self, t: Any, y: Array, /) -> Array:
        t = as_array(t, "t")
        if t.dtype.kind not in "iu" or t.shape != y.shape:
            message = (
                f"MultiLabelMarginLoss expects class indices, integers of shape {y.shape}, whose "
                f"rows are filled up with −1; got t of dtype {t.dtype} and shape {t.shape}."
            )
            raise ShapeError(message)
        is_unknown = (t < -1) | (t >= y.shape[1])
        if is_unknown.any():
            row, column = np.argwhere(is_unknown)[0]
            message = (
                f"MultiLabelMarginLoss expects class indices from 0 to {y.shape[1] - 1}, and −1 "
                f"behind the last one of a row, got t[{row}, {column}] = {t[row, column]}."
            )
            raise DomainError(message)
        return t

    def divisor(self, y: Array, t: Array, /) -> Any:
        return 1 if self.reduction == "sum" else len(y)

    def divisors(self, y: Array, t: Array, /) -> Array:
        return np.ones(len(y), y.dtype)

    def terms(self, y: Array, t: Array, /) -> Array:
        terms = _zeros_like(y)
        for _, gaps in self._gaps(y, t):
            terms += maximum(gaps, 0)
        return terms / y.shape[1]

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        dy, samples = _zeros_like(y), np.arange(len(t))
        for own, gaps in self._gaps(y, t):
            slopes = step(gaps)
            dy += slopes
            dy[samples, own] -= np.add.reduce(slopes, axis=1)
        return np.multiply(dy / y.shape[1], self.share(y, t), out=out)

    def _gaps(self, y: Array, t: Array) -> Iterator[tuple[Array, Array]]:
        """Yield a class of each sample, and 1 − y[class] + y, for each place of the list.

        The second is 0 at all classes of the sample, and where the list is shorter.
        """
        samples, counts = np.arange(len(t)), np.logical_and.accumulate(t >= 0, axis=1)
        is_own = np.zeros(t.shape, bool)
        is_own[np.nonzero(counts)[0], t[counts]] = True
        for own, is_listed in zip(t.T, counts.T, strict=True):
            if not is_listed.any():
                return
            gaps = (1 - y[samples, own])[:, None] + y
            gaps[is_own | ~is_listed[:, None]] = ratio(0, 1, y)
            yield own, gaps


def _zeros_like(y: Array) -> Array:
    """Return zeros of y's kind, which may be numbers of another arithmetic."""
    zeros = np.empty_like(y, order="C", subok=False)
    zeros[...] = ratio(0, 1, y)
    return zeros
