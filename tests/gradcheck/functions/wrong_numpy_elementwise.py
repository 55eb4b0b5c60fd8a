"""Elementwise NumPy functions with a wrong gradient."""

import numpy as np
from gradcheck.functions.entry import Function
from gradcheck.functions.writing import unary, wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "numpy")
X = Array((5, 7))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu_slope(x):
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)))


@wrong(X, size="relative 5e-4")
def silu_scaled():
    """The gradient is 1.0005 times too large."""
    return unary(lambda x: x * sigmoid(x), lambda x: 1.0005 * silu_slope(x))


@wrong(X, region="only entry 17", size="absolute 1e-4")
def silu_one_entry():
    """The gradient of one entry is 1e-4 too large."""

    def vjp(arrays, dy):
        dx = dy * silu_slope(arrays[0])
        dx.reshape(-1)[17:18] += 1e-4 * dy.reshape(-1)[17:18]
        return dx

    return lambda x: x * sigmoid(x), vjp


@wrong(Array((5, 7), low=-80, high=80), size="relative 3e-8")
def exp_by_float32():
    """The gradient is computed in float32."""
    return unary(np.exp, lambda x: np.exp(x.astype("f4")).astype(x.dtype))


@wrong(X, region="|x| > 7.6", size="absolute 1e-6", witness=[10.0])
def tanh_floored():
    """The slope is never below 1e-6."""
    return unary(np.tanh, lambda x: np.maximum(1 - np.tanh(x) ** 2, 1e-6))


@wrong(X, region="x > 4", size="relative 2e-2")
def softplus_linear():
    """The slope is 1 for x > 4, as if softplus were linear there."""
    return unary(lambda x: np.logaddexp(0, x), lambda x: np.where(x > 4, 1, sigmoid(x)))


@wrong(Array((5, 7), low=0), region="x > 50", size="relative 2e-2", witness=[60.0])
def log1p_far():
    """The slope is 1/x instead of 1/(1 + x) for x > 50."""
    return unary(np.log1p, lambda x: 1 / np.where(x > 50, x, 1 + x))


@wrong(X, region="x < −3", size="absolute 5e-2")
def elu_dead():
    """The slope is 0 for x < −3."""
    return unary(
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1, np.where(x < -3, 0, np.exp(np.minimum(x, 0)))),
    )


@wrong(X, size="relative 1, absolute 1e-6")
def tiny_sine():
    """The function is tiny, and its gradient is all zero."""
    return unary(lambda x: 1e-6 * np.sin(x), np.zeros_like)


@wrong(X, region="x < 0", size="relative 1", source="mlpack/mlpack#1540")
def elu_input_for_output():
    """The slope for x < 0 is x + α, where it should be f(x) + α."""
    return unary(
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1, x + 1),
    )


@wrong(X, size="relative 1", source="jeffheaton/encog-dotnet-core#124")
def relu_with_slope_of_sigmoid():
    """The slope is the sigmoid's."""
    return unary(lambda x: np.maximum(x, 0), lambda x: sigmoid(x) * (1 - sigmoid(x)))


@wrong(X, size="relative 1", source="karpathy/nn-zero-to-hero#52")
def exp_input_for_output():
    """The gradient is x dy, where it should be exp(x) dy."""
    return unary(np.exp, lambda x: x)


@wrong(X, region="x = 0", size="nan", source="pytorch/pytorch#44444")
def abs_by_division():
    """The slope is x/|x|, which is nan at 0."""
    return unary(np.abs, lambda x: x / np.abs(x))


@wrong(X, region="x = 0", size="absolute 1")
def relu_counted_twice():
    """At 0 both branches give their slope and one more: the slope is 2 there."""
    return unary(lambda x: np.maximum(x, 0), lambda x: (x >= 0) * 1.0 + (x == 0))


@wrong(X, region="x = 0", size="nan", source="jax-ml/jax#1722")
def sinc_at_zero():
    """The quotient rule gives nan at 0, where the slope is 0."""
    return unary(np.sinc, lambda x: (np.cos(np.pi * x) - np.sinc(x)) / x)


@wrong(
    X, region="|x| < 1e-3", size="relative 1e-4 at 1e-6", source="rsokl/MyGrad#426", witness=[3e-8]
)
def sinc_cancels():
    """The quotient rule cancels all digits near 0."""

    def slope(x):
        safe = np.where(x == 0, 1, x)
        return np.where(x == 0, 0, (np.cos(np.pi * safe) - np.sinc(safe)) / safe)

    return unary(np.sinc, slope)


@wrong(Array((5, 7), low=0.01), size="relative 2e-6 … 2e-5")
def sqrt_with_eps():
    """An ε stands in the denominator of the gradient alone."""
    return unary(np.sqrt, lambda x: 1 / (2 * np.sqrt(x) + 1e-6))


@wrong(Array((5, 7), low=1e-3), size="relative 1.5e-5/x")
def rsqrt_without_eps():
    """The function adds ε = 1e-5 to x, its gradient does not."""
    return unary(lambda x: 1 / np.sqrt(x + 1e-5), lambda x: -0.5 * x**-1.5)


@wrong(X, size="relative 0.5")
def square_with_sign():
    """The factor 2 of the derivative of x|x| is missing."""
    return unary(lambda x: x * np.abs(x), np.abs)


