"""Error bounds of update rules: the statements of protocol/optimizers in bounded numbers.

    rules = BoundedRules(precision)
    rules.apply_rule(o, p, g, s, t)         return the bounded p; s receives the bounded state

Correct engines compute some lines of a rule in different orders, and a bound has to hold for each.
Such a line is a method of this class, whose docstring names the orders. The test
test_bounds_of_update_rules_hold_for_every_order evaluates each of them.

PyTorch computes factors such as 1 − β₁ᵗ in Python's float64. A program that has only float32
computes them in float32. A bound allows the second: β is rounded to the dtype, and βᵗ is a power or
the product of t factors. In float64 this is no more than rounding. In float32 the error is relative
to 1 − β.

√v is ill-conditioned at 0, and g / (√v + ε) has a slope of 1/ε there. The bounds show this, because
they are computed for the numbers of the case. An entry whose gradient is only a rounding error may
therefore have no useful bound, and does not need one.
"""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.optimizers import UpdateRules
from manualnn.oracle.truth.around import BoundedAround
from manualnn.oracle.truth.bounded import HUGE, Bounded, Precision
from manualnn.oracle.truth.functions import larger, root, sign
from manualnn.oracle.truth.matrices import BoundedMatrices
from manualnn.oracle.truth.variants import BoundedVariants


