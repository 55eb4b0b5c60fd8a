"""From a case to its explanation: what is rounded is computed twice, each gradient is checked."""

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import count, islice, starmap
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.explain.computation import (
    MAX_DERIVATIVES,
    Computation,
    equations,
    rule_equations,
)
from manualnn.explain.descent import descend, rounding_bounds, rounds, updates
from manualnn.explain.formula import LOSS, Formula, Symbol, derivative, word
from manualnn.explain.graph import Entry, Path
from manualnn.explain.model import (
    Explanation,
    Gradient,
    LayerStep,
    LossStep,
    PathStep,
    PlacedParameter,
    Quantity,
)
from manualnn.explain.numbers import ONE, ZERO, Arithmetic, objects
from manualnn.explain.run import Case, Key, parse_weight
from manualnn.parameters import Parameters

MAX_PARAMETERS = 32
"""Most parameters that are all explained; of more, the LARGEST gradients are."""
LARGEST = 8
MAX_SHOWN = 24
"""Most units, inputs or targets in one list."""


def narrate(
    case: Case,
    *,
    weight: str | None,
    decimals: int | None,
    epochs: int,
    target_loss: float | None,
    paths: int,
) -> Explanation:
    """Return the explanation of a case; the options are those of `explain`, checked there."""
    return _Narrator(case, decimals, paths).explanation(weight, epochs, target_loss)


