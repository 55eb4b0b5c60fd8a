"""Graph of local derivatives, and the paths through it from a parameter to the loss.

A node (layer, sample, unit) is one unit of one layer's output for one sample. An edge carries the
derivative of its head with respect to its tail. By the chain rule, ∂L/∂w is the sum over all paths
from w to L of the product of the edges.
"""

import heapq
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from manualnn.elementary import Array
from manualnn.explain.numbers import ONE, ZERO, Arithmetic, Dual, objects
from manualnn.explain.weighting import Weighting
from manualnn.layers import Layer

Unit = tuple[int, ...]
"""(sample, unit)."""
Entry = tuple[str, tuple[int, ...]]
"""A parameter of a layer: its name in the layer, its index."""
Edges = dict[Any, dict[Unit, Decimal]]
"""Source → unit of the output → ∂(unit)/∂(source); a source is an Entry or a Unit of the input."""
Values = Mapping[str, Array]
"""Arrays of decimals by name."""


class Path(NamedTuple):
    """A path: the units on it, and the product of its edges."""

    units: tuple[Unit, ...]
    product: Decimal


def edges_by_duals(
    layer: Layer, arrays: Values, x: Array, arithmetic: Arithmetic, wanted: set[Entry]
) -> Edges:
    """Return a layer's local derivatives, by dual numbers passed through its forward kernel.

    wanted are the parameters to differentiate with respect to. A unit with a constant output (the
    flat side of ReLU) stays in the graph: it gets an edge 0 from the same unit of the input.
    """

    def seed(source: Hashable, value: Decimal) -> Dual:
        return Dual(value, arithmetic, {source: ONE})

    def parameter(name: str, index: tuple[int, ...], value: Decimal) -> Dual:
        entry = (name, index)
        return seed(entry, value) if entry in wanted else Dual(value, arithmetic)

    given = {name: objects(array, partial(parameter, name)) for name, array in arrays.items()}
    y = layer.forward(given, objects(x, seed))
    edges: Edges = {}
    for unit, output in np.ndenumerate(y):
        slopes = getattr(output, "slopes", None) or {unit: ZERO}
        for source, slope in slopes.items():
            edges.setdefault(source, {})[unit] = slope
    return edges


def edges_by_formulas(
    layer: Layer, arrays: Values, x: Array, y: Array, arithmetic: Arithmetic
) -> Edges:
    """Return a layer's local derivatives by its own Backward formulas, as in a hand computation.

    The formulas are linear in dy. One pass with a dual number for each entry of dy gives them all.
    """

    def constants(values: Array) -> Array:
        return objects(values, lambda _, value: Dual(value, arithmetic))

    given = {name: constants(array) for name, array in arrays.items()}
    x, y = constants(x), constants(y)
    dy = objects(y, lambda unit, _: Dual(ZERO, arithmetic, {unit: ONE}))
    dx = layer.backward(given, x, y, dy)
    edges: Edges = {unit: slope.slopes for unit, slope in np.ndenumerate(dx)}
    for name, array in parameter_gradients(layer, given, x, y, dy).items():
        edges |= {(name, index): slope.slopes for index, slope in np.ndenumerate(array)}
    return edges


def parameter_gradients(
    layer: Layer, arrays: Values, x: Array, y: Array, dy: Array
) -> dict[str, Array]:
    """Return ∂L/∂θ of a layer's parameters, by its own kernel on arrays of objects."""
    grads = {name: np.zeros(shape, dtype=object) for name, shape in layer.shapes().items()}
    layer.backward_params(arrays, x, y, dy, grads)
    return grads


def loss_slopes_by_duals(
    loss: Weighting, y: Array, t: Array, arithmetic: Arithmetic
) -> dict[Unit, Decimal]:
    """Return ∂L/∂y[n,k] for every output, by dual numbers passed through the loss's kernel."""
    seeds = objects(y, lambda unit, value: Dual(value, arithmetic, {unit: ONE}))
    if t.dtype == object:
        t = objects(t, lambda _, value: Dual(value, arithmetic))
    slopes = getattr(loss.forward(seeds, t), "slopes", {})
    return {unit: slopes.get(unit, ZERO) for unit in np.ndindex(y.shape)}


