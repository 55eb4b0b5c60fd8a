"""Bounds on the rounding error of a network in any order of operations."""

from typing import Any

import numpy as np
import pytest

from manualnn import (
    AlphaDropout,
    BatchNorm1d,
    Dropout,
    Flatten,
    GroupNorm,
    Identity,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    PReLU,
    ReLU,
    RMSNorm,
    RReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Softmin,
    Softplus,
    Softsign,
    Tanh,
)
from manualnn.oracle.protocol.features import LAYER_ROWS, options_of
from manualnn.spec import to_spec

COST = 16
"""Units u = eps/2 by which exp, log, tanh and the like may be wrong, for numbers of size 1."""


def normalized_bound(layer: Any, own: Any, x: Any, error: Any, u: Any) -> Any:
    """Return the bound behind a layer that normalises: its slopes are below 2/s times its weight.

    It is for errors that are small beside s; where they are not, it is without limit. An ε in
    float32 is another one in float64.
    """
    rows, off = (layer.rows(a) for a in (x, error))
    k = rows.shape[1]
    mean = rows.mean(axis=1, keepdims=True) if layer.centers else 0
    eps = layer.epsilon(x)
    s = np.sqrt(((rows - mean) ** 2).mean(axis=1, keepdims=True) + eps)
    off = off.max(axis=1, keepdims=True) + COST * (k + 2) * u * np.abs(rows).max(
        axis=1, keepdims=True
    )
    wrong = np.abs(eps - np.float64(np.float32(eps))) / s**2 * np.sqrt(k)
    bound = np.where(off < s / 8, 3 * np.sqrt(k) * off / s + wrong + COST * k * u, np.inf)
    bound = np.broadcast_to(bound, rows.shape).reshape(x.shape)
    return bound * np.abs(own.get("weight", 1)) + COST * u * np.abs(own.get("bias", 0))


def error_bound(net: Sequential, params: Any, x: Any) -> Any:  # noqa: C901 - one case a layer
    """Return how far a computation in the dtype of x may be from the exact outputs.

    E is the error of an activation's input, u the unit of rounding. A sum of n products adds n + 1
    roundings of the sum of their sizes. A function whose slope is at most L passes on L E. To
    first order; one percent covers the rest.
    """
    u = np.finfo(x.dtype).eps / 2
    arrays = net.layer_arrays(params)
    error = np.zeros_like(x)
    for layer, own in zip(net.layers, arrays, strict=True):
        y = layer.forward(own, x)
        match layer:
            case Linear():
                size = np.abs(x) @ np.abs(own["weight"].T) + np.abs(own.get("bias", 0))
                error = error @ np.abs(own["weight"].T) + (x.shape[1] + 2) * u * size
            case Softmax() | Softmin():
                # The exponents zᵢ − m are wrong by 2 max E, and by u |zᵢ − m|, where a |z − m| ≤ 1.
                row = np.expm1(2 * error.max(axis=1, keepdims=True))
                error = np.minimum(row, 1) + (COST + 2 * x.shape[1]) * u + 0 * y
            case LogSoftmax():
                row = 2 * error.max(axis=1, keepdims=True)
                size = 1 + np.abs(x).max(axis=1, keepdims=True)
                error = row + (COST + 2 * x.shape[1]) * u * size + 0 * y
            case Softplus(beta=beta, threshold=threshold):
                # At the threshold, the function jumps by log(1 + exp(−threshold)) / beta.
                near = np.abs(beta * x - threshold) <= abs(beta) * (error + 4 * u * np.abs(x))
                jump = near * np.log1p(np.exp(-threshold)) / abs(beta)
                error = error + jump + COST * u * (np.abs(x) + 1 / abs(beta))
            case LeakyReLU() | PReLU() | RReLU():
                below = -layer.forward(own, np.full_like(x[:1], -1))
                error = np.maximum(1, np.abs(below)) * error + COST * u * np.abs(y)
            case Identity() | Flatten() | Dropout() | AlphaDropout():
                pass
            case Sigmoid() | Tanh() | ReLU() | Softsign():
                error = error + COST * u * np.minimum(np.abs(x), 1 + np.abs(y))
                # MLAS takes sigmoid(z) for 0 below z = −18, where it is smaller than u.
                error = error + (u if isinstance(layer, Sigmoid) else 0)
            case _ if (row := LAYER_ROWS[type(layer).__name__]).statement:
                error = stated_bound(row, layer, x, error)
            case BatchNorm1d():
                over = layer.forward(own, np.ones_like(x[:1])) - layer.forward(own, 0 * x[:1])
                over, mean = np.abs(over), np.abs(own["running_mean"])
                # An ε in float32 is another one in float64.
                wrong = np.abs(layer.eps - np.float64(np.float32(layer.eps)))
                size = over * (np.abs(x) + mean)
                error = over * error + (COST * u + wrong / (own["running_var"] + layer.eps)) * size
                error = error + COST * u * np.abs(own.get("bias", 0))
            case LayerNorm() | RMSNorm() | GroupNorm():
                error = normalized_bound(layer, own, x, error, u)
            case _:
                pytest.fail(f"state the bound of {layer!r}")
        x = y
    return 1.01 * error


def stated_bound(row: Any, layer: Any, x: Any, error: Any) -> Any:
    """Return the bound of an elementwise layer by its row; there is none where it may jump."""
    options, u = options_of(to_spec(layer)), np.finfo(x.dtype).eps / 2
    steepness = row.statement.bounds(options)[0]
    if steepness is None:
        apart = np.abs(x[..., None] - np.array(row.switches(options)))
        jumps = (apart <= (error + 4 * u * np.abs(x))[..., None]).any(axis=-1)
        error, steepness = np.where(jumps, np.inf, error), 1
    return steepness * error + COST * u * np.maximum(1, np.abs(x))
