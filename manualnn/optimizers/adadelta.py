"""Adadelta: steps with the size of earlier steps."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array, sqrt
from manualnn.optimizers.arithmetic import numbers_of, update_average
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.planned import Arrays, Rates
from manualnn.spec import require

__all__ = ["Adadelta"]


@dataclass(frozen=True, repr=False, eq=False)
class Adadelta(Optimizer):
    """Steps with the root mean square of earlier steps (Zeiler 2012, Algorithm 1).

    v ← ρ v + (1 − ρ) g²
    Δ = √(u + ε) / √(v + ε) · g         with the u of the steps before
    u ← ρ u + (1 − ρ) Δ²
    θ ← θ − lr Δ

    ρ is rho, ε is eps. ε is inside of both roots, and u has no lr, as in torch.optim.Adadelta; the
    paper has no lr. State: square_avg v, acc_delta u.
    """

    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0
    maximize: bool = False

    scratch_count: ClassVar[int] = 3

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        require(self, "rho", "from 0 to 1", 0 <= self.rho <= 1)

    def vectors(self) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def rates(self, t: Any) -> Rates:
        return (self.lr,)

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        (v, u), (rate,) = arrays, rates
        number = numbers_of(p.dtype.char)
        root, delta = scratch[1:]
        update_average(v, g, self.rho, root, number, of_square=True)
        sqrt(np.add(v, number(self.eps), root), out=root)
        sqrt(np.add(u, number(self.eps), delta), out=delta)
        np.multiply(np.divide(delta, root, delta), g, delta)
        update_average(u, delta, self.rho, root, number, of_square=True)
        np.multiply(delta, rate, scratch[0])
