"""Bugs of SGD, RMSprop and Adagrad."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")

BUGS["momentum-with-complement"] = bug(
    "The gradient is added to the momentum buffer with the factor 1 − μ.",
    lines=("b ← μ b + (1 − μ) g", "b ← μ b + g"),
    source="HIPS autograd, smolgrad",
    sgd_buffer=lambda e, o, b, g, t: e.num(o.momentum) * b + (1 - e.num(o.momentum)) * g,
)
BUGS["momentum-ignored"] = bug(
    "The option momentum is ignored.",
    lines=("d = g", "d = b, b ← μ b + g"),
    killed_by="optimizer.*momentum:*",
    sgd_direction=lambda e, o, g, b: g,
    rmsprop_buffer=lambda e, o, b, d: d,
)
BUGS["momentum-buffer-not-kept"] = bug(
    "The momentum buffer is not stored: each step starts it again.",
    lines=("b = g at every step", "b ← μ b + (1 − τ) g"),
    sgd_buffer=lambda e, o, b, g, t: g.copy(),
)
BUGS["nesterov-ignored"] = bug(
    "The option nesterov is ignored: the momentum is the classical one.",
    lines=("d = b", "d = g + μ b"),
    source="RECHE23",
    sgd_direction=lambda e, o, g, b: b,
)
BUGS["nesterov-always"] = bug(
    "The momentum is always Nesterov's.",
    lines=("d = g + μ b", "d = b"),
    sgd_direction=lambda e, o, g, b: g + e.num(o.momentum) * b,
)
BUGS["nesterov-without-gradient"] = bug(
    "Nesterov's step lacks the gradient.",
    lines=("d = μ b", "d = g + μ b"),
    sgd_direction=lambda e, o, g, b: e.num(o.momentum) * b if o.nesterov else b,
)
BUGS["nesterov-of-new-buffer"] = bug(
    "The formula of Nesterov's momentum for the old buffer gets the new one.",
    lines=("d = (1 + μ) g + μ² b, b of this step", "d = (1 + μ) g + μ² b, b before this step"),
    source="chainer 7.8.1",
    sgd_direction=lambda e, o, g, b: (
        (1 + (mu := e.num(o.momentum))) * g + mu * mu * b if o.nesterov else b
    ),
)
BUGS["nesterov-of-two-gradients"] = bug(
    "Nesterov's step adds the gradient to the whole buffer.",
    lines=("d = g + b", "d = g + μ b"),
    sgd_direction=lambda e, o, g, b: g + b if o.nesterov else b,
)


class LooksAhead(Textbook):
    """Computes the gradient at the point where the momentum alone leads."""

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


BUGS["nesterov-by-lookahead"] = bug(
    "Nesterov's gradient is computed ahead of the parameters; torch computes it at them.",
    lines=("g = ∂L/∂p at p − lr μ b, d = μ b + g", "g = ∂L/∂p at p, d = g + μ (μ b + g)"),
    killed_by="optimizer.SGD.nesterov:*",
    base=LooksAhead,
)
BUGS["dampening-on-first-step"] = bug(
    "The first gradient is dampened as well, because the buffer starts from 0.",
    lines=("b₁ = (1 − τ) g", "b₁ = g"),
    sgd_buffer=lambda e, o, b, g, t: Textbook.sgd_buffer(e, o, b, g, 2),
)
BUGS["dampening-ignored"] = bug(
    "The option dampening is ignored.",
    lines=("b ← μ b + g", "b ← μ b + (1 − τ) g"),
    **with_options("sgd_buffer", dampening=0),
)
BUGS["dampening-as-factor"] = bug(
    "The gradient is multiplied by the dampening τ instead of 1 − τ.",
    lines=("b ← μ b + τ g", "b ← μ b + (1 − τ) g"),
    **with_options("sgd_buffer", dampening=lambda e, o: 1 - e.num(o.dampening)),
)


class RateInBuffer(Textbook):
    sign: int

    def sgd(self, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
        if not o.momentum:
            return super().sgd(o, p, g, s, t)
        g = self.sign * self.num(o.lr) * self.gradient(o, p, g)
        s["momentum_buffer"] = b = self.sgd_buffer(o, s["momentum_buffer"], g, t)
        return p - self.sign * self.sgd_direction(o, g, b)


BUGS["lr-in-momentum-buffer"] = bug(
    "The momentum buffer holds steps instead of gradients, so it contains the learning rate.",
    lines=("b ← μ b + lr g, p ← p − b; or b ← μ b − lr g, p ← p + b", "b ← μ b + g, p ← p − lr b"),
    base=RateInBuffer,
    sign=[1, -1],
)
BUGS["lr-in-buffer-and-step"] = bug(
    "The learning rate is applied in the momentum buffer and again in the step.",
    lines=("b ← μ b + lr g, p ← p − lr b", "b ← μ b + g, p ← p − lr b"),
    starts=[1, 0],
    sgd_buffer=lambda e, o, b, g, t: (
        g.copy() if t == e.starts else e.num(o.momentum) * b + e.num(o.lr) * g
    ),
)
BUGS["alpha-swapped"] = bug(
    "α and 1 − α are swapped.",
    lines=("v ← (1 − α) v + α g²", "v ← α v + (1 − α) g²"),
    rmsprop_square=lambda e, o, v, g: (1 - e.num(o.alpha)) * v + e.num(o.alpha) * (g * g),
)
BUGS["alpha-without-complement"] = bug(
    "Each new square is added without the factor 1 − α.",
    lines=("v ← α v + g²", "v ← α v + (1 − α) g²"),
    rmsprop_square=lambda e, o, v, g: e.num(o.alpha) * v + g * g,
)
BUGS["centered-ignored"] = bug(
    "The option centered is ignored.",
    lines=("d = g / (√v + ε)", "d = g / (√(v − m²) + ε)"),
    rmsprop_variance=lambda e, o, v, m: v,
)
BUGS["centered-without-square"] = bug(
    "The mean is subtracted instead of its square.",
    lines=("√(v − m)", "√(v − m²)"),
    rmsprop_variance=lambda e, o, v, m: v - m,
)
BUGS["centered-added"] = bug(
    "The square of the mean is added instead of subtracted.",
    lines=("√(v + m²)", "√(v − m²)"),
    rmsprop_variance=lambda e, o, v, m: v + m * m,
)
BUGS["rmsprop-bias-corrected"] = bug(
    "RMSprop applies a bias correction to the mean square, as Adam does.",
    lines=("d = g / (√(v / (1 − αᵗ)) + ε)", "d = g / (√v + ε)"),
    rmsprop_root=lambda e, o, v: Textbook.rmsprop_root(e, o, v / (1 - e.num(o.alpha) ** e.now)),
)
BUGS["rmsprop-momentum-of-gradient"] = bug(
    "The momentum buffer of RMSprop holds gradients, which are divided by the root afterwards.",
    lines=("b ← μ b + g, d = b / (√v + ε)", "b ← μ b + g / (√v + ε), d = b"),
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


BUGS["rmsprop-lr-in-buffer"] = bug(
    "The momentum buffer of RMSprop holds steps, so it contains the learning rate.",
    lines=("b ← μ b + lr g / (√v + ε), p ← p − b", "b ← μ b + g / (√v + ε), p ← p − lr b"),
    rmsprop_buffer=lambda e, o, b, d: Textbook.rmsprop_buffer(e, o, b, e.num(o.lr) * d),
    moved=lambda e, o, p, d, lr: (
        p - d if o.type == "RMSprop" and o.momentum else Textbook.moved(e, o, p, d, lr)
    ),
)
BUGS["lr-decay-off-by-one"] = bug(
    "Adagrad's learning rate decays one step too early.",
    lines=("lr / (1 + t η)", "lr / (1 + (t − 1) η)"),
    adagrad_rate=lambda e, o, t: Textbook.adagrad_rate(e, o, t + 1),
)
BUGS["lr-decay-ignored"] = bug(
    "The option lr_decay is ignored.",
    lines=("lr", "lr / (1 + (t − 1) η)"),
    adagrad_rate=lambda e, o, t: e.num(o.lr),
)
BUGS["lr-decay-exponential"] = bug(
    "Adagrad's learning rate decays exponentially.",
    lines=("lr (1 − η)ᵗ⁻¹", "lr / (1 + (t − 1) η)"),
    adagrad_rate=lambda e, o, t: e.num(o.lr) * e.array(1 - e.num(o.lr_decay)) ** (t - 1),
)
BUGS["initial-accumulator-ignored"] = bug(
    "The option initial_accumulator_value is ignored: Adagrad's sum starts from 0.",
    lines=("s₀ = 0", "s₀ = initial_accumulator_value"),
    killed_by="optimizer.Adagrad.initial_accumulator_value:*",
    first=lambda e, o, p, name: np.zeros_like(p),
)
BUGS["adagrad-forgets"] = bug(
    "Adagrad's sum decays, as the mean of RMSprop does.",
    lines=("s ← 0.9 s + g²", "s ← s + g²"),
    share=[0.9, 0.99],
    adagrad_sum=lambda e, o, s, g: e.num(e.share) * s + g * g,
)
