"""Run: the state of one `Trainer.fit` beside the trainer's own, and the loss over many samples."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import NotFiniteError, SpecError
from manualnn.losses import Loss
from manualnn.optimizers import Optimizer
from manualnn.spec import Constructor
from manualnn.training.batches import Batches, Samples
from manualnn.training.history import History
from manualnn.validation import shown

if TYPE_CHECKING:
    from manualnn.training.trainer import Trainer

ROWS = 1024
"""Samples in a prediction for `loss_over`: so many that the cost of a call does not count."""


class Callback(metaclass=Constructor):
    """Base of the callbacks that take part in more than the end of an epoch.

    `fit` calls `begin`, then the callback itself after every epoch, then `end`; if an error
    ends the training, such as a divergence, it calls `fail` in place of `end`.
    """

    reason: ClassVar[str] = "callback"
    """`History.stopped`, if the callback ends the training."""
    state: ClassVar[tuple[str, ...]] = ()
    """The attributes that training changes: JSON values, arrays or None."""

    watches_steps = False
    """True if `fit` shall call `after_step`."""
    changes_training = False
    """True if it changes the trainer. It is then called before those that only look at it."""

    def begin(self, run: "Run") -> None:
        """Prepare for a training."""

    def after_step(self, run: "Run") -> None:
        """Look at the training after a step."""

    def after_epoch(self, run: "Run") -> None:
        """Look at the training after all callbacks of an epoch."""

    def is_over(self) -> bool:
        """Return True if the state itself ends the training, also a resumed one."""
        return False

    def __call__(self, trainer: Any, history: History) -> bool | None:
        """Return True to end the training after this epoch."""
        raise NotImplementedError

    def before_end(self, run: "Run") -> None:
        """Look at the training before any callback ends."""

    def end(self, run: "Run") -> None:
        """Finish a training."""

    def fail(self, run: "Run") -> None:
        """Look at a training that an error ends; `run.history.stopped` says which."""

    def without_changes(self, rule: Optimizer) -> Optimizer:
        """Return the rule with fixed values for what the callback changes, for comparisons."""
        return rule

    def state_dict(self) -> dict[str, Any]:
        """Return the state: JSON values, arrays and None."""
        return {name: getattr(self, name) for name in self.state}

    def load_state_dict(self, state: Any) -> None:
        """Restore the state that `state_dict` returned. Raises SpecError for another one."""
        if not isinstance(state, dict) or state.keys() != set(self.state):
            got = ", ".join(map(str, state)) if isinstance(state, dict) else shown(state)
            message = (
                f"the state of {type(self).__name__} must have {', '.join(self.state)}, "
                f"got {got or 'nothing'}."
            )
            raise SpecError(message)
        for name, value in state.items():
            if not _can_follow(getattr(self, name), value, name):
                kind = type(self).__name__
                message = f"the state of {kind} has the damaged {name} {value!r}."
                raise SpecError(message)
        for name, value in state.items():
            setattr(self, name, value)


def _can_follow(now: Any, value: Any, name: str) -> bool:
    """Return True if a value of a saved state has a type that training can have given it."""
    if type(now) is int:
        return type(value) is int and abs(value) < 2**63
    if name == "base_lrs":
        return isinstance(value, list) and all(type(one) in {int, float} for one in value)
    is_number = type(value) is float or (type(value) is int and abs(value) < 2**63)
    return is_number or value is None or (name == "vector" and isinstance(value, np.ndarray))


@dataclass
class Run:
    """One training: data, callbacks, history, and the position inside of the running epoch."""

    trainer: "Trainer"
    batches: Batches
    validation: Samples | None
    callbacks: list[Callable[..., Any]]
    accumulation_steps: int = 1
    """Number of batches in a step."""
    history: History = field(default_factory=History)
    batch: int = 0
    """Number of finished batches of the running epoch."""
    total: float = 0.0
    """Σ of loss × divisor over these batches."""
    weight: float = 0.0
    """Σ of the divisors of these batches."""
    random: dict[str, Any] = field(default_factory=dict)
    """State of the generator before it drew the order of the running epoch."""
    lr: float = 0.0
    """Learning rate of the last step of the running epoch."""
    initial_lrs: tuple[float, ...] | None = None
    """Learning rates of the rule and its groups before the first schedule changed them."""
    is_resumed: bool = False
    is_whole: bool = True
    """False after an interruption in the middle of a step or a callback."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch."""
        batches = -(-len(self.batches.samples.x) // self.batches.size)
        return -(-batches // self.accumulation_steps)

    @property
    def hooked(self) -> list[Callback]:
        """The callbacks that take part in more than the end of an epoch."""
        found = [c for c in self.callbacks if isinstance(c, Callback)]
        return sorted(found, key=lambda c: not c.changes_training)

    @property
    def stateful(self) -> list[Any]:
        """The callbacks with a state, which have `state_dict()` and `load_state_dict(state)`."""
        return [c for c in self.callbacks if hasattr(c, "state_dict") and getattr(c, "state", True)]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all samples, those of the validation included: a second for a gigabyte."""
        import hashlib

        found = hashlib.sha256()
        for part in (self.batches.samples, self.validation or ()):
            for array in part:
                if array is None:
                    found.update(b"no weights")
                    continue
                found.update(f"{array.shape} {array.dtype}".encode())
                for start in range(0, len(array), ROWS):
                    found.update(np.ascontiguousarray(array[start : start + ROWS]).data)
        return found.hexdigest()

    def end_reason(self, target_loss: float | None) -> str:
        """Return why no further epoch is needed, or "" if one is."""
        ended = [callback for callback in self.hooked if callback.is_over()]
        if ended:
            return ended[0].reason
        losses = self.history.loss
        is_reached = losses and target_loss is not None and losses[-1] <= target_loss
        return "target_loss" if is_reached else ""

    def begin(self) -> None:
        """Let every callback prepare for the training."""
        for callback in self.hooked:
            callback.begin(self)

    def end(self) -> None:
        """Let every callback look at the training, then finish it."""
        for callback in self.hooked:
            callback.before_end(self)
        for callback in self.hooked:
            callback.end(self)

    def fail(self) -> None:
        """Tell every callback that an error ends the training."""
        self.history.stopped = self.history.stopped or "error"
        for callback in self.hooked:
            callback.fail(self)

    def draw_order(self) -> Array | None:
        """Return the order of the samples in the running epoch.

        If the epoch has begun in another process, draw the same order again.
        """
        if not self.batches.shuffles:
            return None
        bits = self.trainer.rng.bit_generator
        now = dict(bits.state)
        if not self.batch:
            self.random = now
            return self.batches.draw(self.trainer.rng)
        bits.state = self.random
        order = self.batches.draw(self.trainer.rng)
        bits.state = now
        return order

    def finish_epoch(self) -> None:
        """Enter the epoch into the history, and start the next one.

        Raises NotFiniteError if the loss over the validation samples is not finite.
        """
        if self.validation:
            value = loss_over(self.trainer, self.validation)
            if not math.isfinite(value):
                message = f"the loss over the validation samples is {value}"
                raise NotFiniteError(message)
            self.history.validation_loss.append(value)
        self.history.lr.append(float(self.lr))
        self.history.loss.append(_average(self.trainer.loss, self.total, self.weight))
        self.batch, self.total, self.weight = 0, 0.0, 0.0

    def call_back(self) -> str:
        """Call every callback; return why the training ends, or "" if it goes on."""
        # All of them, also after one that ends the training.
        ends = [bool(callback(self.trainer, self.history)) for callback in self.callbacks]
        if not any(ends):
            return ""
        reason: str = getattr(self.callbacks[ends.index(True)], "reason", Callback.reason)
        return reason


def loss_over(trainer: "Trainer", samples: Samples) -> float:
    """Return the loss over all samples, predicted without dropout in bounded memory."""
    loss, total, weight = trainer.loss, 0.0, 0.0
    for x, t, w in Batches(samples, ROWS, shuffle=False).arrange(None):
        y = trainer.net.forward(trainer.params, x)
        loss.require_outputs(y)
        with np.errstate(all="ignore"):
            if w is None:
                value, share = loss.forward(y, t), float(loss.divisor(y, t))
            else:
                value, _ = loss.weighted(y, t, w)
                share = float(loss.weighted_divisor(y, t, w))
        total += float(value) * share
        weight += share
    return _average(loss, total, weight)


def as_callbacks(callbacks: Any) -> list[Callable[..., Any]]:
    """Return a list of callbacks. Raises SpecError if one is not callable."""
    found = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in found:
        if not callable(callback) or isinstance(callback, type):
            message = (
                f"callbacks must be callable as callback(trainer, history), got {shown(callback)}; "
                f"pass functions, or objects such as EarlyStopping(patience=10)."
            )
            raise SpecError(message)
    return found


def _average(loss: Loss, total: float, weight: float) -> float:
    return total if loss.reduction == "sum" else total / (weight or 1)
