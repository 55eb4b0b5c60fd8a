"""Computation: the forward and backward pass of a run, on numbers of one kind.

The engine's own kernels run on arrays of objects (see `numbers`). With formulas, every layer starts
from fresh symbols: its outputs are formulas of its inputs, its gradients formulas of ∂L/∂(outputs).
Other kinds of numbers go through the whole network, so that bounds accumulate.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import cached_property, partial
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.explain.formula import Formula, Symbol
from manualnn.explain.graph import (
    Edges,
    Entry,
    Graph,
    Unit,
    edges_by_duals,
    edges_by_formulas,
    loss_slopes_by_duals,
    parameter_gradients,
)
from manualnn.explain.naming import Names
from manualnn.explain.numbers import Arithmetic, Number, objects
from manualnn.explain.run import Key, Run
from manualnn.explain.weighting import Weighting
from manualnn.layers import ReLU
from manualnn.losses import BCELoss
from manualnn.losses.classification import LEAST_ROOM
from manualnn.parameters import Parameters

MAX_TRACED = 200_000
"""Largest samples × parameters for which every formula is stored."""


class Computation:
    """The forward pass of a run, its gradients, and the graph of its local derivatives.

    Parameters
    ----------
    run, arithmetic
        The run, and how results are rounded.
    wanted : set of Key, optional
        Parameters to differentiate with respect to; layers below them have no gradients. The graph
        needs it.
    kind : type of Number, optional
        By default `Formula`, or `Number` for a run that is too large to keep every formula.
    theta : array (P,) of Decimal, optional
        Values of the parameters, in place of the run's.

    """

    def __init__(
        self,
        run: Run,
        arithmetic: Arithmetic,
        wanted: set[Key] | None = None,
        *,
        kind: type[Number] | None = None,
        theta: Array | None = None,
    ) -> None:
        traced = len(run.x) * run.params.vector.size <= MAX_TRACED
        self.run = run
        self.arithmetic = arithmetic
        self.names = Names(run)
        self._kind = kind or (Formula if traced else Number)
        self._zero = self._kind(Decimal(0), arithmetic)
        self._wanted = wanted or set()
        self._first = min((layer for layer, _, _ in self._wanted), default=0)
        self.x = self._read(run.x)
        self.t = self._read(run.t) if run.t.dtype.kind == "f" else run.t
        params = Parameters(
            run.net.shapes,
            self._read(run.params.vector) if theta is None else theta,
            buffers={
                key: objects(a, lambda _, v: arithmetic.read_constant(float(v)))
                for key, a in run.params.buffers.items()
            },
        )
        self.arrays: list[dict[str, Array]] = [dict(own) for own in run.net.layer_arrays(params)]
        for key, mask in run.noise.items():
            at, _, name = key.partition(".")
            # A mask is a constant of the formula, 1/(1 − p) or 0.
            self.arrays[int(at)][name] = objects(mask, lambda _, v: arithmetic.read_constant(v))
        self._numbers = [
            {name: self._name(a, partial(self.names.parameter, i, name)) for name, a in own.items()}
            for i, own in enumerate(self.arrays)
        ]
        self.formulas: list[Array] = []
        """The outputs of each layer, as formulas of its inputs."""
        self.outputs: list[Array] = []
        """The output values of each layer."""
        self._passed = [self._name(self.x, partial(self.names.unit, -1))]
        self._forward()
        self.targets = self.t
        if self.t.dtype == object:
            self.targets = self._name(self.t, self.names.target)
        self._loss = Weighting(run.loss, run.weights, self.outputs[-1].shape, run.t)
        self.error = self._zero.lift(self._loss.forward(self._passed[-1], self.targets))

    def parameters(self) -> Array:
        """Return the values of all parameters as one vector."""
        places = (key.partition(".") for key in self.run.net.shapes)
        return np.concatenate([self.arrays[int(i)][name].ravel() for i, _, name in places])

    def _forward(self) -> None:
        for i, layer in enumerate(self.run.net.layers):
            x = self._passed[i]
            y = self._lift(layer.forward(self._numbers[i], x))
            if self._is_relu(i):
                y = _as_formulas("rectified", y, x)
            self.formulas.append(y)
            self.outputs.append(objects(y, lambda _, number: number.value))
            self._passed.append(self._restart(y, partial(self.names.unit, i)))

    # ------------------------------------------------------------------ the loss

    def terms(self) -> Array:
        """Return the term that each output adds to the error before the reduction, (N, K)."""
        y = self._passed[-1]
        return self._lift(self.run.loss.over(self._loss.terms(y, self.targets), 1, y))

    def loss_slopes(self) -> Array:
        """Return ∂L/∂y, as formulas."""
        slopes = self._lift(self._loss.backward(self._passed[-1], self.targets))
        for slope in slopes.flat:  # some are constants, such as 1/D, and not rounded yet
            slope.value = self.arithmetic.round(slope.value)
        return slopes

    # ------------------------------------------------------------------ local derivatives

    @cached_property
    def graph(self) -> Graph:
        """The local derivatives: by dual numbers, or with decimals by the Backward formulas."""
        edges = {i: self._edges(i) for i in range(self._first, len(self.run.net.layers))}
        if self.arithmetic.decimals is None:
            outputs = loss_slopes_by_duals(self._loss, self.outputs[-1], self.t, self.arithmetic)
            outputs |= self._bounded_slopes()
        else:
            slopes = self.loss_slopes()
            outputs = {unit: slope.value for unit, slope in np.ndenumerate(slopes)}
        return Graph(edges, outputs, self.arithmetic)

    def _bounded_slopes(self) -> dict[Unit, Decimal]:
        """Return ∂L/∂y by the backward kernel, where that bounds it on purpose: no derivative."""
        if not isinstance(self.run.loss, BCELoss):
            return {}
        y = self.outputs[-1]
        bounded = np.frompyfunc(lambda a: a * (1 - a) < Decimal(LEAST_ROOM), 1, 1)(y)
        return {u: s.value for u, s in np.ndenumerate(self.loss_slopes()) if bounded[u]}

    def _edges(self, i: int) -> Edges:
        layer, arrays = self.run.net.layers[i], self.arrays[i]
        x = self.outputs[i - 1] if i else self.x
        if self.arithmetic.decimals is None:
            wanted: set[Entry] = {(name, index) for at, name, index in self._wanted if at == i}
            return edges_by_duals(layer, arrays, x, self.arithmetic, wanted)
        return edges_by_formulas(layer, arrays, x, self.outputs[i], self.arithmetic)

    def derivative_formulas(self, i: int, units: set[Unit]) -> dict[tuple[Any, Unit], Formula]:
        """Return the formulas of some units' local derivatives, from the backward kernels.

        Each unit needs a pass of its own. The result is empty if these would take too long.
        """
        if len(units) * len(self.run.x) * self.run.params.vector.size > MAX_TRACED:
            return {}
        y = self._passed[i + 1]
        found: dict[tuple[Any, Unit], Formula] = {}
        for unit in units:
            dy = np.zeros(y.shape, dtype=object)
            dy[unit] = 1
            dx, grads = self._input_gradient(i, dy), self._parameter_gradients(i, dy)
            if self._is_relu(i):
                dx = _as_formulas("positive", dx, y)
            found |= {(source, unit): v for source, v in np.ndenumerate(dx)}
            for name, array in grads.items():
                found |= {((name, index), unit): v for index, v in np.ndenumerate(array)}
        return found

    # ------------------------------------------------------------------ backward

    @cached_property
    def backward(self) -> tuple[dict[int, Array], dict[int, dict[str, Array]]]:
        """∂L/∂(inputs) and ∂L/∂(parameters) of each layer, by the backward kernels.

        They are formulas of ∂L/∂(outputs). Layers below the wanted parameters are left out.
        """
        carried: dict[int, Array] = {}
        gradients: dict[int, dict[str, Array]] = {}
        slopes = self.loss_slopes()
        for i in range(len(self.run.net.layers) - 1, self._first - 1, -1):
            dy = self._restart(slopes, partial(self.names.slope, i))
            gradients[i] = self._parameter_gradients(i, dy)
            if i > self._first:
                slopes = self._input_gradient(i, dy)
                if self._is_relu(i):
                    y = self._passed[i + 1]
                    slopes = _as_formulas("*", slopes, dy, _as_formulas("positive", y, y))
                carried[i] = slopes
        return carried, gradients

    def gradient(self) -> Array:
        """Return ∂L/∂θ as one vector; only for a computation of all parameters."""
        _, gradients = self.backward
        arrays = [array for i in sorted(gradients) for array in gradients[i].values()]
        return np.concatenate([array.ravel() for array in arrays])

    def _input_gradient(self, i: int, dy: Array) -> Array:
        x, y = self._passed[i : i + 2]
        return self._lift(self.run.net.layers[i].backward(self._numbers[i], x, y, dy))

    def _parameter_gradients(self, i: int, dy: Array) -> dict[str, Array]:
        x, y = self._passed[i : i + 2]
        grads = parameter_gradients(self.run.net.layers[i], self._numbers[i], x, y, dy)
        return {name: self._lift(array) for name, array in grads.items()}

    # ------------------------------------------------------------------ numbers with symbols

    def _read(self, values: Array) -> Array:
        return objects(values, lambda _, value: self.arithmetic.read(value))

    def _name(self, values: Array, symbol: Callable[[tuple[int, ...]], Symbol]) -> Array:
        """Return decimals as numbers; formulas get the symbol of their index."""
        if issubclass(self._kind, Formula):
            kind = self._kind
            return objects(values, lambda at, v: kind(v, self.arithmetic, symbol(at)))
        return objects(values, lambda _, v: self._kind(v, self.arithmetic))

    def _restart(self, numbers: Array, symbol: Callable[[tuple[int, ...]], Symbol]) -> Array:
        """Return formulas as symbols, without their expressions; other numbers unchanged."""
        if not issubclass(self._kind, Formula):
            return numbers
        return self._name(objects(numbers, lambda _, number: number.value), symbol)

    def _lift(self, values: Array) -> Array:
        """Return numbers; a kernel may have returned some as a plain 0 or 1."""
        return objects(values, lambda _, value: self._zero.lift(value))

    def _is_relu(self, i: int) -> bool:
        """Return True for ReLU: its kernels compare, and the result of z > 0 has no formula."""
        return self._kind is Formula and isinstance(self.run.net.layers[i], ReLU)


def _as_formulas(op: str, values: Array, *operands: Array) -> Array:
    """Return values that kernels computed, as formulas op(operands), entry by entry."""

    def formula(index: tuple[int, ...], value: Formula) -> Formula:
        args = tuple(operand[index] for operand in operands)
        return Formula(value.value, value.arithmetic, None, op, args)

    return objects(values, formula)
