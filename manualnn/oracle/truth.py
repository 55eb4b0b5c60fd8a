"""A whole training step in bounded numbers: what `bounds` and `rule_bounds` are there for.

    expected = truth(case)                      from the case's own numbers, which are exact
    expected.grads["0.weight"].v, .e            the value, and how far a correct engine may be off

A case of several steps is followed from the first to the last, and so are the bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from manualnn.oracle.bounds import LAYERS, LOSSES
from manualnn.oracle.case import Case
from manualnn.oracle.near import Array, Near, Precision
from manualnn.oracle.options import Options, described, kept
from manualnn.oracle.rule_bounds import RULES


class Point(NamedTuple):
    """Parameters and optimizer state, between two steps."""

    params: dict[str, Near]
    state: dict[str, dict[str, Near]]
    steps: int


@dataclass(frozen=True)
class Expected:
    """What the last step of a case computes, and the point that it leads to."""

    loss: Near
    outputs: Near
    grads: dict[str, Near]
    input_grad: Near
    params: dict[str, Near]
    state: dict[str, dict[str, Near]]
    steps: int
    kind: Precision

    def quantities(self) -> dict[str, Near]:
        """Return every array under its full name, in the order in which a step computes them.

        "outputs", "loss", "grads.2.weight", …, "grads.0.bias", "input_grad", "params.0.weight",
        …, "state.exp_avg.0.weight", …
        """
        named = {"outputs": self.outputs, "loss": self.loss}
        named |= {f"grads.{key}": near for key, near in self.grads.items()}
        named["input_grad"] = self.input_grad
        for name, arrays in self.state.items():
            named |= {f"state.{name}.{key}": near for key, near in arrays.items()}
        return named | {f"params.{key}": near for key, near in self.params.items()}


def truth(case: Case, precision: Precision | None = None) -> Expected:
    """Return what the last of the case's steps computes, from its parameters and state on."""
    kind = precision or Precision(np.dtype(case.dtype))
    optimizer = described(case.optimizer) if case.optimizer else None
    point = start(kind, case, optimizer)
    for _ in range(case.steps):
        loss, outputs, grads, input_grad = derivatives(kind, case, point.params)
        if optimizer is not None:
            point = update(optimizer, point, grads)
    return Expected(loss, outputs, grads, input_grad, *point, kind)


def start(kind: Precision, case: Case, optimizer: Options | None) -> Point:
    """Return the point that a case starts from."""
    params = {key: kind.exact(array) for key, array in case.params.items()}
    if case.state is not None:
        state = {
            name: {key: kind.exact(array) for key, array in arrays.items()}
            for name, arrays in case.state.items()
            if name != "step"
        }
        return Point(params, state, int(case.state["step"]))
    state = {}
    for name in kept(optimizer) if optimizer else ():
        first = getattr(optimizer, "initial_accumulator_value", 0)
        state[name] = {k: kind.number(np.full(np.shape(a), first)) for k, a in case.params.items()}
    return Point(params, state, 0)


def derivatives(
    kind: Precision, case: Case, params: Mapping[str, Near]
) -> tuple[Near, Near, dict[str, Near], Near]:
    """Return the loss, the outputs, every gradient from the last layer to the first, and dx."""
    layers = [described(spec) for spec in case.layers]
    own: list[dict[str, Near]] = [{} for _ in layers]
    noise = {key: kind.exact(array) for key, array in (case.noise or {}).items()}
    for key, near in {**params, **noise}.items():
        i, _, name = key.partition(".")
        own[int(i)][name] = near
    with np.errstate(all="ignore"):
        ys = [kind.exact(case.x)]
        for layer, arrays in zip(layers, own, strict=True):
            forward, _ = LAYERS[layer.type]
            ys.append(forward(layer, arrays, ys[-1]))
        loss = described(case.loss)
        value, dy = LOSSES[loss.type](loss, ys[-1], case.t)
        grads: dict[str, Near] = {}
        for i in reversed(range(len(layers))):
            _, backward = LAYERS[layers[i].type]
            dy, own_grads = backward(layers[i], own[i], ys[i], ys[i + 1], dy)
            grads |= {f"{i}.{name}": g for name, g in own_grads.items()}
    return value, ys[-1], grads, dy


def update(rule: Options, point: Point, grads: Mapping[str, Near]) -> Point:
    """Return the point that the rule goes on to."""
    if not point.params:
        return point._replace(steps=point.steps + 1)
    shapes = {key: near.v.shape for key, near in point.params.items()}
    state = {name: _flat(arrays, shapes) for name, arrays in point.state.items()}
    p, g = _flat(point.params, shapes), _flat(grads, shapes)
    with np.errstate(all="ignore"):
        p, state = RULES[rule.type](rule, p, g, state, point.steps + 1)
    after = {name: _apart(near, shapes) for name, near in state.items()}
    return Point(_apart(p, shapes), after, point.steps + 1)


def _flat(arrays: Mapping[str, Near], shapes: Mapping[str, tuple[int, ...]]) -> Near:
    parts = [arrays[key] for key in shapes]
    v: Array = np.concatenate([near.v.ravel() for near in parts])
    return Near(v, np.concatenate([near.e.ravel() for near in parts]), parts[0].kind)


def _apart(flat: Near, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Near]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = zip(np.split(flat.v, ends[:-1]), np.split(flat.e, ends[:-1]), strict=True)
    return {
        key: Near(v.reshape(shape), e.reshape(shape), flat.kind)
        for (key, shape), (v, e) in zip(shapes.items(), parts, strict=True)
    }
