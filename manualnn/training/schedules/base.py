"""Base class of the schedules."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from manualnn.errors import SpecError
from manualnn.spec import to_spec
from manualnn.training.history import History
from manualnn.training.run import Callback, Run
from manualnn.validation import require_choice

__all__ = ["Schedule"]


@dataclass(eq=False, repr=False)
class Schedule(Callback):
    """Base of the schedules. A subclass defines `next_rate`.

    Parameters
    ----------
    interval : str
        "epoch": the rate changes after every epoch; "step": after every step, as torch's does if
        `scheduler.step()` follows every batch.

    Attributes
    ----------
    last_epoch : int
        Number of intervals so far: epochs or steps.
    base_lr : float or None
        The learning rate at the beginning; None before it.
    base_lrs : list of float, or None
        The same of the rule and of its groups, each of which has a schedule of its own rate.

    """

    interval: str = field(default="epoch", kw_only=True)

    state: ClassVar[tuple[str, ...]] = ("base_lrs", "last_epoch")
    changes_training = True

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_choice("interval", self.interval, ("epoch", "step"))
        self.watches_steps = self.interval == "step"
        self._owner: weakref.ref[Any] | None = None
        self._reset()

    def __repr__(self) -> str:
        """Return the expression that makes the schedule, without keyword options of default."""
        shown = (
            f"{option.name}={getattr(self, option.name)!r}"
            for option in fields(self)
            if not (option.kw_only and getattr(self, option.name) == option.default)
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def _reset(self) -> None:
        self.base_lr: Any = None
        self.base_lrs: Any = None
        self.last_epoch = 0

    def __getstate__(self) -> dict[str, Any]:
        """Pickle and copy everything except the reference to the trainer."""
        return vars(self) | {"_owner": None}

    def spec(self) -> dict[str, Any]:
        """Return the JSON form. Raises SpecError for a schedule that holds a function."""
        return to_spec(self)

    def begin(self, run: Run) -> None:
        """Start anew if the last training was another trainer's."""
        is_others = self._owner is not None and self._owner() is not run.trainer
        if is_others and not run.is_resumed:
            self._reset()
        self._owner = weakref.ref(run.trainer)
        self.prepare(run)
        if self.base_lrs is None:
            self.start(run)

    def prepare(self, run: Run) -> None:
        """Raise SpecError for a training that the schedule does not fit. Called in every `fit`."""

    def start(self, run: Run) -> None:
        """Set the rate of the first interval, as torch does when the schedule is made."""
        if run.initial_lrs is None:
            run.initial_lrs = run.trainer.lrs
        self.base_lrs = list(run.initial_lrs)
        self.enter(run.trainer)

    def enter(self, trainer: Any) -> None:
        """Set the rate of the first interval."""
        self.last_epoch = 0
        self.set_rates(trainer, self.first_rate)

    def enter_later(self, trainer: Any) -> None:
        """Set the rate of the first interval after another schedule, in a SequentialLR."""
        self.last_epoch = 0
        self.set_rates(trainer, lambda _: self.first_rate(self.base_lr))

    def __call__(self, trainer: Any, history: History) -> None:  # noqa: ARG002 - read by some
        """Set the learning rate of the next epoch."""
        if not self.watches_steps:
            self.advance(trainer)

    def after_step(self, run: Run) -> None:
        """Set the learning rate of the next step."""
        self.advance(run.trainer)

    def advance(self, trainer: Any) -> None:
        """Set the learning rate of the next interval."""
        self.count()
        self.set_rates(trainer, self.next_rate)

    def count(self) -> None:
        """Count an interval."""
        self.last_epoch += 1

    def set_rates(self, trainer: Any, rate: Callable[[float], float]) -> None:
        """Change the learning rates of the rule and of its groups.

        While one is computed, base_lr is its rate at the beginning.
        """
        if len(self.base_lrs) != len(trainer.lrs):
            message = (
                f"{type(self).__name__} began with {len(self.base_lrs)} learning rates, of the "
                f"rule and its groups, got {len(trainer.lrs)}; make a new schedule for a new rule."
            )
            raise SpecError(message)
        rates = []
        for base, lr in zip(self.base_lrs, trainer.lrs, strict=True):
            self.base_lr = base
            # The formulas of some schedules round to just below 0 at their end.
            rates.append(max(rate(lr), 0.0))
        self.base_lr = self.base_lrs[0]
        if tuple(rates) != trainer.lrs:
            trainer.lrs = tuple(rates)

    def first_rate(self, lr: Any) -> float:
        """Return the learning rate of the first interval, given the one before the training."""
        rate: float = lr
        return rate

    def next_rate(self, lr: float) -> float:
        """Return the learning rate of interval `last_epoch` = 1, 2, …, given the last one."""
        raise NotImplementedError
