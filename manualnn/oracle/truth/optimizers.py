"""Error bounds of update rules: the statements of protocol/optimizers.py in bounded numbers.

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
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.functions import larger, root


class BoundedRules(UpdateRules):
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
        """Return p − lr (d / root), p − (lr d) / root, p − (lr / root) d or p − d / (root / lr)."""
        return p - self._step(o, d, root, lr)

    def quotient(self, o: Options, d: Bounded, root: Bounded) -> Bounded:
        """Return d / root; no program divides by less than ε."""
        return self._step(o, d, root, self.kind.exact(1))

    def _step(self, o: Options, d: Bounded, root: Bounded, lr: Bounded) -> Bounded:
        """Return lr d / root in each order.

        A program that begins with lr d may lose η by underflow before it divides. Where lr d or
        lr / root may overflow, there is no bound.
        """
        kind, least = self.kind, self.num(o.eps)
        room = np.maximum(root.size - root.e, (least.size - least.e) * (1 - 2 * kind.u))
        quotient = kind.wide.divide(d.v, root.v)
        e = kind.rough.divide(d.e + kind.size(quotient) * root.e, room)
        lost = kind.rough.divide(np.where(d.most == 0, 0.0, 4 * kind.eta), room)
        largest = np.maximum(lr.most * d.most, kind.rough.divide(lr.most, room))
        lost = np.where(largest < kind.max, lost, np.inf)
        step = Bounded(quotient, e, kind).product_rounded(3).times(lr).product_rounded()
        return step.plus_error(lost)

    def sgd(self, o: Options, p: Bounded, g: Bounded, s: dict[str, Bounded], t: int) -> Bounded:
        """Return p − lr (g + λ p) or, as textbooks have it, (1 − lr λ) p − lr g.

        The second rounds both options, their product, 1 − lr λ, and the product of that with p.
        """
        moved: Bounded = super().sgd(o, p, g, s, t)
        if o.momentum or not o.weight_decay:
            return moved
        g = self.gradient(o, p, g)
        decay = abs(o.lr * o.weight_decay)
        own = g.most + abs(o.weight_decay) * p.most
        size = (abs(1 - o.lr * o.weight_decay) + decay) * p.most + abs(o.lr) * own
        return moved.plus_error(self.kind.rounding(3, size))

    def rmsprop_variance(self, _: Options, v: Bounded, m: Bounded) -> Bounded:
        """Return v − m²; rounding may make it negative, and torch's root of that is NaN."""
        v = v - m * m
        return v.plus_error(np.where(v.v < v.e, np.inf, 0.0))

    def adagrad_rate(self, o: Options, t: int) -> Bounded:
        """Return lr / (1 + (t − 1) η); both options are rounded, and so is each operation."""
        number = self.kind.wide.number
        rate = number(o.lr) / (1 + (t - 1) * number(o.lr_decay))
        return Bounded(rate, np.asarray(0.0), self.kind).rounded(5 if o.lr_decay else 1)

    def adam_root(self, o: Options, v: Bounded, t: int) -> Bounded:
        """Return √(v / (1 − β₂ᵗ)) + ε or √v / √(1 − β₂ᵗ) + ε, which rounds twice more."""
        return self.sqrt(v / self.adam_correction2(o, t)).rounded(2) + self.num(o.eps)

    def adamw_decayed(self, o: Options, p: Bounded) -> Bounded:
        """Return (1 − lr λ) p, p − (lr λ) p or p − lr (λ p)."""
        kind = self.kind
        decay = kind.wide.array(kind.wide.number(o.lr) * kind.wide.number(o.weight_decay))
        kept = kind.size(1 - decay)
        v = p.v * (1 - decay)
        size = p.most * (kept + 2 * kind.size(decay))
        return Bounded(v, p.e * kept + kind.rounding(4, size, v), kind)
