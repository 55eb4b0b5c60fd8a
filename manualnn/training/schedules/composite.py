"""Schedules of schedules: SequentialLR, ChainedScheduler."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from manualnn.errors import SpecError
from manualnn.optimizers import Optimizer
from manualnn.training.run import Run
from manualnn.training.schedules.base import Schedule
from manualnn.training.schedules.decay import as_milestones
from manualnn.training.schedules.plateau import ReduceLROnPlateau
from manualnn.validation import shown

__all__ = ["ChainedScheduler", "SequentialLR"]


@dataclass(eq=False, repr=False)
class Composite(Schedule):
    """Base of the schedules that consist of others. Its own `interval` counts for all of them.

    Each has its own numbers. torch keeps those of a OneCycleLR in the optimizer, where a second one
    overwrites them.
    """

    schedulers: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        """Raise SpecError for what is no schedule, and for one that needs the loss."""
        given: Any = self.schedulers
        self.schedulers = tuple(given) if isinstance(given, list | tuple) else ()
        if not self.schedulers or not all(map(self.takes, self.schedulers)):
            message = (
                f"{type(self).__name__} expects at least one schedule, and neither "
                f"ReduceLROnPlateau nor another one that it cannot start, got "
                f"{shown(given)}."
            )
            raise SpecError(message)
        super().__post_init__()

    def takes(self, part: Any) -> bool:
        """Return True for an object that may be one of the schedules."""
        return isinstance(part, Schedule) and not isinstance(part, ReduceLROnPlateau)

    def _reset(self) -> None:
        super()._reset()
        for part in self.schedulers:
            part._reset()  # noqa: SLF001 - of the same base class

    def spec(self) -> dict[str, Any]:
        """Return the JSON form. Raises SpecError if one of the schedules has none."""
        return super().spec() | {"schedulers": [part.spec() for part in self.schedulers]}

    def state_dict(self) -> dict[str, Any]:
        """Return the state, and those of the schedules."""
        return super().state_dict() | {"schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state: Any) -> None:
        """Restore the state that `state_dict` returned. Raises SpecError for another one."""
        own = dict(state) if isinstance(state, dict) else {}
        parts = own.pop("schedulers", None)
        if not isinstance(parts, list) or len(parts) != len(self.schedulers):
            message = (
                f"the state of {type(self).__name__} must have the states of "
                f"{len(self.schedulers)} schedulers, got {shown(parts)}."
            )
            raise SpecError(message)
        super().load_state_dict(own)
        for part, its in zip(self.schedulers, parts, strict=True):
            part.load_state_dict(its)

    def prepare(self, run: Run) -> None:
        """Raise SpecError for a training that one of the schedules does not fit."""
        for part in self.schedulers:
            part.prepare(run)

    def start(self, run: Run) -> None:
        """Start every schedule, in their order."""
        for part in self.schedulers:
            part.start(run)
        super().start(run)

    def without_changes(self, rule: Optimizer) -> Optimizer:
        """Return the rule with fixed values for what any of the schedules changes."""
        for part in self.schedulers:
            rule = part.without_changes(rule)
        return rule


@dataclass(eq=False, repr=False)
class ChainedScheduler(Composite):
    """Several schedules at once: each changes the rate that the one before it has left.

    Source: torch.optim.lr_scheduler.ChainedScheduler.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> both = ChainedScheduler([ConstantLR(factor=0.5, total_iters=2), ExponentialLR(0.5)])
    >>> trainer.fit(x, t, epochs=4, callbacks=both).lr
    [0.25, 0.125, 0.125, 0.0625]

    """

    def advance(self, trainer: Any) -> None:
        """Let every schedule change the rate, in their order."""
        self.last_epoch += 1
        for part in self.schedulers:
            part.advance(trainer)


@dataclass(eq=False, repr=False)
class SequentialLR(Composite):
    """One schedule after the other: schedule i + 1 starts anew at epoch milestones[i].

    Every schedule begins with the rate that the rule had at the beginning. None may be a
    SequentialLR or a ChainedScheduler; torch cannot start those at a milestone.

    Source: torch.optim.lr_scheduler.SequentialLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.5))
    >>> warm = LinearLR(start_factor=0.5, total_iters=2)
    >>> schedule = SequentialLR([warm, ExponentialLR(0.5)], milestones=[2])
    >>> trainer.fit(x, t, epochs=5, callbacks=schedule).lr
    [0.25, 0.375, 0.5, 0.25, 0.125]

    """

    milestones: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raise SpecError unless there is one milestone less than there are schedules."""
        super().__post_init__()
        self.milestones = as_milestones(self.milestones)
        if len(self.milestones) != len(self.schedulers) - 1:
            message = (
                f"SequentialLR expects one milestone between two schedulers, "
                f"{len(self.schedulers) - 1}, got {len(self.milestones)}."
            )
            raise SpecError(message)

    def takes(self, part: Any) -> bool:
        """Return True for an object that may be one of the schedules."""
        return super().takes(part) and not isinstance(part, Composite)

    def enter(self, trainer: Any) -> None:
        """Start anew with the first schedule."""
        self.last_epoch = 0
        trainer.lrs = tuple(self.base_lrs)
        self._active(0).enter(trainer)

    def _active(self, epoch: int) -> Schedule:
        return self.schedulers[bisect_right(self.milestones, epoch)]

    def advance(self, trainer: Any) -> None:
        """Advance the schedule of this epoch, or start it."""
        self.last_epoch += 1
        part = self._active(self.last_epoch)
        if self.last_epoch in self.milestones:
            part.enter_later(trainer)
        else:
            part.advance(trainer)
