"""A whole training step in bounded numbers: what `bounds` and `rule_bounds` are there for.

    expected = truth(case)                      from the case's own numbers, which are exact
    expected.grads["0.weight"].v, .e            the value, and how far a correct engine may be off
    expected.quantities()                       all of it, by name
    update_truth(case, grads)                   one update from given gradients

A case of several steps is followed from the first to the last, and so are the bounds. An engine's
claims widen them, and how (`Precision.of(case.dtype, claims)`) is the second argument.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from manualnn.errors import SpecError
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options, options_of, state_of
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.layers import layer_truth
from manualnn.oracle.truth.losses import loss_truth
from manualnn.oracle.truth.optimizers import BoundedRules


class Point(NamedTuple):
    """Parameters and optimizer state, between two steps."""

    params: dict[str, Bounded]
    state: dict[str, dict[str, Bounded]]
    steps: int

    def quantities(self) -> dict[str, Bounded]:
        """Return every array under its full name, "state.exp_avg.0.weight", …, "params.0.bias"."""
        named: dict[str, Bounded] = {}
        for name, arrays in self.state.items():
            named |= {f"state.{name}.{key}": near for key, near in arrays.items()}
        return named | {f"params.{key}": near for key, near in self.params.items()}


@dataclass(frozen=True)
class Expected:
    """What the last step of a case computes, and the point that it leads to."""

    loss: Bounded
    outputs: Bounded
    grads: dict[str, Bounded]
    input_grad: Bounded
    params: dict[str, Bounded]
    state: dict[str, dict[str, Bounded]]
    steps: int
    kind: Precision
    undecided: tuple[int, int] = (0, 0)
    """At how many entries rounding decides the side of a jump, as in ReLU's slope; of how many."""

    def quantities(self) -> dict[str, Bounded]:
        """Return every array under its full name, in the order in which a step computes them.

        "outputs", "loss", "grads.2.weight", …, "grads.0.bias", "input_grad",
        "state.exp_avg.0.weight", …, "params.0.weight", …
        """
        named = {"outputs": self.outputs, "loss": self.loss}
        named |= {f"grads.{key}": near for key, near in self.grads.items()}
        named["input_grad"] = self.input_grad
        return named | Point(self.params, self.state, self.steps).quantities()


def truth(case: Case, precision: Precision | None = None) -> Expected:
    """Return what the last of the case's steps computes, from its parameters and state on."""
    kind = precision or _precision(case.dtype)
    kind.jumps.clear()
    optimizer = options_of(case.optimizer) if case.optimizer else None
    with np.errstate(all="ignore"):
        point = start(kind, case, optimizer)
        for _ in range(case.steps):
            loss, outputs, grads, input_grad = derivatives(kind, case, point.params)
            if optimizer is not None:
                point = update(optimizer, point, grads)
    undecided = sum(torn for torn, _ in kind.jumps), sum(size for _, size in kind.jumps)
    return Expected(loss, outputs, grads, input_grad, *point, kind, undecided)


def update_truth(
    case: Case, grads: Mapping[str, Array | Bounded], precision: Precision | None = None
) -> dict[str, Bounded]:
    """Return the parameters and the state after one update by these gradients, by full names.

    A gradient that is an array is exact.
    """
    if case.optimizer is None:
        raise SpecError(f"case {case.id} has no optimizer, so it has no update; give it one.")
    kind = precision or _precision(case.dtype)
    optimizer = options_of(case.optimizer)
    with np.errstate(all="ignore"):
        point = start(kind, case, optimizer)
        known = {
            key: g if isinstance(g := grads[key], Bounded) else kind.exact(g)
            for key in point.params
        }
        return update(optimizer, point, known).quantities()


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
    for array in state_of(optimizer):
        first = kind.number(array.initial_value(optimizer))
        state[array.name] = {key: _filled(near.v.shape, first) for key, near in params.items()}
    return Point(params, state, 0)


def derivatives(
    kind: Precision, case: Case, params: Mapping[str, Bounded]
) -> tuple[Bounded, Bounded, dict[str, Bounded], Bounded]:
    """Return the loss, the outputs, every gradient from the last layer to the first, and dx."""
    layers = [options_of(spec) for spec in case.layers]
    own: list[dict[str, Bounded]] = [{} for _ in layers]
    noise = {key: kind.exact(array) for key, array in (case.noise or {}).items()}
    for key, near in {**params, **noise}.items():
        place, _, name = key.partition(".")
        own[int(place)][name] = near
    ys = [kind.exact(case.x)]
    for layer, arrays in zip(layers, own, strict=True):
        forward, _ = layer_truth(layer.type)
        ys.append(forward(layer, arrays, ys[-1]))
    loss = options_of(case.loss)
    value, dy = loss_truth(loss.type)(loss, ys[-1], np.asarray(case.t))
    grads: dict[str, Bounded] = {}
    for i in reversed(range(len(layers))):
        _, backward = layer_truth(layers[i].type)
        dy, own_grads = backward(layers[i], own[i], ys[i], ys[i + 1], dy)
        grads |= {f"{i}.{name}": g for name, g in own_grads.items()}
    return value, ys[-1], grads, dy


def update(rule: Options, point: Point, grads: Mapping[str, Bounded]) -> Point:
    """Return the point that the rule goes on to."""
    if not point.params:
        return point._replace(steps=point.steps + 1)
    state = {name: _flat(arrays, point.params) for name, arrays in point.state.items()}
    p, g = _flat(point.params, point.params), _flat(grads, point.params)
    p = BoundedRules(p.kind).apply_rule(rule, p, g, state, point.steps + 1)
    after = {name: _apart(near, point.params) for name, near in state.items()}
    return Point(_apart(p, point.params), after, point.steps + 1)


@lru_cache
def _precision(dtype: str) -> Precision:
    return Precision(dtype)


def _filled(shape: tuple[int, ...], number: Bounded) -> Bounded:
    v, e = np.full(shape, number.v), np.full(shape, number.e)
    return Bounded(v, e, number.kind, known=number.known)


def _flat(arrays: Mapping[str, Bounded], keys: Iterable[str]) -> Bounded:
    parts = [arrays[key] for key in keys]
    v: Array = np.concatenate([near.v.ravel() for near in parts])
    e: Array = np.concatenate([near.e.ravel() for near in parts])
    return Bounded(v, e, parts[0].kind, known=all(near.known for near in parts))


def _apart(flat: Bounded, like: Mapping[str, Bounded]) -> dict[str, Bounded]:
    parts, begin = {}, 0
    for key, near in like.items():
        shape, end = near.v.shape, begin + near.v.size
        v, e = flat.v[begin:end].reshape(shape), flat.e[begin:end].reshape(shape)
        parts[key], begin = Bounded(v, e, flat.kind), end
    return parts
