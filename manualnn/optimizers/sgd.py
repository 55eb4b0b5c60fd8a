"""Gradient descent: with momentum or without, and with an average of the parameters."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array, power_of_number
from manualnn.optimizers.arithmetic import numbers_of
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.planned import Arrays, Rates
from manualnn.spec import require

__all__ = ["ASGD", "SGD"]


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


@dataclass(frozen=True, repr=False, eq=False)
class ASGD(Optimizer):
    """Gradient descent with an average of the parameters (Polyak & Juditsky 1992).

    η = lr / (1 + λ₀ lr (t − 1))^α
    θ ← θ − η (g + λ₀ θ)
    a ← a + μ (θ − a)                   μ = 1 / max(1, t − 1 − t₀), and 1 where t = 1

    t = 1 in the first step. λ₀ is lambd, α is alpha, t₀ is t0. Until t₀, a is θ. State: ax, a.

    η and μ follow from the number of steps. torch.optim.ASGD keeps them as eta and mu, in float32
    also for parameters of float64: its steps have 7 digits there. There, a new lr of a schedule
    holds from the step after the next on, because eta is computed one step ahead; here, at once.
    """

    lr: float = 1e-2
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    weight_decay: float = 0.0
    maximize: bool = False

    scratch_count: ClassVar[int] = 3

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        require(self, "lambd", "at least 0", self.lambd >= 0)
        require(self, "t0", "a number", self.t0 > -np.inf)

    def vectors(self) -> tuple[str, ...]:
        return ("ax",)

    def rates(self, t: Any) -> Rates:
        """Return η, η λ₀ and, as soon as the average is not θ, μ and 1 − μ."""
        eta, share = self.lr, 1 / max(1, t - 1 - self.t0)
        if t > 1 and self.lambd:
            eta = self.lr / power_of_number(1 + self.lambd * self.lr * (t - 1), self.alpha)
        averaged = (share, 1 - share) if t > 1 and t - 1 - self.t0 > 1 else ()
        return eta, eta * self.lambd, *averaged

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        (a,), (eta, decay, *averaged) = arrays, rates
        step, after, other = scratch
        np.multiply(g, eta, step)
        np.add(step, np.multiply(p, decay, other), step)
        if not averaged:
            np.subtract(p, step, a)
            return
        share, kept = averaged
        np.subtract(p, step, after)
        np.multiply(a, kept, a)
        np.add(a, np.multiply(after, share, other), a)
