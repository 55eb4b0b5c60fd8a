"""Learning rates that start as a fraction of the given one: ConstantLR, LinearLR."""

from dataclasses import dataclass
from typing import Any

from manualnn.errors import SpecError
from manualnn.training.schedules.base import Schedule
from manualnn.validation import require_count, require_number

__all__ = ["ConstantLR", "LinearLR"]


@dataclass(eq=False, repr=False)
class ConstantLR(Schedule):
    """Multiply the learning rate by `factor` for the first `total_iters` epochs.

    lr(e) = lr × factor in epoch e = 0, …, total_iters − 1, then lr.

    With total_iters = 0, the factor is never taken back, as in torch. torch also accepts a factor
    of 0, and divides by it after total_iters epochs.

    Source: torch.optim.lr_scheduler.ConstantLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> trainer.fit(x, t, epochs=4, callbacks=ConstantLR(factor=0.5, total_iters=2)).lr
    [0.25, 0.25, 0.5, 0.5]

    """

    factor: float = 1 / 3
    total_iters: int = 5

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        _require_factor("factor", self.factor)
        require_count("total_iters", self.total_iters, 0)
        super().__post_init__()

    def first_rate(self, lr: float) -> float:
        """Return lr × factor."""
        return lr * self.factor

    def enter_later(self, trainer: Any) -> None:
        """Start after another schedule: without the factor if total_iters = 0, as in torch."""
        super().enter_later(trainer)
        if not self.total_iters:
            self.set_rates(trainer, lambda _: self.base_lr * (self.factor + (1 - self.factor)))

    def next_rate(self, lr: float) -> float:
        """Return lr, or lr / factor in epoch `total_iters`."""
        return lr if self.last_epoch != self.total_iters else lr * (1 / self.factor)


@dataclass(eq=False, repr=False)
class LinearLR(Schedule):
    """Change the factor of the learning rate linearly in `total_iters` epochs.

    lr(e) = lr (start_factor + (end_factor − start_factor) min(e, total_iters) / total_iters) in
    epoch e = 0, 1, …, computed from the rate of the epoch before.

    Source: torch.optim.lr_scheduler.LinearLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> trainer.fit(x, t, epochs=4, callbacks=LinearLR(start_factor=0.5, total_iters=2)).lr
    [0.25, 0.375, 0.5, 0.5]

    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        _require_factor("start_factor", self.start_factor)
        require_number("end_factor", self.end_factor, 0)
        if self.end_factor > 1:
            message = f"end_factor must be at most 1, got {self.end_factor!r}."
            raise SpecError(message)
        require_count("total_iters", self.total_iters, 0)
        super().__post_init__()

    def first_rate(self, lr: float) -> float:
        """Return lr × start_factor."""
        return lr * self.start_factor

    def next_rate(self, lr: float) -> float:
        """Return lr times the quotient of two factors, or lr after `total_iters` epochs."""
        e, total = self.last_epoch, self.total_iters
        if e > total:
            return lr
        rise = self.end_factor - self.start_factor
        return lr * (1 + rise / (total * self.start_factor + (e - 1) * rise))


def _require_factor(name: str, factor: float) -> None:
    """Raise SpecError for a factor that is not above 0 and at most 1."""
    require_number(name, factor)
    if not 0 < factor <= 1:
        message = f"{name} must be above 0 and at most 1, got {factor!r}."
        raise SpecError(message)
