"""Adagrad: gradient descent divided by the root of all squares so far."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array, sqrt
from manualnn.optimizers.arithmetic import numbers_of
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.planned import Arrays, Rates, State

__all__ = ["Adagrad"]


@dataclass(frozen=True, repr=False, eq=False)
class Adagrad(Optimizer):
    """Gradient descent with each entry divided by the root of its squares so far (Duchi 2011).

    s ← s + g²
    θ ← θ − lr / (1 + (t − 1) lr_decay) · g / (√s + ε)

    t = 1 in the first step; s starts at initial_accumulator_value; ε is outside of the root, as
    in torch.optim.Adagrad. State: sum, s.
    """

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    maximize: bool = False

    def vectors(self) -> tuple[str, ...]:
        return ("sum",)

    def init_vectors(self, state: State) -> None:
        state["sum"][...] = self.initial_accumulator_value

    def rates(self, t: Any) -> Rates:
        return (self.lr / (1 + (t - 1) * self.lr_decay),)

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        (s,), (rate,) = arrays, rates
        number = numbers_of(p.dtype.char)
        root = scratch[1]
        np.add(s, np.multiply(g, g, root), s)
        sqrt(s, out=root)
        np.add(root, number(self.eps), root)
        np.divide(g, root, root)
        np.multiply(root, rate, scratch[0])
