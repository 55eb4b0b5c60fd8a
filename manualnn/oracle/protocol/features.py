"""Every layer, loss and optimizer that the oracle can judge, with torch's options and defaults.

The oracle's own table, for it shares nothing with the engine; a test holds the two side by side.

    options_of({"type": "Softplus", "beta": 3})     Options(type="Softplus", beta=3, threshold=20.0)
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from manualnn.errors import SpecError

REQUIRED = object()
"""In place of a default: the option has to be given."""

LAYERS: dict[str, dict[str, Any]] = {
    "Linear": {"in_features": REQUIRED, "out_features": REQUIRED, "bias": True},
    "Identity": {},
    "Sigmoid": {},
    "Tanh": {},
    "ReLU": {},
    "LeakyReLU": {"negative_slope": 0.01},
    "Softplus": {"beta": 1.0, "threshold": 20.0},
    "Softmax": {"dim": -1},
    "LogSoftmax": {"dim": -1},
    "Dropout": {"p": 0.5},
}
LOSSES: dict[str, dict[str, Any]] = {
    "MSELoss": {"reduction": "mean"},
    "L1Loss": {"reduction": "mean"},
    "HuberLoss": {"reduction": "mean", "delta": 1.0},
    "BCELoss": {"reduction": "mean", "weight": None},
    "BCEWithLogitsLoss": {"reduction": "mean", "weight": None, "pos_weight": None},
    "CrossEntropyLoss": {
        "reduction": "mean",
        "weight": None,
        "ignore_index": -100,
        "label_smoothing": 0.0,
    },
}
_ADAM = {"betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False, "maximize": False}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {
        "lr": 0.001,
        "momentum": 0.0,
        "dampening": 0.0,
        "weight_decay": 0.0,
        "nesterov": False,
        "maximize": False,
    },
    "RMSprop": {
        "lr": 0.01,
        "alpha": 0.99,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "momentum": 0.0,
        "centered": False,
        "maximize": False,
    },
    "Adagrad": {
        "lr": 0.01,
        "lr_decay": 0.0,
        "weight_decay": 0.0,
        "initial_accumulator_value": 0.0,
        "eps": 1e-10,
        "maximize": False,
    },
    "Adam": {"lr": 0.001, **_ADAM, "weight_decay": 0.0},
    "AdamW": {"lr": 0.001, **_ADAM, "weight_decay": 0.01},
}
REDUCTIONS = ("mean", "sum", "batchmean")
TABLES = {"layers": LAYERS, "losses": LOSSES, "optimizers": OPTIMIZERS}
ALWAYS = {"in_features", "out_features", "lr"}
"""Options of which an engine that claims the part at all takes every value."""

STATE: dict[str, tuple[str, ...]] = {
    "SGD": ("momentum_buffer",),
    "RMSprop": ("square_avg", "grad_avg", "momentum_buffer"),
    "Adagrad": ("sum",),
    "Adam": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    "AdamW": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
}
"""What an optimizer may keep for each parameter, in torch's names."""


class Options(SimpleNamespace):
    """The options of one layer, loss or optimizer, as attributes; `type` is its name."""

    type: str


def options_of(spec: Mapping[str, Any]) -> Options:
    """Return the options of a description, defaults filled in; SpecError where it is none."""
    name = spec.get("type")
    defaults = next((table[name] for table in TABLES.values() if name in table), None)
    if defaults is None:
        known = ", ".join(name for table in TABLES.values() for name in table)
        raise SpecError(f"no layer, loss or optimizer is called {name!r}; there are {known}.")
    unknown = spec.keys() - defaults.keys() - {"type"}
    if unknown:
        raise SpecError(f"{name} has no option {min(unknown)!r}; it has {', '.join(defaults)}.")
    options = {**defaults, **spec}
    missing = [option for option, value in options.items() if value is REQUIRED]
    if missing:
        raise SpecError(f"{name} needs {missing[0]!r}; add it.")
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
    return Options(**options)


def state_names(optimizer: Options) -> tuple[str, ...]:
    """Return the names of the state that an optimizer with these options keeps."""
    absent = {
        "momentum_buffer": not getattr(optimizer, "momentum", 0),
        "grad_avg": not getattr(optimizer, "centered", False),
        "max_exp_avg_sq": not getattr(optimizer, "amsgrad", False),
    }
    return tuple(name for name in STATE[optimizer.type] if not absent.get(name, False))
