"""SGD, ASGD, RMSprop, Adagrad and Adadelta."""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.optimizers.lines import (
    DECAY,
    EPS,
    MOMENTUM,
    RATES,
    SWITCH,
    Array,
    Arrays,
    Lines,
)
from manualnn.oracle.protocol.rows import Optimizer, Option, Options, State


class DescentRules(Lines):
    """Steps along the gradient, or along the gradient divided by a root of squares."""

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

    def adadelta(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        g = self.gradient(o, p, g)
        s["square_avg"] = v = self.adadelta_square(o, s["square_avg"], g)
        d = self.adadelta_step(o, s["acc_delta"], v, g)
        s["acc_delta"] = self.adadelta_sizes(o, s["acc_delta"], d, g)
        return self.moved(o, p, d, self.num(o.lr))

    def adadelta_square(self, o: Options, v: Array, g: Array) -> Array:
        return self.average(v, g * g, o.rho)

    def adadelta_step(self, o: Options, u: Array, v: Array, g: Array) -> Array:
        return self.adadelta_root(o, u) / self.adadelta_root(o, v) * g

    def adadelta_root(self, o: Options, v: Array) -> Array:
        return self.sqrt(v + self.num(o.eps))

    def adadelta_sizes(self, o: Options, u: Array, d: Array, g: Array) -> Array:
        return self.average(u, d * d, o.rho)

    def asgd(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        p = self.asgd_moved(o, p, self.gradient(o, p, g), self.asgd_rate(o, t))
        s["ax"] = self.asgd_average(o, s["ax"], p, self.asgd_share(o, t))
        return p

    def asgd_moved(self, o: Options, p: Array, g: Array, rate: Any) -> Array:
        return p * (1 - rate * self.num(o.lambd)) - rate * g

    def asgd_rate(self, o: Options, t: int) -> Any:
        lr = self.num(o.lr)
        return lr / (1 + self.num(o.lambd) * lr * (t - 1)) ** self.num(o.alpha) if t > 1 else lr

    def asgd_share(self, o: Options, t: int) -> Any:
        return 1 / self.num(max(1, t - 1 - o.t0) if t > 1 else 1)

    def asgd_average(self, o: Options, a: Array, p: Array, share: Any) -> Array:
        return a + share * (p - a)


def _buffer(per_update: Array, momentum: float, t: int) -> Array:
    """Return the sum of t equal numbers, each with the momentum's power of its age."""
    return per_update * (1 - momentum**t) / (1 - momentum) if momentum != 1 else per_update * t


ROWS = (
    Optimizer(
        name="SGD",
        method="sgd",
        options={
            "lr": Option(0.001, RATES),
            "momentum": MOMENTUM,
            "dampening": Option(0.0, (0.3, 0.9)),
            "weight_decay": DECAY,
            "nesterov": SWITCH,
            "maximize": SWITCH,
        },
        state=(State("momentum_buffer", lambda o, g, s, t: _buffer(g, o.momentum, t), "momentum"),),
        is_partner=True,
    ),
    Optimizer(
        name="RMSprop",
        method="rmsprop",
        options={
            "lr": Option(0.01, RATES),
            "alpha": Option(0.99, (0.5, 0.9)),
            "eps": EPS,
            "weight_decay": DECAY,
            "momentum": MOMENTUM,
            "centered": SWITCH,
            "maximize": SWITCH,
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
            "lr": Option(0.01, RATES),
            "lr_decay": Option(0.0, (0.1, 3.0)),
            "weight_decay": DECAY,
            "initial_accumulator_value": Option(0.0, (0.1, 2.0)),
            "eps": Option(1e-10, (1e-2, 1e-5, 1.0)),
            "maximize": SWITCH,
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
        name="Adadelta",
        method="adadelta",
        options={
            "lr": Option(1.0, RATES),
            "rho": Option(0.9, (0.5, 0.95, 0.0)),
            "eps": Option(1e-6, (1e-2, 1e-4, 1.0)),
            "weight_decay": DECAY,
            "maximize": SWITCH,
        },
        state=(
            State("square_avg", lambda o, g, s, t: s * (1 - o.rho**t), is_nonnegative=True),
            # Steps begin with √ε and become larger.
            State("acc_delta", lambda o, g, s, t: 10 * t * o.eps * (s > 0), is_nonnegative=True),
        ),
    ),
    Optimizer(
        name="ASGD",
        method="asgd",
        options={
            "lr": Option(0.01, RATES),
            "lambd": Option(0.0001, (0.1, 1.0, 0.0)),
            "alpha": Option(0.75, (0.5, 1.0)),
            "t0": Option(1e6, (0.0, 1.0, 500.0)),
            "weight_decay": DECAY,
            "maximize": SWITCH,
        },
        # It has the size of parameters, and no sign that is known.
        state=(State("ax", lambda o, g, s, t: (1 + np.abs(g)) * (t > 0)),),
    ),
)
