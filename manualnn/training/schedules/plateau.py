"""ReduceLROnPlateau: a learning rate that falls when the loss has stopped improving."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from manualnn.errors import SpecError
from manualnn.training.callbacks import MONITORED, require_measured
from manualnn.training.history import History
from manualnn.training.run import Run
from manualnn.training.schedules.base import Schedule
from manualnn.validation import require_choice, require_count, require_number

__all__ = ["ReduceLROnPlateau"]


@dataclass(eq=False, repr=False)
class ReduceLROnPlateau(Schedule):
    """Multiply the learning rate by `factor` when the loss has stopped improving.

    Source: torch.optim.lr_scheduler.ReduceLROnPlateau, whose `step` gets the monitored loss.

    Parameters
    ----------
    mode : str
        "min": the monitored number should fall; "max": it should rise.
    factor : float
        From 0 to below 1.
    patience : int
        Epochs without an improvement that are tolerated; the next one reduces the rate.
    threshold, threshold_mode : float, str
        An improvement is below best × (1 − threshold) for "rel", below best − threshold for "abs".
        For mode "max", it is above the same with a plus.
    cooldown : int
        Epochs after a reduction in which nothing is counted.
    min_lr : float
        The lowest learning rate.
    eps : float
        A reduction by no more than this is left out.
    monitor : str
        "validation_loss", which needs `fit(validation_data=…)`, or "loss".

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.0))  # which never improves
    >>> trainer.rule = SGD(lr=0.5, maximize=True)
    >>> schedule = ReduceLROnPlateau(factor=0.5, patience=1, monitor="loss")
    >>> trainer.fit(x, t, epochs=5, callbacks=schedule).lr
    [0.5, 0.5, 0.5, 0.25, 0.25]

    """

    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8
    monitor: str = field(default="validation_loss", kw_only=True)

    state: ClassVar[tuple[str, ...]] = (
        *Schedule.state,
        "best",
        "num_bad_epochs",
        "cooldown_counter",
    )

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_choice("mode", self.mode, ("min", "max"))
        require_choice("threshold_mode", self.threshold_mode, ("rel", "abs"))
        require_choice("monitor", self.monitor, MONITORED)
        for name in ("patience", "cooldown"):
            require_count(name, getattr(self, name), 0)
        for name in ("factor", "threshold", "min_lr", "eps"):
            require_number(name, getattr(self, name), 0)
        if self.factor >= 1:
            message = f"factor must be below 1, got {self.factor!r}."
            raise SpecError(message)
        if self.interval == "step":
            message = "ReduceLROnPlateau needs interval='epoch', because epochs have a loss."
            raise SpecError(message)
        super().__post_init__()

    def _reset(self) -> None:
        super()._reset()
        self.best: float | None = None
        self.num_bad_epochs = 0
        self.cooldown_counter = 0

    def prepare(self, run: Run) -> None:
        """Raise SpecError if nothing measures the monitored loss."""
        require_measured(self, run)

    def __call__(self, trainer: Any, history: History) -> None:
        """Set the learning rate of the next epoch."""
        self._value = getattr(history, self.monitor)[-1]
        super().__call__(trainer, history)

    def count(self) -> None:
        """Count an epoch, and decide whether the rates fall after it."""
        super().count()
        value = self._value
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        self._reduces = self.num_bad_epochs > self.patience
        if self._reduces:
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def next_rate(self, lr: float) -> float:
        """Return lr, or the reduced rate after too many epochs without an improvement."""
        reduced = max(lr * self.factor, self.min_lr)
        return reduced if self._reduces and lr - reduced > self.eps else lr

    def _is_better(self, value: float) -> bool:
        """Return whether a value is an improvement. As in torch, the first best is infinite."""
        sign = -1 if self.mode == "min" else 1
        best = -sign * math.inf if self.best is None else self.best
        relative = self.threshold_mode == "rel"
        limit = best * (1 + sign * self.threshold) if relative else best + sign * self.threshold
        return value < limit if self.mode == "min" else value > limit
