"""Adam, AdamW and Adamax."""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.optimizers.lines import (
    DECAY,
    EPS,
    RATES,
    SWITCH,
    Array,
    Arrays,
    Lines,
)
from manualnn.oracle.protocol.rows import Optimizer, Option, Options, State


class AdamRules(Lines):
    """Steps along an average of gradients, divided by their size."""

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


ADAM = {
    "lr": Option(0.001, RATES),
    "betas": Option((0.9, 0.999), ([0.5, 0.7], [0.0, 0.9], [0.9, 0.0], [0.8, 0.99], [0.99, 0.9])),
    "eps": EPS,
    "amsgrad": SWITCH,
    "maximize": SWITCH,
}

ADAM_STATE = (
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
        name="Adam",
        method="adam",
        options={**ADAM, "weight_decay": DECAY},
        state=ADAM_STATE,
        is_partner=True,
    ),
    Optimizer(
        name="AdamW",
        method="adamw",
        options={**ADAM, "weight_decay": Option(0.01, (0.0, 0.1, 1.0))},
        state=ADAM_STATE,
        is_partner=True,
    ),
    Optimizer(
        name="Adamax",
        method="adamax",
        options={
            "lr": Option(0.002, RATES),
            "betas": ADAM["betas"],
            "eps": EPS,
            "weight_decay": DECAY,
            "maximize": SWITCH,
        },
        state=(
            ADAM_STATE[0],
            State(
                "exp_inf",
                lambda o, g, s, t: (np.sqrt(s) + o.eps) * (t > 0),
                is_nonnegative=True,
                is_maximum=True,
            ),
        ),
    ),
)
