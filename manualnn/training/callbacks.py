"""EarlyStopping: end a training that no longer improves, with the best parameters."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from manualnn.errors import SpecError
from manualnn.training.history import History
from manualnn.training.run import Callback, Run
from manualnn.validation import require_choice, require_count, require_flag, require_number

if TYPE_CHECKING:
    from manualnn.elementary import Array
    from manualnn.training.trainer import Trainer

__all__ = ["EarlyStopping"]

MONITORED = ("validation_loss", "loss")
"""Curves of the history that a callback can watch."""


@dataclass(eq=False)
class EarlyStopping(Callback):
    """End the training after `patience` epochs in a row without an improvement.

    A new training starts anew; a resumed one continues the count.

    Parameters
    ----------
    patience : int
        Number of epochs, at least 1.
    min_delta : float
        An epoch is an improvement if its loss is below the best one by more than this.
    monitor : str
        "validation_loss", which needs `fit(validation_data=…)`, or "loss".
    restore_best : bool
        If True, the parameters of the epoch with the lowest loss are copied back when `fit` ends,
        whatever ends it except divergence.

    Attributes
    ----------
    best : float or None
        The lowest loss.
    best_epoch : int
        Its epoch, counted from 1; 0 before the first.
    wait : int
        Number of epochs since the last improvement.
    vector : array or None
        The parameters after that epoch, with restore_best.

    Examples
    --------
    >>> stop = EarlyStopping(patience=3)
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.1))
    >>> history = trainer.fit(x, t, epochs=10_000, validation_data=(x, t), callbacks=[stop])
    >>> history.stopped, stop.best == min(history.validation_loss)
    ('early_stopping', True)

    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "validation_loss"
    restore_best: bool = field(default=True, kw_only=True)

    reason: ClassVar[str] = "early_stopping"
    state: ClassVar[tuple[str, ...]] = ("best", "best_epoch", "wait", "vector")

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_count("patience", self.patience, 1)
        require_number("min_delta", self.min_delta, 0)
        require_choice("monitor", self.monitor, MONITORED)
        require_flag("restore_best", self.restore_best)
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.best_epoch = 0
        self.wait = 0
        self.vector: Array | None = None

    def begin(self, run: Run) -> None:
        """Forget the last training. Raises SpecError if nothing measures the monitored loss."""
        require_measured(self, run)
        if not run.is_resumed:
            self._reset()

    def __call__(self, trainer: "Trainer", history: History) -> bool:
        """Return True after `patience` epochs without an improvement."""
        value = getattr(history, self.monitor)[-1]
        improves = self.best is None or value < self.best - self.min_delta
        self.wait = 0 if improves else self.wait + 1
        if self.best is None or value < self.best:
            self.best, self.best_epoch = value, history.epochs
            if self.restore_best:
                self.vector = trainer.params.vector.copy()
        return self.is_over()

    def is_over(self) -> bool:
        """Return True after `patience` epochs without an improvement."""
        return self.wait >= self.patience

    def end(self, run: Run) -> None:
        """Copy the best parameters back."""
        if self.restore_best and self.vector is not None:
            run.trainer.params.vector = self.vector


def require_measured(callback: Any, run: Run) -> None:
    """Raise SpecError if the callback watches a validation loss that nothing measures."""
    if callback.monitor == "validation_loss" and run.validation is None:
        message = (
            f"{type(callback).__name__} watches the validation_loss, but fit got no "
            f"validation_data; pass fit(validation_data=(x, t)), or monitor='loss'."
        )
        raise SpecError(message)
