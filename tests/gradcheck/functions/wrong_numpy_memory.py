"""NumPy pairs that are wrong about jvps, memory, state, layouts, or dtypes."""

import numpy as np
from gradcheck.functions.entry import Function
from gradcheck.functions.writing import wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "numpy")
X = Array((5, 7))


@wrong(X, size="relative 1e-3", fails="jvp")
def sine_jvp_scaled():
    """The jvp is 1.001 times too large; the gradient is right."""
    return (
        np.sin,
        lambda arrays, dy: dy * np.cos(arrays[0]),
        lambda arrays, tangents: 1.001 * tangents[0] * np.cos(arrays[0]),
    )


@wrong(X, X, size="a term of the tangent", source="pytorch/pytorch#196694", fails="jvp")
def product_jvp_first():
    """The jvp lacks the second factor's tangent; the gradient is right."""
    return (
        lambda x, y: x * y,
        lambda arrays, dy: (dy * arrays[1], dy * arrays[0]),
        lambda arrays, tangents: tangents[0] * arrays[1],
    )


@wrong(X, size="the cotangent is overwritten", fails="memory")
def relu_overwrites_cotangent():
    """The gradient is computed in the memory of the cotangent."""

    def vjp(arrays, dy):
        dy[arrays[0] < 0] = 0
        return dy.copy()

    return lambda x: np.maximum(x, 0), vjp


@wrong(X, size="the input is overwritten", fails="memory")
def square_overwrites_input():
    """The gradient is computed in the memory of the input."""

    def vjp(arrays, dy):
        (x,) = arrays
        x *= 2 * dy
        return x.copy()

    return lambda x: x * x, vjp


@wrong(
    X, size="the earlier gradient is overwritten", source="pytorch/pytorch#181723", fails="memory"
)
def sine_static_buffer():
    """All calls return the same buffer: a later call overwrites the gradient of an earlier one."""
    buffers = {}

    def vjp(arrays, dy):
        buffer = buffers.setdefault(dy.shape, np.zeros_like(dy))
        np.multiply(dy, np.cos(arrays[0]), out=buffer)
        return buffer

    return np.sin, vjp


@wrong(
    X,
    size="summed gradients",
    region="from the second call on",
    source="karpathy/micrograd#102",
    fails="again",
)
def square_accumulates():
    """Every call adds to the gradient of the calls before."""
    sums = {}

    def vjp(arrays, dy):
        sums[dy.shape] = sums.get(dy.shape, 0) + 2 * dy * arrays[0]
        return sums[dy.shape].copy()

    return lambda x: x * x, vjp


@wrong(
    Array((4, 5)),
    region="strided cotangents",
    size="permuted",
    source="torch/nn#345",
    fails="layout",
)
def cube_memory_order():
    """The cotangent is read in the order of its memory."""

    def vjp(arrays, dy):
        return 3 * arrays[0] ** 2 * dy.ravel("K").reshape(dy.shape)

    return lambda x: x**3, vjp


@wrong(X, size="float32 instead of float64", fails="shape")
def sine_returns_float32():
    """The gradient is returned in float32."""
    return np.sin, lambda arrays, dy: (dy * np.cos(arrays[0])).astype(np.float32)
