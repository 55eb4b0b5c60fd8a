"""Error bounds of what an update does to the gradients before its rule: penalties and clipping.

Correct engines add the penalties in any order, and compute λ₂ (2 W), (2 λ₂) W or 2 (λ₂ W). They sum
the squares of all gradients at once, or take the norm of the norms of the parameters, and multiply
by the factor, or by max_norm and then divide. Where the sum of the squares may overflow there is no
bound: torch's norm is infinite there.
"""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.optimizers.around import Around
from manualnn.oracle.truth.bounded import Bounded
from manualnn.oracle.truth.functions import root


class BoundedAround(Around):
    """Penalties and clipping in bounded numbers; see the module."""

    def clamp(self, g: Bounded, c: Bounded) -> Bounded:
        """Return the entries within ±c; no error grows."""
        return Bounded(np.clip(g.v, -c.v, c.v), np.maximum(g.e, c.e), g.kind)

    def smaller(self, a: Bounded, b: Bounded) -> Bounded:
        """Return the smaller number; that of b is exact where it cannot be chosen."""
        e = np.where(b.v - b.e > a.v + a.e, a.e, np.maximum(a.e, b.e))
        return Bounded(np.minimum(a.v, b.v), e, a.kind)

    def norm_of(self, arrays: list[Bounded]) -> Bounded:
        """Return the norm, with 6 roundings more for a norm of norms."""
        g = Bounded.joined(arrays)
        squares = (g * g).sum()
        most = float((g.most.astype(np.longdouble) ** 2).sum())
        lost = 0.0 if most < g.kind.max else np.inf
        return root(squares).product_rounded(6).plus_error(lost)

    def penalized(self, o: Options, key: str, p: Bounded, g: Bounded) -> Bounded:
        """Return the gradient with the penalties in any order."""
        sum_of_all: Bounded = super().penalized(o, key, p, g)
        if not self.is_penalized(key):
            return sum_of_all
        size = g.most + abs(o.l1) + 2 * abs(o.l2) * p.most
        return sum_of_all.plus_error(g.kind.rounding(3, size))

    def scaled(self, g: Bounded, factor: Any) -> Bounded:
        """Return g times the factor, or times max_norm and then divided."""
        if factor.v == 1 and not factor.e:
            return g
        return g.times(factor).product_rounded(3)
