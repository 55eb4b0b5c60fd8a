"""Adam, AdamW with decoupled weight decay, and Adamax with the largest gradient so far."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array, maximum, sqrt, sqrt_of_number
from manualnn.optimizers.arithmetic import numbers_of, update_average
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.planned import Arrays, Rates

__all__ = ["Adam", "AdamW", "Adamax"]


@dataclass(frozen=True, repr=False, eq=False)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, Algorithm 1).

    m ← β₁ m + (1 − β₁) g               m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²              v̂ = v / (1 − β₂ᵗ)
    u ← max(u, v);  v̂ = u / (1 − β₂ᵗ)   amsgrad (Reddi et al. 2018), corrected after the maximum
    θ ← θ − lr m̂ / (√v̂ + ε)             computed as (lr √c₂ / c₁) m / (√v + ε √c₂), cᵢ = 1 − βᵢᵗ

    β₁, β₂ are betas, ε is eps. ε is outside of the root, as in torch.optim.Adam; Keras and optax
    offer it inside.
    State: exp_avg m, exp_avg_sq v, max_exp_avg_sq u.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    maximize: bool = False

    def vectors(self) -> tuple[str, ...]:
        names = ("exp_avg", "exp_avg_sq")
        return (*names, "max_exp_avg_sq") if self.amsgrad else names

    def rates(self, t: Any) -> Rates:
        """Return lr √c₂ / c₁ and ε √c₂, where cᵢ = 1 − βᵢᵗ."""
        beta1, beta2 = self.betas
        root = sqrt_of_number(1 - beta2**t)
        return self.lr * root / (1 - beta1**t), self.eps * root

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        m, v = arrays[:2]
        rate, eps = rates[:2]
        number = numbers_of(p.dtype.char)
        beta1, beta2 = self.betas
        update_average(m, g, beta1, scratch[1], number)
        update_average(v, g, beta2, scratch[1], number, of_square=True)
        if self.amsgrad:
            v = maximum(arrays[2], v, out=arrays[2])
        root = sqrt(v, out=scratch[1])
        np.add(root, eps, root)
        np.divide(m, root, root)
        np.multiply(root, rate, scratch[0])


@dataclass(frozen=True, repr=False, eq=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).

    θ ← θ − lr λ θ                      λ = weight_decay, with the θ before the step of Adam

    The decay is multiplied by lr, as in torch.optim.AdamW, without the paper's own factor η.
    State: as Adam.
    """

    weight_decay: float = 1e-2

    decoupled_weight_decay: ClassVar[bool] = True

    def rates(self, t: Any) -> Rates:
        return *Adam.rates(self, t), self.lr * self.weight_decay

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        Adam.rule(self, p, g, arrays, rates, scratch)
        np.add(scratch[0], np.multiply(p, rates[2], scratch[1]), scratch[0])


@dataclass(frozen=True, repr=False, eq=False)
class Adamax(Optimizer):
    """Adam with the largest gradient in place of the root (Kingma & Ba 2015, Algorithm 2).

    m ← β₁ m + (1 − β₁) g               m̂ = m / (1 − β₁ᵗ)
    u ← max(β₂ u, |g| + ε)
    θ ← θ − lr m̂ / u

    β₁, β₂ are betas, ε is eps. ε is inside of the maximum, as in torch.optim.Adamax; the paper has
    no ε, and Keras adds it to u in the last line. State: exp_avg m, exp_inf u.
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    maximize: bool = False

    def vectors(self) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def rates(self, t: Any) -> Rates:
        return (self.lr / (1 - self.betas[0] ** t),)

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        (m, u), (rate,) = arrays, rates
        number = numbers_of(p.dtype.char)
        update_average(m, g, self.betas[0], scratch[1], number)
        np.multiply(u, number(self.betas[1]), u)
        size = np.add(np.abs(g, scratch[1]), number(self.eps), scratch[1])
        maximum(u, size, out=u)
        np.multiply(np.divide(m, u, scratch[1]), rate, scratch[0])
