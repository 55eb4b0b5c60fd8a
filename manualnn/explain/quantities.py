"""Quantities: numbers of a run with their names, formulas and deviations from full precision.

A run is computed twice: once as it is shown, with rounding and formulas, and once exactly.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.explain.computation import Computation
from manualnn.explain.formula import Formula, Symbol
from manualnn.explain.model import Quantity
from manualnn.explain.numbers import Arithmetic
from manualnn.explain.run import Key, Run
from manualnn.losses import BCELoss


class Quantities:
    """The two computations of a run; `wanted` are the parameters to explain.

    Without decimals nothing is rounded, and both computations are the same.
    """

    def __init__(self, run: Run, decimals: int | None, wanted: set[Key]) -> None:
        self.run = run
        self.decimals = decimals
        self.exact = Computation(run, Arithmetic(), wanted)
        self.shown = self.exact
        if decimals is not None:
            self.shown = Computation(run, Arithmetic(decimals), wanted)
        self.names = self.shown.names

    def quantity(self, symbol: Symbol, shown: Any, exact: Any) -> Quantity:
        """Return the quantity of a number, which may be a formula, and of its exact value."""
        formula = shown if isinstance(shown, Formula) and (shown.op or shown.symbol) else None
        value, true = (float(getattr(number, "value", number)) for number in (shown, exact))
        # The difference of floats, because 0.1 stands for the same number as decimal and as float.
        deviation = None if self.decimals is None else value - true
        return Quantity(symbol, value, deviation, formula)

    def parameter(self, key: Key) -> Quantity:
        """Return the quantity of a parameter before the update."""
        layer, name, index = key
        shown, exact = (c.arrays[layer][name][index] for c in (self.shown, self.exact))
        return self.quantity(self.names.parameter(*key), shown, exact)

    def array(
        self, shown: Array, exact: Array, symbol: Callable[[tuple[int, ...]], Symbol]
    ) -> list[Quantity]:
        """Return the quantities of an array's entries; `symbol` is called with the index."""
        return [self.quantity(symbol(i), shown[i], exact[i]) for i in np.ndindex(shown.shape)]


def rounding_notes(q: Quantities, value: float, bound: float) -> list[str]:
    """Return a note if the engine's float64 differs from the numbers of 50 digits.

    `value` is its L, and `bound` how far rounding may take that.
    """
    if q.decimals is not None:
        return []
    exact = q.exact.error.value
    differs = abs(Decimal(value) - exact) > Decimal(bound)
    errors = f"the engine computes L = {value:.6g}, 50 digits give {float(exact):.6g}"
    y = q.exact.outputs[-1]
    ends = [at for at in np.ndindex(y.shape) if float(y[at]) in {0, 1} and y[at] not in {0, 1}]
    if isinstance(q.run.loss, BCELoss) and ends:
        name = q.names.unit(len(q.run.net.layers) - 1, ends[0]).text
        more = f" (and {len(ends) - 1} more)" if len(ends) > 1 else ""
        rounded = f"float64 rounds {name}{more} to {float(y[ends[0]]):g}"
        bounds = "where BCELoss bounds log at −100 and the denominator of ∂L/∂y at 1e-12"
        return [f"{rounded}, {bounds}{f': {errors}' if differs else ''}."]
    if not differs:
        return []
    return [f"float64 loses digits here: {errors}, more than its rounding errors explain."]
