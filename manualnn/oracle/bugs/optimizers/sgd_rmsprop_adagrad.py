"""Mistakes in SGD, RMSprop and Adagrad."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "optimizers")

bug(
    "momentum-with-complement",
    "The gradient enters the momentum buffer with a factor 1 − μ.",
    wrong="b ← μ b + (1 − μ) g",
    right="b ← μ b + g",
    source="HIPS autograd, smolgrad",
    killed_by="optimizer.SGD*:*",
    sgd_buffer=lambda e, o, b, g, t: e.num(o.momentum) * b + (1 - e.num(o.momentum)) * g,
)
bug(
    "momentum-ignored",
    "The option momentum is ignored.",
    wrong="d = g",
    right="d = b, b ← μ b + g",
    killed_by="optimizer.*momentum:*",
    sgd_direction=lambda e, o, g, b: g,
    rmsprop_buffer=lambda e, o, b, d: d,
)
bug(
    "momentum-buffer-not-kept",
    "The momentum buffer is not stored: it is that of the first step for ever.",
    wrong="b = g at every step",
    right="b ← μ b + (1 − τ) g",
    killed_by="optimizer.SGD*:*",
    sgd_buffer=lambda e, o, b, g, t: g.copy(),
)
bug(
    "nesterov-ignored",
    '"Nesterov" is classical momentum.',
    wrong="d = b",
    right="d = g + μ b",
    source="RECHE23",
    killed_by="optimizer.SGD.nesterov:*",
    sgd_direction=lambda e, o, g, b: b,
)
bug(
    "nesterov-always",
    "Momentum is always Nesterov's.",
    wrong="d = g + μ b",
    right="d = b",
    killed_by="optimizer.SGD*:*",
    sgd_direction=lambda e, o, g, b: g + e.num(o.momentum) * b,
)
bug(
    "nesterov-without-gradient",
    "Nesterov's step lacks the gradient.",
    wrong="d = μ b",
    right="d = g + μ b",
    killed_by="optimizer.SGD.nesterov:*",
    sgd_direction=lambda e, o, g, b: e.num(o.momentum) * b if o.nesterov else b,
)
bug(
    "nesterov-of-two-gradients",
    "Nesterov's step adds the gradient to the whole buffer.",
    wrong="d = g + b",
    right="d = g + μ b",
    killed_by="optimizer.SGD.nesterov:*",
    sgd_direction=lambda e, o, g, b: g + b if o.nesterov else b,
)


class LooksAhead(Textbook):
    """Takes the gradient where the momentum alone would lead."""

    def weight(self, o: Options) -> Array:
        return self.ahead(f"{o.i}.weight")

    def ahead(self, key: str) -> Array:
        p, o = self.params[key], self.rule
        if o is None or o.type != "SGD" or not o.nesterov or self.now == 1:
            return p
        return p - self.num(o.lr) * self.num(o.momentum) * self.state["momentum_buffer"][key]

    def linear(self, o: Options, x: Array) -> Array:
        z = self.matmul(x, self.weight(o).T)
        return z + self.ahead(f"{o.i}.bias") if o.bias else z

    def sgd_direction(self, o: Options, g: Array, b: Array) -> Array:
        return b


bug(
    "nesterov-by-lookahead",
    "Nesterov's gradient is taken ahead of the parameters, where torch takes it at them.",
    wrong="g = ∂L/∂p at p − lr μ b, d = μ b + g",
    right="g = ∂L/∂p at p, d = g + μ (μ b + g)",
    killed_by="optimizer.SGD.nesterov:*",
    base=LooksAhead,
)
bug(
    "dampening-on-first-step",
    "The first gradient is dampened as well, for the buffer starts from 0.",
    wrong="b₁ = (1 − τ) g",
    right="b₁ = g",
    killed_by="optimizer.SGD.dampening:*",
    sgd_buffer=lambda e, o, b, g, t: Textbook.sgd_buffer(e, o, b, g, 2),
)
bug(
    "dampening-ignored",
    "The option dampening is ignored.",
    wrong="b ← μ b + g",
    right="b ← μ b + (1 − τ) g",
    killed_by="optimizer.SGD.dampening:*",
    sgd_buffer=lambda e, o, b, g, t: Textbook.sgd_buffer(e, but(o, dampening=0), b, g, t),
)
bug(
    "dampening-as-factor",
    "The gradient is multiplied by the dampening in place of its complement.",
    wrong="b ← μ b + τ g",
    right="b ← μ b + (1 − τ) g",
    killed_by="optimizer.SGD*:*",
    sgd_buffer=lambda e, o, b, g, t: Textbook.sgd_buffer(
        e, but(o, dampening=1 - e.num(o.dampening)), b, g, t
    ),
)


class RateInBuffer(Textbook):
    sign: int

    def sgd(self, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
        if not o.momentum:
            return super().sgd(o, p, g, s, t)
        g = self.sign * self.num(o.lr) * self.gradient(o, p, g)
        s["momentum_buffer"] = b = self.sgd_buffer(o, s["momentum_buffer"], g, t)
        return p - self.sign * self.sgd_direction(o, g, b)


bug(
    "lr-in-momentum-buffer",
    "The momentum buffer holds steps in place of gradients: the rate is inside.",
    wrong="b ← μ b + lr g, p ← p − b; or b ← μ b − lr g, p ← p + b",
    right="b ← μ b + g, p ← p − lr b",
    killed_by="optimizer.SGD*:*",
    base=RateInBuffer,
    variants=[{"sign": 1}, {"sign": -1}],
)
bug(
    "lr-in-buffer-and-step",
    "The rate enters the momentum buffer with the gradient, and the step once more.",
    wrong="b ← μ b + lr g, p ← p − lr b",
    right="b ← μ b + g, p ← p − lr b",
    killed_by="optimizer.SGD*:*",
    variants=[{"starts": 1}, {"starts": 0}],
    sgd_buffer=lambda e, o, b, g, t: (
        g.copy() if t == e.starts else e.num(o.momentum) * b + e.num(o.lr) * g
    ),
)


class DecayAfterMomentum(Textbook):
    def gradient(self, o: Options, p: Array, g: Array) -> Array:
        return self.uphill(o, g) if o.type == "SGD" else super().gradient(o, p, g)

    def sgd(self, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
        return super().sgd(o, p, g, s, t) - self.num(o.lr) * (self.num(o.weight_decay) * p)


bug(
    "decay-after-momentum",
    "The weight decay does not go through the momentum buffer.",
    wrong="b ← μ b + g, p ← p − lr (b + λ p)",
    right="b ← μ b + (g + λ p), p ← p − lr b",
    killed_by="optimizer.SGD*:*",
    base=DecayAfterMomentum,
)
bug(
    "alpha-swapped",
    "α and 1 − α are swapped.",
    wrong="v ← (1 − α) v + α g²",
    right="v ← α v + (1 − α) g²",
    killed_by="optimizer.RMSprop*:*",
    rmsprop_square=lambda e, o, v, g: (1 - e.num(o.alpha)) * v + e.num(o.alpha) * (g * g),
)
bug(
    "alpha-without-complement",
    "The squares are summed with the whole of each new one.",
    wrong="v ← α v + g²",
    right="v ← α v + (1 − α) g²",
    killed_by="optimizer.RMSprop*:*",
    rmsprop_square=lambda e, o, v, g: e.num(o.alpha) * v + g * g,
)
bug(
    "centered-ignored",
    "The option centered is ignored.",
    wrong="d = g / (√v + ε)",
    right="d = g / (√(v − m²) + ε)",
    killed_by="optimizer.RMSprop.centered:*",
    rmsprop_variance=lambda e, o, v, m: v,
)
bug(
    "centered-without-square",
    "The mean is subtracted without its square.",
    wrong="√(v − m)",
    right="√(v − m²)",
    killed_by="optimizer.RMSprop.centered:*",
    rmsprop_variance=lambda e, o, v, m: v - m,
)
bug(
    "centered-added",
    "The square of the mean is added.",
    wrong="√(v + m²)",
    right="√(v − m²)",
    killed_by="optimizer.RMSprop.centered:*",
    rmsprop_variance=lambda e, o, v, m: v + m * m,
)
bug(
    "rmsprop-bias-corrected",
    "RMSprop corrects its mean square for the start from 0, as Adam does.",
    wrong="d = g / (√(v / (1 − αᵗ)) + ε)",
    right="d = g / (√v + ε)",
    killed_by="optimizer.RMSprop*:*",
    rmsprop_root=lambda e, o, v: Textbook.rmsprop_root(e, o, v / (1 - e.num(o.alpha) ** e.now)),
)
bug(
    "rmsprop-momentum-of-gradient",
    "RMSprop's buffer holds gradients, which are divided by the root afterwards.",
    wrong="b ← μ b + g, d = b / (√v + ε)",
    right="b ← μ b + g / (√v + ε), d = b",
    killed_by="optimizer.RMSprop*:*",
    rmsprop=lambda e, o, p, g, s, t: _buffer_of_gradients(e, o, p, g, s),
)


def _buffer_of_gradients(e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array]) -> Array:
    if not o.momentum:
        return Textbook.rmsprop(e, o, p, g, s, e.now)
    g = e.gradient(o, p, g)
    s["square_avg"] = v = e.rmsprop_square(o, s["square_avg"], g)
    if o.centered:
        s["grad_avg"] = m = e.rmsprop_mean(o, s["grad_avg"], g)
        v = e.rmsprop_variance(o, v, m)
    s["momentum_buffer"] = b = e.num(o.momentum) * s["momentum_buffer"] + g
    return p - e.num(o.lr) * (b / e.rmsprop_root(o, v))


bug(
    "rmsprop-lr-in-buffer",
    "RMSprop's buffer holds steps: the rate is inside.",
    wrong="b ← μ b + lr g / (√v + ε), p ← p − b",
    right="b ← μ b + g / (√v + ε), p ← p − lr b",
    killed_by="optimizer.RMSprop*:*",
    rmsprop_buffer=lambda e, o, b, d: Textbook.rmsprop_buffer(e, o, b, e.num(o.lr) * d),
    moved=lambda e, o, p, d, lr: (
        p - d if o.type == "RMSprop" and o.momentum else Textbook.moved(e, o, p, d, lr)
    ),
)
bug(
    "lr-decay-off-by-one",
    "Adagrad's rate decays one step early.",
    wrong="lr / (1 + t η)",
    right="lr / (1 + (t − 1) η)",
    killed_by="optimizer.Adagrad.lr_decay:*",
    adagrad_rate=lambda e, o, t: Textbook.adagrad_rate(e, o, t + 1),
)
bug(
    "lr-decay-ignored",
    "The option lr_decay is ignored.",
    wrong="lr",
    right="lr / (1 + (t − 1) η)",
    killed_by="optimizer.Adagrad.lr_decay:*",
    adagrad_rate=lambda e, o, t: e.num(o.lr),
)
bug(
    "lr-decay-exponential",
    "Adagrad's rate decays exponentially.",
    wrong="lr (1 − η)ᵗ⁻¹",
    right="lr / (1 + (t − 1) η)",
    killed_by="optimizer.Adagrad.lr_decay:*",
    adagrad_rate=lambda e, o, t: e.num(o.lr) * e.array(1 - e.num(o.lr_decay)) ** (t - 1),
)
bug(
    "initial-accumulator-ignored",
    "Adagrad's sum starts from 0, whatever is asked for.",
    wrong="s₀ = 0",
    right="s₀ = initial_accumulator_value",
    killed_by="optimizer.Adagrad.initial_accumulator_value:*",
    first=lambda e, o, p, name: np.zeros_like(p),
)
bug(
    "adagrad-forgets",
    "Adagrad's sum fades, as RMSprop's does.",
    wrong="s ← 0.9 s + g²",
    right="s ← s + g²",
    killed_by="optimizer.Adagrad*:*",
    variants=[{"share": 0.9}, {"share": 0.99}],
    adagrad_sum=lambda e, o, s, g: e.num(e.share) * s + g * g,
)
