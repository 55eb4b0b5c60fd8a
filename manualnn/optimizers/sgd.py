"""Gradient descent, with and without momentum."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.optimizers.arithmetic import numbers_of
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.planned import Arrays, Rates
from manualnn.spec import require

__all__ = ["SGD"]


@dataclass(frozen=True, repr=False, eq=False)
class SGD(Optimizer):
    """Gradient descent, with momentum or without.

    θ ← θ − α g                                 without momentum: W′ = W − α ∂L/∂W

    b ← g in the first step, then b ← μ b + (1 − τ) g
    θ ← θ − α b                                 with momentum μ, dampening τ
    θ ← θ − α (g + μ b)                         with nesterov

    The learning rate α = lr is outside of b, and the first step has no dampening, as in
    torch.optim.SGD; Sutskever et al. 2013 have α inside. State: momentum_buffer, b.
    """

    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        require(self, "dampening", "a number", condition=True)
        is_allowed = not self.nesterov or (self.momentum > 0 and self.dampening == 0)
        require(self, "nesterov", "used with momentum above 0 and dampening 0", is_allowed)

    @property
    def factor(self) -> float | None:
        if self.momentum or self.weight_decay or not self.is_plain or type(self) is not SGD:
            return None
        return -self.lr if self.maximize else self.lr

    def vectors(self) -> tuple[str, ...]:
        return ("momentum_buffer",) if self.momentum else ()

    def rates(self, t: Any) -> Rates:
        if not self.momentum:
            return (self.lr,)
        return self.lr, *((0, 1) if t == 1 else (self.momentum, 1 - self.dampening))

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        rate, *of_buffer = rates
        if self.momentum:
            (b,), (memory, share) = arrays, of_buffer
            np.multiply(b, memory, b)
            np.add(b, np.multiply(g, share, scratch[1]), b)
            if self.nesterov:
                momentum = numbers_of(p.dtype.char)(self.momentum)
                g = np.add(g, np.multiply(b, momentum, scratch[1]), scratch[1])
            else:
                g = b
        np.multiply(g, rate, scratch[0])
