"""Variants of Adam: NAdam looks one step ahead, RAdam waits until its squares are reliable."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array, power_of_number, sqrt, sqrt_of_number
from manualnn.optimizers.arithmetic import numbers_of, update_average
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.planned import Arrays, Rates
from manualnn.spec import require

__all__ = ["NAdam", "RAdam"]


@dataclass(frozen=True, repr=False, eq=False)
class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016, with the warm-up of its momentum).

    μₜ = β₁ (1 − ½ 0.96^(t ψ));  Πₜ = μ₁ μ₂ … μₜ
    m ← β₁ m + (1 − β₁) g
    v ← β₂ v + (1 − β₂) g²;  v̂ = v / (1 − β₂ᵗ)
    θ ← θ − lr ((1 − μₜ) / (1 − Πₜ) g + μₜ₊₁ / (1 − Πₜ₊₁) m) / (√v̂ + ε)

    ψ is momentum_decay, β₁, β₂ are betas, ε is eps. With decoupled_weight_decay, θ ← θ − lr λ θ
    takes the place of g ← g + λ θ, λ = weight_decay. State: exp_avg m, exp_avg_sq v. Π follows from
    the number of steps; torch.optim.NAdam keeps it as mu_product, in float32 also for parameters of
    float64, so that its steps have 7 digits there.
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False
    maximize: bool = False

    scratch_count: ClassVar[int] = 3

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        require(self, "momentum_decay", "at least 0", self.momentum_decay >= 0)

    def vectors(self) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def rates(self, t: Any) -> Rates:
        """Return the factors of g, m and θ, and ε √(1 − β₂ᵗ)."""
        beta1, beta2 = self.betas
        root = sqrt_of_number(1 - beta2**t)
        now, ahead = (_momentum(beta1, self.momentum_decay, n) for n in (t, t + 1))
        product = _momentum_product(beta1, self.momentum_decay, t)
        rate = self.lr * root
        of_gradient = rate * (1 - now) / (1 - product)
        of_average = rate * ahead / (1 - product * ahead)
        return of_gradient, of_average, self.lr * self.weight_decay, self.eps * root

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        (m, v), (of_gradient, of_average, decay, eps) = arrays, rates
        number = numbers_of(p.dtype.char)
        beta1, beta2 = self.betas
        step, root, other = scratch
        update_average(m, g, beta1, other, number)
        update_average(v, g, beta2, other, number, of_square=True)
        np.add(sqrt(v, out=root), eps, root)
        np.multiply(g, of_gradient, step)
        np.add(step, np.multiply(m, of_average, other), step)
        np.divide(step, root, step)
        if self.decoupled_weight_decay:
            np.add(step, np.multiply(p, decay, other), step)


def _momentum(beta1: Any, decay: Any, t: int) -> Any:
    """Return NAdam's momentum μₜ."""
    return beta1 * (1 - power_of_number(Fraction(24, 25), t * decay) / 2)


def _momentum_product(beta1: Any, decay: Any, t: int) -> Any:
    """Return Πₜ = μ₁ μ₂ … μₜ."""
    known = _products(beta1, decay) if isinstance(beta1, float | np.longdouble) else {0: 1}
    for n in range(len(known), t + 1):
        if known[n - 1] < _NEGLIGIBLE:
            return known[n - 1]
        known[n] = known[n - 1] * _momentum(beta1, decay, n)
    return known[t]


_NEGLIGIBLE = 1e-30
"""1 less a smaller number is 1 in every data type."""


@lru_cache(maxsize=16, typed=True)
def _products(beta1: Any, decay: Any) -> dict[int, Any]:  # noqa: ARG001 - the key of the cache
    """Return the products that are known, {0: 1, 1: Π₁, …}, so that a step adds one to them.

    Two threads write the same numbers.
    """
    return {0: 1}


@dataclass(frozen=True, repr=False, eq=False)
class RAdam(Optimizer):
    """Adam that waits until the variance of its squares is known (Liu et al. 2020, Algorithm 2).

    m ← β₁ m + (1 − β₁) g;   m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²
    ρₘ = 2 / (1 − β₂) − 1;   ρₜ = ρₘ − 2 t β₂ᵗ / (1 − β₂ᵗ)
    r = √((ρₜ − 4) (ρₜ − 2) ρₘ / ((ρₘ − 4) (ρₘ − 2) ρₜ))
    θ ← θ − lr r m̂ √(1 − β₂ᵗ) / (√v + ε)         where ρₜ > 5
    θ ← θ − lr m̂                                 else

    β₁, β₂ are betas. ε, eps, is added to the root before its correction, and the limit is 5, as in
    torch.optim.RAdam; the paper has no ε, and the limit 4. With decoupled_weight_decay, λ being
    weight_decay, θ ← θ − lr λ θ takes the place of g ← g + λ θ. State: exp_avg m, exp_avg_sq v.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled_weight_decay: bool = False
    maximize: bool = False

    def vectors(self) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def rates(self, t: Any) -> Rates:
        """Return the factor of θ, the factor of m, and ε where the step is divided by the root."""
        beta1, beta2 = self.betas
        decay, rate = self.lr * self.weight_decay, self.lr / (1 - beta1**t)
        correction = 1 - beta2**t
        whole = 2 / (1 - beta2) - 1
        length = whole - 2 * t * beta2**t / correction
        if not length > LEAST_LENGTH:
            return decay, rate
        share = (length - 4) * (length - 2) * whole / ((whole - 4) * (whole - 2) * length)
        return decay, rate * sqrt_of_number(share) * sqrt_of_number(correction), self.eps

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        (m, v), (decay, rate, *eps) = arrays, rates
        number = numbers_of(p.dtype.char)
        beta1, beta2 = self.betas
        update_average(m, g, beta1, scratch[1], number)
        update_average(v, g, beta2, scratch[1], number, of_square=True)
        step = m
        if eps:
            root = np.add(sqrt(v, out=scratch[1]), eps[0], scratch[1])
            step = np.divide(m, root, root)
        np.multiply(step, rate, scratch[0])
        if self.decoupled_weight_decay:
            np.add(scratch[0], np.multiply(p, decay, scratch[1]), scratch[0])


LEAST_LENGTH = 5
"""The length ρₜ of RAdam's average above which it divides by the root."""