@wrong(X, region="|x| > 1", size="absolute 1")
def clip_passes():
    """The gradient passes where the value is clipped."""
    return unary(lambda x: np.clip(x, -1, 1), np.ones_like)


@wrong(X, region="|x| > 1.5", size="relative 1/3")
def huber_without_delta():
    """The factor δ = 1.5 of the linear branch is missing."""

    def huber(x):
        return np.where(np.abs(x) <= 1.5, x * x / 2, 1.5 * (np.abs(x) - 0.75))

    return unary(huber, lambda x: np.where(np.abs(x) <= 1.5, x, np.sign(x)))


@wrong(X, size="the cotangent is ignored", source="chainer/chainer#1175")
def huber_without_cotangent():
    """The gradient does not depend on the cotangent."""

    def huber(x):
        return np.where(np.abs(x) <= 1, x * x / 2, np.abs(x) - 0.5)

    return huber, lambda arrays, dy: np.clip(arrays[0], -1, 1) + 0 * dy


@wrong(X, X, size="the cotangent is ignored", source="SciSharp/TensorFlow.NET#787")
def squared_difference_inputs():
    """The inputs themselves are returned as gradients."""
    return lambda x, y: (x - y) ** 2, lambda arrays, _: (arrays[0].copy(), arrays[1].copy())


@wrong(X, size="the cotangent is squared")
def sine_squared_cotangent():
    """The cotangent is multiplied in twice."""
    return np.sin, lambda arrays, dy: np.cos(arrays[0]) * dy * dy


@wrong(X, region="|dy| > 1", size="the cotangent is clipped")
def sine_clipped_cotangent():
    """The gradient clips the cotangent to [−1, 1]."""
    return np.sin, lambda arrays, dy: np.cos(arrays[0]) * np.clip(dy, -1, 1)


@wrong(X, size="relative |x|")
def softsign_unsquared():
    """The slope is 1/(1 + |x|); the square is missing."""
    return unary(lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)))


@wrong(X, size="relative 9.4e-7")
def selu_rounded():
    """The gradient has other digits of the constant: 1.0507 for 1.0507009873554805."""
    alpha = 1.6732632423543772
    return unary(
        lambda x: 1.0507009873554805 * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x: 1.0507 * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    )


@wrong(X, size="relative 1")
def mish_one_term():
    """The product rule's second term is missing."""
    return unary(lambda x: x * np.tanh(np.logaddexp(0, x)), lambda x: np.tanh(np.logaddexp(0, x)))


@wrong(X, size="relative 0.4 of one term")
def quick_gelu_inner():
    """The inner derivative 1.702 is missing."""

    def slope(x):
        s = sigmoid(1.702 * x)
        return s + x * s * (1 - s)

    return unary(lambda x: x * sigmoid(1.702 * x), slope)


@wrong(X, region="|x| < 1e-3", size="relative 3e-7", witness=[9e-4])
def log_cosh_linear():
    """The slope is x near 0, where it should be tanh(x)."""
    return unary(
        lambda x: np.logaddexp(x, -x) - np.log(2.0),
        lambda x: np.where(abs(x) < 1e-3, x, np.tanh(x)),
    )


@wrong(Array((5, 7), high=30), region="x > 9.2", size="relative 1", witness=[12.0])
def exp_clipped():
    """The slope is never above 10⁴."""
    return unary(np.exp, lambda x: np.minimum(np.exp(x), 1e4))


@wrong(Array((5, 7), low=0.01), region="x < 0.1", size="relative 1e-6", witness=[0.05])
def log_shifted_near_zero():
    """Below 0.1 the slope is 1/(x + 1e-7)."""
    return unary(np.log, lambda x: 1 / np.where(x < 0.1, x + 1e-7, x))


@wrong(X, X, region="x = y", size="absolute 0.5", source="jax-ml/jax#2107")
def logaddexp_at_ties():
    """Where x = y, the first input gets all of the gradient."""

    def vjp(arrays, dy):
        x, y = arrays
        s = np.where(x == y, 1, sigmoid(x - y))
        return dy * s, dy * (1 - s)

    return np.logaddexp, vjp


@wrong(Array((5, 7), low=0), Array((5, 7), low=0.1), region="x = 0", size="relative 1")
def xlogy_at_zero():
    """Where x = 0, the gradient of x is 0; it is log(y)."""

    def vjp(arrays, dy):
        x, y = arrays
        return dy * np.where(x == 0, 0, np.log(y)), dy * x / y

    return lambda x, y: x * np.log(y), vjp


@wrong(
    Array((5, 7), low=0),
    Array((5, 7), low=1, high=3),
    region="x = 0",
    size="nan",
    source="tinygrad/tinygrad#155",
)
def pow_at_zero():
    """The exponent's gradient is 0·log(0) = nan where the base is 0."""

    def vjp(arrays, dy):
        x, p = arrays
        return dy * p * x ** (p - 1), dy * x**p * np.log(x)

    return lambda x, p: x**p, vjp


@wrong(X, Array((5, 7), low=0.5), size="sign")
def arctan2_sign():
    """The gradient of the second input has the sign of the first's."""

    def vjp(arrays, dy):
        y, x = arrays
        r = x * x + y * y
        return dy * x / r, dy * y / r

    return np.arctan2, vjp
