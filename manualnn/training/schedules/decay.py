"""Learning rates that fall by factors: StepLR, MultiStepLR, ExponentialLR, PolynomialLR."""

from dataclasses import dataclass

from manualnn.errors import SpecError
from manualnn.training.schedules.base import Schedule
from manualnn.validation import require_count, require_number, shown

__all__ = ["ExponentialLR", "MultiStepLR", "PolynomialLR", "StepLR"]


@dataclass(eq=False, repr=False)
class StepLR(Schedule):
    """Multiply the learning rate by gamma after every `step_size` epochs.

    lr(e) = lr × gamma^⌊e / step_size⌋ in epoch e = 0, 1, …, computed from the rate of the epoch
    before.

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

    def next_rate(self, lr: float) -> float:
        """Return lr, or lr × gamma at the end of `step_size` epochs."""
        return lr if self.last_epoch % self.step_size else lr * self.gamma


@dataclass(eq=False, repr=False)
class MultiStepLR(Schedule):
    """Multiply the learning rate by gamma at each of the milestones.

    lr(e) = lr × gamma^(number of milestones that are at most e) in epoch e = 0, 1, …. An epoch that
    is listed twice multiplies twice.

    Source: torch.optim.lr_scheduler.MultiStepLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> trainer.fit(x, t, epochs=5, callbacks=MultiStepLR([1, 4], gamma=0.5)).lr
    [0.5, 0.25, 0.25, 0.25, 0.125]

    """

    milestones: tuple[int, ...]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        self.milestones = as_milestones(self.milestones)
        require_number("gamma", self.gamma, 0)
        super().__post_init__()

    def first_rate(self, lr: float) -> float:
        """Return lr × gamma for each milestone at 0."""
        return self.next_rate(lr)

    def next_rate(self, lr: float) -> float:
        """Return lr × gamma for each milestone at this epoch."""
        count = self.milestones.count(self.last_epoch)
        return lr * self.gamma**count if count else lr


@dataclass(eq=False, repr=False)
class ExponentialLR(Schedule):
    """Multiply the learning rate by gamma after every epoch.

    lr(e) = lr × gammaᵉ in epoch e = 0, 1, …, computed from the rate of the epoch before.

    Source: torch.optim.lr_scheduler.ExponentialLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> trainer.fit(x, t, epochs=4, callbacks=ExponentialLR(gamma=0.5)).lr
    [0.5, 0.25, 0.125, 0.0625]

    """

    gamma: float

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_number("gamma", self.gamma, 0)
        super().__post_init__()

    def next_rate(self, lr: float) -> float:
        """Return lr × gamma."""
        return lr * self.gamma


@dataclass(eq=False, repr=False)
class PolynomialLR(Schedule):
    """Let the learning rate fall to 0 in `total_iters` epochs, as a power of the epochs left.

    lr(e) = lr (1 − e / total_iters)^power in epoch e = 0, 1, …, and 0 after it, computed from the
    rate of the epoch before.

    Source: torch.optim.lr_scheduler.PolynomialLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> trainer.fit(x, t, epochs=4, callbacks=PolynomialLR(total_iters=2)).lr
    [0.5, 0.25, 0.0, 0.0]

    """

    total_iters: int = 5
    power: float = 1.0

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_count("total_iters", self.total_iters, 0)
        require_number("power", self.power, 0)
        super().__post_init__()

    def next_rate(self, lr: float) -> float:
        """Return lr times the quotient of two powers, or lr after `total_iters` epochs."""
        e, total = self.last_epoch, self.total_iters
        if e > total:
            return lr
        return lr * float(((1 - e / total) / (1 - (e - 1) / total)) ** self.power)


def as_milestones(milestones: object) -> tuple[int, ...]:
    """Return the epochs as a tuple. Raises SpecError if they are not integers that never fall."""
    found = tuple(milestones) if isinstance(milestones, list | tuple | range) else ()
    if found or milestones in ([], ()):
        for epoch in found:
            require_count("each milestone", epoch, 0)
        if list(found) == sorted(found):
            return found
    message = (
        f"milestones must be a list of epochs in increasing order, such as [30, 80], got "
        f"{shown(milestones)}."
    )
    raise SpecError(message)
