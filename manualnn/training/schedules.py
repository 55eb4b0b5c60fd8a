"""Schedules of the learning rate: callbacks with torch's names, options and numbers.

    trainer.fit(x, t, epochs=30, callbacks=[StepLR(step_size=10)])

A schedule sets `trainer.lr` after every epoch, for the next epoch. The learning rates are torch's
bit for bit, if `scheduler.step()` follows every epoch there. A second `fit` of the same trainer
continues the schedule; another trainer starts it anew. `History.lr` has the rate of every epoch.
"""

import math
import weakref
from dataclasses import dataclass, field
from typing import Any, ClassVar

from manualnn.errors import SpecError
from manualnn.training.callbacks import MONITORED, require_measured
from manualnn.training.history import History
from manualnn.training.run import Callback, Run
from manualnn.validation import require_choice, require_count, require_number

__all__ = ["CosineAnnealingLR", "ReduceLROnPlateau", "Schedule", "StepLR"]


@dataclass(eq=False)
class Schedule(Callback):
    """Base of the schedules. A subclass defines `next_rate`.

    Attributes
    ----------
    last_epoch : int
        Number of epochs so far.
    base_lr : float or None
        The learning rate at the beginning; None before it.

    """

    state: ClassVar[tuple[str, ...]] = ("base_lr", "last_epoch")

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        self._owner: weakref.ref[Any] | None = None
        self._reset()

    def _reset(self) -> None:
        self.base_lr: float | None = None
        self.last_epoch = 0

    def __getstate__(self) -> dict[str, Any]:
        """Pickle and copy everything except the reference to the trainer."""
        return vars(self) | {"_owner": None}

    def begin(self, run: Run) -> None:
        """Start anew if the last training was another trainer's."""
        is_others = self._owner is not None and self._owner() is not run.trainer
        if is_others and not run.is_resumed:
            self._reset()
        self._owner = weakref.ref(run.trainer)
        if self.base_lr is None:
            self.base_lr = run.trainer.lr

    def __call__(self, trainer: Any, history: History) -> None:
        """Set the learning rate of the next epoch."""
        self.last_epoch += 1
        before = trainer.lr
        after = self.next_rate(before, history)
        if after != before:
            trainer.lr = max(after, 0.0)  # a cosine from below eta_min may round to just below 0

    def next_rate(self, lr: float, history: History) -> float:
        """Return the learning rate of the next epoch, given that of the last one."""
        raise NotImplementedError


@dataclass(eq=False)
class StepLR(Schedule):
    """Multiply the learning rate by gamma after every `step_size` epochs.

    Source: torch.optim.lr_scheduler.StepLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> trainer.fit(x, t, epochs=5, callbacks=StepLR(step_size=2, gamma=0.5)).lr
    [0.5, 0.5, 0.25, 0.25, 0.125]

    """

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_count("step_size", self.step_size, 1)
        require_number("gamma", self.gamma, 0)
        super().__post_init__()

    def next_rate(self, lr: float, history: History) -> float:  # noqa: ARG002
        """Return lr, or lr × gamma at the end of `step_size` epochs."""
        return lr if self.last_epoch % self.step_size else lr * self.gamma


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


@dataclass(eq=False)
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
        super().__post_init__()

    def _reset(self) -> None:
        super()._reset()
        self.best: float | None = None
        self.num_bad_epochs = 0
        self.cooldown_counter = 0

    def begin(self, run: Run) -> None:
        """Start. Raises SpecError if nothing measures the monitored loss."""
        require_measured(self, run)
        super().begin(run)

    def next_rate(self, lr: float, history: History) -> float:
        """Return lr, or the reduced rate after too many epochs without an improvement."""
        value = getattr(history, self.monitor)[-1]
        if self.best is None or self._is_better(value, self.best):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs <= self.patience:
            return lr
        self.cooldown_counter = self.cooldown
        self.num_bad_epochs = 0
        reduced = max(lr * self.factor, self.min_lr)
        return reduced if lr - reduced > self.eps else lr

    def _is_better(self, value: float, best: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        relative = self.threshold_mode == "rel"
        limit = best * (1 + sign * self.threshold) if relative else best + sign * self.threshold
        return value < limit if self.mode == "min" else value > limit
