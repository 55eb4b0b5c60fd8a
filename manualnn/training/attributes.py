"""The attributes of a Trainer that may be set, and the messages about all others."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.errors import SpecError, UnknownAttributeError
from manualnn.losses import Loss
from manualnn.network.sequential import Sequential
from manualnn.optimizers import Optimizer
from manualnn.spec import SYNONYMS, closest
from manualnn.validation import shown

if TYPE_CHECKING:
    from manualnn.training.stepper import Stepper

ATTRIBUTES = ("net", "loss", "rule", "rng", "state", "steps", "last_loss", "lr", "lrs")
FIT_OPTIONS = {
    "accumulation_steps",
    "batch_size",
    "callbacks",
    "epochs",
    "progress",
    "resume",
    "sample_weight",
    "shuffle",
    "target_loss",
    "validation_data",
}
FIXED = {
    "net": "build another Trainer(net, loss, rule)",
    "params": "write to trainer.params.vector, or to a named array",
}
"""Attributes that keep their object, because the steps are planned for its memory; the remedy."""


def check_attribute(trainer: "Stepper", name: str, value: Any) -> None:
    """Raise UnknownAttributeError or SpecError if the attribute cannot be set to the value."""
    if not _is_declared(type(trainer), name):
        raise UnknownAttributeError(_unknown_attribute(trainer, name), name=name, obj=trainer)
    if name in FIXED and (name == "params" or name in vars(trainer)):
        message = f"{name} of a {type(trainer).__name__} cannot be replaced; {FIXED[name]}."
        raise UnknownAttributeError(message, name=name, obj=trainer)
    kinds: dict[str, tuple[type, str]] = {
        "net": (Sequential, "Sequential(Linear(3, 2))"),
        "loss": (Loss, "MSELoss()"),
        "rule": (Optimizer, "SGD(lr=0.02)"),
        "rng": (np.random.Generator, "np.random.default_rng(0)"),
        "state": (dict, "rule.init(params)"),
    }
    kind, example = kinds.get(name, (object, ""))
    if not isinstance(value, kind):
        message = f"{type(trainer).__name__} expects {example} or the like, got {shown(value)}."
        raise SpecError(message)


def _is_declared(kind: type, name: str) -> bool:
    """Return True if the class or one of its bases has the attribute, or annotates it."""
    return hasattr(kind, name) or any(
        name in vars(base).get("__annotations__", {}) for base in kind.__mro__
    )


def _unknown_attribute(trainer: "Stepper", name: str) -> str:
    """Return the message about an attribute that does not exist, with the one to set instead."""
    if meant := SYNONYMS.get(name) or closest(name, ATTRIBUTES):
        advice = f"set {meant}"
    elif name in FIT_OPTIONS:
        advice = f"pass it to fit({name}=…)"
    elif any(name == option.name for option in fields(trainer.rule)):
        advice = f"set rule = dataclasses.replace(trainer.rule, {name}=…)"
    else:
        advice = f"its attributes are {', '.join(ATTRIBUTES)}"
    return f"{type(trainer).__name__} has no attribute {name!r}; {advice}."
