"""Right torch.autograd.Functions of layers and matrices, as people write them. Imports torch."""

import math

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class XLogY(Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return torch.where(x == 0, 0, x * y.log())

    @staticmethod
    def backward(ctx, dy):
        x, y = ctx.saved_tensors
        return dy * y.log(), dy * x / y


class Sinc(Function):
    """sin x / x, by its Taylor polynomial where |x| < 1/4."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.sinc(x / math.pi)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        far = torch.where(x.abs() < 0.25, 1, x)
        slope = (far * far.cos() - far.sin()) / far**2
        terms = [(-1) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(1, 9)]
        near = sum(c * x ** (2 * k + 1) for k, c in enumerate(terms))
        return dy * torch.where(x.abs() < 0.25, near, slope)


class ProductWithZeros(Function):
    """The product of each row; the gradient by products of what is left and right."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.prod(-1)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        one = torch.ones_like(x[..., :1])
        left = torch.cat((one, x[..., :-1]), -1).cumprod(-1)
        right = torch.cat((one, x.flip(-1)[..., :-1]), -1).cumprod(-1).flip(-1)
        return dy.unsqueeze(-1) * left * right


class NormWithSlopeZero(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.linalg.vector_norm(x, dim=-1)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        y = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return dy.unsqueeze(-1) * torch.where(y == 0, 0, x / torch.where(y == 0, 1, y))


class LogSumExp(Function):
    @staticmethod
    def forward(ctx, x):
        largest = x.amax(-1, keepdim=True)
        y = (largest + (x - largest).exp().sum(-1, keepdim=True).log()).squeeze(-1)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, y = ctx.saved_tensors
        return dy.unsqueeze(-1) * (x - y.unsqueeze(-1)).exp()


class Softmax(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.softmax(-1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return y * (dy - (y * dy).sum(-1, keepdim=True))


class FusedCrossEntropy(Function):
    @staticmethod
    def forward(ctx, x, target):
        logits = x.log_softmax(-1)
        ctx.save_for_backward(logits, target)
        return -logits.gather(-1, target.unsqueeze(-1)).mean()

    @staticmethod
    @once_differentiable  # because an intermediate result is saved
    def backward(ctx, dy):
        logits, target = ctx.saved_tensors
        hot = torch.nn.functional.one_hot(target, logits.shape[-1])
        return dy * (logits.exp() - hot) / len(target), None


class LayerNorm(Function):
    @staticmethod
    def forward(ctx, x, g, b, eps):
        mean = x.mean(-1, keepdim=True)
        scale = torch.rsqrt((x - mean).square().mean(-1, keepdim=True) + eps)
        n = (x - mean) * scale
        ctx.save_for_backward(n, scale, g)
        return n * g + b

    @staticmethod
    @once_differentiable  # because intermediate results are saved
    def backward(ctx, dy):
        n, scale, g = ctx.saved_tensors
        h = dy * g
        along = n * (h * n).mean(-1, keepdim=True)
        lead = tuple(range(dy.ndim - 1))
        dx = scale * (h - h.mean(-1, keepdim=True) - along)
        return dx, (dy * n).sum(lead), dy.sum(lead), None


class Convolution(Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.nn.functional.conv1d(x, w, padding=1, stride=2)

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        return (
            torch.nn.grad.conv1d_input(x.shape, w, dy, stride=2, padding=1),
            torch.nn.grad.conv1d_weight(x, w.shape, dy, stride=2, padding=1),
        )


class Attention(Function):
    """Causal attention that computes its weights again in the backward pass."""

    @staticmethod
    def weights(q, k):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        future = torch.ones_like(scores, dtype=torch.bool).triu(1)
        return scores.masked_fill(future, -math.inf).softmax(-1)

    @staticmethod
    def forward(ctx, q, k, v):
        ctx.save_for_backward(q, k, v)
        return Attention.weights(q, k) @ v

    @staticmethod
    def backward(ctx, dy):
        q, k, v = ctx.saved_tensors
        p = Attention.weights(q, k)
        dp = dy @ v.mT
        ds = p * (dp - (p * dp).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
        return ds @ k, ds.mT @ q, p.mT @ dy


class Rotary(Function):
    """Turn the pairs of each row by an angle that grows with its position."""

    @staticmethod
    def turned(x, sign):
        half = x.shape[-1] // 2
        speed = 100.0 ** (-torch.arange(half, dtype=x.dtype) / max(1, half))
        angle = sign * torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * speed
        a, b = x[..., :half], x[..., half:]
        cos, sin = angle.cos(), angle.sin()
        return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)

    @staticmethod
    def forward(_, x):
        return Rotary.turned(x, 1)

    @staticmethod
    def backward(_, dy):
        return Rotary.turned(dy, -1)


class Cholesky(Function):
    """The gradient is L⁻ᵀ Φ(Lᵀ dL) L⁻¹, symmetrised. Φ: lower triangle with half the diagonal."""

    @staticmethod
    def forward(ctx, a):
        factor = torch.linalg.cholesky(a)
        ctx.save_for_backward(factor)
        return factor

    @staticmethod
    def backward(ctx, dL):
        (factor,) = ctx.saved_tensors
        phi = (factor.mT @ dL.tril()).tril()
        phi = phi - torch.diag_embed(phi.diagonal(dim1=-2, dim2=-1)) / 2
        inverse = torch.linalg.inv(factor)
        s = inverse.mT @ phi @ inverse
        return (s + s.mT) / 2


class Solve(Function):
    @staticmethod
    def forward(ctx, a, b):
        x = torch.linalg.solve(a, b)
        ctx.save_for_backward(a, x)
        return x

    @staticmethod
    def backward(ctx, dx):
        a, x = ctx.saved_tensors
        db = torch.linalg.solve(a.mT, dx)
        return -db @ x.mT, db
