"""Lines that several update rules have in common, in the arithmetic of a subclass."""

from collections.abc import Callable
from typing import Any

from manualnn.oracle.protocol.rows import Option, Options

Array = Any
"""An array of any numbers that have +, −, ×, / and abs."""
Arrays = dict[str, Array]

RATES = (0.1, 0.02, 1 / 3, 0.7, 0.003)
MOMENTUM = Option(0.0, (0.9, 0.5, 0.999))
DECAY = Option(0.0, (0.1, 0.01, 1.0))
SWITCH = Option(default=False, others=(True,))
EPS = Option(1e-8, (1e-2, 1e-5, 1.0))


def decay_of(o: Options) -> Any:
    """Return the weight decay, which is 0 for an optimizer without one."""
    return getattr(o, "weight_decay", 0)


class Lines:
    """Lines of update rules; `p`: parameter, `g`: its gradient, `d`: the direction of a step."""

    num: Callable[..., Any]
    """Return an option as a number of the arithmetic."""
    sqrt: Callable[..., Array]
    larger: Callable[..., Array]
    sign_of: Callable[..., Array]
    """Return 1, −1 or 0."""

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
        g, decay = self.uphill(o, g), decay_of(o)
        return g + self.num(decay) * p if decay else g

    def uphill(self, o: Options, g: Array) -> Array:
        return -g if o.maximize else g
