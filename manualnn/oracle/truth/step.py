"""The truth of a whole training step: every quantity as a bounded number.

    expected = truth(case)                      the truth of a case, whose own numbers are exact
    expected.grads["0.weight"].v, .e            the true value and the error bound
    expected.quantities()                       all quantities by name
    update_truth(case, grads)                   the truth of one update with given gradients

In a case of several steps the bounds grow from step to step, because each step starts from the
bounded numbers of the step before. Capabilities of an engine can widen the bounds: the second
argument is `Precision.of(case.dtype, capabilities)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from manualnn.errors import SpecError
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import (
    OPTIMIZER_ROWS,
    Options,
    buffer_of,
    by_convention,
    options_of,
    state_of,
)
from manualnn.oracle.truth import normalization
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.layers import layer_truth, noise_truth
from manualnn.oracle.truth.losses import loss_truth
from manualnn.oracle.truth.optimizers import BoundedRules


class Point(NamedTuple):
    """The parameters and the optimizer's state between two steps."""

    params: dict[str, Bounded]
    state: dict[str, dict[str, Bounded]]
    steps: int

    def quantities(self) -> dict[str, Bounded]:
        """Return every array under its full name, "state.exp_avg.0.weight", …, "params.0.bias"."""
        named: dict[str, Bounded] = {}
        for name, arrays in self.state.items():
            named |= {f"state.{name}.{key}": bounded for key, bounded in arrays.items()}
        return named | {f"params.{key}": bounded for key, bounded in self.params.items()}


@dataclass(frozen=True)
class Expected:
    """The truth of the last step of a case, and of the point after it."""

    loss: Bounded
    outputs: Bounded
    grads: dict[str, Bounded]
    input_grad: Bounded
    params: dict[str, Bounded]
    state: dict[str, dict[str, Bounded]]
    steps: int
    kind: Precision
    undecided: tuple[int, int] = (0, 0)
    """(a, b): b entries meet a jump, such as that of ReLU's slope. Rounding decides a of them."""

    def quantities(self) -> dict[str, Bounded]:
        """Return every array under its full name, in the order of computation.

        "outputs", "loss", "grads.2.weight", …, "grads.0.bias", "input_grad",
        "state.exp_avg.0.weight", …, "params.0.weight", …
        """
        named = {"outputs": self.outputs, "loss": self.loss}
        named |= {f"grads.{key}": bounded for key, bounded in self.grads.items()}
        named["input_grad"] = self.input_grad
        return named | Point(self.params, self.state, self.steps).quantities()


def truth(case: Case, precision: Precision | None = None) -> Expected:
    """Return the truth of the last step of a case, which starts from its parameters and state."""
    kind = precision or _precision(case.dtype)
    kind.jumps.clear()
    optimizer = options_of(case.optimizer) if case.optimizer else None
    with np.errstate(all="ignore"):
        point, network = start(kind, case, optimizer), Network(kind, case)
        for _ in range(case.steps):
            loss, outputs, grads, input_grad = network.derivatives(point.params)
            tracked = network.tracked()
            if optimizer is not None:
                point = update(optimizer, point, grads)
            point.params.update(tracked)
    undecided = sum(some for some, _ in kind.jumps), sum(size for _, size in kind.jumps)
    return Expected(loss, outputs, grads, input_grad, *point, kind, undecided)


def update_truth(
    case: Case, grads: Mapping[str, Array | Bounded], precision: Precision | None = None
) -> dict[str, Bounded]:
    """Return the parameters and the state after one update with these gradients, by full names.

    Buffers stay as they were. Gradients given as arrays are exact. Raises SpecError for a case
    without an optimizer.
    """
    if case.optimizer is None:
        raise SpecError(f"case {case.id} has no optimizer, so it has no update; give it one.")
    kind = precision or _precision(case.dtype)
    optimizer = options_of(case.optimizer)
    with np.errstate(all="ignore"):
        point = start(kind, case, optimizer)
        known = {
            key: g if isinstance(g := grads[key], Bounded) else kind.exact(g)
            for key in case.learned
        }
        return update(optimizer, point, known).quantities()


def start(kind: Precision, case: Case, optimizer: Options | None) -> Point:
    """Return the point at the start of a case."""
    params = {key: kind.exact(array) for key, array in case.params.items()}
    if case.state is not None:
        state = {
            name: {key: kind.exact(array) for key, array in arrays.items()}
            for name, arrays in case.state.items()
            if name != "step"
        }
        return Point(params, state, int(case.state["step"]))
    if optimizer is None:
        return Point(params, {}, 0)
    own = {key: BoundedRules(kind).options_for(optimizer, key) for key in case.learned}
    state = {
        array.name: {
            key: _filled(params[key].v.shape, kind.number(array.initial_value(options)))
            for key, options in own.items()
        }
        for array in state_of(optimizer)
    }
    return Point(params, state, 0)


