"""Gradients: for each parameter its paths, their sum, the result of backward, and the update."""

from dataclasses import replace
from decimal import Decimal
from functools import reduce
from itertools import count, islice
from typing import Any

from manualnn.elementary import Array
from manualnn.explain.around import is_rounded
from manualnn.explain.descent import update_formulas
from manualnn.explain.formula import LOSS, Symbol, derivative, with_value, word
from manualnn.explain.graph import Entry, Path
from manualnn.explain.model import Gradient, PathStep
from manualnn.explain.numbers import ZERO
from manualnn.explain.quantities import Quantities
from manualnn.explain.run import Key
from manualnn.layers import Linear
from manualnn.optimizers.groups import shares_of

MOST_UNITS = 4
"""Most units to name that a parameter leads into."""


def build_gradients(
    q: Quantities,
    keys: dict[Key, int],
    gradient: Array,
    exact_gradient: Array,
    *,
    bounds: list[float],
    max_paths: int,
) -> list[Gradient]:
    """Return the gradients of some parameters, each with at most `max_paths` paths.

    Parameters
    ----------
    keys
        The parameters, each with its place in the vector of all parameters.
    gradient : array (P,) of Decimal
        ∂L/∂θ by backward with every operation rounded, which the update uses.
    exact_gradient : array (P,) of Decimal
        ∂L/∂θ by backward in float64.
    bounds : list of P numbers
        Bound of the rounding error of each.

    """
    updates = update_formulas(q.shown, keys, gradient)
    exact_updates = update_formulas(q.exact, keys, exact_gradient)
    shares = shares_of(q.run.rule, tuple(q.run.net.shapes))
    rules = {name: share.rule for share in shares for name in share.names}
    found = []
    for (key, place), (after, states), (exact, exact_states) in zip(
        keys.items(), updates, exact_updates, strict=True
    ):
        name, rule = q.names.parameter(*key), rules[f"{key[0]}.{key[1]}"]
        slope = derivative(LOSS, name)
        state = [
            q.quantity(word(vector), entry, exact_states[vector])
            for vector, entry in states.items()
        ]
        new = with_value(after, q.shown.arithmetic.round(after.value))
        backward = with_value(q.shown.backward[1][key[0]][key[1]][key[2]], gradient[place])
        paths, total = _find_paths(q, key, max_paths)
        engine = exact_gradient[place]
        difference = float(engine - total)
        found.append(
            Gradient(
                parameter=q.parameter(key),
                place=_place(q, key),
                **paths,
                backward=q.quantity(slope, backward, engine),
                difference=difference,
                bound=bounds[place],
                agrees=abs(difference) <= bounds[place],
                state=[replace(entry, rounded=is_rounded(rule)) for entry in state],
                updated=q.quantity(Symbol(f"{name.text}′", f"{{{name.latex}}}'"), new, exact),
            )
        )
    return found


def _place(q: Quantities, key: Key) -> str:
    """Return the units that a parameter connects, as "from `x[2]` into `z0[1]`"."""
    layer, name, index = key
    columns = sorted({unit[1] for unit in q.shown.graph.layers[layer][name, index]})
    units = [f"`{q.names.unit(layer, ('n', column)).text}`" for column in columns]
    place = f"into {', '.join(units[:MOST_UNITS])}{', …' * (len(units) > MOST_UNITS)}"
    if len(index) == 2 and isinstance(q.run.net.layers[layer], Linear):
        place = f"from `{q.names.unit(layer - 1, ('n', index[1])).text}` {place}"
    return place


def _find_paths(q: Quantities, key: Key, max_paths: int) -> tuple[dict[str, Any], Decimal]:
    """Return the fields of a gradient about its paths, and the exact sum of all paths."""
    layer, entry = key[0], (key[1], key[2])
    onward = q.exact.graph.path_sums(layer, entry)
    found = list(islice(q.exact.graph.paths_by_strength(layer, entry), max_paths))
    size = sum((abs(path.product) for path in found), ZERO)
    total = q.shown.graph.path_sums(layer, entry).total
    if onward.count <= max_paths:  # all paths are shown: add their products in order
        found.sort(key=lambda path: path.units)
        total = ZERO
        for path in found:
            total = q.shown.arithmetic.round(total + _multiply(q, layer, entry, path))
    fields = {
        "path_count": onward.count,
        "paths": [_path_step(q, layer, entry, path) for path in found],
        "paths_left_out": onward.count - len(found),
        "share": float(size / onward.size) if onward.size else 1.0,
        "path_sum": q.quantity(derivative(LOSS, q.names.parameter(*key)), total, onward.total),
    }
    return fields, onward.total


def _path_step(q: Quantities, layer: int, entry: Entry, path: Path) -> PathStep:
    units = [q.names.unit(layer + i, unit) for i, unit in enumerate(path.units)]
    edges = zip(count(layer), [entry, *path.units], path.units, strict=False)
    symbols = [*(q.names.edge(*edge) for edge in edges), derivative(LOSS, units[-1])]
    shown, exact = (c.graph.factors(layer, entry, path) for c in (q.shown, q.exact))
    product = _multiply(q, layer, entry, path)
    return PathStep(
        units=[q.names.parameter(layer, *entry), *units, LOSS],
        factors=list(map(q.quantity, reversed(symbols), shown, exact)),
        product=q.quantity(Symbol("path", r"\text{path}"), product, path.product),
    )


def _multiply(q: Quantities, layer: int, entry: Entry, path: Path) -> Decimal:
    """Return the product of a path in the arithmetic that is shown."""
    first, *others = q.shown.graph.factors(layer, entry, path)
    return reduce(lambda a, b: q.shown.arithmetic.round(a * b), others, first)
