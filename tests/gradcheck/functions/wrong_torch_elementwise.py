"""Elementwise functions of tensors with a wrong backward."""

from gradcheck.functions.entry import Function
from gradcheck.functions.writing import torch_function, wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "torch")
X = Array((5, 7))


def gelu(x):
    import torch

    return x * (1 + torch.erf(x / 2**0.5)) / 2


def gelu_tanh_slope(x, factor=0.044715):
    import torch

    c = (2 / torch.pi) ** 0.5
    t = torch.tanh(c * (x + factor * x**3))
    return (1 + t) / 2 + x * (1 - t * t) * c * (1 + 3 * factor * x * x) / 2


@wrong(X, size="absolute 1e-3")
def gelu_tanh_backward():
    """The value is the exact GELU, the gradient that of the approximation by tanh."""
    return torch_function(gelu, lambda dy, x: dy * gelu_tanh_slope(x))


@wrong(X, size="absolute 3e-3")
def gelu_tanh_rounded():
    """The gradient has 0.044 for the constant 0.044715."""

    def forward(x):
        import torch

        return x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2

    return torch_function(forward, lambda dy, x: dy * gelu_tanh_slope(x, 0.044))


@wrong(X, size="factor 3", source="zergtant/pytorch-handbook#69")
def scaled_without_factor():
    """The value is multiplied by 3, the gradient is not."""
    return torch_function(lambda x: 3 * x, lambda dy, _: dy.clone())


@wrong(X, X, size="the cotangent is ignored", source="pytorch/tutorials#216")
def add_fills_ones():
    """The gradients are filled with ones."""

    def backward(dy, x, y):
        import torch

        return torch.ones_like(x) + 0 * dy, torch.ones_like(y)

    return torch_function(lambda x, y: x + y, backward)


@wrong(X, size="factor β = 2")
def softplus_beta():
    """The slope of log(1 + exp(βx))/β is multiplied by β once too often."""

    def forward(x):
        import torch

        return torch.nn.functional.softplus(x, beta=2, threshold=1000)

    return torch_function(forward, lambda dy, x: 2 * dy * (2 * x).sigmoid())


@wrong(X, region="x > 6", size="absolute 1", witness=[7.0])
def relu6_open():
    """The slope above 6 is 1, where the value is constant."""
    return torch_function(lambda x: x.clamp(0, 6), lambda dy, x: dy * (x > 0))


@wrong(X, region="0 < x < 3", size="relative 0.5")
def hardswish_half():
    """Between 0 and 3 the slope is x/3; the summand 1/2 is missing."""

    def backward(dy, x):
        slope = (2 * x + 3) / 6 * (x.abs() < 3) + (x >= 3)
        return dy * (slope - ((x > 0) & (x < 3)) / 2)

    return torch_function(lambda x: x * (x + 3).clamp(0, 6) / 6, backward)


@wrong(Array((5, 7), low=-8, high=8), size="relative 4e-4")
def exp_by_float16():
    """The gradient is computed in float16."""
    return torch_function(lambda x: x.exp(), lambda dy, x: dy * x.half().exp().to(x.dtype))


@wrong(X, size="relative 6e-8")
def sine_by_float32():
    """The gradient is computed in float32."""
    return torch_function(lambda x: x.sin(), lambda dy, x: dy * x.float().cos().to(x.dtype))


@wrong(Array((5, 7), dtype="float32"), size="relative 1e-3")
def float32_sigmoid():
    """A float32 function with a gradient that is 1.001 times too large."""

    def backward(dy, x):
        y = x.sigmoid()
        return 1.001 * dy * y * (1 - y)

    return torch_function(lambda x: x.sigmoid(), backward)


@wrong(Array((5, 7), dtype="float32"), size="relative 4e-3")
def float32_square_by_bfloat16():
    """A float32 function whose gradient is rounded to bfloat16."""

    def backward(dy, x):
        return (2 * dy * x).bfloat16().float()

    return torch_function(lambda x: x * x, backward)


@wrong(X, region="x ≤ 0", size="nan", source="jax-ml/jax#15588", witness=[-1.0])
def where_of_sqrt():
    """The branch that is not taken makes the gradient nan."""

    def f(x):
        import torch

        return torch.where(x > 0, x.sqrt() ** 3, 0 * x)

    return f


@wrong(X, size="one of two terms")
def silu_detached():
    """The second factor is detached: its term is missing."""
    return lambda x: x * x.detach().sigmoid()


@wrong(X, size="one of two terms")
def square_through_data():
    """One factor is taken as x.data, which has no gradient."""
    return lambda x: (x * x.data).sin()


@wrong(X, size="factor 3/4")
def fourth_power():
    """The slope of x⁴ is 3x³."""
    return torch_function(lambda x: x**4, lambda dy, x: 3 * dy * x**3)


@wrong(Array((5, 7), low=0.5, high=20), size="absolute 1/(12 x²)")
def lgamma_asymptotic():
    """The slope is the first two terms of digamma's asymptotic series."""

    def forward(x):
        import torch

        return torch.lgamma(x)

    return torch_function(forward, lambda dy, x: dy * (x.log() - 1 / (2 * x)))


@wrong(X, region="x < 0", size="factor α = 2")
def celu_inner():
    """The inner derivative 1/α is missing."""

    def forward(x):
        import torch

        return torch.nn.functional.celu(x, 2.0)

    def backward(dy, x):
        return dy * ((x > 0) + (x <= 0) * 2 * (x.clamp(max=0) / 2).exp())

    return torch_function(forward, backward)


@wrong(X, region="x < 0", size="the whole slope")
def leaky_relu_by_output():
    """The slope −0.5 for x < 0 makes outputs positive; the gradient looks at their sign."""

    def backward(dy, x):
        y = x.clamp(min=0) - 0.5 * x.clamp(max=0)
        return dy * ((y > 0) * 1.0 - 0.5 * (y <= 0))

    return torch_function(lambda x: x.clamp(min=0) - 0.5 * x.clamp(max=0), backward)


@wrong(X, X, X, region="where a bound is the value", size="relative 1")
def clamp_bounds_swapped():
    """The gradients of the lower and of the upper bound are swapped."""

    def forward(x, low, high):
        import torch

        return torch.minimum(torch.maximum(x, low), low + high.abs())

    def backward(dy, x, low, high):
        at_top = (x > low + high.abs()) * dy
        at_low = (x < low) * dy
        inside = dy - at_top - at_low
        return inside, at_top, at_low + at_top * high.sign()

    return torch_function(forward, backward)


@wrong(X, size="factor log 10")
def log10_natural():
    """The factor 1/log(10) is missing."""
    return torch_function(lambda x: (x * x + 1).log10(), lambda dy, x: dy * 2 * x / (x * x + 1))


@wrong(
    Array((5, 7), low=-0.99, high=0.99), region="|x| > 0.9", size="relative 5e-3", witness=[0.95]
)
def atanh_ends():
    """The slope's denominator is never below 0.1."""
    return torch_function(lambda x: x.atanh(), lambda dy, x: dy / (1 - x * x).clamp(min=0.1))


@wrong(X, X, size="the second's gradient", source="jax-ml/jax#13048")
def sine_times_negated():
    """The gradient of the second factor has the wrong sign."""
    return torch_function(
        lambda x, y: x.sin() * y, lambda dy, x, y: (dy * x.cos() * y, -dy * x.sin())
    )