@dataclass(frozen=True, slots=True)
class PathSums:
    """Sums over all paths from one unit or parameter to the loss."""

    count: int
    """Number of paths."""
    strongest: Decimal
    """The largest |product|."""
    size: Decimal
    """Σ |product|."""
    total: Decimal
    """Σ product, the derivative of the loss with respect to the unit or parameter."""


class Graph:
    """The edges of consecutive layers up to the last, and ∂L/∂(every output)."""

    def __init__(
        self, layers: Mapping[int, Edges], outputs: Mapping[Unit, Decimal], arithmetic: Arithmetic
    ) -> None:
        self.layers = layers
        self.outputs = outputs
        self._arithmetic = arithmetic
        self._last = max(layers)
        table = {unit: PathSums(1, abs(s), abs(s), s) for unit, s in outputs.items()}
        self._sums = {self._last: table}
        for layer in range(self._last, min(layers), -1):
            table = {
                source: self._sum_through(edges, table)
                for source, edges in layers[layer].items()
                if not isinstance(source[0], str)
            }
            self._sums[layer - 1] = table

    def path_sums(self, layer: int, entry: Entry) -> PathSums:
        """Return the sums over all paths from a parameter to the loss."""
        return self._sum_through(self.layers[layer][entry], self._sums[layer])

    def sources_on_paths(
        self, wanted: Iterable[tuple[int, str, tuple[int, ...]]]
    ) -> dict[int, set[Any]]:
        """Return for each layer the sources of the edges on any path from some parameters."""
        wanted = list(wanted)
        sources: dict[int, set[Any]] = {}
        units: set[Unit] = set()
        for layer in sorted(self.layers):
            entries = {(name, index) for at, name, index in wanted if at == layer}
            sources[layer] = units | entries
            units = {unit for source in sources[layer] for unit in self.layers[layer][source]}
        return sources

    def paths_by_strength(self, layer: int, entry: Entry) -> Iterator[Path]:
        """Yield the paths from a parameter, the largest |product| first.

        This is a best-first search. The strongest continuation from every unit is known, so the
        search extends only paths that it yields later.
        """
        tie = count()
        heap: list[tuple[Decimal, int, Decimal, tuple[Unit, ...]]] = []

        def extend(units: tuple[Unit, ...], product: Decimal, edges: dict[Unit, Decimal]) -> None:
            onward = self._sums[layer + len(units)]
            for unit, slope in edges.items():
                longer = product * slope
                reach = -abs(longer) * onward[unit].strongest
                heapq.heappush(heap, (reach, next(tie), longer, (*units, unit)))

        extend((), ONE, self.layers[layer][entry])
        while heap:
            _, _, product, units = heapq.heappop(heap)
            at = layer + len(units)
            if at > self._last:
                yield Path(units, product * self.outputs[units[-1]])
            else:
                extend(units, product, self.layers[at][units[-1]])

    def factors(self, layer: int, entry: Entry, path: Path) -> list[Decimal]:
        """Return the edges of a path from the loss back to the parameter."""
        sources = [entry, *path.units]
        edges = [
            self.layers[layer + i][source][unit]
            for i, (source, unit) in enumerate(zip(sources, path.units, strict=False))
        ]
        return [self.outputs[path.units[-1]], *reversed(edges)]

    def _sum_through(self, edges: dict[Unit, Decimal], onward: Mapping[Unit, PathSums]) -> PathSums:
        """Return the sums over all paths that start with one of these edges."""
        number, strongest, size, total = 0, ZERO, ZERO, ZERO
        rounded = self._arithmetic.round
        for unit, slope in edges.items():
            after = onward[unit]
            number += after.count
            strongest = max(strongest, abs(slope) * after.strongest)
            size += abs(slope) * after.size
            total = rounded(total + rounded(slope * after.total))
        return PathSums(number, strongest, size, total)
