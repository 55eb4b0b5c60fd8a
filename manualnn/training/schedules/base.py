"""Base class of the schedules."""

import weakref
from dataclasses import dataclass
from typing import Any, ClassVar

from manualnn.training.history import History
from manualnn.training.run import Callback, Run

__all__ = ["Schedule"]


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
