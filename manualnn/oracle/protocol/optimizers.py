"""The row of every optimizer: its options and its state."""

from manualnn.oracle.protocol.rows import Optimizer, Option, State

_RATES = (0.1, 0.02, 1 / 3, 0.7, 0.003)
_MOMENTUM = Option(0.0, (0.9, 0.5, 0.999))
_DECAY = Option(0.0, (0.1, 0.01, 1.0))
_SWITCH = Option(default=False, others=(True,))
_EPS = Option(1e-8, (1e-2, 1e-5, 1.0))
_ADAM = {
    "betas": Option((0.9, 0.999), ([0.5, 0.7], [0.0, 0.9], [0.9, 0.0], [0.8, 0.99], [0.99, 0.9])),
    "eps": _EPS,
    "amsgrad": _SWITCH,
    "maximize": _SWITCH,
}
_ADAM_STATE = (State("exp_avg"), State("exp_avg_sq"), State("max_exp_avg_sq", "amsgrad"))

ROWS = (
    Optimizer(
        name="SGD",
        method="sgd",
        options={
            "lr": Option(0.001, _RATES),
            "momentum": _MOMENTUM,
            "dampening": Option(0.0, (0.3, 0.9)),
            "weight_decay": _DECAY,
            "nesterov": _SWITCH,
            "maximize": _SWITCH,
        },
        state=(State("momentum_buffer", "momentum"),),
        is_partner=True,
    ),
    Optimizer(
        name="RMSprop",
        method="rmsprop",
        options={
            "lr": Option(0.01, _RATES),
            "alpha": Option(0.99, (0.5, 0.9)),
            "eps": _EPS,
            "weight_decay": _DECAY,
            "momentum": _MOMENTUM,
            "centered": _SWITCH,
            "maximize": _SWITCH,
        },
        state=(
            State("square_avg"),
            State("grad_avg", "centered"),
            State("momentum_buffer", "momentum"),
        ),
        is_partner=True,
    ),
    Optimizer(
        name="Adagrad",
        method="adagrad",
        options={
            "lr": Option(0.01, _RATES),
            "lr_decay": Option(0.0, (0.1, 3.0)),
            "weight_decay": _DECAY,
            "initial_accumulator_value": Option(0.0, (0.1, 2.0)),
            "eps": Option(1e-10, (1e-2, 1e-5, 1.0)),
            "maximize": _SWITCH,
        },
        state=(State("sum"),),
        is_partner=True,
    ),
    Optimizer(
        name="Adam",
        method="adam",
        options={"lr": Option(0.001, _RATES), **_ADAM, "weight_decay": _DECAY},
        state=_ADAM_STATE,
        is_partner=True,
    ),
    Optimizer(
        name="AdamW",
        method="adamw",
        options={
            "lr": Option(0.001, _RATES),
            **_ADAM,
            "weight_decay": Option(0.01, (0.0, 0.1, 1.0)),
        },
        state=_ADAM_STATE,
        is_partner=True,
    ),
)
