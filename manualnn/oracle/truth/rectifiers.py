"""PReLU and RReLU in bounded numbers: a slope s for z ≤ 0 that is an array of its own.

a = max(z, 0) + s min(z, 0). Where rounding decides the sign of z, the slope is between 1 and s.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from manualnn.oracle.truth.bounded import Bounded
from manualnn.oracle.truth.elementwise import times_slope

Arrays = Mapping[str, Bounded]
Slope = Callable[[Any, Arrays, Bounded], Bounded]


def _halves(z: Bounded) -> tuple[Bounded, Bounded]:
    """Return max(z, 0) and min(z, 0), without an error where the sign of z is certain."""
    above, zero = z.v > 0, z.kind.wide.number(0)
    return (
        Bounded(np.where(above, z.v, zero), np.where(z.v <= -z.e, 0.0, z.e), z.kind),
        Bounded(np.where(above, zero, z.v), np.where(z.v >= z.e, 0.0, z.e), z.kind),
    )


def _rectifier(s_of: Slope) -> tuple[Any, Any]:
    """Return forward and backward of a rectifier from its slope for z ≤ 0."""

    def forward(o: Any, own: Arrays, z: Bounded) -> Bounded:
        above, below = _halves(z)
        return above.plus(s_of(o, own, z) * below)

    def backward(
        o: Any, own: Arrays, z: Bounded, _: Bounded, da: Bounded
    ) -> tuple[Bounded, dict[str, Bounded]]:
        kind, s = z.kind, s_of(o, own, z)
        v, e = (np.broadcast_to(part, z.v.shape) for part in (s.v, s.e))
        if o.type in kind.kink:
            at_zero = z.v == 0
            v = np.where(at_zero, kind.wide.number(kind.kink[o.type]), v)
            e = np.where(at_zero, 0.0, e)
        one, above = kind.wide.number(1), z.v > 0
        undecided = ~(z.size > z.e) & (z.e != 0) & (not kind.decided)
        kind.jumps.append((int(np.count_nonzero(undecided)), undecided.size))
        jump = e + kind.size(s.v - one) + kind.size(v - one)
        e = np.where(undecided, jump, np.where(above, 0.0, e))
        dz = times_slope(Bounded(np.where(above, one, v), e, kind), da)
        if "weight" not in own:
            return dz, {}
        terms = da * _halves(z)[1]
        dw = terms.sum() if o.num_parameters == 1 else terms.sum(axis=0)
        return dz, {"weight": Bounded(dw.v.reshape(-1), np.reshape(dw.e, -1), kind)}

    return forward, backward


def _mean(o: Any, own: Arrays, z: Bounded) -> Bounded:
    if "slope" in own:
        return own["slope"]
    return (z.kind.number(o.lower) + z.kind.number(o.upper)) / 2


LAYERS = {
    "PReLU": _rectifier(lambda _, own, __: own["weight"]),
    "RReLU": _rectifier(_mean),
}