class Network:
    """The passes of a case through its network, from the output to the gradients of the input.

    What no parameter changes is made once, because a case may have many steps.
    """

    def __init__(self, kind: Precision, case: Case) -> None:
        self.layers = [by_convention(options_of(spec), kind.conventions) for spec in case.layers]
        self.loss = by_convention(options_of(case.loss), kind.conventions)
        self.functions = [layer_truth(layer.type) for layer in self.layers]
        self.masks: list[dict[str, Bounded]] = [{} for _ in self.layers]
        for key, array in (case.noise or {}).items():
            place, _, name = key.partition(".")
            self.masks[int(place)][name] = noise_truth(kind, self.layers[int(place)], array)
        self.kind, self.x, self.t = kind, kind.exact(case.x), np.asarray(case.t)
        w = case.sample_weights
        self.weights = None if w is None else kind.exact(w[:, None])
        self.is_training = case.noise is not None

    def derivatives(
        self, params: Mapping[str, Bounded]
    ) -> tuple[Bounded, Bounded, dict[str, Bounded], Bounded]:
        """Return the loss, the outputs, every gradient from last layer to first, and dx."""
        self.forward(params)
        value, dy = loss_truth(self.loss.type)(self.loss, self.ys[-1], self.t, self.weights)
        if self.loss.factor != 1:
            # An engine may round the factor, or multiply by it before it divides.
            value, dy = ((a * self.loss.factor).product_rounded(2) for a in (value, dy))
        return value, self.ys[-1], *self.backward(len(self.layers), dy)

    def forward(self, params: Mapping[str, Bounded]) -> None:
        """Compute the output of every layer."""
        self.own = [dict(masks) for masks in self.masks]
        self.buffers: list[dict[str, Bounded]] = [{} for _ in self.layers]
        for key, bounded in params.items():
            place, _, name = key.partition(".")
            # A layer that trains does not read its buffers.
            is_unread = self.is_training and buffer_of(key)
            (self.buffers if is_unread else self.own)[int(place)][name] = bounded
        self.ys = [self.x]
        for layer, (forward, _), own in zip(self.layers, self.functions, self.own, strict=True):
            self.ys.append(forward(layer, own, self.ys[-1]))

    def tracked(self) -> dict[str, Bounded]:
        """Return the buffers after the last forward pass."""
        return {
            f"{i}.{name}": bounded
            for i, own in enumerate(self.buffers)
            if own
            for name, bounded in normalization.tracked(
                self.layers[i], own, self.ys[i], self.ys[i + 1]
            ).items()
        }

    def backward(self, end: int, dy: Bounded) -> tuple[dict[str, Bounded], Bounded]:
        """Return the gradients of the layers before `end`, and dx, from the gradient after them."""
        grads: dict[str, Bounded] = {}
        for i in reversed(range(end)):
            _, backward = self.functions[i]
            dy, own_grads = backward(self.layers[i], self.own[i], self.ys[i], self.ys[i + 1], dy)
            grads |= {f"{i}.{name}": g for name, g in own_grads.items()}
        return grads, dy


def gradients_below(
    case: Case, layer: int, dy: Array, precision: Precision
) -> tuple[dict[str, Bounded], Bounded]:
    """Return the gradients of the layers up to `layer`, and dx, if ∂L/∂(its output) is dy.

    The loss and the layers after it play no part. An engine has rounded dy once to return it.
    """
    with np.errstate(all="ignore"):
        network = Network(precision, case)
        network.forward({key: precision.exact(array) for key, array in case.params.items()})
        return network.backward(layer + 1, precision.returned(dy))


def update(rule: Options, point: Point, grads: Mapping[str, Bounded]) -> Point:
    """Return the point after one update.

    After clipping most rules look at one entry alone, so that one call for all parameters with the
    same options gives what one for each gives. The others have a call for each matrix.
    """
    learned = {key: a for key, a in point.params.items() if buffer_of(key) is None}
    if not learned:
        return Point(dict(point.params), point.state, point.steps + 1)
    rules = BoundedRules(next(iter(learned.values())).kind)
    grads = rules.gradients_of_step(rule, learned, {key: grads[key] for key in learned})
    moved: dict[str, Bounded] = {}
    state: dict[str, dict[str, Bounded]] = {name: {} for name in point.state}
    parts = rules.parts_of(rule, learned)
    if not OPTIMIZER_ROWS[rule.type].is_entrywise:
        parts = [(options, [key]) for options, keys in parts for key in keys]
    for options, keys in parts:
        part = {key: learned[key] for key in keys}
        own = {name: _joined(arrays, keys) for name, arrays in point.state.items()}
        p, g = _joined(learned, keys), _joined(grads, keys)
        moved |= _split(rules.apply_rule(options, p, g, own, point.steps + 1), part)
        for name, array in own.items():
            state[name] |= _split(array, part)
    in_order = ({key: arrays[key] for key in learned} for arrays in state.values())
    state = dict(zip(state, in_order, strict=True))
    return Point({**point.params, **moved}, state, point.steps + 1)


def _joined(arrays: Mapping[str, Bounded], keys: list[str]) -> Bounded:
    """Return an array as it is, or several as one vector."""
    return arrays[keys[0]] if len(keys) == 1 else Bounded.joined(arrays[key] for key in keys)


def _split(vector: Bounded, like: Mapping[str, Bounded]) -> dict[str, Bounded]:
    """Return the arrays that were joined to a vector, which have the shapes of others."""
    if len(like) == 1:
        return dict.fromkeys(like, vector)
    arrays, start = {}, 0
    for key, other in like.items():
        part, start = slice(start, start + other.v.size), start + other.v.size
        v, e = (a[part].reshape(other.v.shape) for a in (vector.v, vector.e))
        arrays[key] = Bounded(v, e, vector.kind, known=vector.known)
    return arrays


@lru_cache
def _precision(dtype: str) -> Precision:
    return Precision(dtype)


def _filled(shape: tuple[int, ...], number: Bounded) -> Bounded:
    v, e = np.full(shape, number.v), np.full(shape, number.e)
    return Bounded(v, e, number.kind, known=number.known)
