"""Layers of the textbook engine: forward y = f(x), and backward dx = ∂L/∂x, one method each.

    relu(o, z)  relu_slope(o, z, a)  relu_backward(o, z, a, da)

The methods of an elementwise layer follow from its statement in the table of features.
"""

from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import LAYER_ROWS, Options
from manualnn.oracle.protocol.rows import Layer
from manualnn.oracle.textbook.arithmetic import Arithmetic, Equation


class Activations(Arithmetic):
    """Layers without parameters."""

    # `_add_methods` makes these methods. Bugs and controls call them by name.
    sigmoid: Equation
    sigmoid_slope: Equation
    tanh_slope: Equation
    leaky_relu: Equation
    leaky_relu_slope: Equation
    softplus: Equation
    softplus_slope: Equation

    def softmax(self, o: Options, z: Array) -> Array:
        e = self.exp(z - z.max(axis=1, keepdims=True))
        return e / self.total(e, axis=1, keepdims=True)

    def softmax_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return a * (da - self.total(da * a, axis=1, keepdims=True))

    def softmin(self, o: Options, z: Array) -> Array:
        return self.softmax(o, -z)

    def softmin_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return -self.softmax_backward(o, -z, a, da)

    def log_softmax(self, o: Options, z: Array) -> Array:
        return self.log_shares(z)

    def log_softmax_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return da - self.exp(a) * self.total(da, axis=1, keepdims=True)


def _add_methods(row: Layer) -> None:
    """Give Activations the methods of an elementwise layer."""
    statement = row.statement
    if statement is None:
        return

    def forward(self: Activations, o: Options, z: Array) -> Array:
        value: Array = statement.value(self.functions, o, z)
        return value

    def slope(self: Activations, o: Options, z: Array, a: Array) -> Array:
        derivative: Array = statement.derivatives(self.functions, o, z)[1]
        return self.at_kink(o, z == 0, derivative)

    def backward(self: Activations, o: Options, z: Array, a: Array, da: Array) -> Array:
        product: Array = da * self.equation(o, "_slope")(o, z, a)
        return product

    for suffix, method in (("", forward), ("_slope", slope), ("_backward", backward)):
        setattr(Activations, row.method + suffix, method)


for _row in LAYER_ROWS.values():
    _add_methods(_row)
