"""Layers and losses in NumPy with a wrong gradient."""

import numpy as np
from gradcheck.functions.entry import Function
from gradcheck.functions.writing import wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "numpy")
X = Array((5, 7))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_sum_exp(x):
    m = x.max(-1)
    return m + np.log(np.exp(x - m[..., None]).sum(-1))


def normalized(x):
    d = x - x.mean(-1, keepdims=True)
    s = np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5)
    return d / s, s


@wrong(X, size="the rank-one term", source="deeplearning4j/libnd4j#440")
def softmax_diagonal():
    """Only the Jacobian's diagonal s(1 − s) is used."""
    return softmax, lambda a, dy: dy * softmax(a[0]) * (1 - softmax(a[0]))


@wrong(X, size="another term", source="mlpack/mlpack#2360")
def log_softmax_adds():
    """The softmax is subtracted once, not as often as the cotangents' sum says."""
    return lambda x: x - log_sum_exp(x)[:, None], lambda a, dy: dy - softmax(a[0])


@wrong(X, size="another axis", region="square arrays", witness=[[0.0, 1.0], [2.0, -1.0]])
def logsumexp_axis():
    """Where the array is square, the gradient is normalized over the other axis."""

    def vjp(arrays, dy):
        (x,) = arrays
        s = softmax(x.T).T if x.shape[0] == x.shape[1] else softmax(x)
        return dy[:, None] * s

    return log_sum_exp, vjp


@wrong(X, Array((5, 7), low=0, high=1), size="factor Σp", source="NVIDIA-NeMo/Automodel#2428")
def soft_cross_entropy():
    """The gradient assumes that the targets sum to 1; the loss does not."""

    def f(x, p):
        return (log_sum_exp(x) * p.sum(1) - (p * x).sum(1)).mean()

    def vjp(arrays, dy):
        x, p = arrays
        dp = log_sum_exp(x)[:, None] - x
        return dy * (softmax(x) - p) / len(x), dy * dp / len(x)

    return f, vjp


@wrong(X, size="relative 0.1")
def layer_norm_mean_term():
    """The mean's term is missing."""

    def vjp(arrays, dy):
        y, s = normalized(arrays[0])
        return (dy - y * (dy * y).mean(1, keepdims=True)) / s

    return lambda x: normalized(x)[0], vjp


@wrong(X, size="relative 0.1")
def layer_norm_variance_term():
    """The variance's term is missing."""

    def vjp(arrays, dy):
        s = normalized(arrays[0])[1]
        return (dy - dy.mean(1, keepdims=True)) / s

    return lambda x: normalized(x)[0], vjp


@wrong(
    Array((2, 3, 4)),
    region="second axis above 1",
    size="relative 1",
    source="flagos-ai/FlagGems#5392",
)
def layer_norm_two_axes():
    """The gradient takes all axes but the first for the normalized one."""

    def vjp(arrays, dy):
        y, s = normalized(arrays[0])
        axes = (1, 2)
        return (dy - dy.mean(axes, keepdims=True) - y * (dy * y).mean(axes, keepdims=True)) / s

    return lambda x: normalized(x)[0], vjp


@wrong(X, Array((7,)), size="the weight", source="karpathy/llm.c#763")
def rms_norm_unweighted():
    """The gradient of x does not use the weight."""

    def parts(x):
        r = np.sqrt((x * x).mean(1, keepdims=True) + 1e-5)
        return x / r, r

    def vjp(arrays, dy):
        y, r = parts(arrays[0])
        return (dy - y * (dy * y).mean(1, keepdims=True)) / r, (dy * y).sum(0)

    return lambda x, w: parts(x)[0] * w, vjp


@wrong(X, Array((7,)), size="the weight", source="denizyuret/Knet.jl#288")
def batch_norm_unscaled():
    """The direct term of the gradient is not multiplied by the scale; the others are."""

    def vjp(arrays, dy):
        x, g = arrays
        y, s = (part.T for part in normalized(x.T))
        inner = g * dy
        return (dy - inner.mean(0) - y * (inner * y).mean(0)) / s, (dy * y).sum(0)

    return lambda x, g: normalized(x.T)[0].T * g, vjp


def windows(x, width, stride=1):
    starts = range(0, len(x) - width + 1, stride)
    return np.array([x[i : i + width] for i in starts]).reshape(len(starts), width)


