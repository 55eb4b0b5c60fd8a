"""RMSprop: gradient descent divided by a running root mean square."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array, maximum, sqrt
from manualnn.optimizers.arithmetic import numbers_of, update_average
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.planned import Arrays, Rates

__all__ = ["RMSprop"]


@dataclass(frozen=True, repr=False, eq=False)
class RMSprop(Optimizer):
    """Gradient descent with each entry divided by a running root mean square (Hinton 2012).

    v ← α v + (1 − α) g²
    m ← α m + (1 − α) g;  v̂ = max(v − m², 0)            centered; else v̂ = v
    θ ← θ − lr g / (√v̂ + ε)                             without momentum
    b ← μ b + g / (√v̂ + ε);  θ ← θ − lr b               with momentum μ

    α is alpha, ε eps, μ momentum. ε is outside of the root, as in torch.optim.RMSprop; TensorFlow
    has it inside. Where rounding makes v − m² negative, torch returns NaN; this class takes 0.
    State: square_avg v, grad_avg m, momentum_buffer b.
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    maximize: bool = False

    scratch_count: ClassVar[int] = 3

    def vectors(self) -> tuple[str, ...]:
        names = ["square_avg"]
        if self.centered:
            names.append("grad_avg")
        if self.momentum:
            names.append("momentum_buffer")
        return tuple(names)

    def rates(self, t: Any) -> Rates:
        return (self.lr,)

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        (rate,) = rates
        number = numbers_of(p.dtype.char)
        averages = dict(zip(self.vectors(), arrays, strict=True))
        v = averages["square_avg"]
        update_average(v, g, self.alpha, scratch[1], number, of_square=True)
        root = scratch[2]
        if self.centered:
            m = averages["grad_avg"]
            update_average(m, g, self.alpha, scratch[1], number)
            np.subtract(v, np.multiply(m, m, root), root)
            v = maximum(root, 0, out=root)
        sqrt(v, out=root)
        np.add(root, number(self.eps), root)
        step = np.divide(g, root, root)
        if self.momentum:
            b = averages["momentum_buffer"]
            np.multiply(b, number(self.momentum), b)
            step = np.add(b, step, b)
        np.multiply(step, rate, scratch[0])
