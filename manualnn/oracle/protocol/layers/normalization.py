"""Rows of the layers that normalise rows, or groups of columns of each row."""

from collections.abc import Mapping
from math import gcd, isqrt
from typing import Any

from manualnn.oracle.protocol.buffers import RUNNING
from manualnn.oracle.protocol.rows import Layer, Option, Shapes

EPS = Option(1e-5, (1e-3, 0.5, 1e-8))
SWITCH = Option(default=True, others=(False,))


def _affine(o: Any, k: int) -> Shapes:
    """Return the shapes of weight and bias. As in torch, there is no bias without a weight."""
    if not getattr(o, "elementwise_affine", getattr(o, "affine", True)):
        return {}
    return {"weight": (k,), "bias": (k,)} if getattr(o, "bias", False) else {"weight": (k,)}


def _groups(spec: Mapping[str, Any], k: int) -> dict[str, int]:
    """Return numbers of groups and channels, with more than one channel in each group if k > 1."""
    smallest = next(size for size in range(isqrt(k - 1) + 1, k + 1) if k % size == 0)
    groups = gcd(spec.get("num_groups", k // smallest), k)
    return {"num_groups": 1 if groups == k else groups, "num_channels": k}


ROWS = (
    Layer(
        name="LayerNorm",
        method="layer_norm",
        options={
            "normalized_shape": Option(),
            "eps": EPS,
            "elementwise_affine": SWITCH,
            "bias": SWITCH,
        },
        parameters=_affine,
        sized=lambda _, k: {"normalized_shape": k},
        mixes_features=True,
    ),
    Layer(
        name="RMSNorm",
        method="rms_norm",
        options={
            "normalized_shape": Option(),
            "eps": Option(None, (1e-5, 0.5)),
            "elementwise_affine": SWITCH,
        },
        parameters=_affine,
        sized=lambda _, k: {"normalized_shape": k},
    ),
    Layer(
        name="GroupNorm",
        method="group_norm",
        options={
            "num_groups": Option(),
            "num_channels": Option(),
            "eps": EPS,
            "affine": SWITCH,
            "bias": SWITCH,
        },
        parameters=_affine,
        sized=_groups,
        mixes_features=True,
    ),
    Layer(
        name="BatchNorm1d",
        method="batch_norm",
        options={
            "num_features": Option(),
            "eps": EPS,
            "momentum": Option(0.1, (None, 0.5, 0.01)),
            "affine": SWITCH,
            "track_running_stats": SWITCH,
            "bias": SWITCH,
        },
        parameters=_affine,
        sized=lambda _, k: {"num_features": k},
        buffers=lambda o: RUNNING if o.track_running_stats else (),
        mixes_samples=True,
    ),
)
