"""Optimizers: the row of each with options and state, and its update rule as the paper writes it.

    UpdateRules                     the update rules in any arithmetic, one method per optimizer
    rules.adam(o, p, g, s, t)       return the new p, and write the new state into s
    ROWS                            the rows; `method` names the optimizer's method of UpdateRules

o: options; p: parameter; g: its gradient; s: arrays of its state; t: number of the update, from 1.

This is the only statement of the rules in the oracle. A subclass adds the arithmetic (`num`, `sqrt`
and `larger`): textbook/engine.py NumPy's, truth/optimizers.py bounded numbers, the tests SymPy's
symbols, floats and 200 digits. Each line of a rule is a method, because each bug of the catalogue
overrides one line. The truth overrides lines that correct engines compute in several orders.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.protocol.rows import MissingEntryError, Optimizer, Option, Options, State

Array = Any
"""An array of any numbers that have +, −, ×, / and abs."""
Arrays = dict[str, Array]


class UpdateRules:
    """The update rules, one method per optimizer, in the arithmetic of a subclass."""

    num: Callable[..., Any]
    """Return an option as a number of the arithmetic."""
    sqrt: Callable[..., Array]
    larger: Callable[..., Array]

    def moved(self, o: Options, p: Array, d: Array, lr: Any) -> Array:
        """Return the parameter after a step of that rate along d."""
        return p - lr * d

    def moved_by_quotient(self, o: Options, p: Array, d: Array, root: Array, lr: Any) -> Array:
        """Return the parameter after a step along d / root, where root contains ε."""
        return self.moved(o, p, self.quotient(o, d, root), lr)

    def quotient(self, o: Options, d: Array, root: Array) -> Array:
        return d / root

    def average(self, old: Array, new: Array, beta: float) -> Array:
        """Return the moving average of numbers with a memory of β."""
        return self.num(beta) * old + (1 - self.num(beta)) * new

    def correction(self, beta: float, t: int) -> Any:
        """Return 1 − βᵗ, the weight of the numbers in an average that started from 0."""
        return 1 - self.num(beta) ** t

    def gradient(self, o: Options, p: Array, g: Array) -> Array:
        """Return the gradient with its sign for `maximize` and with the weight decay."""
        g = self.uphill(o, g)
        return g + self.num(o.weight_decay) * p if o.weight_decay else g

    def uphill(self, o: Options, g: Array) -> Array:
        return -g if o.maximize else g

    def apply_rule(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        """Return the new p by the method of the optimizer, and write the new state into s."""
        name = next(row.method for row in ROWS if row.name == o.type)
        if not hasattr(self, name):
            raise MissingEntryError(
                f"protocol/optimizers.py has no update rule for {o.type!r}; "
                f"add a method {name!r} to UpdateRules."
            )
        return getattr(self, name)(o, p, g, s, t)

    def sgd(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        g = self.gradient(o, p, g)
        if o.momentum:
            s["momentum_buffer"] = b = self.sgd_buffer(o, s["momentum_buffer"], g, t)
            g = self.sgd_direction(o, g, b)
        return self.moved(o, p, g, self.num(o.lr))

    def sgd_buffer(self, o: Options, b: Array, g: Array, t: int) -> Array:
        return g if t == 1 else self.num(o.momentum) * b + (1 - self.num(o.dampening)) * g

    def sgd_direction(self, o: Options, g: Array, b: Array) -> Array:
        return g + self.num(o.momentum) * b if o.nesterov else b

    def rmsprop(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        g = self.gradient(o, p, g)
        s["square_avg"] = v = self.rmsprop_square(o, s["square_avg"], g)
        if o.centered:
            s["grad_avg"] = m = self.rmsprop_mean(o, s["grad_avg"], g)
            v = self.rmsprop_variance(o, v, m)
        root, lr = self.rmsprop_root(o, v), self.num(o.lr)
        if not o.momentum:
            return self.moved_by_quotient(o, p, g, root, lr)
        d = self.quotient(o, g, root)
        s["momentum_buffer"] = d = self.rmsprop_buffer(o, s["momentum_buffer"], d)
        return self.moved(o, p, d, lr)

    def rmsprop_square(self, o: Options, v: Array, g: Array) -> Array:
        return self.average(v, g * g, o.alpha)

    def rmsprop_mean(self, o: Options, m: Array, g: Array) -> Array:
        return self.average(m, g, o.alpha)

    def rmsprop_variance(self, o: Options, v: Array, m: Array) -> Array:
        return v - m * m

    def rmsprop_root(self, o: Options, v: Array) -> Array:
        return self.sqrt(v) + self.num(o.eps)

    def rmsprop_buffer(self, o: Options, b: Array, d: Array) -> Array:
        return self.num(o.momentum) * b + d

    def adagrad(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        g = self.gradient(o, p, g)
        s["sum"] = self.adagrad_sum(o, s["sum"], g)
        root, lr = self.adagrad_root(o, s["sum"]), self.adagrad_rate(o, t)
        return self.moved_by_quotient(o, p, g, root, lr)

    def adagrad_sum(self, o: Options, s: Array, g: Array) -> Array:
        return s + g * g

    def adagrad_root(self, o: Options, s: Array) -> Array:
        return self.sqrt(s) + self.num(o.eps)

    def adagrad_rate(self, o: Options, t: int) -> Any:
        return self.num(o.lr) / (1 + (t - 1) * self.num(o.lr_decay))

    def adam(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        return self.adam_step(o, p, self.gradient(o, p, g), s, t)

    def adamw(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        return self.adam_step(o, self.adamw_decayed(o, p), self.uphill(o, g), s, t)

    def adamw_decayed(self, o: Options, p: Array) -> Array:
        return p * (1 - self.num(o.lr) * self.num(o.weight_decay))

    def adam_step(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        s["exp_avg"] = m = self.adam_mean(o, s["exp_avg"], g, t)
        s["exp_avg_sq"] = v = self.adam_square(o, s["exp_avg_sq"], g, t)
        if o.amsgrad:
            s["max_exp_avg_sq"] = v = self.adam_maximum(o, s["max_exp_avg_sq"], v, t)
        lr = self.num(o.lr) / self.adam_correction1(o, t)
        return self.moved_by_quotient(o, p, m, self.adam_root(o, v, t), lr)

    def adam_mean(self, o: Options, m: Array, g: Array, t: int) -> Array:
        return self.average(m, g, o.betas[0])

    def adam_square(self, o: Options, v: Array, g: Array, t: int) -> Array:
        return self.average(v, g * g, o.betas[1])

    def adam_maximum(self, o: Options, old: Array, v: Array, t: int) -> Array:
        return self.larger(old, v)

    def adam_root(self, o: Options, v: Array, t: int) -> Array:
        return self.sqrt(v / self.adam_correction2(o, t)) + self.num(o.eps)

    def adam_correction1(self, o: Options, t: int) -> Any:
        return self.correction(o.betas[0], t)

    def adam_correction2(self, o: Options, t: int) -> Any:
        return self.correction(o.betas[1], t)

    def adamax(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        g = self.gradient(o, p, g)
        s["exp_avg"] = m = self.adam_mean(o, s["exp_avg"], g, t)
        decayed = self.num(o.betas[1]) * s["exp_inf"]
        s["exp_inf"] = u = self.larger(decayed, abs(g) + self.num(o.eps))
        return self.moved_by_quotient(o, p, m, u, self.num(o.lr) / self.adam_correction1(o, t))


_RATES = (0.1, 0.02, 1 / 3, 0.7, 0.003)
_MOMENTUM = Option(0.0, (0.9, 0.5, 0.999))
_DECAY = Option(0.0, (0.1, 0.01, 1.0))
_SWITCH = Option(default=False, others=(True,))
_EPS = Option(1e-8, (1e-2, 1e-5, 1.0))
_ADAM = {
    "lr": Option(0.001, _RATES),
    "betas": Option((0.9, 0.999), ([0.5, 0.7], [0.0, 0.9], [0.9, 0.0], [0.8, 0.99], [0.99, 0.9])),
    "eps": _EPS,
    "amsgrad": _SWITCH,
    "maximize": _SWITCH,
}


def _buffer(per_update: Array, momentum: float, t: int) -> Array:
    """Return the sum of t equal numbers, each with the momentum's power of its age."""
    return per_update * (1 - momentum**t) / (1 - momentum) if momentum != 1 else per_update * t


