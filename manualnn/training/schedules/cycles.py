"""Cycles of learning rate and momentum, usually step by step: CyclicLR, OneCycleLR."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from manualnn.errors import SpecError
from manualnn.optimizers import Optimizer
from manualnn.training.run import Run
from manualnn.training.schedules.base import Schedule
from manualnn.training.schedules.functions import refuse_function, require_function
from manualnn.validation import require_choice, require_count, require_flag, require_number

__all__ = ["CyclicLR", "OneCycleLR"]

ANY_MOMENTUM = 0.5
"""A momentum that every rule accepts, also with nesterov."""


class Cycle(Schedule):
    """Base of the schedules that also change the momentum, or β₁ of a rule with betas."""

    cycle_momentum: bool
    base_momentum: float
    max_momentum: float

    def __post_init__(self) -> None:
        require_flag("cycle_momentum", self.cycle_momentum)
        require_number("base_momentum", self.base_momentum, 0)
        require_number("max_momentum", self.max_momentum, 0)
        super().__post_init__()

    def prepare(self, run: Run) -> None:
        """Raise SpecError if the rule has no momentum to change."""
        rule = run.trainer.rule
        if self.cycle_momentum and not (hasattr(rule, "betas") or hasattr(rule, "momentum")):
            message = (
                f"{type(self).__name__} changes the momentum, or the first of betas, and "
                f"{type(rule).__name__} has neither; pass cycle_momentum=False."
            )
            raise SpecError(message)

    def first_rate(self, lr: float) -> float:
        """Return the rate of the first interval."""
        return self.next_rate(lr)

    def set_rates(self, trainer: Any, rate: Callable[[float], float]) -> None:
        """Change the learning rates and the momenta of the rule and of its groups."""
        super().set_rates(trainer, rate)
        if self.cycle_momentum:
            trainer.rule = _with_momentum(trainer.rule, self.momentum())
            if missing := set(trainer.rule.vectors()) - trainer.state.keys():  # was without one
                fresh = trainer.rule.init(trainer.params)
                trainer.state |= {name: fresh[name] for name in missing}

    def momentum(self) -> float:
        """Return the momentum of the interval `last_epoch`."""
        raise NotImplementedError

    def without_changes(self, rule: Optimizer) -> Optimizer:
        """Return the rule with a fixed momentum, if the schedule changes it."""
        return _with_momentum(rule, ANY_MOMENTUM) if self.cycle_momentum else rule


def _with_momentum(rule: Any, momentum: float) -> Optimizer:
    """Return the rule with another momentum, or another β₁ if it has betas, in every group."""
    name = "betas" if hasattr(rule, "betas") else "momentum"

    def changed(betas: Any) -> Any:
        return (momentum, *betas[1:]) if name == "betas" else momentum

    groups = tuple(g | {name: changed(g[name])} if name in g else g for g in rule.groups)
    return replace(rule, groups=groups, **{name: changed(getattr(rule, name))})


@dataclass(eq=False, repr=False)
class CyclicLR(Cycle):
    """Let the learning rate rise from base_lr to max_lr and fall again, in equal cycles.

    lr(i) = base_lr + (max_lr − base_lr) h(i) s in step i = 0, 1, …. The height h rises from 0 to 1
    in step_size_up steps, and falls to 0 in step_size_down. The scale s is

        triangular          1
        triangular2         2^(1 − c) in cycle c = 1, 2, …
        exp_range           gammaⁱ
        a function          scale_fn(c), or scale_fn(i) with scale_mode="iterations"

    At the same time, the momentum falls from max_momentum and rises again:
    max_momentum − (max_momentum − base_momentum) h(i) s. A rule with betas has β₁ in its place.

    In a chain after another schedule, the first step has the rule's own rate, as in torch.

    Source: Smith 2017; torch.optim.lr_scheduler.CyclicLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(momentum=0.9))
    >>> cycle = CyclicLR(base_lr=0.125, max_lr=0.5, step_size_up=2)
    >>> trainer.fit(x, t, epochs=6, callbacks=cycle).lr
    [0.125, 0.3125, 0.5, 0.3125, 0.125, 0.3125]

    """

    base_lr: float
    max_lr: float
    step_size_up: int = 2000
    step_size_down: int | None = None
    mode: str = "triangular"
    gamma: float = 1.0
    scale_fn: Callable[[float], float] | None = None
    scale_mode: str = "cycle"
    cycle_momentum: bool = True
    base_momentum: float = 0.8
    max_momentum: float = 0.9
    interval: str = field(default="step", kw_only=True)

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        for name in ("base_lr", "max_lr", "gamma"):
            require_number(name, getattr(self, name), 0)
        require_count("step_size_up", self.step_size_up, 1)
        if self.step_size_down is not None:
            require_count("step_size_down", self.step_size_down, 1)
        require_choice("mode", self.mode, ("triangular", "triangular2", "exp_range"))
        require_choice("scale_mode", self.scale_mode, ("cycle", "iterations"))
        if self.scale_fn is not None:
            require_function("scale_fn", self.scale_fn)
        super().__post_init__()

    def _reset(self) -> None:
        given = self.base_lr
        super()._reset()
        self.base_lr = given

    def spec(self) -> dict[str, Any]:
        """Return the JSON form. Raises SpecError if scale_fn is a function."""
        return (
            super().spec() if self.scale_fn is None else refuse_function("CyclicLR with scale_fn")
        )

    def start(self, run: Run) -> None:
        """Set the rate of the first step, and start from base_lr, whatever the rule's rate was."""
        given = run.initial_lrs
        run.trainer.lrs = run.initial_lrs = (self.base_lr,) * len(run.trainer.lrs)
        super().start(run)
        if given is not None:
            run.trainer.lrs = run.initial_lrs = given

    def next_rate(self, lr: float) -> float:  # noqa: ARG002 - the rate follows from last_epoch
        """Return the rate of the next step."""
        height, scale = self._height()
        return self.base_lr + (self.max_lr - self.base_lr) * height * scale

    def momentum(self) -> float:
        """Return the momentum of the step `last_epoch`."""
        height, scale = self._height()
        return self.max_momentum - (self.max_momentum - self.base_momentum) * height * scale

    def _height(self) -> tuple[float, float]:
        """Return the place between the two rates, from 0 to 1, and the scale of the cycle."""
        i, up = self.last_epoch, float(self.step_size_up)
        total = up + (up if self.step_size_down is None else float(self.step_size_down))
        cycle = math.floor(1 + i / total)
        place, top = 1.0 + i / total - cycle, up / total
        height = place / top if place <= top else (place - 1) / (top - 1)
        if self.scale_fn is not None:
            scale = float(self.scale_fn(cycle if self.scale_mode == "cycle" else i))
        elif self.mode == "exp_range":
            scale = self.gamma**i
        else:
            scale = 1.0 if self.mode == "triangular" else 1 / 2.0 ** (cycle - 1)
        return height, scale