@wrong(Array((9,)), Array((3,)), size="factor 1/n", source="sebgao/cTensor#3")
def conv_mean():
    """The gradient of the kernel is divided by the number of positions."""

    def vjp(arrays, dy):
        x, w = arrays
        return np.convolve(dy, w), windows(x, len(w)).T @ dy / len(dy)

    return lambda x, w: windows(x, len(w)) @ w, vjp


@wrong(Array((9,)), Array((3,)), size="reversed")
def conv_flipped():
    """The gradient of the input uses the reversed kernel."""

    def vjp(arrays, dy):
        x, w = arrays
        return np.convolve(dy, w[::-1]), windows(x, len(w)).T @ dy

    return lambda x, w: windows(x, len(w)) @ w, vjp


@wrong(
    Array((8,)),
    Array((3,)),
    region="(n − k) odd",
    size="shape (7,) instead of (8,)",
    source="f-dangel/backpack#30",
    fails="shape",
)
def conv_stride_short():
    """The gradient ends with the last window; entries behind it are missing."""

    def vjp(arrays, dy):
        x, w = arrays
        dx = np.zeros(2 * len(dy) - 2 + len(w), x.dtype)
        for i, d in enumerate(dy):
            dx[2 * i : 2 * i + len(w)] += d * w
        return dx, windows(x, len(w), 2).T @ dy

    return lambda x, w: windows(x, len(w), 2) @ w, vjp


@wrong(Array((8,)), Array((2,)), size="wrong places")
def conv_undilated():
    """The gradient of the input ignores the dilation 2."""

    def vjp(arrays, dy):
        x, w = arrays
        dx = np.zeros_like(x)
        for i, d in enumerate(dy):
            dx[i : i + len(w)] += d * w
        return dx, windows(x, 2 * len(w) - 1)[:, ::2].T @ dy

    return lambda x, w: windows(x, 2 * len(w) - 1)[:, ::2] @ w, vjp


@wrong(
    Array((5,)),
    Array((4,)),
    region="fewer entries than the kernel less 1",
    size="shifted",
    source="fla-org/flash-linear-attention#1140",
    witness=[[1.0, 2.0], [1.0, -1.0, 0.5, 2.0]],
)
def causal_conv_short():
    """In sequences shorter than the kernel less 1 the state's cotangent goes to wrong entries."""

    def f(x, w):
        padded = np.concatenate([np.zeros(len(w) - 1, x.dtype), x])
        return windows(padded, len(w)) @ w, padded[len(padded) - len(w) + 1 :]

    def vjp(arrays, dy):
        (x, w), (dy, dstate) = arrays, dy
        n, k = len(x), len(w) - 1
        dw = windows(np.concatenate([np.zeros(k, x.dtype), x]), k + 1).T @ dy
        dx = np.convolve(dy, w)[k : k + n] if n else np.zeros_like(x)
        for t in range(max(0, n - k), n):
            dx[t] += dstate[t - max(0, n - k)]
        return dx, dw

    return f, vjp


@wrong(Array((8,)), region="the ends", size="factor 2/3")
def average_pool_ends():
    """The value divides by the entries that exist at the ends, the gradient always by 3."""

    def counts(n):
        return np.convolve(np.ones(n), np.ones(3), "same")

    def f(x):
        padded = np.concatenate([[0.0], x, [0.0]])
        return windows(padded, 3).sum(1) / counts(len(x))

    return f, lambda _, dy: np.convolve(dy, np.ones(3), "same") / 3


@wrong(X, X, size="the first row", source="ByteDance-Seed/Triton-distributed#180")
def swiglu_first_row():
    """The gradients of all rows are written to the first row."""

    def vjp(arrays, dy):
        a, b = arrays
        s = sigmoid(a)
        da, db = np.zeros_like(a), np.zeros_like(b)
        da[:1] = (dy * b * s * (1 + a * (1 - s)))[-1:]
        db[:1] = (dy * a * s)[-1:]
        return da, db

    return lambda a, b: a * sigmoid(a) * b, vjp


@wrong(X, X, size="swapped", source="unslothai/unsloth#3314")
def swiglu_swapped():
    """The gradients of the gate and of the other half are swapped."""

    def vjp(arrays, dy):
        a, b = arrays
        s = sigmoid(a)
        return dy * a * s, dy * b * s * (1 + a * (1 - s))

    return lambda a, b: a * sigmoid(a) * b, vjp
