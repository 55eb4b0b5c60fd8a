"""Functions of tensors that have wrong second derivatives, jvps, or rules for vmap."""

from gradcheck.functions.entry import Function
from gradcheck.functions.writing import torch_function, wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "torch")
X = Array((5, 7))


@wrong(
    X,
    size="the second derivative is 0",
    source="pytorch/pytorch#76185",
    fails="second",
    options={"second": True},
)
def cube_saved_on_ctx():
    """x² is computed in forward and kept on ctx; the second derivative takes it for constant."""
    import torch

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.square = x * x
            return ctx.square * x

        @staticmethod
        def backward(ctx, dy):
            return 3 * dy * ctx.square

    return Cube.apply


@wrong(
    X,
    size="a term of the second derivative",
    source="pytorch/pytorch#76185",
    fails="second",
    options={"second": True},
)
def silu_saved_sigmoid():
    """The sigmoid is kept from forward; the second derivative takes it for constant."""
    import torch

    class SiLU(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            s = x.sigmoid()
            ctx.save_for_backward(x, s)
            return x * s

        @staticmethod
        def backward(ctx, dy):
            x, s = ctx.saved_tensors
            return dy * s * (1 + x * (1 - s))

    return SiLU.apply


@wrong(X, size="the second derivative is 0", fails="second", options={"second": True})
def sine_detached_slope():
    """The slope is detached in the backward."""
    return torch_function(lambda x: x.sin(), lambda dy, x: dy * x.detach().cos())


@wrong(
    X,
    size="no second derivative by the cotangent",
    source="pytorch/pytorch#1712",
    fails="second",
    options={"second": True},
)
def select_into_buffer():
    """The backward copies the cotangent without a graph: no derivative goes through it."""

    def backward(dy, x):
        import torch

        dx = torch.zeros_like(x)
        dx[::2] = dy.detach()
        return dx

    return torch_function(lambda x: x[::2].clone(), backward)


@wrong(
    Array((4,)),
    region="two zeros",
    size="relative 1",
    source="pytorch/pytorch#106789",
    fails="second",
    options={"second": True},
    witness=[2.0, 3.0, 0.0, 0.0],
)
def prod_of_two_zeros():
    """Where two entries are 0, the gradient is a constant 0, without second derivatives."""

    def backward(dy, x):
        import torch

        if (x == 0).sum() > 1:
            return torch.zeros_like(x)
        others = x.expand(len(x), len(x)).clone()
        others = others * (1 - torch.eye(len(x))) + torch.eye(len(x))
        return dy * others.prod(1)

    return torch_function(lambda x: x.prod(), backward)


@wrong(
    X,
    region="x = 0",
    size="nan",
    source="pytorch/pytorch#196703",
    fails="second",
    witness=[0.0, 0.5],
)
def sinc_second_at_zero():
    """The second derivative is nan at 0, by the branch that is not taken."""

    def backward(dy, x):
        import torch

        slope = ((torch.pi * x).cos() - torch.sinc(x)) / x
        return dy * torch.where(x == 0, 0.0, slope)

    def forward(x):
        import torch

        return torch.sinc(x)

    return torch_function(forward, backward)


@wrong(X, size="factor 2 of the second derivative", fails="second")
def tanh_double_backward():
    """The hand-written double backward has −y for the slope −2y of 1 − y²."""
    slope = torch_function(
        lambda y, dy: dy * (1 - y * y), lambda v, y, dy: (-v * dy * y, v * (1 - y * y))
    )
    import torch

    class Tanh(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.tanh()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, dy):
            return slope(*ctx.saved_tensors, dy)

    return Tanh.apply


@wrong(X, X, size="a term of the tangent", source="pytorch/pytorch#196694", fails="jvp")
def sine_times_jvp():
    """The jvp lacks the second input's tangent; the backward is right."""
    import torch

    class SineTimes(torch.autograd.Function):
        @staticmethod
        def forward(x, y):
            return x.sin() * y

        @staticmethod
        def setup_context(ctx, inputs, _):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, dy):
            x, y = ctx.saved_tensors
            return dy * x.cos() * y, dy * x.sin()

        @staticmethod
        def jvp(ctx, tx, _):
            x, y = ctx.saved_tensors
            return tx * x.cos() * y

    return SineTimes.apply


@wrong(Array((6,)), size="another entry's weight", fails="vmap")
def weighted_vmap():
    """The rule for vmap moves no axis: it weights the batch, not the entries."""
    import torch

    def weights(x):
        return torch.arange(1.0, 1.0 + x.shape[0], dtype=x.dtype)

    class Weighted(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return (x.mT * weights(x)).mT if x.ndim > 1 else x * weights(x)

        @staticmethod
        def setup_context(ctx, inputs, _):
            pass

        @staticmethod
        def backward(_, dy):
            return Weighted.apply(dy)

        @staticmethod
        def vmap(_, in_dims, x):
            return Weighted.apply(x.movedim(in_dims[0], 0)), 0

    return Weighted.apply