class BoundedRules(BoundedAround, BoundedVariants, BoundedMatrices, UpdateRules):
    """The update rules in bounded numbers; see the module."""

    def __init__(self, kind: Precision) -> None:
        self.kind = kind

    def num(self, value: Any) -> Bounded:
        """Return an option, which a program may round to its dtype."""
        return self.kind.number(value)

    def sqrt(self, v: Bounded) -> Bounded:
        """Return √v."""
        return root(v)

    def larger(self, a: Bounded, b: Bounded) -> Bounded:
        """Return the larger of the two, entry by entry."""
        return larger(a, b)

    def sign_of(self, v: Bounded) -> Bounded:
        """Return the sign, entry by entry."""
        return sign(v)

    def lion(self, o: Options, p: Bounded, g: Bounded, s: dict[str, Bounded], t: int) -> Bounded:
        """Return the decayed p less the step, p − lr (sign + λ p) or p − lr sign − lr λ p."""
        return self._with_decay_in_any_order(o, p, super().lion(o, p, g, s, t))

    def muon(self, o: Options, p: Bounded, g: Bounded, s: dict[str, Bounded], t: int) -> Bounded:
        """Return the decayed p less the step, in the orders of `lion`."""
        return self._with_decay_in_any_order(o, p, super().muon(o, p, g, s, t))

    def average(self, old: Bounded, new: Bounded, beta: float) -> Bounded:
        """Return β old + (1 − β) new, old + (1 − β) (new − old), or new + β (old − new).

        The last one is for β below ½: it starts from the nearer end. Each takes 4 roundings.
        """
        kind, share = self.kind, 1 - self.num(beta)
        v = old.v + share.v * (new.v - old.v)
        lost = kind.size(1 - share.v) * old.e + share.size * new.e + share.e * (old.most + new.most)
        size = old.most + (new.most if share.v > 0.5 else share.size * new.most)
        return Bounded(v, lost + kind.rounding(4, size, v), kind)

    def correction(self, beta: float, t: int) -> Bounded:
        """Return 1 − βᵗ, which loses the digits that βᵗ and 1 have in common.

        βᵗ is β, a power with an error of 2u, or a product with t − 1 roundings.
        """
        kind = self.kind
        base = kind.number(beta)
        power = kind.wide.array(kind.wide.number(beta) ** t)
        share = t * float(base.e) / beta if beta else 0.0
        lost = kind.size(power) * (share + (kind.gamma(max(t - 1, 2)) if t > 1 else 0.0))
        return kind.number(1) - Bounded(power, lost, kind)

    def moved_by_quotient(
        self, o: Options, p: Bounded, d: Bounded, root: Bounded, lr: Bounded
    ) -> Bounded:
        """Return p − lr (d / root), p − (lr d) / root, p − (lr / root) d or p − d / (root / lr).

        The quotient by the root may also be a product with 1 / root.
        """
        return p - self._step(o, d, root, lr)

    def quotient(self, o: Options, d: Bounded, root: Bounded) -> Bounded:
        """Return d / root; no program divides by less than ε."""
        return self._step(o, d, root, self.kind.exact(1))

    def _step(self, o: Options, d: Bounded, root: Bounded, lr: Bounded) -> Bounded:
        """Return lr d / root in each order.

        A program that begins with lr d may lose η by underflow before it divides by the root and
        by Adam's corrections. lr / root may lose η before it is multiplied by d, and where
        root / lr overflows, d / ∞ is 0. Where lr d or lr / root may overflow, there is no bound.
        """
        kind, least = self.kind, self.num(o.eps)
        room = np.maximum(root.size - root.e, (least.size - least.e) * (1 - 2 * kind.u))
        quotient = kind.wide.divide(d.v, root.v)
        e = kind.rough.divide(d.e + kind.size(quotient) * root.e, room)
        lost = kind.rough.divide(4 * kind.eta, room * _least_corrections(o))
        lost = np.where(d.most == 0, 0.0, lost + d.most * (4 * kind.eta + 2 / kind.max))
        largest = np.maximum(lr.most * d.most, kind.rough.divide(lr.most, room))
        lost = np.where(largest < kind.max, lost, np.inf)
        step = Bounded(quotient, e, kind).product_rounded(3).times(lr).product_rounded()
        return step.plus_error(lost)

    def sgd(self, o: Options, p: Bounded, g: Bounded, s: dict[str, Bounded], t: int) -> Bounded:
        """Return p − lr (g + λ p) in each order, or p − lr b and Nesterov's p − lr (g + μ b).

        Without momentum, textbooks write (1 − lr λ) p − lr g, which rounds both options, their
        product, 1 − lr λ, and the product of that with p. With momentum, the terms of the buffer
        b = μ b₀ + g + λ p are added in any order, and v = −lr b replaces b. Nesterov's step is

            p − lr g − lr μ b, as two additions or one (Keras, TensorFlow, PaddlePaddle)
            p − μ v₀ + (1 + μ) v or p + μ² v₀ − (1 + μ) lr g (Caffe, Chainer)

        The longest way of a term there is lr (1 + μ) (μ b₀ + g): 5 roundings, and 1 beside p. The
        bound counts them with the absolute values of all terms, because these orders cancel where
        others do not.
        """
        kind, lr, mu, decay = self.kind, abs(o.lr), abs(o.momentum), abs(o.weight_decay)
        carried = mu * s["momentum_buffer"].most if mu and t > 1 else 0.0
        moved: Bounded = super().sgd(o, p, g, s, t)
        size = g.most + decay * p.most
        if not mu:
            kept = abs(1 - o.lr * o.weight_decay) + lr * decay
            return moved.plus_error(kind.rounding(3, kept * p.most + lr * size)) if decay else moved
        size = size + carried
        if decay:
            s["momentum_buffer"] = s["momentum_buffer"].plus_error(kind.rounding(1, size))
        roundings = 2
        if o.nesterov:
            size, roundings = (1 + mu) * size + carried, 6
        # v = −lr b loses its own η in each of its operations, and b loses lr η.
        lost = np.minimum(size * HUGE, 12 * _ages(mu, t) * kind.eta)
        return moved.plus_error(
            kind.rounding(1, p.most) + kind.rounding(roundings, lr * size) + lost
        )

    def rmsprop(self, o: Options, p: Bounded, g: Bounded, s: dict[str, Bounded], t: int) -> Bounded:
        """Return the step, whose buffer may contain the rate: b = μ b + (lr g) / root (Keras).

        Then lr g may lose η before it is divided by the root, in each update that b remembers.
        """
        moved: Bounded = super().rmsprop(o, p, g, s, t)
        if not (o.momentum and o.eps):
            return moved
        lost = 4 * self.kind.eta * _ages(abs(o.momentum), t) / o.eps
        return moved.plus_error(np.where(s["momentum_buffer"].most == 0, 0.0, lost))

    def rmsprop_variance(self, _: Options, v: Bounded, m: Bounded) -> Bounded:
        """Return v − m²; rounding may make it negative, and torch's root of that is NaN."""
        v = v - m * m
        return v.plus_error(np.where(v.v < v.e, np.inf, 0.0))

    def adagrad_rate(self, o: Options, t: int) -> Bounded:
        """Return lr / (1 + (t − 1) η); both options are rounded, and so is each operation."""
        number = self.kind.wide.number
        rate = number(o.lr) / (1 + (t - 1) * number(o.lr_decay))
        return Bounded(rate, np.asarray(0.0), self.kind).rounded(5 if o.lr_decay else 1)

    def adadelta_step(self, o: Options, u: Bounded, v: Bounded, g: Bounded) -> Bounded:
        """Return (√(u + ε) / √(v + ε)) g, √(u + ε) (g / √(v + ε)) or √((u + ε) / (v + ε)) g.

        The first product or quotient may lose η, and may overflow.
        """
        kind = self.kind
        above, below = self.adadelta_root(o, u), self.adadelta_root(o, v)
        step: Bounded = above / below * g
        per_unit = kind.rough.divide(1, np.maximum(below.size - below.e, 0))
        lost = 4 * kind.eta * (1 + g.most + above.most + per_unit)
        lost = np.where(g.most == 0, 0.0, lost)
        return step.plus_error(np.where(above.most * g.most < kind.max, lost, np.inf))

    def adam_root(self, o: Options, v: Bounded, t: int) -> Bounded:
        """Return √(v / (1 − β₂ᵗ)) + ε or √v / √(1 − β₂ᵗ) + ε, which rounds twice more."""
        return self.sqrt(v / self.adam_correction2(o, t)).rounded(2) + self.num(o.eps)

    def adamw(self, o: Options, p: Bounded, g: Bounded, s: dict[str, Bounded], t: int) -> Bounded:
        """Return the decayed p less the step, p − (step + lr λ p) or p − step − lr λ p.

        The second rounds a sum of step and decay (Optax), the third the difference of p and step.
        """
        return self._with_decay_in_any_order(o, p, super().adamw(o, p, g, s, t))

    def _with_decay_in_any_order(self, o: Options, p: Bounded, moved: Bounded) -> Bounded:
        if not o.weight_decay:
            return moved
        most = p.most * (1 + abs(o.lr * o.weight_decay))
        return moved.plus_error(self.kind.rounding(2, (moved.most + most) + most))

    def adamw_decayed(self, o: Options, p: Bounded) -> Bounded:
        """Return (1 − lr λ) p, p − (lr λ) p or p − lr (λ p)."""
        kind = self.kind
        decay = kind.wide.array(kind.wide.number(o.lr) * kind.wide.number(o.weight_decay))
        kept = kind.size(1 - decay)
        v = p.v * (1 - decay)
        size = p.most * (kept + 2 * kind.size(decay))
        return Bounded(v, p.e * kept + kind.rounding(4, size, v), kind)


def _least_corrections(o: Options) -> float:
    """Return a lower bound of (1 − β₁ᵗ) √(1 − β₂ᵗ), the factors of Adam's rate; 1 without them."""
    beta1, beta2 = getattr(o, "betas", (0.0, 0.0))
    return float((1 - beta1) * np.sqrt(1 - beta2))


def _ages(momentum: float, t: int) -> float:
    """Return an upper bound of Σ μᵏ over t updates, the weight of old errors in a buffer."""
    return min(t, 1 / (1 - momentum)) if momentum < 1 else t
