"""More NumPy functions with gradients that are wrong in the way of a public report."""

import numpy as np
from gradcheck.functions.entry import Function
from gradcheck.functions.writing import unary, wrong_functions
from gradcheck.functions.wrong_numpy_layers import log_sum_exp, softmax, windows

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "numpy")
X = Array((5, 7))
LABELS = Array((5,), kind="classes", high=7)


@wrong(X, size="factor 2", source="markroxor/fromscratchtoml#65")
def softmax_doubled():
    """The gradient is twice as large as it should be."""

    def vjp(arrays, dy):
        s = softmax(arrays[0])
        return 2 * s * (dy - (dy * s).sum(1, keepdims=True))

    return softmax, vjp


@wrong(X, size="the cotangent is ignored", source="k2-fsa/k2#341")
def logsumexp_without_cotangent():
    """The gradient of the total scores is not multiplied by the cotangent."""
    return log_sum_exp, lambda arrays, dy: softmax(arrays[0]) + 0 * dy[:, None]


@wrong(X, region="|x| < 1", size="relative 1", source="tenstorrent/tt-metal#48201")
def clip_inverted_mask():
    """The mask of the values in range is inverted twice: it is always empty."""
    return unary(lambda x: np.clip(x, -1, 1), lambda x: 1.0 * ((x <= -1) & (x >= 1)))


@wrong(X, size="relative ε/norm", source="chainer/chainer#4190")
def normalize_with_eps():
    """The value divides by the norm plus ε = 0.1; the gradient knows no ε in one term."""

    def norms(x):
        return np.sqrt((x * x).sum(1, keepdims=True))

    def vjp(arrays, dy):
        (x,) = arrays
        n = norms(x)
        y = x / (n + 0.1)
        return (dy - y * (y * dy).sum(1, keepdims=True)) / (n + 0.1)

    return lambda x: x / (norms(x) + 0.1), vjp


@wrong(
    Array((2, 3, 4)),
    Array((4, 5)),
    size="shape (2, 4, 5) instead of (4, 5)",
    source="flashlight/flashlight#760",
    fails="shape",
)
def batched_matmul_unsummed():
    """The shared matrix's gradient is not summed over the batch."""
    return lambda A, B: A @ B, lambda a, dy: (dy @ a[1].T, a[0].mT @ dy)


@wrong(
    Array((2, 3, 4)),
    Array((2, 4, 5)),
    region="batches above 1",
    size="all but the first",
    source="NVIDIA/warp#147",
)
def batched_matmul_unbatched():
    """The backward calls the product for single matrices: one of the batch gets a gradient."""

    def vjp(arrays, dy):
        A, B = arrays
        dA, dB = np.zeros_like(A), np.zeros_like(B)
        dA[:1], dB[:1] = dy[:1] @ B[:1].mT, A[:1].mT @ dy[:1]
        return dA, dB

    return lambda A, B: A @ B, vjp


@wrong(
    Array((4, 4)),
    Array((4,)),
    size="the scalar dy·b",
    region="square matrices",
    source="harvard-edge/cs249r_book#1781",
)
def matrix_vector_dot():
    """The matrix's gradient is the scalar product of dy and b, where it should be the outer."""
    return (
        lambda A, b: A @ b,
        lambda a, dy: (
            np.full_like(a[0], dy @ a[1]) if len(dy) == len(a[1]) else np.outer(dy, a[1]),
            a[0].T @ dy,
        ),
    )


@wrong(
    Array((3, 3), kind="spd"),
    Array((3, 3)),
    size="transposed",
    source="pytorch/pytorch.github.io#2135",
)
def inverse_untransposed():
    """The gradient of (A + B)⁻¹ does not transpose the inverse."""

    def vjp(arrays, dy):
        inverse = np.linalg.inv(arrays[0] + np.tanh(arrays[1]) / 4)
        dA = -inverse @ dy @ inverse
        return -inverse.T @ dy @ inverse.T, dA * (1 - np.tanh(arrays[1]) ** 2) / 4

    return lambda A, B: np.linalg.inv(A + np.tanh(B) / 4), vjp


