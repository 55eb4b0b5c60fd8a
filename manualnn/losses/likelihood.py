"""Losses of distributions: divergences from a target, and negative log-likelihoods of a target."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array, exp, greater, is_symbolic, log, where
from manualnn.errors import DomainError
from manualnn.losses.base import Loss
from manualnn.spec import require

__all__ = ["KLDivLoss", "PoissonNLLLoss"]


def _log_where_above(t: Array, limit: int) -> Array:
    """Return log t where t > limit, and 0 elsewhere."""
    return log(where(greater(t, limit), t, 1))


@dataclass(frozen=True, repr=False, eq=False)
class KLDivLoss(Loss):
    """Kullback–Leibler divergence of log-probabilities y from probabilities t.

    Forward, D the divisor of the reduction
        L = 1/D Σₙₖ t (log t − y)           0 where t = 0
        L = 1/D Σₙₖ exp(t) (t − y)          with log_target: t are log-probabilities, too

    Backward
        dy = −1/D t, or −1/D exp(t) with log_target

    y are the outputs of LogSoftmax. The divergence as mathematics defines it is reduction
    "batchmean"; "mean", torch's default, also divides by the K classes.

    Shapes: y, t, dy (N, K). Raises DomainError for a target below 0 without log_target.
    Source: Kullback and Leibler 1951; torch.nn.KLDivLoss.
    """

    log_target: bool = False

    def targets(self, t: Any, y: Array, /) -> Array:
        t = Loss.targets(self, t, y)
        if not self.log_target:
            _require_nonnegative(self, "t", t, "probabilities", "or set log_target=True")
        return t

    def terms(self, y: Array, t: Array, /) -> Array:
        if self.log_target:
            return exp(t) * (t - y)
        return t * (_log_where_above(t, 0) - y)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        return np.multiply(exp(t) if self.log_target else t, self.share(y, t, -1), out=out)


@dataclass(frozen=True, repr=False, eq=False)
class PoissonNLLLoss(Loss):
    """Negative log-likelihood of counts t under a Poisson distribution of the rate λ.

    Forward, D the divisor of the reduction
        L = 1/D Σₙₖ (exp(y) − t y)              with log_input: y = log λ
        L = 1/D Σₙₖ (y − t log(y + eps))        without: y = λ

    Backward
        dy = 1/D (exp(y) − t), or 1/D (1 − t / (y + eps)) without log_input

    The likelihood's log t! does not depend on y. With `full`, Stirling's formula stands for it:
    L grows by t log t − t + ½ log(2πt) where t > 1, and by nothing elsewhere.

    exp(y) overflows above y = 88 in float32 and 709 in float64: L and dy are ∞ then, as in torch.

    Shapes: y, t, dy (N, K). Raises DomainError for an output below 0 without log_input.
    Source: torch.nn.PoissonNLLLoss, and batchmean.
    """

    log_input: bool = True
    full: bool = False
    eps: float = 1e-8

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        require(self, "eps", "at least 0", self.eps >= 0)

    def require_outputs(self, y: Array, /) -> None:
        if not self.log_input:
            _require_nonnegative(self, "y", y, "rates", "or set log_input=True")

    def terms(self, y: Array, t: Array, /) -> Array:
        y = np.positive(y)  # in an order of memory in which exp rounds the same for any strides
        terms = exp(y) - t * y if self.log_input else y - t * log(y + self.eps)
        if not self.full:
            return terms
        log_t = _log_where_above(t, 1)
        stirling = t * log_t - t + (log_t + math.log(2 * math.pi)) / 2
        return terms + where(greater(t, 1), stirling, 0)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        if self.log_input:
            dy = np.subtract(exp(np.positive(y)), t, out=out)
        else:
            dy = np.divide(t, y + self.eps, out=out)
            np.subtract(1, dy, out=dy)
        return np.multiply(dy, self.share(y, t), out=dy)


def _require_nonnegative(loss: Loss, symbol: str, a: Array, what: str, hint: str) -> None:
    """Raise DomainError for the first entry below 0."""
    if is_symbolic(a) or not (a < 0).any():
        return
    row, column = np.argwhere(a < 0)[0]
    message = (
        f"{type(loss).__name__} expects {what}, {symbol} ≥ 0, got {symbol}[{row}, {column}] = "
        f"{a[row, column]}; pass {what}, {hint}."
    )
    raise DomainError(message)