_ADAM_STATE = (
    State("exp_avg", lambda o, g, s, t: g * (1 - o.betas[0] ** t)),
    State("exp_avg_sq", lambda o, g, s, t: s * (1 - o.betas[1] ** t), is_nonnegative=True),
    State(
        "max_exp_avg_sq",
        lambda o, g, s, t: s * (1 - o.betas[1] ** t),
        "amsgrad",
        is_nonnegative=True,
        is_maximum=True,
    ),
)

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
        state=(State("momentum_buffer", lambda o, g, s, t: _buffer(g, o.momentum, t), "momentum"),),
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
            State(
                "square_avg",
                lambda o, g, s, t: s * (1 - o.alpha**t),
                is_nonnegative=True,
                mean="grad_avg",
            ),
            State("grad_avg", lambda o, g, s, t: g * (1 - o.alpha**t), "centered"),
            State(
                "momentum_buffer",
                lambda o, g, s, t: _buffer(g / np.sqrt(s + o.eps), o.momentum, t),
                "momentum",
            ),
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
        state=(
            State(
                "sum",
                lambda o, g, s, t: o.initial_accumulator_value + t * s,
                initial="initial_accumulator_value",
                is_nonnegative=True,
            ),
        ),
        is_partner=True,
    ),
    Optimizer(
        name="Adam",
        method="adam",
        options={**_ADAM, "weight_decay": _DECAY},
        state=_ADAM_STATE,
        is_partner=True,
    ),
    Optimizer(
        name="AdamW",
        method="adamw",
        options={**_ADAM, "weight_decay": Option(0.01, (0.0, 0.1, 1.0))},
        state=_ADAM_STATE,
        is_partner=True,
    ),
    Optimizer(
        name="Adamax",
        method="adamax",
        options={
            "lr": Option(0.002, _RATES),
            "betas": _ADAM["betas"],
            "eps": _EPS,
            "weight_decay": _DECAY,
            "maximize": _SWITCH,
        },
        state=(
            _ADAM_STATE[0],
            State(
                "exp_inf",
                lambda o, g, s, t: (np.sqrt(s) + o.eps) * (t > 0),
                is_nonnegative=True,
                is_maximum=True,
            ),
        ),
    ),
)
