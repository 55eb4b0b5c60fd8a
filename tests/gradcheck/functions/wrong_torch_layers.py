"""Normalizations, dropout and modules of tensors with a wrong backward."""

from gradcheck.functions.entry import Function
from gradcheck.functions.writing import torch_function, wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "torch")
X = Array((5, 7))


def standardized(x, axes=(-1,), eps=1e-5):
    """Return (x − mean)/s and s over some axes."""
    d = x - x.mean(axes, keepdim=True)
    s = (d.square().mean(axes, keepdim=True) + eps).sqrt()
    return d / s, s


def standardized_gradient(dy, x, axes=(-1,), eps=1e-5):
    y, s = standardized(x, axes, eps)
    return (dy - dy.mean(axes, keepdim=True) - y * (dy * y).mean(axes, keepdim=True)) / s


@wrong(X, size="relative 1e-3/variance")
def layer_norm_eps():
    """The gradient does not use ε = 1e-3."""
    return torch_function(
        lambda x: standardized(x, eps=1e-3)[0],
        lambda dy, x: standardized_gradient(dy, x, eps=1e-12),
    )


@wrong(Array((2, 4, 3)), size="other axes", region="two groups")
def group_norm_one_group():
    """The gradient takes all channels for one group; there are two."""

    def forward(x):
        return standardized(x.reshape(len(x), 2, -1))[0].reshape(x.shape)

    return torch_function(forward, lambda dy, x: standardized_gradient(dy, x, (1, 2)))


@wrong(
    Array((4, 3)),
    Array((3,)),
    Array((3,), low=0.5, high=2),
    size="two terms too many",
    source="vlfeat/matconvnet#1174",
)
def batch_norm_fixed_moments():
    """The moments are given, but the gradient of x takes them for functions of x."""

    def backward(dy, x, mean, variance):
        d = x - mean
        return (
            standardized_gradient(dy, x, (0,)),
            -(dy / variance.sqrt()).sum(0),
            -(dy * d).sum(0) / (2 * variance**1.5),
        )

    return torch_function(lambda x, mean, variance: (x - mean) / variance.sqrt(), backward)


@wrong(Array((3, 4)), Array((4,)), size="no gradient", source="unslothai/unsloth#4533")
def rms_norm_no_weight():
    """The backward returns None for the weight."""

    def rms(x):
        return (x.square().mean(1, keepdim=True) + 1e-5).sqrt()

    def backward(dy, x, w):
        y, inner = x / rms(x), dy * w
        return (inner - y * (inner * y).mean(1, keepdim=True)) / rms(x), None

    return torch_function(lambda x, w: x / rms(x) * w, backward)


@wrong(Array((16, 4)), Array((4,)), size="relative 1e-2", source="linkedin/Liger-Kernel#950")
def scale_sum_by_bfloat16():
    """The weight's gradient is summed in bfloat16."""

    def backward(dy, x, w):
        return dy * w, (dy * x).bfloat16().sum(0).to(w.dtype)

    return torch_function(lambda x, w: x * w, backward)


@wrong(X, size="another mask", source="state-spaces/mamba#1023")
def dropout_other_mask():
    """The backward draws a new mask."""

    def mask(x):
        import torch

        return (torch.rand(x.shape) > 0.5).to(x.dtype) * 2

    return torch_function(lambda x: x * mask(x), lambda dy, x: dy * mask(x))


@wrong(X, Array((5,)), size="factor", source="state-spaces/mamba#1023")
def row_scale_second_output():
    """Of two outputs, the second's cotangent is not multiplied by the row's scale."""

    def backward(du, dv, x, r):
        scale = r[:, None]
        return du * scale + 2 * dv, (du * x).sum(1) + (2 * dv * x).sum(1)

    return torch_function(lambda x, r: (x * r[:, None], 2 * x * r[:, None]), backward)


@wrong(X, size="the second's cotangent")
def two_outputs_first_only():
    """The second output's cotangent is ignored."""
    return torch_function(lambda x: (x.sin(), x.cos()), lambda du, _, x: du * x.cos())


@wrong(Array((4, 3)), size="the weight's gradient is halved")
def module_with_hook():
    """A module whose weight has a hook that halves its gradient."""
    import torch

    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2).double()
    module.weight.register_hook(lambda gradient: gradient / 2)
    return module


@wrong(Array((5, 2)), size="the paths through earlier states")
def recurrence_truncated():
    """The state is detached in every step; the value is that of the whole recursion."""
    import torch

    class Recurrence(torch.nn.Module):
        def forward(self, x):
            h = torch.zeros_like(x[0])
            outputs = []
            for row in x:
                h = (row + 0.5 * h.detach()).tanh()
                outputs.append(h)
            return torch.stack(outputs)

    return Recurrence()


@wrong(
    Array((4, 3)),
    Array((4, 3)),
    region="norms below 0.5",
    size="the projection",
    source="pytorch/pytorch#31378",
    witness=[[[0.1, 0.2, 0.0]], [[1.0, 2.0, -1.0]]],
)
def cosine_clamped_silently():
    """Norms are clamped without a gradient, but the gradient goes on through them."""

    def norm(x):
        import torch

        squared = x.square().sum(1)
        with torch.no_grad():
            squared.clamp_(min=0.25)
        return squared.sqrt()

    return lambda x, y: (x * y).sum(1) / (norm(x) * norm(y))


@wrong(Array((4, 3)), size="the projection")
def weight_norm_detached():
    """The norm is computed under no_grad: it counts as a constant."""

    def f(x):
        import torch

        with torch.no_grad():
            norm = (x.square().sum(1, keepdim=True) + 1e-3).sqrt()
        return x / norm

    return f


@wrong(Array((3, 4)), size="the identity's gradient")
def residual_branch_only():
    """The gradient of x + tanh(x) is that of the branch alone."""
    return torch_function(lambda x: x + x.tanh(), lambda dy, x: dy * (1 - x.tanh() ** 2))


@wrong(Array((4, 6)), Array((3,)), size="no gradient", source="huggingface/candle#3568")
def rotary_severed():
    """The rotated input is detached; the angles have a gradient."""

    def f(x, angle):
        import torch

        a, b = x.detach().chunk(2, 1)
        c, s = angle.cos(), angle.sin()
        return torch.cat([a * c - b * s, a * s + b * c], 1)

    return f


@wrong(X, region="zeros", size="nan", source="tracel-ai/burn#5141", witness=[[1.0, 0.0, 3.0]])
def cumprod_divided():
    """The gradient divides by the entry: nan at 0."""

    def backward(dy, x):
        return (dy * x.cumprod(1)).flip(1).cumsum(1).flip(1) / x

    return torch_function(lambda x: x.cumprod(1), backward)
