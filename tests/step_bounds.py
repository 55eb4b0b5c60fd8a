"""A whole training step in bounded numbers: what `bounds` and `rule_bounds` are there for.

    expected = derivatives(net, loss, point, x, t, noise=noise)
    point = update(rule, point, expected.grads)

From an exact point it judges one step; from the point before, a whole trajectory.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from bounds import LAYERS, LOSSES
from near import Array, Near, Precision
from rule_bounds import RULES


class Point(NamedTuple):
    """Parameters and optimizer state, between two steps."""

    params: dict[str, Near]
    state: dict[str, Near]
    steps: int


class Expected(NamedTuple):
    """What a step computes from a point."""

    loss: Near
    outputs: Near
    grads: dict[str, Near]
    input_grad: Near


def exact_point(kind: Precision, params: Mapping[str, Array], state: Mapping[str, Any]) -> Point:
    """Return the point that a program's own arrays are, {"step": …} among its state."""
    vectors = {name: kind.exact(v) for name, v in state.items() if name != "step"}
    return Point({k: kind.exact(v) for k, v in params.items()}, vectors, state["step"])


def derivatives(
    net: Any, loss: Any, point: Point, x: Near, t: Array, *, noise: Mapping[str, Array] | None
) -> Expected:
    """Return the loss and every gradient at a point."""
    kind = x.kind
    own: list[dict[str, Near]] = [{} for _ in net.layers]
    for key, near in [
        *point.params.items(),
        *((k, kind.exact(v)) for k, v in (noise or {}).items()),
    ]:
        i, _, name = key.partition(".")
        own[int(i)][name] = near
    with np.errstate(all="ignore"):
        ys = [x]
        for layer, arrays in zip(net.layers, own, strict=True):
            forward, _ = LAYERS[type(layer).__name__]
            ys.append(forward(layer, arrays, ys[-1]))
        value, dy = LOSSES[type(loss).__name__](loss, ys[-1], t)
        grads: dict[str, Near] = {}
        for i in reversed(range(len(net.layers))):
            _, backward = LAYERS[type(net.layers[i]).__name__]
            dy, own_grads = backward(net.layers[i], own[i], ys[i], ys[i + 1], dy)
            grads |= {f"{i}.{name}": g for name, g in own_grads.items()}
    return Expected(value, ys[-1], grads, dy)


def update(rule: Any, point: Point, grads: Mapping[str, Near]) -> Point:
    """Return the point that the rule goes on to."""
    if not point.params:
        return point._replace(steps=point.steps + 1)
    p, g = _flat(point.params), _flat({key: grads[key] for key in point.params})
    with np.errstate(all="ignore"):
        p, state = RULES[type(rule).__name__](rule, p, g, point.state, point.steps + 1)
    params, begin = {}, 0
    for key, near in point.params.items():
        end = begin + near.v.size
        v, e = p.v[begin:end].reshape(near.v.shape), p.e[begin:end].reshape(near.v.shape)
        params[key], begin = Near(v, e, p.kind), end
    return Point(params, state, point.steps + 1)


def _flat(arrays: Mapping[str, Near]) -> Near:
    kind = next(iter(arrays.values())).kind
    v = np.concatenate([near.v.ravel() for near in arrays.values()])
    return Near(v, np.concatenate([near.e.ravel() for near in arrays.values()]), kind)
