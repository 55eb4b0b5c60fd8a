"""CosineAnnealingLR: a learning rate that falls as a cosine."""

import math
from dataclasses import dataclass

from manualnn.training.history import History
from manualnn.training.schedules.base import Schedule
from manualnn.validation import require_count, require_number

__all__ = ["CosineAnnealingLR"]


@dataclass(eq=False)
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

    def next_rate(self, lr: float, history: History) -> float:  # noqa: ARG002
        """Return the rate of the next epoch."""
        e, length, least = self.last_epoch, self.T_max, self.eta_min
        if (e - 1 - length) % (2 * length) == 0:  # at the lowest rate the quotient below is 0/0
            base = lr if self.base_lr is None else self.base_lr
            return lr + (base - least) * (1 - math.cos(math.pi / length)) / 2
        share = (1 + math.cos(math.pi * e / length)) / (1 + math.cos(math.pi * (e - 1) / length))
        return share * (lr - least) + least