class _Narrator:
    def __init__(self, case: Case, decimals: int | None, paths: int) -> None:
        self.case = case
        self.decimals = decimals
        self.paths = paths
        self.keys: list[Key] = [
            (int(key.partition(".")[0]), key.partition(".")[2], index)
            for key, shape in case.net.shapes.items()
            for index in np.ndindex(shape)
        ]

    def explanation(
        self, weight: str | None, epochs: int, target_loss: float | None
    ) -> Explanation:
        case = self.case
        value, engine = case.net.value_and_grad(
            case.params, case.loss, case.x, case.t, noise=case.noise
        )
        if not (math.isfinite(value) and np.isfinite(engine.vector).all()):
            message = (
                f"the error is {value} and its gradient is not finite everywhere: there is nothing "
                f"to explain; scale x and the parameters down."
            )
            raise SpecError(message)
        chosen = self._chosen(weight, engine.vector)
        wanted = {self.keys[place] for place in chosen}
        self.exact = Computation(case, Arithmetic(), wanted)
        self.shown = self.exact
        self.needed = self.exact.graph.reached(wanted)
        exact_errors, stopped, _ = descend(case, None, epochs, target_loss)
        stopped_unrounded = stopped
        errors, gradient = exact_errors, objects(engine.vector, lambda _, v: Decimal(float(v)))
        if self.decimals is not None:
            self.shown = Computation(case, Arithmetic(self.decimals), wanted)
            errors, stopped, rounded = descend(case, self.decimals, epochs, target_loss)
            gradient = objects(rounded, lambda _, number: number.value)
        parameters = range(len(self.keys)) if len(self.keys) <= MAX_PARAMETERS else chosen
        names = self.shown.names
        return Explanation(
            spec=case.spec(),
            decimals=self.decimals,
            notes=list(case.notes),
            inputs=self._units(self.shown.x, self.exact.x, lambda unit: names.unit(-1, unit)),
            inputs_left_out=max(0, case.x.size - MAX_SHOWN),
            targets=self._units(self.shown.t, self.exact.t, names.target),
            targets_left_out=max(0, case.t.size - MAX_SHOWN),
            parameters=[self._placed(self.keys[place]) for place in parameters],
            parameters_left_out=len(self.keys) - len(parameters),
            layers=list(starmap(self._layer, enumerate(case.net.layers))),
            loss=self._loss(),
            gradients=self._gradients(chosen, engine.vector, gradient),
            gradients_left_out=len(self.keys) - len(chosen),
            backward=self._in_shapes(gradient),
            rule=repr(case.rule),
            rule_rounded=rounds(case.rule),
            rule_equations=rule_equations(case.rule),
            errors=self._errors(errors, exact_errors),
            stopped=stopped,
            stopped_unrounded=stopped_unrounded,
        )

    def _in_shapes(self, gradient: Array) -> dict[str, Any]:
        parameters = Parameters(self.case.net.shapes, gradient.astype(np.float64))
        return {key: array.tolist() for key, array in parameters.items()}

    def _chosen(self, weight: str | None, gradient: Array) -> list[int]:
        """Return the places in the vector of the parameters to explain."""
        if weight is not None:
            return [self.keys.index(parse_weight(weight, self.case.net.shapes))]
        if len(self.keys) <= MAX_PARAMETERS:
            return list(range(len(self.keys)))
        return [int(place) for place in np.argsort(-np.abs(gradient), kind="stable")[:LARGEST]]

    # ------------------------------------------------------------------ quantities

    def _quantity(self, symbol: Symbol, shown: Any, exact: Any) -> Quantity:
        """Return a quantity of a number (with a formula) or a decimal, and the exact one."""
        formula = shown if isinstance(shown, Formula) and (shown.op or shown.symbol) else None
        value, true = (getattr(number, "value", number) for number in (shown, exact))
        # As floats: the decimal 0.1 that one writes and the float 0.1 are the same number here.
        deviation = None if self.decimals is None else float(value) - float(true)
        return Quantity(symbol, float(value), deviation, formula)

    def _parameter(self, key: Key) -> Quantity:
        layer, name, index = key
        shown, exact = (c.arrays[layer][name][index] for c in (self.shown, self.exact))
        return self._quantity(self.shown.names.parameter(*key), shown, exact)

    def _placed(self, key: Key) -> PlacedParameter:
        layer, _, index = key
        into = self.shown.names.unit(layer, ("n", index[0])).text
        place = f"into `{into}`"
        if len(index) == 2:
            place = f"from `{self.shown.names.unit(layer - 1, ('n', index[1])).text}` {place}"
        return PlacedParameter(self._parameter(key), place)

    def _units(
        self, shown: Array, exact: Array, name: Callable[[tuple[int, ...]], Symbol]
    ) -> list[Quantity]:
        indices = islice(np.ndindex(shown.shape), MAX_SHOWN)
        return [self._quantity(name(i), shown[i], exact[i]) for i in indices]

    # ------------------------------------------------------------------ steps

    def _layer(self, i: int, layer: Any) -> LayerStep:
        blocks = equations(layer)
        shown, exact = self.shown.formulas[i], self.exact.outputs[i]
        derivatives, left_out = self._derivatives(i)
        carried = self.shown.backward[0].get(i, np.empty((0, 0), dtype=object))
        true = self.exact.backward[0].get(i, carried)
        return LayerStep(
            index=i,
            layer=repr(layer),
            forward=blocks["Forward"],
            backward=blocks["Backward"],
            outputs=self._units(shown, exact, lambda unit: self.shown.names.unit(i, unit)),
            outputs_left_out=max(0, shown.size - MAX_SHOWN),
            derivatives=derivatives,
            derivatives_left_out=left_out,
            carried=self._units(
                carried, true, lambda unit: derivative(LOSS, self.shown.names.unit(i - 1, unit))
            ),
            carried_left_out=max(0, carried.size - MAX_SHOWN),
        )

    def _derivatives(self, i: int) -> tuple[list[Quantity], int]:
        """Return the local derivatives on the paths of what is explained."""
        graph = self.shown.graph
        if i not in graph.layers:
            return [], 0
        edges = [
            (source, unit)
            for source, to in graph.layers[i].items()
            if source in self.needed[i]
            for unit in to
        ]
        shown = sorted(edges, key=lambda edge: (isinstance(edge[0][0], int), edge[1]))
        shown = shown[:MAX_DERIVATIVES]
        formulas = self.shown.derivative_formulas(i, {unit for _, unit in shown})
        return [
            self._quantity(
                self.shown.edge(i, source, unit),
                _with_value(formulas.get((source, unit)), graph.layers[i][source][unit]),
                self.exact.graph.layers[i][source][unit],
            )
            for source, unit in shown
        ], len(edges) - len(shown)

    def _loss(self) -> LossStep:
        shown, exact, loss = self.shown, self.exact, self.case.loss
        names, blocks = shown.names, equations(loss)
        last = len(self.case.net.layers) - 1

        def term(unit: tuple[int, ...]) -> Symbol:
            text = names.unit(last, unit).text.removeprefix("y")
            return Symbol(f"e{text}", f"e_{{{text[1:-1]}}}")

        def slope(unit: tuple[int, ...]) -> Symbol:
            return derivative(LOSS, names.unit(last, unit))

        slopes, outputs = shown.loss_slopes(), self.shown.graph.outputs
        slopes = objects(slopes, lambda unit, formula: _with_value(formula, outputs[unit]))  # type: ignore[index]
        true = objects(slopes, lambda unit, _: exact.graph.outputs[unit])  # type: ignore[index]
        left_out = max(0, slopes.size - MAX_SHOWN)
        return LossStep(
            loss=repr(loss),
            forward=blocks["Forward"],
            backward=blocks["Backward"],
            reduction=loss.reduction,
            samples=len(self.case.x),
            width=shown.y.shape[1],
            divisor=float(loss.divisor(np.zeros(shown.y.shape), self.case.t)),
            terms=self._units(shown.terms(), exact.terms(), term),
            terms_left_out=left_out,
            total=self._quantity(LOSS, shown.error, exact.error),
            slopes=self._units(slopes, true, slope),
            slopes_left_out=left_out,
        )

    # ------------------------------------------------------------------ gradients

    def _gradients(self, places: list[int], engine: Array, gradient: Array) -> list[Gradient]:
        keys = [self.keys[place] for place in places]
        updated, states = updates(self.shown, keys, gradient[places])
        true = objects(engine, lambda _, v: Decimal(float(v)))
        exact, exact_states = updates(self.exact, keys, true[places])
        rounded = self.shown.arithmetic.rounded
        bounds = rounding_bounds(self.case)
        names = self.shown.names
        return [
            self._gradient(
                key,
                float(engine[place]),
                gradient[place],
                bound=float(bounds[place]),
                state=[
                    replace(
                        self._quantity(word(name), entries[k], exact_states[name][k]),
                        rounded=rounds(self.case.rule),
                    )
                    for name, entries in states.items()
                ],
                updated=self._quantity(
                    _new(names.parameter(*key)),
                    _with_value(updated[k], rounded(updated[k].value)),
                    exact[k],
                ),
            )
            for k, (key, place) in enumerate(zip(keys, places, strict=True))
        ]

    def _gradient(
        self,
        key: Key,
        value: float,
        gradient: Decimal,
        *,
        bound: float,
        state: list[Quantity],
        updated: Quantity,
    ) -> Gradient:
        layer, entry = key[0], (key[1], key[2])
        symbol = derivative(LOSS, self.shown.names.parameter(*key))
        onward = self.exact.graph.onward(layer, entry)
        found = list(islice(self.exact.graph.strongest_first(layer, entry), self.paths))
        if onward.count <= self.paths:
            found.sort(key=lambda path: path.units)
        steps = [self._path(layer, entry, path) for path in found]
        size = sum((abs(path.product) for path in found), ZERO)
        total = self.shown.graph.onward(layer, entry).total
        if onward.count <= self.paths:
            total = ZERO
            for _, product in steps:
                total = self.shown.arithmetic.rounded(total + product)
        difference = float(Decimal(value) - onward.total)
        formula = self.shown.backward[1][layer][key[1]][key[2]]
        return Gradient(
            parameter=self._parameter(key),
            path_count=onward.count,
            paths=[step for step, _ in steps],
            paths_left_out=onward.count - len(steps),
            share=float(size / onward.size) if onward.size else 1.0,
            path_sum=self._quantity(symbol, total, onward.total),
            backward=self._quantity(symbol, _with_value(formula, gradient), Decimal(value)),
            difference=difference,
            ulps=abs(difference) / float(np.spacing(abs(value))),
            bound=bound,
            agrees=abs(difference) <= bound,
            state=state,
            updated=updated,
        )

    def _path(self, layer: int, entry: Entry, path: Path) -> tuple[PathStep, Decimal]:
        """Return a path, and its product in the arithmetic shown."""
        last = len(self.case.net.layers) - 1
        names = self.shown.names
        units = [names.unit(layer + i, unit) for i, unit in enumerate(path.units)]
        edges = zip(count(layer), [entry, *path.units], path.units, strict=False)
        symbols = [self.shown.edge(*edge) for edge in edges]
        symbols.append(derivative(LOSS, names.unit(last, path.units[-1])))
        shown = self.shown.graph.factors(layer, entry, path)
        exact = self.exact.graph.factors(layer, entry, path)
        product = ONE
        for factor in shown:
            product = self.shown.arithmetic.rounded(product * factor)
        step = PathStep(
            units=[names.parameter(layer, *entry), *units, LOSS],
            factors=list(map(self._quantity, reversed(symbols), shown, exact)),
            product=self._quantity(Symbol("path", r"\text{path}"), product, path.product),
        )
        return step, product

    def _errors(self, shown: list[Any], exact: list[Any]) -> list[Quantity]:
        """Return the errors; where rounding ended the iterations elsewhere, as far as both go."""
        return [
            self._quantity(
                Symbol(f"L after {k}", rf"L_{{{k}}}"), error, exact[min(k, len(exact) - 1)]
            )
            for k, error in enumerate(shown)
        ]


def _with_value(formula: Formula | None, value: Decimal) -> Any:
    """Return a formula with an independent value, for which it is only the illustration."""
    if formula is None or not isinstance(formula, Formula):
        return value
    return Formula(value, formula.arithmetic, formula.symbol, formula.op, formula.args)


def _new(symbol: Symbol) -> Symbol:
    return Symbol(f"{symbol.text}′", f"{{{symbol.latex}}}'")
