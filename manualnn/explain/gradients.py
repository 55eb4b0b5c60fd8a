"""Gradients: for each parameter its paths, their sum, the result of backward, and the update."""

from dataclasses import replace
from decimal import Decimal
from itertools import count, islice

import numpy as np

from manualnn.elementary import Array
from manualnn.explain.descent import is_rounded, rounding_bounds, update_formulas
from manualnn.explain.formula import LOSS, Symbol, derivative, with_value, word
from manualnn.explain.graph import Entry, Path
from manualnn.explain.model import Gradient, PathStep, Quantity
from manualnn.explain.numbers import ONE, ZERO, objects
from manualnn.explain.quantities import Quantities
from manualnn.explain.run import Key


class GradientBuilder:
    """Builds the gradients of some parameters; shows at most `max_paths` paths of each."""

    def __init__(self, quantities: Quantities, max_paths: int) -> None:
        self._q = quantities
        self._max_paths = max_paths

    def build(
        self, keys: list[Key], places: list[int], engine: Array, gradient: Array
    ) -> list[Gradient]:
        """Return the gradients of parameters.

        Parameters
        ----------
        keys, places
            The parameters, and their places in the vector of all parameters.
        engine : array (P,)
            ∂L/∂θ by backward in float64.
        gradient : array (P,) of Decimal
            ∂L/∂θ by backward as it is shown, which the update uses.

        """
        q, rule = self._q, self._q.run.rule
        updated, states = update_formulas(q.shown, keys, gradient[places])
        true = objects(engine[places], lambda _, v: Decimal(float(v)))
        exact, exact_states = update_formulas(q.exact, keys, true)
        bounds = rounding_bounds(q.run)
        found = []
        for k, (key, place) in enumerate(zip(keys, places, strict=True)):
            state = [
                replace(
                    q.quantity(word(name), entries[k], exact_states[name][k]),
                    rounded=is_rounded(rule),
                )
                for name, entries in states.items()
            ]
            symbol = q.names.parameter(*key)
            new = with_value(updated[k], q.shown.arithmetic.rounded(updated[k].value))
            found.append(
                self._gradient(
                    key,
                    float(engine[place]),
                    gradient[place],
                    bound=float(bounds[place]),
                    state=state,
                    updated=q.quantity(_prime(symbol), new, exact[k]),
                )
            )
        return found

    def _gradient(
        self,
        key: Key,
        value: float,
        shown: Decimal,
        *,
        bound: float,
        state: list[Quantity],
        updated: Quantity,
    ) -> Gradient:
        q = self._q
        layer, entry = key[0], (key[1], key[2])
        symbol = derivative(LOSS, q.names.parameter(*key))
        onward = q.exact.graph.onward(layer, entry)
        found = list(islice(q.exact.graph.strongest_first(layer, entry), self._max_paths))
        size = sum((abs(path.product) for path in found), ZERO)
        is_complete = onward.count <= self._max_paths
        if is_complete:
            found.sort(key=lambda path: path.units)
        steps = [self._path(layer, entry, path) for path in found]
        total = q.shown.graph.onward(layer, entry).total
        if is_complete:  # the sum of the products that are shown, in their order
            total = ZERO
            for _, product in steps:
                total = q.shown.arithmetic.rounded(total + product)
        difference = float(Decimal(value) - onward.total)
        backward = with_value(q.shown.backward[1][layer][key[1]][key[2]], shown)
        return Gradient(
            parameter=q.parameter(key),
            path_count=onward.count,
            paths=[step for step, _ in steps],
            paths_left_out=onward.count - len(steps),
            share=float(size / onward.size) if onward.size else 1.0,
            path_sum=q.quantity(symbol, total, onward.total),
            backward=q.quantity(symbol, backward, Decimal(value)),
            difference=difference,
            ulps=abs(difference) / float(np.spacing(abs(value))),
            bound=bound,
            agrees=abs(difference) <= bound,
            state=state,
            updated=updated,
        )

    def _path(self, layer: int, entry: Entry, path: Path) -> tuple[PathStep, Decimal]:
        """Return a path, and its product in the arithmetic that is shown."""
        q = self._q
        units = [q.names.unit(layer + i, unit) for i, unit in enumerate(path.units)]
        edges = zip(count(layer), [entry, *path.units], path.units, strict=False)
        symbols = [q.names.edge(*edge) for edge in edges]
        symbols.append(derivative(LOSS, units[-1]))
        shown, exact = (c.graph.factors(layer, entry, path) for c in (q.shown, q.exact))
        product = ONE
        for factor in shown:
            product = q.shown.arithmetic.rounded(product * factor)
        step = PathStep(
            units=[q.names.parameter(layer, *entry), *units, LOSS],
            factors=list(map(q.quantity, reversed(symbols), shown, exact)),
            product=q.quantity(Symbol("path", r"\text{path}"), product, path.product),
        )
        return step, product


def _prime(symbol: Symbol) -> Symbol:
    return Symbol(f"{symbol.text}′", f"{{{symbol.latex}}}'")
