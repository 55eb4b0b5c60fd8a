"""Functions of tensors that are wrong about memory, state, layouts, or what is needed."""

from gradcheck.functions.entry import Function
from gradcheck.functions.writing import torch_function, wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "torch")
X = Array((5, 7))


@wrong(X, size="doubled cotangents", source="pytorch/pytorch#30454", fails="memory")
def double_in_place():
    """The backward doubles the cotangent in its own memory."""
    return torch_function(lambda x: 2 * x, lambda dy, _: dy.mul_(2))


@wrong(X, X, size="the gradient in the input", source="linkedin/Liger-Kernel#254", fails="memory")
def mul_into_inputs():
    """The gradients are written over the inputs to save memory."""

    def backward(dy, x, y):
        dx, dy = (dy * y).detach(), (dy * x).detach()
        return x.data.copy_(dx), y.data.copy_(dy)

    return torch_function(lambda x, y: x * y, backward)


@wrong(X, size="the input is squared", source="pytorch/pytorch#5871", fails="memory")
def square_in_place():
    """The forward overwrites its input without telling autograd."""
    import torch

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x.clone())
            return x.data.mul_(x.data).clone()

        @staticmethod
        def backward(ctx, dy):
            return 2 * dy * ctx.saved_tensors[0]

    return Square.apply


@wrong(X, size="another input's gradient", fails="again")
def sine_class_attribute():
    """The input is kept on the class: of two graphs alive, both use the later input."""
    import torch

    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            Sine.x = x.detach().clone()
            return x.sin()

        @staticmethod
        def backward(_, dy):
            return dy * Sine.x.cos()

    return Sine.apply


@wrong(X, region="from the second call on", size="another mask", fails="again")
def relu_cached_mask():
    """The mask of the first call is kept and used for all later ones of that shape."""
    masks = {}

    def backward(dy, x):
        return dy * masks.setdefault(x.shape, x > 0)

    return torch_function(lambda x: x.clamp(min=0), backward)


@wrong(
    X,
    region="from the second call on",
    size="summed gradients",
    source="karpathy/micrograd#102",
    fails="again",
)
def sine_accumulates():
    """The gradients of all calls are summed in a buffer that is never cleared."""
    buffers = {}

    def backward(dy, x):
        buffers[x.shape] = buffers.get(x.shape, 0) + dy * x.cos()
        return buffers[x.shape].clone()

    return torch_function(lambda x: x.sin(), backward)


def in_memory_order(t):
    """Return the numbers in memory, in the shape of t: what a kernel reads that ignores strides."""
    import torch

    memory = t.new_empty(0).set_(t.untyped_storage())
    at = (t.storage_offset() + torch.arange(t.numel())) % max(len(memory), 1)
    return memory[at].reshape(t.shape)


@wrong(
    Array((4, 5)),
    region="strided cotangents",
    size="permuted",
    source="Dao-AILab/flash-attention#355",
    fails="layout",
)
def cube_contiguous_cotangent():
    """The cotangent is read in the order of its memory, whatever its strides."""
    return torch_function(lambda x: x**3, lambda dy, x: in_memory_order(dy.detach()) * 3 * x * x)


@wrong(
    Array((4, 5)),
    region="strided inputs",
    size="permuted",
    source="MrNeRF/optimized-fused-ssim#1",
    fails="layout",
)
def square_contiguous_input():
    """The backward reads the input in the order of its memory, whatever its strides."""
    return torch_function(lambda x: x**2, lambda dy, x: 2 * dy * in_memory_order(x.detach()))


@wrong(
    Array((4, 3)),
    Array((3,)),
    region="the second alone needs a gradient",
    size="relative 1",
    source="fbcotter/pytorch_wavelets#65",
    fails="pattern",
)
def scale_first_needed():
    """Both gradients are computed only where the first input needs one."""
    import torch

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x * w

        @staticmethod
        def backward(ctx, dy):
            x, w = ctx.saved_tensors
            return (dy * w, (dy * x).sum(0)) if ctx.needs_input_grad[0] else (None, None)

    return Scale.apply


@wrong(X, X, region="one input alone needs a gradient", size="relative 1", fails="pattern")
def mul_pattern_swapped():
    """needs_input_grad is read in the reverse order."""
    import torch

    class Mul(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, dy):
            x, y = ctx.saved_tensors
            first, second = ctx.needs_input_grad
            return dy * y if second else None, dy * x if first else None

    return Mul.apply