@dataclass(eq=False, repr=False)
class OneCycleLR(Cycle):
    """Let the learning rate rise to max_lr and fall far below its first value, in one cycle.

    The rate goes from max_lr / div_factor to max_lr in the first pct_start of the steps, then to
    max_lr / (div_factor × final_div_factor); with three_phase, it goes back to the first value in
    as many steps as it rose in, then to the last. Between two values a and b, at the share p of
    the way, it is b + (a − b) (1 + cos(π p)) / 2, or a + (b − a) p with anneal_strategy="linear".

    At the same time, the momentum falls from max_momentum to base_momentum and rises again. A rule
    with betas has β₁ in its place.

    The number of steps is total_steps, or epochs × steps_per_epoch. Without steps_per_epoch, it is
    the number of steps that the training does in an epoch; torch needs it. A phase of length 0 is
    left out, where torch divides by zero. After the last step, torch extrapolates; here, the rate
    is not below 0, and the momentum is max_momentum.

    Source: Smith & Topin 2018; torch.optim.lr_scheduler.OneCycleLR.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), Adam())
    >>> cycle = OneCycleLR(max_lr=0.5, epochs=6, pct_start=0.5, anneal_strategy="linear")
    >>> [round(lr, 3) for lr in trainer.fit(x, t, epochs=6, callbacks=cycle).lr]
    [0.02, 0.26, 0.5, 0.333, 0.167, 0.0]

    """

    max_lr: float
    total_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    cycle_momentum: bool = True
    base_momentum: float = 0.85
    max_momentum: float = 0.95
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False
    interval: str = field(default="step", kw_only=True)

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_number("max_lr", self.max_lr, 0)
        for name in ("total_steps", "epochs", "steps_per_epoch"):
            if (count := getattr(self, name)) is not None:
                require_count(name, count, 1)
        if self.total_steps is None and self.epochs is None:
            message = "OneCycleLR needs total_steps, or epochs and steps_per_epoch; got neither."
            raise SpecError(message)
        require_number("pct_start", self.pct_start, 0)
        for name in ("div_factor", "final_div_factor"):
            require_number(name, getattr(self, name))
        if self.pct_start > 1 or min(self.div_factor, self.final_div_factor) <= 0:
            message = (
                f"pct_start must be from 0 to 1 and the two factors above 0, got {self.pct_start}, "
                f"{self.div_factor} and {self.final_div_factor}."
            )
            raise SpecError(message)
        require_choice("anneal_strategy", self.anneal_strategy, ("cos", "linear"))
        require_flag("three_phase", self.three_phase)
        super().__post_init__()

    def prepare(self, run: Run) -> None:
        """Count the steps."""
        super().prepare(run)
        self._count = self.total_steps or (self.epochs or 1) * (
            self.steps_per_epoch or run.steps_per_epoch
        )

    def start(self, run: Run) -> None:
        """Set the rate of the first step: max_lr / div_factor, whatever the rule's rate was."""
        run.initial_lrs = (self.max_lr / self.div_factor,) * len(run.trainer.lrs)
        super().start(run)

    def next_rate(self, lr: float) -> float:  # noqa: ARG002 - the rate follows from last_epoch
        """Return the rate of the next step. Raises SpecError after one step too many."""
        first = self.max_lr / self.div_factor
        return self._between(first, self.max_lr, first / self.final_div_factor)

    def momentum(self) -> float:
        """Return the momentum of the step `last_epoch`."""
        momentum = self._between(self.max_momentum, self.base_momentum, self.max_momentum)
        return momentum if self.last_epoch < self._count else self.max_momentum

    def _between(self, first: float, top: float, last: float) -> float:
        """Return the value between first, top (and first again) and last."""
        i, count = self.last_epoch, self._count
        if i > count:
            message = (
                f"OneCycleLR was made for {count} steps, got step {i}; set total_steps to the "
                f"number of steps of the training, or pass interval='epoch' for a step an epoch."
            )
            raise SpecError(message)
        ends = [float(self.pct_start * count) - 1, count - 1]
        values = [first, top, last]
        if self.three_phase:
            ends.insert(1, float(2 * self.pct_start * count) - 2)
            values.insert(2, first)
        k = next((k for k, end in enumerate(ends) if i <= end), len(ends) - 1)
        begin = ends[k - 1] if k else 0.0
        share = (i - begin) / (ends[k] - begin) if ends[k] != begin else 1.0
        a, b = values[k], values[k + 1]
        if self.anneal_strategy == "linear":
            return (b - a) * share + a
        return b + (a - b) / 2.0 * (math.cos(math.pi * share) + 1)
