"""Learning rates that a function of the user's gives: LambdaLR, MultiplicativeLR."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Never

from manualnn.errors import SpecError
from manualnn.training.schedules.base import Schedule
from manualnn.validation import require_number, shown

__all__ = ["LambdaLR", "MultiplicativeLR"]


@dataclass(eq=False, repr=False)
class LambdaLR(Schedule):
    """Multiply the initial learning rate by a function of the epoch.

    lr(e) = lr × lr_lambda(e) in epoch e = 0, 1, ….

    A checkpoint saves the number of epochs, but not the function: pass the same to the training
    that resumes. torch saves the attributes of a callable object.

    Source: torch.optim.lr_scheduler.LambdaLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> trainer.fit(x, t, epochs=4, callbacks=LambdaLR(lambda epoch: 1 / (1 + epoch))).lr
    [0.5, 0.25, 0.16666666666666666, 0.125]

    """

    lr_lambda: Callable[[int], float]

    def __post_init__(self) -> None:
        """Raise SpecError if the function is not callable."""
        require_function("lr_lambda", self.lr_lambda)
        super().__post_init__()

    def spec(self) -> Never:
        """Raise SpecError, because a function has no JSON form."""
        refuse_function(type(self).__name__)

    def first_rate(self, lr: float) -> float:  # noqa: ARG002 - the rate follows from base_lr
        """Return base_lr × lr_lambda(0)."""
        return self.next_rate(0.0)

    def next_rate(self, lr: float) -> float:  # noqa: ARG002
        """Return base_lr × lr_lambda(e)."""
        return float(self.base_lr * self.factor())

    def factor(self) -> float:
        """Return lr_lambda(e). Raises SpecError for a number below 0, which torch accepts."""
        factor = self.lr_lambda(self.last_epoch)
        require_number(f"lr_lambda({self.last_epoch})", factor, 0)
        return factor


@dataclass(eq=False, repr=False)
class MultiplicativeLR(LambdaLR):
    """Multiply the learning rate after every epoch by a function of the next epoch.

    lr(e) = lr(e − 1) × lr_lambda(e) in epoch e = 1, 2, …. Saved as a LambdaLR is.

    Source: torch.optim.lr_scheduler.MultiplicativeLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> trainer.fit(x, t, epochs=4, callbacks=MultiplicativeLR(lambda epoch: 0.5)).lr
    [0.5, 0.25, 0.125, 0.0625]

    """

    def first_rate(self, lr: float) -> float:
        """Return lr."""
        return lr

    def enter_later(self, trainer: Any) -> None:
        """Start after another schedule, from its last rate, as in torch."""
        self.last_epoch = 0
        self.set_rates(trainer, self.next_rate)

    def next_rate(self, lr: float) -> float:
        """Return lr × lr_lambda(e)."""
        return float(lr * self.factor())


def require_function(name: str, function: object) -> None:
    """Raise SpecError if an option is not callable."""
    if not callable(function):
        message = f"{name} must be a function such as lambda e: 0.95**e, got {shown(function)}."
        raise SpecError(message)


def refuse_function(name: str) -> Never:
    """Raise SpecError, because the schedule of this name holds a function."""
    message = (
        f"{name} has no JSON form, because it holds a function; make it in Python, and pass the "
        f"same function again to a training that resumes."
    )
    raise SpecError(message)
