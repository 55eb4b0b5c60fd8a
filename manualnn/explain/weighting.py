"""Weights of samples in the loss of a run: the terms, L, and ∂L/∂y, on numbers of any kind.

    L = Σₙ wₙ Σₖ lₙₖ / D        ∂L/∂y = wₙ ∂lₙₖ/∂y / D        D = Σₙ wₙ dₙ, or 1 for the sum

Weights are fractions: 0.1 is one tenth, as people write it.
"""

from copy import copy
from fractions import Fraction
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.losses import Loss


def fraction(number: Any) -> Fraction:
    """Return the fraction of the shortest decimal number of a float."""
    return Fraction(repr(float(number)))


class Weighting:
    """A loss of samples with weights w (N,), or without, for outputs of the shape (N, K)."""

    def __init__(self, loss: Loss, w: Array | None, shape: tuple[int, ...], t: Array) -> None:
        self.loss = loss
        self.w = None if w is None else [fraction(number) for number in w]
        self.divisor: Any = loss.divisor(np.zeros(shape), t)
        if self.w is not None and loss.reduction != "sum":
            parts = map(fraction, loss.divisors(np.zeros(shape), t))
            self.divisor = sum(w * part for w, part in zip(self.w, parts, strict=True))

    def terms(self, y: Array, t: Array) -> Array:
        """Return every term times the weight of its sample."""
        terms = self.loss.terms(y, t)
        if self.w is None:
            return terms
        weighted = np.empty(terms.shape, dtype=object)
        for (n, k), term in np.ndenumerate(terms):
            weighted[n, k] = term * self.w[n]
        return weighted

    def forward(self, y: Array, t: Array) -> Any:
        """Return L."""
        if self.w is None:
            return self.loss.forward(y, t)
        total = np.add.reduce(self.terms(y, t), axis=None)
        return self.loss.over(total, self.divisor, y)

    def backward(self, y: Array, t: Array) -> Array:
        """Return ∂L/∂y, sample by sample: each has the factor wₙ and the common divisor D."""
        if self.w is None:
            return self.loss.backward(y, t)
        slopes = np.zeros(y.shape, dtype=object)
        for n, w in enumerate(self.w):
            if w:
                slopes[n] = self._loss_of(w).backward(y[n : n + 1], t[n : n + 1])[0]
        return slopes

    def _loss_of(self, w: Fraction) -> Loss:
        own = copy(self.loss)
        object.__setattr__(own, "factor", fraction(self.loss.factor) * w)
        object.__setattr__(own, "divisor", lambda _, __: self.divisor)
        return own
