"""Learning rates that fall as a cosine: CosineAnnealingLR, CosineAnnealingWarmRestarts."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from manualnn.training.schedules.base import Schedule
from manualnn.validation import require_count, require_number

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


@dataclass(eq=False, repr=False)
class CosineAnnealingLR(Schedule):
    """Let the learning rate fall from lr to eta_min in T_max epochs, as half a wave of a cosine.

    lr(e) = eta_min + (lr − eta_min) (1 + cos(π e / T_max)) / 2 in epoch e = 0, 1, …; after T_max it
    rises again. Computed from the rate of the epoch before, as torch does.

    Source: Loshchilov & Hutter 2017, without restarts; torch.optim.lr_scheduler.CosineAnnealingLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> history = trainer.fit(x, t, epochs=5, callbacks=CosineAnnealingLR(T_max=4))
    >>> [round(lr, 3) for lr in history.lr]
    [0.5, 0.427, 0.25, 0.073, 0.0]

    """

    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_count("T_max", self.T_max, 1)
        require_number("eta_min", self.eta_min, 0)
        super().__post_init__()

    def enter_later(self, trainer: Any) -> None:
        """Start after another schedule: from base_lr, with the roundings of the formula above."""
        self.last_epoch = 0
        self.set_rates(trainer, lambda _: self.eta_min + (self.base_lr - self.eta_min))

    def next_rate(self, lr: float) -> float:
        """Return the rate of the next epoch."""
        e, length, least = self.last_epoch, self.T_max, self.eta_min
        if (e - 1 - length) % (2 * length) == 0:  # at the lowest rate the quotient below is 0/0
            after = lr + (self.base_lr - least) * (1 - math.cos(math.pi / length)) / 2
        else:
            wave = (1 + math.cos(math.pi * e / length), 1 + math.cos(math.pi * (e - 1) / length))
            after = wave[0] / wave[1] * (lr - least) + least
        return float(after)


@dataclass(eq=False, repr=False)
class CosineAnnealingWarmRestarts(Schedule):
    """Let the learning rate fall from lr to eta_min as half a wave of a cosine, then start again.

    lr(e) = eta_min + (lr − eta_min) (1 + cos(π T_cur / T_i)) / 2, where T_cur is the number of
    epochs since the last start. The first wave has T_i = T_0 epochs, every other one T_mult times
    as many as the one before.

    Source: Loshchilov & Hutter 2017, equation 5; torch.optim.lr_scheduler of the same name.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> history = trainer.fit(x, t, epochs=7, callbacks=CosineAnnealingWarmRestarts(2, T_mult=2))
    >>> [round(lr, 3) for lr in history.lr]
    [0.5, 0.25, 0.5, 0.427, 0.25, 0.073, 0.5]

    """

    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    state: ClassVar[tuple[str, ...]] = (*Schedule.state, "T_cur", "T_i")

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_count("T_0", self.T_0, 1)
        require_count("T_mult", self.T_mult, 1)
        require_number("eta_min", self.eta_min, 0)
        super().__post_init__()

    def _reset(self) -> None:
        super()._reset()
        self.T_cur = 0
        self.T_i = int(self.T_0)

    def count(self) -> None:
        """Count an epoch, which may start a wave."""
        super().count()
        self.T_cur += 1
        if self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult

    def first_rate(self, lr: float) -> float:
        """Return the rate of the first epoch: base_lr, with the roundings of the formula."""
        return self.next_rate(lr)

    def next_rate(self, lr: float) -> float:  # noqa: ARG002 - the rate follows from base_lr
        """Return the rate of the next epoch."""
        wave = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return float(self.eta_min + (self.base_lr - self.eta_min) * wave / 2)
