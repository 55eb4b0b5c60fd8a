"""One run of forward, loss and local derivatives, in one arithmetic."""

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cached_property, partial
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.explain.formula import LOSS, Formula, Symbol, derivative
from manualnn.explain.graph import (
    Edges,
    Entry,
    Graph,
    Unit,
    edges_by_duals,
    edges_by_formulas,
    loss_slopes_by_duals,
)
from manualnn.explain.numbers import (
    Arithmetic,
    Number,
    objects,
)
from manualnn.explain.run import Case, Key
from manualnn.layers import ReLU
from manualnn.optimizers import Optimizer

MAX_TRACED = 200_000
"""Largest samples × parameters for which every formula is kept."""
MAX_DERIVATIVES = 32
"""Most local derivatives of a layer that are shown."""


class Names:
    """What the quantities of a network are called; the letters are those of the docstrings."""

    def __init__(self, case: Case) -> None:
        self._last = len(case.net.layers) - 1
        self._single = len(case.x) == 1
        self._letters = [letter(layer) for layer in case.net.layers]

    def unit(self, layer: int, unit: tuple[Any, ...]) -> Symbol:
        """Return the name of a unit: x[1], z0[1], a1[1], y[1]; x[n,1] where there are samples."""
        index = _index(unit[1:] if self._single else unit)
        if layer < 0 or layer == self._last:
            name = "x" if layer < 0 else "y"
            return Symbol(f"{name}[{index}]", f"{name}_{{{index}}}")
        name = self._letters[layer]
        return Symbol(f"{name}{layer}[{index}]", f"{name}^{{({layer})}}_{{{index}}}")

    def target(self, index: tuple[int, ...]) -> Symbol:
        """Return the name of an entry of t."""
        shown = _index(index[1:] if self._single and len(index) > 1 else index)
        return Symbol(f"t[{shown}]", f"t_{{{shown}}}")

    def parameter(self, layer: int, name: str, index: tuple[int, ...]) -> Symbol:
        """Return the name of a parameter, 0.weight[1,2], or of a dropout mask's entry."""
        short = {"weight": "W", "bias": "b"}.get(name, rf"\mathrm{{{name}}}".replace("_", r"\_"))
        return Symbol(
            f"{layer}.{name}[{_index(index)}]", f"{short}^{{({layer})}}_{{{_index(index)}}}"
        )


def _index(index: tuple[Any, ...]) -> str:
    return ",".join(map(str, index))


def equations(kind: Any) -> dict[str, list[str]]:
    """Return the Forward and the Backward block of a docstring, line by line."""
    blocks: dict[str, list[str]] = {"Forward": [], "Backward": []}
    block: list[str] | None = None
    for line in (inspect.getdoc(type(kind)) or "").splitlines():
        title = re.match(r"(Forward|Backward)\b(?:, )?(.*)", line)
        if title:
            block = blocks[title[1]]
            if title[2]:
                block.append(f"with {title[2]}" if title[1] == "Forward" else title[2])
        elif block is not None and line.startswith(" "):
            block.append(line.strip())
        elif block:
            block = None
    return blocks


def letter(layer: Any) -> str:
    """Return what a layer calls its output: the first letter of its Forward equations."""
    forward = [
        line for line in equations(layer)["Forward"] if "=" in line and not line.startswith("with ")
    ]
    start = re.match(r"[A-Za-z]+", forward[0]) if forward else None
    return start[0] if start else "y"


def rule_equations(rule: Optimizer) -> list[str]:
    """Return the equations of an update rule and what its state is called, its bases' first."""
    kinds = [kind for kind in reversed(type(rule).__mro__) if issubclass(kind, Optimizer)]
    docs = [inspect.getdoc(kind) or "" for kind in kinds]
    paragraphs = [p for doc in docs for p in doc.split("\n\n")]
    states = [state for doc in docs for state in re.findall(r"State: (?!as )[^.]*\.", doc)]
    return [line for p in paragraphs if "←" in p for line in p.splitlines()] + states


