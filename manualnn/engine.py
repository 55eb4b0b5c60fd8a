"""The engine of this package for the oracle: `manualnn check` judges it like any other engine.

    manualnn check manualnn.engine:Engine
    manualnn check manualnn.engine:TrainerEngine        the steps of a Trainer
    manualnn check manualnn.engine:CompiledEngine       the same, compiled by Numba

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
from manualnn.errors import DivergedError
from manualnn.layers import LAYERS
from manualnn.losses import LOSSES
from manualnn.network.sequential import Sequential
from manualnn.optimizers import MATRIX_RULES, OPTIMIZERS, Optimizer
from manualnn.parameters import Parameters
from manualnn.spec import from_spec
from manualnn.training.trainer import Trainer

__all__ = ["CompiledEngine", "Engine", "TrainerEngine"]


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


class TrainerEngine(Engine):
    """Steps of a `Trainer`, which repeats the NumPy calls that it recorded in its first step."""

    compiles = False

    def capabilities(self) -> dict[str, Any]:
        """Return the capabilities: those of `Engine` without what a trainer draws or refuses."""
        returned = ["loss", "params", "state"]
        says = {"returns": returned, "empty_batch": False, "max_steps": 50}
        claims = super().capabilities()
        is_random = {"AlphaDropout", "Dropout", "RReLU"}
        layers = {n: options for n, options in claims["layers"].items() if n not in is_random}
        return claims | says | {"layers": layers}

    def step(self, case: Any) -> dict[str, Any]:
        """Return the last loss, the parameters and the state after the steps of a trainer."""
        spec = {"layers": case.layers, "loss": case.loss, "dtype": case.dtype}
        if not case.optimizer or not len(case.x):
            return {"skipped": "a Trainer trains, and on samples"}
        net = Sequential.from_spec(spec)
        if case.noise is None and any(layer.refuses(1, is_training=True) for layer in net.layers):
            return {"skipped": "a Trainer trains, and never predicts"}
        params = net.load_state_dict(case.params, case.dtype)
        ours = Trainer.from_spec(
            spec | {"optimizer": case.optimizer}, params=params, compile=self.compiles
        )
        ours.state = _state(ours.rule, ours.params, case.state)
        try:
            for _ in range(case.steps):
                before = ours.params.copy()
                loss = ours.step(case.x, case.t, sample_weight=case.sample_weights)
        except DivergedError:
            return {"skipped": "a Trainer refuses what is not finite"}
        if ours.rule.penalty(before):  # a Trainer adds it to the loss
            y = net.forward(before, case.x, noise=case.noise)
            loss = ours.loss.value(y, case.t, sample_weight=case.sample_weights)
        return {
            "loss": np.array(loss, case.dtype),
            "params": {**ours.params, **ours.params.buffers},
            "state": _named(ours.state, net.shapes),
        }


class CompiledEngine(TrainerEngine):
    """Steps of a `Trainer` that Numba compiles."""

    compiles = True


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
