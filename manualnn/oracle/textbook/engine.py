"""The textbook engine: an engine written from the equations, with a method for each line.

    Textbook()                        an engine of the protocol, in the dtype of each case
    Textbook(dtype=np.longdouble)     the same in extended precision, for cases of every dtype

It claims everything that the oracle can judge. It exists for its subclasses. A bug of `bugs`
overrides one method, and so does a control of the tests, which computes a line in an unusual but
correct way. This module has the passes; the equations are in `layers`, `losses` and
`protocol/optimizers`.

`load` sets the attributes of a call (`params`, `state`, `now`, …) anew for each case, so that no
call depends on an earlier one.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import (
    LAYER_ROWS,
    TABLES,
    Options,
    buffer_of,
    by_convention,
    options_of,
    state_of,
    takes_indices,
)
from manualnn.oracle.protocol.optimizers import UpdateRules
from manualnn.oracle.textbook.layers import Activations
from manualnn.oracle.textbook.losses import Losses
from manualnn.oracle.textbook.normalization import Normalizations
from manualnn.oracle.textbook.structure import Structure


def number(layers: Iterable[Options], start: str = "") -> None:
    """Give every layer its place `i`: 0, 1, …, or "1.0" for the first layer in a Residual."""
    for i, layer in enumerate(layers):
        layer.i = f"{start}{i}" if start else i
        if hasattr(layer, "layers"):
            layer.chain = [options_of(spec) for spec in layer.layers]
            number(layer.chain, f"{layer.i}.")


class Textbook(Activations, Structure, Normalizations, Losses, UpdateRules):
    """The textbook engine; see the module."""

    constants: ClassVar[Mapping[str, Any]] = {}
    """The constants of a bug of this class, by name."""
    case: Case
    layers: list[Options]
    """The options of each layer, and its position `i`."""
    loss: Options
    rule: Options | None
    x: Array
    t: Array
    params: dict[str, Array]
    state: dict[str, dict[str, Array]]
    now: int
    """The number of the current update, from 1."""
    ys: list[Array]
    """The input and the output of every layer."""
    grads: dict[str, Array]
    conventions: Mapping[str, str] = MappingProxyType({})
    """The conventions of features, where they are not torch's."""

    def __init__(self, dtype: Any = None) -> None:
        self.dtype = None if dtype is None else np.dtype(dtype)

    def capabilities(self) -> dict[str, Any]:
        """Claim everything."""
        return {
            "name": type(self).__name__,
            "dtypes": ["float64", "float32"],
            **{
                kind: {name: dict.fromkeys(options, "any") for name, options in table.items()}
                for kind, table in TABLES.items()
            },
            "returns": ["loss", "grads", "params", "outputs", "input_grad", "state"],
            "accepts_state": True,
            "max_steps": 1_000_000,
            "empty_batch": True,
            "sample_weights": True,
        }

    @classmethod
    def admits(cls, named: Mapping[str, Array]) -> bool:
        """Return True if an engine of this class can have returned these numbers.

        A bug that leaves a trace in every result overrides this method.
        """
        return True

    def step(self, case: Case) -> Mapping[str, Any]:
        """Return the result of the last of the case's steps."""
        with np.errstate(all="ignore"):
            self.load(case)
            for _ in range(case.steps):
                self.now += 1
                self.ys = self.forward(self.x)
                y, t = self.ys[-1], self.t
                value = self.value_factor(self.loss) * self.value(self.loss, y, t)
                dx = self.backward(self.slope_factor(self.loss) * self.slope(self.loss, y, t))
                if self.rule is not None:
                    self.update(self.rule)
                self.track()
            return self.result(value, dx)

    def result(self, value: Any, dx: Array) -> dict[str, Any]:
        return {
            "loss": value,
            "grads": self.grads,
            "params": self.params,
            "outputs": self.ys[-1].copy(),
            "input_grad": dx.copy(),
            "state": {"step": self.now, **self.state},
        }

    def load(self, case: Case) -> None:
        """Copy the arrays and the options of a case."""
        self.case, self.kind = case, self.dtype or np.dtype(case.dtype)
        self.layers = [by_convention(options_of(spec), self.conventions) for spec in case.layers]
        number(self.layers)
        self.loss = by_convention(options_of(case.loss), self.conventions)
        self.rule = options_of(case.optimizer) if case.optimizer else None
        indices = takes_indices(case.loss, case.t)
        own = case.map(lambda name, a: np.array(a, None if name == "t" and indices else self.kind))
        self.x, self.t, self.params, self.noise = own.x, own.t, own.params, own.noise or {}
        self.weights = own.sample_weights
        self.state = {name: group for name, group in (own.state or {}).items() if name != "step"}
        self.now = int(case.state["step"]) if case.state else 0
        if self.rule is not None and not case.state:
            for state in state_of(self.rule):
                self.state[state.name] = {
                    key: self.first(self.options_for(self.rule, key), array, state.name)
                    for key, array in self.learned().items()
                }

    def forward(self, x: Array) -> list[Array]:
        return self.through(self.layers, x)

    def through(self, layers: Iterable[Options], x: Array) -> list[Array]:
        """Return the input and the output of every layer of a chain."""
        ys = [x]
        for layer in layers:
            ys.append(self.equation(layer)(layer, ys[-1]))
        return ys

    def backward(self, dy: Array) -> Array:
        self.grads = {}
        dx = self.back_through(self.layers, self.ys, dy)
        for key, p in self.learned().items():  # a bug may leave out a whole Residual
            self.grads.setdefault(key, np.zeros_like(p))
        return dx

    def back_through(self, layers: list[Options], ys: list[Array], dy: Array) -> Array:
        for layer, x, y in zip(layers[::-1], ys[-2::-1], ys[:0:-1], strict=True):
            if LAYER_ROWS[layer.type].has_parameters:
                self.grads |= self.equation(layer, "_grads")(layer, x, dy)
            dy = self.equation(layer, "_backward")(layer, x, y, dy)
        return dy

    def residual(self, o: Options, z: Array) -> Array:
        return z + self.through(o.chain, z)[-1]

    def residual_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return da + self.back_through(o.chain, self.through(o.chain, z), da)

    def residual_grads(self, o: Options, z: Array, da: Array) -> dict[str, Array]:
        return {}  # which `residual_backward` finds on its way

    def first(self, o: Options, p: Array, name: str) -> Array:
        """Return the array of that name in the state before the first update."""
        (value,) = (state.initial_value(o) for state in state_of(o) if state.name == name)
        return np.full_like(p, value)

    def learned(self) -> dict[str, Array]:
        """Return the parameters, without buffers."""
        return {key: array for key, array in self.params.items() if buffer_of(key) is None}

    def track(self) -> None:
        """Change the buffers of the layers."""
        for layer, x in zip(self.layers, self.ys, strict=False):
            if LAYER_ROWS[layer.type].buffers(layer):
                self.equation(layer, "_track")(layer, x)

    def update(self, rule: Options) -> None:
        learned = self.learned()
        grads = self.gradients_of_step(rule, learned, self.grads)
        for key, p in learned.items():
            s = {name: group[key] for name, group in self.state.items()}
            self.params[key] = self.updated(rule, key, p, grads[key], s)
            for name, a in s.items():
                # A momentum buffer may be the gradient itself, which is returned as well.
                self.state[name][key] = a.copy()

    def updated(self, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]) -> Array:
        """Return the parameter after an update, and write its new state into s."""
        return np.asarray(self.apply_rule(self.options_for(o, key), p, g, s, self.now))

    def weight(self, o: Options) -> Array:
        return self.params[f"{o.i}.weight"]

    def linear(self, o: Options, x: Array) -> Array:
        z = self.matmul(x, self.weight(o).T)
        return z + self.params[f"{o.i}.bias"] if o.bias else z

    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        grads = {f"{o.i}.weight": self.linear_dW(o, x, dz)}
        return grads | ({f"{o.i}.bias": self.linear_db(o, dz)} if o.bias else {})

    def linear_dW(self, o: Options, x: Array, dz: Array) -> Array:
        return self.matmul(dz.T, x)

    def linear_db(self, o: Options, dz: Array) -> Array:
        return np.asarray(self.total(dz, axis=0))

    def linear_backward(self, o: Options, x: Array, z: Array, dz: Array) -> Array:
        return self.matmul(dz, self.weight(o))

    def dropout(self, o: Options, z: Array) -> Array:
        mask = self.mask(o)
        return z if mask is None else mask * z

    def dropout_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        mask = self.mask(o)
        return da if mask is None else mask * da

    def mask(self, o: Options) -> Array | None:
        return self.noise.get(f"{o.i}.mask")
