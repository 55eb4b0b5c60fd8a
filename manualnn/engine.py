"""The engine of this package for the oracle: `manualnn check` judges it like any other engine.

    manualnn check manualnn.engine:Engine

An engine returns its capabilities, and does one or more training steps on a case. The arrays and
options are attributes of the case, and the result is a mapping of arrays. This module imports
nothing of the oracle. It claims all layers, losses and optimizers, with every option.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

import manualnn
from manualnn import initializers
from manualnn.layers import LAYERS
from manualnn.losses import LOSSES
from manualnn.network.sequential import Sequential
from manualnn.optimizers import MATRIX_RULES, OPTIMIZERS, Optimizer
from manualnn.parameters import Parameters
from manualnn.spec import from_spec

__all__ = ["Engine"]


INITIAL: list[dict[str, Any]] = [
    *({"type": name} for name in ("constant", "eye", "lecun_normal", "lecun_uniform", "ones")),
    *({"type": name} for name in ("normal", "uniform", "zeros", "sparse")),
    {"type": "orthogonal", "gain": 2.0},
    {"type": "trunc_normal", "std": 2.0, "b": 1.0},
    {"type": "xavier_normal", "gain": 5 / 3},
    {"type": "xavier_uniform", "gain": 5 / 3},
    {"type": "kaiming_normal", "nonlinearity": "relu"},
    {"type": "kaiming_uniform", "mode": "fan_out", "nonlinearity": "relu"},
]
"""Initialisations that the engine claims, with some of their options."""


RULES = OPTIMIZERS | MATRIX_RULES


class Engine:
    """The networks, losses and rules of manualnn, made from the specs of each case."""

    def capabilities(self) -> dict[str, Any]:
        """Return the capabilities: all layers, losses and optimizers of the package."""
        return {
            "name": "manualnn",
            "version": manualnn.__version__,
            "dtypes": ["float32", "float64"],
            "layers": dict.fromkeys(LAYERS, "any"),
            "losses": {name: _every_option(kind) for name, kind in LOSSES.items()},
            "optimizers": {name: _claim(kind) for name, kind in RULES.items()},
            "returns": ["loss", "grads", "params", "outputs", "input_grad", "state"],
            "accepts_state": True,
            "max_steps": 10_000,
            "init": INITIAL,
            "empty_batch": True,
            "sample_weights": True,
        }

    def init(self, spec: dict[str, Any], shape: tuple[int, int], seed: int) -> Any:
        """Return a weight of shape (out, in), drawn from the seed."""
        options = {name: value for name, value in spec.items() if name != "type"}
        return getattr(initializers, spec["type"])(np.random.default_rng(seed), shape, **options)

    def step(self, case: Any) -> dict[str, Any]:
        """Return the loss, the gradients, and parameters and state after the updates."""
        loss = from_spec(case.loss, LOSSES, "loss")
        net = Sequential.from_spec({"layers": case.layers})
        params = net.load_state_dict(case.params, case.dtype)
        rule = case.optimizer and from_spec(case.optimizer, RULES, "optimizer")
        state = _state(rule, params, case.state) if rule else {}
        for last in reversed(range(case.steps)):
            value, grads, dx = net.value_and_grad(
                params,
                loss,
                case.x,
                case.t,
                noise=case.noise,
                sample_weight=case.sample_weights,
                input_grad=True,
            )
            if not last:
                outputs = net.forward(params, case.x, noise=case.noise)
            if case.noise is not None and params.buffers:
                net.track(params, case.x, noise=case.noise)
            if rule:
                rule.update(params, grads, state)
        result = {"loss": value, "outputs": outputs, "grads": dict(grads), "input_grad": dx}
        if rule:
            result |= {"params": {**params, **params.buffers}, "state": _named(state, net.shapes)}
        return result


def _claim(kind: type[Optimizer]) -> Any:
    """Return the claim of all options of an optimizer that the oracle asks about."""
    return _every_option(kind, without={"lr", "norm_type"})


def _every_option(kind: type[Any], without: Collection[str] = ()) -> dict[str, str]:
    """Return the claim of all values of all options; "any" alone leaves later options out."""
    return {o.name: "any" for o in fields(kind) if o.name not in without}


def _state(rule: Optimizer, params: Parameters, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the rule's state with the given arrays, or its initial state if there are none."""
    state = rule.init(params)
    for name, arrays in (given or {}).items():
        if name == "step":
            state[name] = arrays
            continue
        vector = Parameters(params.shapes, state[name])
        for key, array in arrays.items():
            vector[key] = array
    return state


def _named(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the state with each vector replaced by a mapping from key to array."""
    return {
        name: value if name == "step" else dict(Parameters(shapes, value))
        for name, value in state.items()
    }
