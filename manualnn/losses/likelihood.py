"""Losses of distributions: divergences from a target, and negative log-likelihoods of a target."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array, exp, greater, is_symbolic, log, where
from manualnn.errors import DomainError
from manualnn.losses.base import Loss

__all__ = ["KLDivLoss"]


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
