"""Error bounds of NAdam, RAdam and ASGD, whose factors follow from options and the update's number.

Programs compute these factors in float64, and so do the bounds here, because float32 would leave no
digit of RAdam's ρₜ: its error is u / (1 − β₂)². A program may still round the options to its dtype.
PyTorch keeps NAdam's product of momenta and ASGD's factors in float32, whatever the dtype of the
parameters is.
"""

from math import log
from typing import Any

import numpy as np

from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.optimizers.adam import AdamRules
from manualnn.oracle.truth.bounded import Array, Bounded, Precision

U = 2.0**-53
"""Unit roundoff of the float64 of a program."""
U_OF_STATE = 2.0**-24
"""Unit roundoff of the numbers beside a parameter that PyTorch keeps as float32."""


class BoundedVariants(AdamRules):
    """The lines of NAdam, RAdam and ASGD in bounded numbers."""

    kind: Precision

    def _step(self, o: Options, d: Bounded, root: Bounded, lr: Bounded) -> Bounded:
        raise NotImplementedError

    def nadam_moved(  # noqa: PLR0917 - the letters of the line
        self, o: Options, p: Bounded, g: Bounded, m: Bounded, root: Bounded, t: int
    ) -> Bounded:
        """Return p − a g / root − b m / root, p − (a g / root + b m / root) or (a g + b m) / root.

        The first rounds p twice, the others round the sum of the steps.
        """
        lr = self.num(o.lr)
        x = self._step(o, g, root, lr * self.nadam_gradient_share(o, t))
        y = self._step(o, m, root, lr * self.nadam_mean_share(o, t))
        steps = x.most + y.most
        more = self.kind.rounding(1, p.most + steps) + self.kind.rounding(2, steps)
        return (p - (x + y)).plus_error(more)

    def nadam_momentum(self, o: Options, t: int) -> Bounded:
        """Return β₁ (1 − ½ 0.96^(t ψ)); each option is rounded, and 0.96 is."""
        return self._momenta(o, np.asarray(t))

    def nadam_product(self, o: Options, t: int) -> Bounded:
        """Return Πₜ; each step rounds it to float32, and multiplies it by a rounded momentum."""
        kind = self.kind
        momenta = self._momenta(o, np.arange(1, self.nadam_last(o, t) + 1))
        v = np.asarray(np.multiply.reduce(momenta.v))
        relative = kind.rough.divide(momenta.e, momenta.size) + max(kind.u, U_OF_STATE)
        lost = 2 * np.sum(relative) * kind.size(v)
        return Bounded(v, np.where(v == 0, 0.0, lost), kind)

    def _momenta(self, o: Options, t: Array) -> Bounded:
        kind = self.kind
        exponent = kind.wide.array(t) * kind.wide.number(o.momentum_decay)
        power = kind.wide.array(0.96) ** exponent
        lost = kind.size(power) * (1 + kind.size(exponent)) * max(kind.u, U) * (kind.ulps + 2)
        warm = Bounded(np.asarray(1 - power / 2), lost / 2, kind)
        return self.num(o.betas[0]) * warm.rounded(2)

    def asgd_rate(self, o: Options, t: int) -> Bounded:
        """Return η; its base has four roundings, and torch rounds it to float32."""
        kind, number = self.kind, self.kind.wide.number
        base = 1 + number(o.lambd) * number(o.lr) * (t - 1)
        v = kind.wide.array(number(o.lr) / base ** number(o.alpha))
        power = o.alpha * (4 + abs(log(float(base)))) + kind.ulps + 2
        return Bounded(v, kind.size(v) * (power * max(kind.u, U) + max(kind.u, U_OF_STATE)), kind)

    def asgd_share(self, o: Options, t: int) -> Bounded:
        """Return μ, which torch rounds to float32."""
        count = max(1, t - 1 - o.t0) if t > 1 else 1
        v = self.kind.wide.array(1 / self.kind.wide.number(count))
        e = 0.0 if count == 1 else self.kind.size(v) * (U_OF_STATE + self.kind.u)
        return Bounded(v, np.asarray(e), self.kind)

    def asgd_moved(self, o: Options, p: Bounded, g: Bounded, rate: Bounded) -> Bounded:
        """Return p (1 − η λ₀) − η g, p − η (g + λ₀ p) or p − η g − η λ₀ p."""
        decay = rate * self.num(o.lambd)
        moved = p * (1 - decay) - rate * g
        steps = decay.most * p.most + rate.most * g.most
        more = self.kind.rounding(1, p.most) + self.kind.rounding(3, steps)
        return moved.plus_error(more)

    def asgd_average(self, _: Options, a: Bounded, p: Bounded, share: Bounded) -> Bounded:
        """Return a + μ (p − a) or (1 − μ) a + μ p."""
        v = a.v + share.v * (p.v - a.v)
        size, kept = a.most + p.most, self.kind.size(1 - share.v)
        lost = kept * a.e + share.size * p.e + share.e * size
        return Bounded(v, lost + self.kind.rounding(4, size, v), self.kind)

    def radam(self, o: Options, p: Bounded, g: Bounded, s: dict[str, Bounded], t: int) -> Bounded:
        """Return the step, without a bound where rounding decides whether ρₜ is above 5."""
        moved: Bounded = super().radam(o, p, g, s, t)
        length = self.radam_length(o, t)
        undecided = abs(float(length.v) - 5) <= float(length.e)
        return moved.plus_error(np.inf) if undecided else moved

    def radam_is_reliable(self, o: Options, t: int) -> bool:
        """Return True if ρₜ is above 5."""
        return float(self.radam_length(o, t).v) > 5

    def radam_length(self, o: Options, t: int) -> Bounded:
        """Return ρₜ with the error of float64, and with β₂ rounded once for all of it."""
        kind, beta = self.kind, self.num(o.betas[1])
        v = _length(beta.v[()], t)
        e = float(beta.e)
        moved = max(abs(float(_length(beta.v[()] + d, t) - v)) for d in (e, -e))
        power = float(o.betas[1]) ** t
        whole, passed = 2 / (1 - o.betas[1]), 2 * t * power / (1 - power)
        rounded = U * (4 * whole + passed * ((t + 1) / (1 - power) + 6))
        return Bounded(kind.wide.array(v), np.asarray(moved + rounded), kind)

    def radam_share(self, o: Options, t: int) -> Bounded:
        """Return r; the errors of ρₜ and ρₘ are relative to their distances from 4, 2 and 0."""
        rho, e = self.radam_length(o, t), float(self.num(o.betas[1]).e)
        v, most = rho.v[()], 2 / (1 - self.num(o.betas[1]).v[()]) - 1
        of_most = 2 * e / (1 - o.betas[1]) ** 2 + 4 * U * float(most)
        lost = 8 * U
        for number, error in ((float(v), float(rho.e)), (float(most), of_most)):
            lost += sum(error / max(number - error - k, 1e-300) for k in (4, 2, 0)) / 2
        share = self.kind.wide.sqrt((v - 4) * (v - 2) * most / ((most - 4) * (most - 2) * v))
        wide = self.kind.wide.array(share)
        return Bounded(wide, np.asarray(float(share) * lost), self.kind)


def _length(beta: Any, t: int) -> Any:
    power = beta**t
    return 2 / (1 - beta) - 1 - 2 * t * power / (1 - power)
