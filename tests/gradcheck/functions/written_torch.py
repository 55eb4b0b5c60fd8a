"""Right torch.autograd.Functions and modules, as people write them. Imports torch."""

import math

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint


def module(name, *arguments, train=False, **options):
    """Return a module of torch.nn in float64, with the same parameters each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = getattr(torch.nn, name)(*arguments, **options)
    return made.double().train(train)


def seeded(f, *arguments, **options):
    """Return f of the arguments, with the same random numbers each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return f(*arguments, **options)


def checkpointed(x, y):
    return checkpoint(lambda a, b: torch.tanh(a @ b) @ b.T, x, y, use_reentrant=False)


def safe_entropy(x):
    """Return −x log x and 0 at 0, with the twofold `where` that keeps NaN out of the gradient."""
    inside = torch.where(x > 0, x, 1)
    return torch.where(x > 0, -x * inside.log(), 0 * x)


class Gelu(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.erfc(-x / math.sqrt(2)) / 2

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return dy * (torch.erfc(-x / math.sqrt(2)) / 2 + x * density)


class SoftplusWithThreshold(Function):
    @staticmethod
    def forward(ctx, x, threshold=20.0):
        ctx.save_for_backward(x)
        ctx.threshold = threshold
        return torch.where(x > threshold, x, torch.log1p(torch.exp(x.clamp(max=threshold))))

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return torch.where(x > ctx.threshold, dy, dy * torch.sigmoid(x)), None


class SqrtWithEps(Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.sqrt(x + 1e-6)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy / (2 * y)


class TanhByItsOutput(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx, _, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (1 - y * y)


class ReluInPlace(Function):
    @staticmethod
    def forward(ctx, x):
        x.clamp_(min=0)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (y > 0)


class SiluOnce(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return dy.mul(s * (1 + x * torch.sigmoid(-x)))


class Identity(Function):
    @staticmethod
    def forward(_, x):
        return x.view_as(x)

    @staticmethod
    def backward(_, dy):
        return dy


class LinearWithSum(Function):
    @staticmethod
    def forward(ctx, x, W, b=None):
        ctx.save_for_backward(x, W)
        y = x @ W.T
        return (y if b is None else y + b), x.sum()

    @staticmethod
    def backward(ctx, dy, ds):
        x, W = ctx.saved_tensors
        need_x, need_W, need_b = ctx.needs_input_grad
        return (
            dy @ W + ds if need_x else None,
            dy.T @ x if need_W else None,
            dy.sum(0) if need_b else None,
        )


class OneOfTwo(Function):
    """Two outputs, one of which may have no cotangent."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(value=False)
        ctx.save_for_backward(x)
        return x.exp(), x * x

    @staticmethod
    def backward(ctx, da, db):
        (x,) = ctx.saved_tensors
        parts = [g * s for g, s in ((da, x.exp()), (db, 2 * x)) if g is not None]
        return sum(parts) if parts else None


class SinCos(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin(), x.cos()

    @staticmethod
    def backward(ctx, ds, dc):
        (x,) = ctx.saved_tensors
        return ds * x.cos() - dc * x.sin()

    @staticmethod
    def jvp(ctx, v):
        (x,) = ctx.saved_tensors
        return v * x.cos(), -v * x.sin()


class Power(Function):
    @staticmethod
    def forward(ctx, x, n):
        ctx.save_for_backward(x)
        ctx.n = n
        return x**n

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * ctx.n * x ** (ctx.n - 1), None


def total(g, shape):
    """Return g summed over the axes along which an input of this shape was broadcast."""
    lead = g.ndim - len(shape)
    g = g.sum(tuple(range(lead))) if lead else g
    ones = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(ones, keepdim=True) if ones else g


class BroadcastProduct(Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, dy):
        x, y = ctx.saved_tensors
        return total(dy * y, x.shape), total(dy * x, y.shape)


class LookUp(Function):
    @staticmethod
    def forward(ctx, table, rows):
        ctx.save_for_backward(rows)
        ctx.shape = table.shape
        return table[rows]

    @staticmethod
    def backward(ctx, dy):
        (rows,) = ctx.saved_tensors
        zeros = dy.new_zeros(ctx.shape)
        return zeros.index_add(0, rows.reshape(-1), dy.reshape(-1, ctx.shape[-1])), None


class MaxPoolToTheFirst(Function):
    @staticmethod
    def forward(ctx, x):
        pairs = x.unfold(-1, 2, 2)
        y, which = pairs[..., 0].clone(), pairs[..., 1] > pairs[..., 0]
        ctx.save_for_backward(which)
        ctx.size = x.shape[-1]
        return torch.where(which, pairs[..., 1], y)

    @staticmethod
    def backward(ctx, dy):
        (which,) = ctx.saved_tensors
        pairs = torch.stack((torch.where(which, 0, dy), torch.where(which, dy, 0)), -1)
        return torch.nn.functional.pad(pairs.flatten(-2), (0, ctx.size % 2))


class Sort(Function):
    @staticmethod
    def forward(ctx, x):
        y, order = x.sort(dim=-1, stable=True)
        ctx.mark_non_differentiable(order)
        ctx.save_for_backward(order)
        return y, order

    @staticmethod
    def backward(ctx, dy, _):
        (order,) = ctx.saved_tensors
        return torch.zeros_like(dy).scatter(-1, order, dy)


class TopK(Function):
    @staticmethod
    def forward(ctx, x, k):
        y, order = x.topk(k)
        ctx.save_for_backward(order)
        ctx.shape = x.shape
        return y

    @staticmethod
    def backward(ctx, dy):
        (order,) = ctx.saved_tensors
        return dy.new_zeros(ctx.shape).scatter_add(-1, order, dy), None


class CumulativeMax(Function):
    @staticmethod
    def forward(ctx, x):
        y, where = x.cummax(-1)
        ctx.save_for_backward(where)
        return y

    @staticmethod
    def backward(ctx, dy):
        (where,) = ctx.saved_tensors
        return torch.zeros_like(dy).scatter_add(-1, where, dy)


class ClampOfTheEnds(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(-1, 2)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * ((x > -1) & (x < 2))
