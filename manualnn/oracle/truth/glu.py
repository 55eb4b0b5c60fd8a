"""GLU and AlphaDropout in bounded numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from manualnn.oracle.truth.bounded import Bounded
from manualnn.oracle.truth.elementwise import times_slope
from manualnn.oracle.truth.functions import root, sigmoid

Arrays = Mapping[str, Bounded]
Result = tuple[Bounded, dict[str, Bounded]]
ALPHA = 1.7580993408473766
"""The constant of AlphaDropout: scale · alpha of SELU, as torch has it."""


def _halves(z: Bounded) -> tuple[Bounded, Bounded]:
    k = z.v.shape[1] // 2
    return z[:, :k], z[:, k:]


def _glu(_: Any, __: Arrays, z: Bounded) -> Bounded:
    u, v = _halves(z)
    return u * sigmoid(v)


def _glu_backward(_: Any, __: Arrays, z: Bounded, ___: Bounded, da: Bounded) -> Result:
    """Return da σ(v), and da u σ(v) (1 − σ(v)), whose factors an engine may take in any order."""
    u, v = _halves(z)
    share = sigmoid(v)
    slope = share.times(1 - share).rounded(2 * v.kind.ulps + 5)
    left, right = da * share, (da * u * slope).product_rounded(2)
    v_, e = (
        np.concatenate([getattr(part, name) for part in (left, right)], axis=1) for name in "ve"
    )
    return Bounded(v_, e, z.kind), {}


def _scale(o: Any, z: Bounded) -> Bounded:
    """Return c = 1 / √((α² p + 1) (1 − p)), which an engine may round in each operation."""
    kind = z.kind
    one, p, alpha = kind.number(1), kind.number(o.p), kind.number(ALPHA)
    return one / root((alpha * alpha * p + 1) * (one - p))


def _alpha_dropout(o: Any, own: Arrays, z: Bounded) -> Bounded:
    if "mask" not in own:
        return z
    mask = own["mask"]
    if o.p == 1:
        return mask * z
    c = _scale(o, z)
    shift = (mask - 1) * ALPHA * c + c * ALPHA * o.p
    return mask * z * c + shift


def _alpha_dropout_backward(o: Any, own: Arrays, z: Bounded, _: Bounded, da: Bounded) -> Result:
    if "mask" not in own:
        return da, {}
    mask = own["mask"]
    return mask * da if o.p == 1 else times_slope(mask, da) * _scale(o, z), {}


LAYERS = {
    "GLU": (_glu, _glu_backward),
    "AlphaDropout": (_alpha_dropout, _alpha_dropout_backward),
}
