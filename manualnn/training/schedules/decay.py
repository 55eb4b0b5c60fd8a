"""StepLR: a learning rate that falls by a factor."""

from dataclasses import dataclass

from manualnn.training.history import History
from manualnn.training.schedules.base import Schedule
from manualnn.validation import require_count, require_number

__all__ = ["StepLR"]


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
