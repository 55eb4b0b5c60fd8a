"""Lines that several update rules share, in any arithmetic: averages, corrections, steps.

A subclass adds the arithmetic: `num`, `sqrt` and `larger`. The numbers themselves bring +, −, ×, /
and abs. The truth also overrides `average`, `correction`, `quotient` and `moved_by_quotient`,
because correct engines compute these lines in several orders, and its bound holds for each order.
"""

from typing import Any

from manualnn.oracle.protocol.rows import Options

Array = Any
"""An array of any numbers that have +, −, ×, / and abs."""


class RuleParts:
    """The shared lines; o holds the options of an optimizer."""

    def num(self, value: Any) -> Any:
        """Return an option as a number of this arithmetic."""
        raise NotImplementedError

    def sqrt(self, v: Array) -> Array:
        """Return the square root of every entry."""
        raise NotImplementedError

    def larger(self, a: Array, b: Array) -> Array:
        """Return the larger number of two, entry by entry."""
        raise NotImplementedError

    def moved(self, o: Options, p: Array, d: Array, lr: Any) -> Array:
        """Return the parameter after a step of that rate along d."""
        return p - lr * d

    def moved_by_quotient(self, o: Options, p: Array, d: Array, root: Array, lr: Any) -> Array:
        """Return the parameter after a step along d / root, where root contains ε."""
        return self.moved(o, p, self.quotient(o, d, root), lr)

    def quotient(self, o: Options, d: Array, root: Array) -> Array:
        return d / root

    def average(self, old: Array, new: Array, beta: float) -> Array:
        """Return the moving average of numbers with a memory of β."""
        return self.num(beta) * old + (1 - self.num(beta)) * new

    def correction(self, beta: float, t: int) -> Any:
        """Return 1 − βᵗ, the weight of the numbers in an average that started from 0."""
        return 1 - self.num(beta) ** t

    def gradient(self, o: Options, p: Array, g: Array) -> Array:
        """Return the gradient with its sign for `maximize` and with the weight decay."""
        g = self.uphill(o, g)
        return g + self.num(o.weight_decay) * p if o.weight_decay else g

    def uphill(self, o: Options, g: Array) -> Array:
        return -g if o.maximize else g
