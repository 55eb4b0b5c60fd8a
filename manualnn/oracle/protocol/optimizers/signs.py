"""Rprop and Lion, which step along signs."""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.optimizers.adam import AdamRules
from manualnn.oracle.protocol.optimizers.lines import DECAY, RATES, SWITCH, Array, Arrays
from manualnn.oracle.protocol.rows import Optimizer, Option, Options, State


class SignRules(AdamRules):
    """Steps along signs."""

    def rprop(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        g = self.uphill(o, g)
        change = self.rprop_change(o, s["prev"], g)
        s["step_size"] = size = self.rprop_size(o, s["step_size"], change)
        s["prev"] = g = self.rprop_kept(o, g, change)
        return p - self.rprop_step(o, g, size)

    def rprop_change(self, o: Options, last: Array, g: Array) -> Array:
        """Return 1 where the gradient keeps its sign, −1 where it changes, 0 where one is 0."""
        return self.sign_of(g * last)

    def rprop_size(self, o: Options, size: Array, change: Array) -> Array:
        return self.rprop_limited(o, size * self.rprop_factor(o, change))

    def rprop_factor(self, o: Options, change: Array) -> Array:
        less, more = o.etas
        rises, falls = self.larger(change, self.num(0)), self.larger(-change, self.num(0))
        return rises * self.num(more) + falls * self.num(less) + (1 - rises - falls)

    def rprop_limited(self, o: Options, size: Array) -> Array:
        least, most = o.step_sizes
        return -self.larger(-self.larger(size, self.num(least)), -self.num(most))

    def rprop_kept(self, o: Options, g: Array, change: Array) -> Array:
        """Return the gradient, or 0 where it has changed its sign."""
        return g * (1 - self.larger(-change, self.num(0)))

    def rprop_step(self, o: Options, g: Array, size: Array) -> Array:
        return self.sign_of(g) * size

    def lion(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        g, m = self.uphill(o, g), s["exp_avg"]
        d = self.lion_direction(o, m, g)
        s["exp_avg"] = self.lion_mean(o, m, g)
        return self.moved(o, self.adamw_decayed(o, p) if o.weight_decay else p, d, self.num(o.lr))

    def lion_direction(self, o: Options, m: Array, g: Array) -> Array:
        return self.sign_of(self.average(m, g, o.betas[0]))

    def lion_mean(self, o: Options, m: Array, g: Array) -> Array:
        return self.average(m, g, o.betas[1])


def _typical_size(o: Any, g: Array, s: Array, t: int) -> Array:
    """Return sizes after a gradient that has kept its sign for a while."""
    least, most = o.step_sizes
    return np.clip(o.lr * o.etas[1] ** min(t, 8), least, most) + 0 * g if t else o.lr + 0 * g


ROWS = (
    Optimizer(
        name="Rprop",
        method="rprop",
        options={
            "lr": Option(0.01, RATES),
            "etas": Option((0.5, 1.2), ([0.3, 1.5], [0.9, 3.0])),
            "step_sizes": Option((1e-6, 50.0), ([0.01, 0.2], [0.0, 1.0])),
            "maximize": SWITCH,
        },
        state=(
            State("prev", lambda o, g, s, t: g * (t > 0)),
            State("step_size", _typical_size, initial="lr", is_nonnegative=True),
        ),
        scales_with_lr=False,
    ),
    Optimizer(
        name="Lion",
        method="lion",
        options={
            "lr": Option(0.0001, RATES),
            "betas": Option((0.9, 0.99), ([0.5, 0.7], [0.0, 0.9], [0.9, 0.0], [0.8, 0.8])),
            "weight_decay": DECAY,
            "maximize": SWITCH,
        },
        state=(State("exp_avg", lambda o, g, s, t: g * (1 - o.betas[1] ** t)),),
    ),
)
