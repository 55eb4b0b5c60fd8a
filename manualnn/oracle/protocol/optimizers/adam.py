"""Adam, AdamW, Adamax, NAdam and RAdam."""

from math import log
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
    decay_of,
)
from manualnn.oracle.protocol.rows import Optimizer, Option, Options, State


class AdamRules(Lines):
    """Steps along an average of gradients, divided by their size."""

    def adam(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        return self.adam_step(o, p, self.gradient(o, p, g), s, t)

    def adamw(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        return self.adam_step(o, self.adamw_decayed(o, p), self.uphill(o, g), s, t)

    def adamw_decayed(self, o: Options, p: Array) -> Array:
        return p * (1 - self.num(o.lr) * self.num(decay_of(o)))

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

    def decayed(self, o: Options, p: Array, g: Array) -> tuple[Array, Array]:
        """Return p and g after the weight decay, which is either in g or decoupled from it."""
        if not o.decoupled_weight_decay:
            return p, self.gradient(o, p, g)
        return self.adamw_decayed(o, p) if o.weight_decay else p, self.uphill(o, g)

    def nadam(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        p, g = self.decayed(o, p, g)
        s["exp_avg"] = m = self.adam_mean(o, s["exp_avg"], g, t)
        s["exp_avg_sq"] = v = self.adam_square(o, s["exp_avg_sq"], g, t)
        return self.nadam_moved(o, p, g, m, self.adam_root(o, v, t), t)

    def nadam_moved(self, o: Options, p: Array, g: Array, m: Array, root: Array, t: int) -> Array:
        p = self.moved_by_quotient(o, p, g, root, self.num(o.lr) * self.nadam_gradient_share(o, t))
        return self.moved_by_quotient(o, p, m, root, self.num(o.lr) * self.nadam_mean_share(o, t))

    def nadam_gradient_share(self, o: Options, t: int) -> Any:
        return (1 - self.nadam_momentum(o, t)) / (1 - self.nadam_product(o, t))

    def nadam_mean_share(self, o: Options, t: int) -> Any:
        ahead = self.nadam_momentum(o, t + 1)
        return ahead / (1 - self.nadam_product(o, t) * ahead)

    def nadam_momentum(self, o: Options, t: int) -> Any:
        return self.num(o.betas[0]) * (1 - self.nadam_warmth(o, t) / 2)

    def nadam_warmth(self, o: Options, t: int) -> Any:
        return self.num(0.96) ** (t * self.num(o.momentum_decay))

    def nadam_product(self, o: Options, t: int) -> Any:
        """Return the product of all momenta so far, which torch keeps as mu_product."""
        product = self.num(1)
        for n in range(1, self.nadam_last(o, t) + 1):
            product = product * self.nadam_momentum(o, n)
        return product

    def nadam_last(self, o: Options, t: int) -> int:
        """Return the number of momenta whose product shows beside 1; each is at most β₁."""
        beta = float(o.betas[0])
        return min(t, 1 + int(log(1e-25) / log(beta))) if beta else min(t, 1)

    def radam(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        p, g = self.decayed(o, p, g)
        s["exp_avg"] = m = self.adam_mean(o, s["exp_avg"], g, t)
        s["exp_avg_sq"] = v = self.adam_square(o, s["exp_avg_sq"], g, t)
        lr = self.num(o.lr) / self.adam_correction1(o, t)
        if not self.radam_is_reliable(o, t):
            return self.moved(o, p, self.radam_early(o, m, t), lr)
        return self.moved_by_quotient(
            o, p, m, self.radam_root(o, v, t), lr * self.radam_factor(o, t)
        )

    def radam_is_reliable(self, o: Options, t: int) -> bool:
        return bool(self.radam_length(o, t) > 5)

    def radam_early(self, o: Options, m: Array, t: int) -> Array:
        return m

    def radam_length(self, o: Options, t: int) -> Any:
        """Return ρₜ, the number of squares that the average consists of."""
        beta = self.num(o.betas[1])
        return 2 / (1 - beta) - 1 - 2 * t * beta**t / self.adam_correction2(o, t)

    def radam_root(self, o: Options, v: Array, t: int) -> Array:
        return self.sqrt(v) + self.num(o.eps)

    def radam_factor(self, o: Options, t: int) -> Any:
        return self.radam_share(o, t) * self.sqrt(self.adam_correction2(o, t))

    def radam_share(self, o: Options, t: int) -> Any:
        """Return r, which is below 1 as long as few squares are known."""
        rho, most = self.radam_length(o, t), 2 / (1 - self.num(o.betas[1])) - 1
        return self.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))


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
    Optimizer(
        name="NAdam",
        method="nadam",
        options={
            "lr": Option(0.002, RATES),
            "betas": ADAM["betas"],
            "eps": EPS,
            "weight_decay": DECAY,
            "momentum_decay": Option(0.004, (1.0, 0.1, 0.0)),
            "decoupled_weight_decay": SWITCH,
            "maximize": SWITCH,
        },
        state=ADAM_STATE[:2],
    ),
    Optimizer(
        name="RAdam",
        method="radam",
        options={
            "lr": ADAM["lr"],
            "betas": ADAM["betas"],
            "eps": EPS,
            "weight_decay": DECAY,
            "decoupled_weight_decay": SWITCH,
            "maximize": SWITCH,
        },
        state=ADAM_STATE[:2],
    ),
)
