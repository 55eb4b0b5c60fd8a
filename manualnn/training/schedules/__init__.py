"""Schedules of the learning rate: callbacks with torch's names, options and numbers.

    trainer.fit(x, t, epochs=30, callbacks=[StepLR(step_size=10)])

A schedule sets the learning rate after every epoch, for the next epoch, or after every step with
interval="step". The learning rates are torch's bit for bit, if `scheduler.step()` follows every
epoch or step there. A second `fit` of the same trainer continues the schedule; another trainer
starts it anew. `History.lr` has the rate of every epoch.

Where a formula of torch's goes below 0, the rate is 0 here, and the rates after it follow from 0.

Several schedules of one training act one after the other, in the order of the callbacks.
"""

from typing import Any

from manualnn.spec import from_spec
from manualnn.training.schedules.base import Schedule
from manualnn.training.schedules.composite import ChainedScheduler, SequentialLR
from manualnn.training.schedules.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from manualnn.training.schedules.cycles import CyclicLR, OneCycleLR
from manualnn.training.schedules.decay import ExponentialLR, MultiStepLR, PolynomialLR, StepLR
from manualnn.training.schedules.functions import LambdaLR, MultiplicativeLR, refuse_function
from manualnn.training.schedules.plateau import ReduceLROnPlateau
from manualnn.training.schedules.warmup import ConstantLR, LinearLR

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
]

SCHEDULES: dict[str, type[Schedule]] = {
    kind.__name__: kind
    for kind in (
        StepLR,
        MultiStepLR,
        ExponentialLR,
        ConstantLR,
        LinearLR,
        PolynomialLR,
        CosineAnnealingLR,
        CosineAnnealingWarmRestarts,
        OneCycleLR,
        CyclicLR,
        ReduceLROnPlateau,
        LambdaLR,
        MultiplicativeLR,
        SequentialLR,
        ChainedScheduler,
    )
}


def schedule_from_spec(spec: Any) -> Schedule:
    """Build the schedule that a JSON form describes; `Schedule.spec` returns such a form.

    Raises SpecError if the type or an option is unknown, or for a schedule that holds a function.
    """
    if isinstance(spec, dict):
        if issubclass(SCHEDULES.get(str(spec.get("type")), Schedule), LambdaLR):
            refuse_function(spec["type"])
        if isinstance(parts := spec.get("schedulers"), list | tuple):
            spec = spec | {"schedulers": tuple(map(schedule_from_spec, parts))}
    return from_spec(spec, SCHEDULES, "schedule")