class Computation:
    """The forward pass, its formulas, and the graph of local derivatives."""

    def __init__(self, case: Case, arithmetic: Arithmetic, wanted: set[Key]) -> None:
        self.case = case
        self.arithmetic = arithmetic
        self.names = Names(case)
        given = partial(objects, make=lambda _, value: arithmetic.given(value))
        self.x = given(case.x)
        self.t = given(case.t) if case.t.dtype.kind == "f" else case.t
        views = case.net.layer_arrays(case.params)
        self.arrays = [{name: given(array) for name, array in own.items()} for own in views]
        for key, mask in case.noise.items():
            at, _, name = key.partition(".")
            # A mask is a constant of the formula, 1/(1 − p) or 0.
            self.arrays[int(at)][name] = objects(mask, lambda _, v: arithmetic.constant(v))
        self._wanted = wanted
        self._kind = Formula if len(case.x) * case.params.vector.size <= MAX_TRACED else Number
        self.formulas: list[Array] = []
        self.outputs: list[Array] = []
        x = self.x
        for i, layer in enumerate(case.net.layers):
            y = layer.forward(self._named_arrays(i), self._named(i - 1, x))
            lifted = objects(y, lambda _, value: self._lift(value))
            if self._rectifies(i):
                before = self._named(i - 1, x)
                lifted = _applied("rectified", lifted, before)
            self.formulas.append(lifted)
            x = objects(self.formulas[i], lambda _, number: number.value)
            self.outputs.append(x)
        self.y = self._named(len(self.outputs) - 1, x)
        self.targets = self.t
        if self.t.dtype == object:
            self.targets = objects(
                self.t, lambda index, v: self._number(v, self.names.target(index))
            )
        self.error = self._lift(case.loss.forward(self.y, self.targets))

    # ------------------------------------------------------------------ the loss

    def terms(self) -> Array:
        """Return what each output adds to the error, before the reduction; shape (N, K)."""
        loss: Any = replace(self.case.loss, reduction="sum")

        def term(index: tuple[int, ...], _: Any) -> Any:
            n, k = index
            row = slice(n, n + 1)
            if not hasattr(loss, "weight"):
                column = slice(k, k + 1)
                return self._lift(loss.forward(self.y[row, column], self.targets[row, column]))
            weights = [0] * self.y.shape[1]
            weights[k] = 1 if loss.weight is None else loss.weight[k]
            alone = replace(loss, weight=tuple(weights))
            return self._lift(alone.forward(self.y[row], self.targets[row]))

        return objects(self.y, term)

    def loss_slopes(self) -> Array:
        """Return the formulas of ∂L/∂y."""
        slopes = self.case.loss.backward(self.y, self.targets)
        return objects(slopes, lambda _, value: self._lift(value))

    # ------------------------------------------------------------------ local derivatives

    @cached_property
    def graph(self) -> Graph:
        """The local derivatives: by dual numbers, or where one rounds by hand, by the formulas."""
        layers = self.case.net.layers
        first = min(layer for layer, _, _ in self._wanted)
        edges = {i: self._edges(i) for i in range(first, len(layers))}
        if self.arithmetic.decimals is None:
            outputs = loss_slopes_by_duals(
                self.case.loss, self.outputs[-1], self.t, self.arithmetic
            )
        else:
            slopes = self.loss_slopes()
            outputs = {(n, k): slope.value for (n, k), slope in np.ndenumerate(slopes)}
        return Graph(edges, outputs, self.arithmetic)

    def _edges(self, i: int) -> Edges:
        layer, arrays = self.case.net.layers[i], self.arrays[i]
        x = self.outputs[i - 1] if i else self.x
        if self.arithmetic.decimals is None:
            wanted: set[Entry] = {(name, index) for at, name, index in self._wanted if at == i}
            return edges_by_duals(layer, arrays, x, self.arithmetic, wanted)
        return edges_by_formulas(layer, arrays, x, self.outputs[i], self.arithmetic)

    def derivative_formulas(self, i: int, units: set[Unit]) -> dict[tuple[Any, Unit], Formula]:
        """Return the formulas of some units' local derivatives, from the backward kernels.

        Every unit takes a pass of its own; where that would take too long, there are none.
        """
        if len(units) * len(self.x) * self.case.params.vector.size > MAX_TRACED:
            return {}
        layer, arrays = self.case.net.layers[i], self._named_arrays(i)
        x = self._named(i - 1, self.outputs[i - 1] if i else self.x)
        y = self._named(i, self.outputs[i])
        found: dict[tuple[Any, Unit], Formula] = {}
        for n, j in units:
            dy = np.zeros(y.shape, dtype=object)
            dy[n, j] = 1
            dx = objects(layer.backward(arrays, x, y, dy), lambda _, v: self._lift(v))
            if self._rectifies(i):
                dx = _applied("positive", dx, y)
            found |= {(unit, (n, j)): v for unit, v in np.ndenumerate(dx)}
            grads = {name: np.zeros(shape, dtype=object) for name, shape in layer.shapes().items()}
            layer.backward_params(arrays, x, y, dy, grads)
            for name, array in grads.items():
                entries = np.ndenumerate(array)
                found |= {((name, index), (n, j)): self._lift(v) for index, v in entries}
        return found

    # ------------------------------------------------------------------ backward

    @cached_property
    def backward(self) -> tuple[dict[int, Array], dict[int, dict[str, Array]]]:
        """For each layer ∂L/∂(its inputs) and ∂L/∂(its parameters), by the backward kernels.

        They are formulas of ∂L/∂(its outputs). Below the parameters wanted there are none.
        """
        names, layers = self.names, self.case.net.layers
        first = min(layer for layer, _, _ in self._wanted)
        carried: dict[int, Array] = {}
        gradients: dict[int, dict[str, Array]] = {}
        slopes = self.loss_slopes()
        for i in range(len(layers) - 1, first - 1, -1):
            dy = objects(
                slopes,
                lambda unit, v, i=i: self._number(v.value, derivative(LOSS, names.unit(i, unit))),  # type: ignore[misc]
            )
            layer, arrays = layers[i], self._named_arrays(i)
            x = self._named(i - 1, self.outputs[i - 1] if i else self.x)
            y = self._named(i, self.outputs[i])
            grads = {name: np.zeros(shape, dtype=object) for name, shape in layer.shapes().items()}
            layer.backward_params(arrays, x, y, dy, grads)
            gradients[i] = {
                name: objects(array, lambda _, v: self._lift(v)) for name, array in grads.items()
            }
            if i > first:
                slopes = objects(layer.backward(arrays, x, y, dy), lambda _, v: self._lift(v))
                if self._rectifies(i):
                    gates = _applied("positive", y, y)
                    slopes = _applied("*", slopes, dy, gates)
                carried[i] = slopes
        return carried, gradients

    def source(self, layer: int, source: Any) -> Symbol:
        """Return the name of an edge's tail in a layer."""
        if isinstance(source[0], str):
            return self.names.parameter(layer, *source)
        return self.names.unit(layer - 1, source)

    def edge(self, layer: int, source: Any, unit: Unit) -> Symbol:
        """Return the name of a local derivative."""
        return derivative(self.names.unit(layer, unit), self.source(layer, source))

    # ------------------------------------------------------------------ numbers with names

    def _number(self, value: Decimal, symbol: Symbol) -> Number:
        if self._kind is Formula:
            return Formula(value, self.arithmetic, symbol)
        return Number(value, self.arithmetic)

    def _named(self, layer: int, values: Array) -> Array:
        return objects(values, lambda unit, v: self._number(v, self.names.unit(layer, unit)))

    def _named_arrays(self, i: int) -> dict[str, Array]:
        def named(name: str) -> Callable[[tuple[int, ...], Decimal], Number]:
            return lambda index, v: self._number(v, self.names.parameter(i, name, index))

        return {name: objects(array, named(name)) for name, array in self.arrays[i].items()}

    def _rectifies(self, i: int) -> bool:
        """Whether formulas are kept of a layer whose kernels choose by z > 0, which leaves none."""
        return self._kind is Formula and isinstance(self.case.net.layers[i], ReLU)

    def _lift(self, value: Any) -> Any:
        """Return as a number what a kernel may have left as a plain 0 or 1."""
        return self._kind(Decimal(0), self.arithmetic).lift(value)


def _applied(op: str, values: Array, *operands: Array) -> Array:
    """Return values that kernels computed, as formulas op(operands), entry by entry."""

    def formula(index: tuple[int, ...], value: Formula) -> Formula:
        args = tuple(operand[index] for operand in operands)
        return Formula(value.value, value.arithmetic, None, op, args)

    return objects(values, formula)
