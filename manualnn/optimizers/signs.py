"""Rules that step along signs: Rprop with a size for each parameter, Lion with one for all."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array, maximum, minimum, sign, step
from manualnn.optimizers.arithmetic import numbers_of, update_average
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.planned import Arrays, Rates, State
from manualnn.spec import require

__all__ = ["Lion", "Rprop"]


@dataclass(frozen=True, repr=False, eq=False)
class Rprop(Optimizer):
    """Steps whose sizes follow from the signs of two gradients (Riedmiller & Braun 1993).

    η ← η η₊ where g g′ > 0, η η₋ where g g′ < 0;  η ← min(max(η, Γ₋), Γ₊)
    g ← 0 where g g′ < 0
    θ ← θ − η sign(g);  g′ ← g

    η starts at lr, which has no other use, and g′ at 0. η₋, η₊ are etas; Γ₋, Γ₊ are step_sizes. A
    step after a change of the sign is left out, and not taken back, as in torch.optim.Rprop. State:
    prev g′, step_size η.
    """

    lr: float = 1e-2
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)
    maximize: bool = False

    scratch_count: ClassVar[int] = 4

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        (less, more), (least, most) = self.etas, self.step_sizes
        require(self, "etas", "a number from 0 to 1 and one above 1", 0 < less < 1 < more)
        require(self, "step_sizes", "two numbers from 0, the smaller one first", 0 <= least <= most)

    def vectors(self) -> tuple[str, ...]:
        return ("prev", "step_size")

    def init_vectors(self, state: State) -> None:
        state["step_size"][...] = self.lr

    def rates(self, t: Any) -> Rates:
        return ()

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        last, size = arrays
        rises, falls, kept = scratch[1:]
        number = numbers_of(p.dtype.char)
        (less, more), (least, most) = (map(number, pair) for pair in (self.etas, self.step_sizes))
        np.multiply(g, last, rises)
        step(np.negative(rises, falls), out=falls)
        step(rises, out=rises)
        np.subtract(1, falls, kept)
        unchanged = np.subtract(kept, rises, last)
        np.add(np.multiply(rises, more, rises), np.multiply(falls, less, falls), rises)
        np.multiply(size, np.add(rises, unchanged, rises), size)
        minimum(maximum(size, least, out=size), most, out=size)
        np.multiply(g, kept, last)
        np.multiply(sign(last, out=kept), size, scratch[0])


@dataclass(frozen=True, repr=False, eq=False)
class Lion(Optimizer):
    """Steps along the sign of an average (Chen et al. 2023, Algorithm 2).

    θ ← θ − lr (sign(β₁ m + (1 − β₁) g) + λ θ)
    m ← β₂ m + (1 − β₂) g               after the step

    β₁, β₂ are betas, λ is weight_decay; sign(0) is 0. torch has no Lion. Its authors' defaults hold
    here, and torch's names. State: exp_avg m.
    """

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    maximize: bool = False

    decoupled_weight_decay: ClassVar[bool] = True
    scratch_count: ClassVar[int] = 3

    def vectors(self) -> tuple[str, ...]:
        return ("exp_avg",)

    def rates(self, t: Any) -> Rates:
        return self.lr, self.lr * self.weight_decay

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        (m,), (rate, decay) = arrays, rates
        number = numbers_of(p.dtype.char)
        beta1, beta2 = self.betas
        way, other = scratch[1:]
        np.add(np.multiply(m, number(beta1), way), np.multiply(g, number(1 - beta1), other), way)
        update_average(m, g, beta2, other, number)
        # NumPy takes ten times as long for a sign that is written over its argument.
        np.multiply(sign(way, out=other), rate, scratch[0])
        if self.weight_decay:
            np.add(scratch[0], np.multiply(p, decay, other), scratch[0])
