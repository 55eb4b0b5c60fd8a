"""Small cases at the extremes where conventions of a feature differ.

    extreme_cases(capabilities, "BCELoss")        cases with z from 1.5 to 300, of both signs
    saturated_cases(capabilities, "BCELoss")      cases with z of ±800

z is the input of the feature, or of the layer before a loss of probabilities. All other parts of a
case are as simple as the claims admit.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible, Size
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS

LADDER = (30.0, -30.0, 21.0, 25.0, -28.0, 1.5, 6.0, 12.0, 60.0, -60.0, 90.0, -90.0)
"""Sizes of z: y (1 − y) is below 1e-12 from 28 on, and softplus(z) is z to the last digit from 37.

A threshold that is smaller than usual needs a smaller z. The relative error of a softmax stays
small for a larger one, and 1/y overflows in float32 from 88 on.
"""
SATURATED = 800.0
"""|z| at which every dtype has y = 0 or y = 1."""


def extreme_cases(claims: Capabilities, feature: str) -> Iterator[Case]:
    """Yield one case for each size of z."""
    return _cases(claims, feature, LADDER)


def saturated_cases(claims: Capabilities, feature: str) -> Iterator[Case]:
    """Yield cases with y = 0 and y = 1."""
    return _cases(claims, feature, (SATURATED, -SATURATED))


def _cases(claims: Capabilities, feature: str, sizes: Sequence[float]) -> Iterator[Case]:
    for last in _last_layers(claims, feature):
        for dtype in sorted(claims.dtypes, reverse=True):  # float64 first, which has more digits
            for i, size in enumerate(sizes):
                draft = Draft(np.random.default_rng(i), claims, Size(avoid=frozenset()))
                draft.dtype = dtype
                try:
                    case = _case(draft, feature, last, size)
                except Impossible:
                    continue
                if claims.refuses(case) is None:
                    yield case


def _last_layers(claims: Capabilities, feature: str) -> list[str]:
    """Return the layers that may stand last, the feature itself if it is a layer."""
    if feature in LAYER_ROWS:
        return [feature]
    return [name for name in claims.layers if LAYER_ROWS[name].gives_probabilities]


def _case(draft: Draft, feature: str, last: str, size: float) -> Case:
    """Return a case of one Linear layer and the last layer; without Linear if it is not claimed."""
    losses = [n for n in draft.claims.losses if not LOSS_ROWS[n].takes_probabilities]
    name = feature if feature in LOSS_ROWS else draft.pick(losses)
    loss = draft.loss(name, reduction=draft.values(name, "reduction")[0])
    width = 2 if LAYER_ROWS[last].mixes_features else 1
    layers: list[Any] = [{"type": last}]
    if "Linear" in draft.claims.layers:
        layers.insert(0, {"type": "Linear", "in_features": 1, "out_features": width})
    case = draft.case(layers=layers, loss=loss, widths=None, n=1)
    x = np.zeros_like(case.x)
    x[0, 0] = size if len(layers) == 1 else 1
    params = {key: np.zeros_like(a) for key, a in case.params.items()}
    if params:
        params["0.weight"][0, 0] = size
    t = case.t if case.t.dtype.kind == "i" else np.where(np.arange(case.t.size) == 0, size < 0, 0.5)
    return case.but(x=x, params=params, t=np.reshape(t, case.t.shape).astype(case.t.dtype))