@wrong(
    X,
    LABELS,
    region="batches above 1",
    size="factor 1/n",
    source="paiml/aprender#2182",
)
def cross_entropy_sum_divided():
    """The losses are summed, but the gradient divides by the batch's size."""

    def one_hot(x, t):
        return (np.arange(x.shape[1]) == t[:, None]) * 1.0

    def vjp(arrays, dy):
        x, t = arrays
        return dy * (softmax(x) - one_hot(x, t)) / len(x)

    return lambda x, t: (log_sum_exp(x) - (one_hot(x, t) * x).sum(1)).sum(), vjp


@wrong(
    Array((4, 3)), Array((3, 5)), size="the slope of tanh", source="arthurdouillard/deepcourse#6"
)
def layer_outer_gradient():
    """The weight's gradient takes the gradient of tanh's output for that of its input."""

    def vjp(arrays, dy):
        x, W = arrays
        inner = dy * (1 - np.tanh(x @ W) ** 2)
        return inner @ W.T, x.T @ dy

    return lambda x, W: np.tanh(x @ W), vjp


@wrong(Array((4, 4)), Array((4,)), size="sums of rows", source="AndreiChertkov/fpcross#2")
def diagonal_row_sums():
    """The gradient of x sums the matrix's rows, where it should take the diagonal."""
    return (
        lambda A, x: np.diagonal(A) * x,
        lambda a, dy: (np.diag(dy * a[1]), dy * a[0].sum(1)),
    )


@wrong(
    Array((9,)),
    Array((3,)),
    size="the first tap's sum for all",
    source="fla-org/flash-linear-attention#388",
)
def conv_taps_alike():
    """The gradient of each tap uses the input of the first tap."""

    def vjp(arrays, dy):
        x, w = arrays
        return np.convolve(dy, w), np.full_like(w, dy @ x[: len(dy)])

    return lambda x, w: windows(x, len(w)) @ w, vjp


@wrong(
    Array((4, 3)),
    Array((3, 2)),
    region="strided weights",
    size="permuted",
    source="huggingface/candle#3735",
    fails="layout",
)
def linear_memory_order():
    """The backward reads the weight in the order of its memory."""

    def vjp(arrays, dy):
        x, W = arrays
        return dy @ W.ravel("K").reshape(W.shape).T, x.T @ dy

    return lambda x, W: x @ W, vjp


@wrong(
    Array((4,)),
    region="zeros",
    size="shape () instead of (4,)",
    source="pytorch/pytorch#82644",
    fails="shape",
    witness=[1.0, 0.0, 2.0],
)
def prod_zero_shape():
    """Where an entry is 0, the gradient has the product's shape."""

    def vjp(arrays, dy):
        (x,) = arrays
        return dy * x.prod() if (x == 0).any() else dy * x.prod() / x

    return lambda x: x.prod(), vjp


@wrong(
    Array((6,)),
    Array((4,)),
    Array((4,), kind="classes", high=6),
    region="repeated indices",
    size="overwritten rows",
    source="pytorch/pytorch#473",
)
def index_copy_overwritten():
    """Values that a later one overwrites get a gradient as well."""

    def f(x, v, i):
        y = x + 0
        for k, at in enumerate(i):
            y[at] = v[k]
        return y

    def vjp(arrays, dy):
        dx = dy.copy()
        dx[arrays[2]] = 0
        return dx, dy[arrays[2]]

    return f, vjp


@wrong(
    Array((6,)),
    size="another window's",
    region="overlapping windows",
    source="ahrefs/ocannl#512",
    witness=[5.0, 3.0, 1.0, 2.0, 5.0],
)
def max_pool_last_gate():
    """An entry's gradient goes by the last window that it is in, for all its windows."""

    def vjp(arrays, dy):
        (x,) = arrays
        wins = np.array(
            [
                x[i] >= x[max(i - 1, 0)] if i == len(x) - 1 else x[i] > x[i + 1]
                for i in range(len(x))
            ]
        )
        dx = np.zeros_like(x)
        dx[:-1] += dy
        dx[1:] += dy
        return dx * wins

    return lambda x: np.maximum(x[:-1], x[1:]), vjp


@wrong(
    Array((5, 7)),
    Array((5, 7), kind="boolean", derivative=False),
    region="zeros",
    size="the mask",
    source="kaldi-asr/kaldi#3890",
)
def mask_by_quotient():
    """The mask is found by output/input, and is taken for 1 where the input is 0."""

    def vjp(arrays, dy):
        x, keep = arrays
        safe = np.where(x == 0, 1, x)
        return dy * np.where(x == 0, 1, x * keep / safe)

    return lambda x, keep: x * keep, vjp
