"""Attention, recurrent cells and losses in NumPy with a wrong gradient."""

import numpy as np
from gradcheck.functions.entry import Function
from gradcheck.functions.writing import wrong_functions
from gradcheck.functions.wrong_numpy_layers import log_sum_exp, sigmoid, softmax

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "numpy")
X = Array((5, 7))
LABELS = Array((5,), kind="classes", high=7)


def one_hot(labels, x):
    return (np.arange(x.shape[1]) == labels[:, None]) * 1.0


def attention(q, k, v):
    weights = softmax(q @ k.T / np.sqrt(q.shape[1]))
    return weights, weights @ v


@wrong(Array((4, 3)), Array((5, 3)), Array((5, 2)), size="factor √d")
def attention_unscaled():
    """The gradients of q and k lack the factor 1/√d."""

    def vjp(arrays, dy):
        q, k, v = arrays
        p, _ = attention(q, k, v)
        dp = dy @ v.T
        ds = p * (dp - (dp * p).sum(1, keepdims=True))
        return ds @ k, ds.T @ q, p.T @ dy

    return lambda q, k, v: attention(q, k, v)[1], vjp


@wrong(Array((4, 3)), Array((4, 3)), size="the upper triangle", source="triton-lang/triton#4174")
def scores_masked():
    """The gradient masks the future; the value does not."""
    return lambda q, k: q @ k.T, lambda a, dy: (np.tril(dy) @ a[1], np.tril(dy).T @ a[0])


@wrong(Array((4, 6)), Array((3,)), size="sign", source="huggingface/candle#3612")
def rotary_sign():
    """The gradient rotates forwards, where it should rotate back."""

    def rotate(x, angle):
        h = x.shape[1] // 2
        c, s = np.cos(angle), np.sin(angle)
        return np.concatenate([x[:, :h] * c - x[:, h:] * s, x[:, :h] * s + x[:, h:] * c], 1)

    def vjp(arrays, dy):
        x, angle = arrays
        y, h = rotate(x, angle), x.shape[1] // 2
        return rotate(dy, angle), (dy[:, h:] * y[:, :h] - dy[:, :h] * y[:, h:]).sum(0)

    return rotate, vjp


def lstm(x, c):
    i, f, g, o = (x[k::4] for k in range(4))
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return new, sigmoid(o) * np.tanh(new)


def lstm_gradients(x, c, dnew, dh):
    i, f, g, o = (x[k::4] for k in range(4))
    new = lstm(x, c)[0]
    dnew = dnew + dh * sigmoid(o) * (1 - np.tanh(new) ** 2)
    di = dnew * np.tanh(g) * sigmoid(i) * (1 - sigmoid(i))
    df = dnew * c * sigmoid(f) * (1 - sigmoid(f))
    dg = dnew * sigmoid(i) * (1 - np.tanh(g) ** 2)
    do = dh * np.tanh(new) * sigmoid(o) * (1 - sigmoid(o))
    return np.stack([di, df, dg, do], 1), dnew * sigmoid(f)


@wrong(
    Array((12,)),
    Array((3,)),
    size="the slope of the sigmoid",
    source="CaptainE/RNN-LSTM-in-numpy#1",
)
def lstm_forget_gate():
    """The forget gate's gradient is multiplied by its sigmoid, not by the sigmoid's slope."""

    def vjp(arrays, dy):
        x, c = arrays
        gates, dc = lstm_gradients(x, c, *dy)
        gates[:, 1] /= 1 - sigmoid(x[1::4])
        return gates.reshape(-1), dc

    return lstm, vjp


@wrong(Array((12,)), Array((3,)), size="another gate's", source="hanbt/learn_dl#53")
def lstm_gates_mixed():
    """The input and output gates get the forget gate's gradient."""

    def vjp(arrays, dy):
        gates, dc = lstm_gradients(*arrays, *dy)
        return gates[:, [1, 1, 2, 1]].reshape(-1), dc

    return lstm, vjp


@wrong(X, LABELS, size="all rows but the first", source="linkedin/Liger-Kernel#680")
def cross_entropy_first_cotangent():
    """Of the losses without a reduction all rows take the first row's cotangent."""

    def f(x, t):
        return log_sum_exp(x) - (one_hot(t, x) * x).sum(1)

    return f, lambda a, dy: dy[:1, None] * (softmax(a[0]) - one_hot(a[1], a[0]))


@wrong(
    X,
    LABELS,
    region="rows of class 0, which is ignored",
    size="the smoothing term",
    source="linkedin/Liger-Kernel#198",
)
def cross_entropy_smoothing_ignored():
    """Ignored rows keep the gradient of the label smoothing."""

    def target(t, x):
        return 0.9 * one_hot(t, x) + 0.1 / x.shape[1]

    def f(x, t):
        return ((t != 0) * (log_sum_exp(x) - (target(t, x) * x).sum(1))).sum()

    def vjp(arrays, dy):
        x, t = arrays
        dx = (t != 0)[:, None] * (softmax(x) - 0.9 * one_hot(t, x))
        return dy * (dx - 0.1 / x.shape[1])

    return f, vjp


@wrong(X, LABELS, Array((7,), low=0.5, high=2), size="Σ of the weights for n")
def cross_entropy_weighted_mean():
    """The value divides by the sum of the classes' weights, the gradient by the batch's size."""

    def losses(x, t):
        return log_sum_exp(x) - (one_hot(t, x) * x).sum(1)

    def f(x, t, w):
        return (w[t] * losses(x, t)).sum() / w[t].sum()

    def vjp(arrays, dy):
        x, t, w = arrays
        dx = dy * w[t][:, None] * (softmax(x) - one_hot(t, x)) / len(x)
        return dx, dy * one_hot(t, x).T @ (losses(x, t) - f(x, t, w)) / w[t].sum()

    return f, vjp


@wrong(
    Array((7,), low=0.01, high=0.99),
    Array((7,), low=0, high=1),
    region="p < 0.02",
    size="relative 1",
    witness=[[0.015], [1.0]],
)
def binary_cross_entropy_ends():
    """The slope is 0 for probabilities below 0.02, as if they were clipped."""

    def vjp(arrays, dy):
        p, t = arrays
        dp = (p - t) / (p * (1 - p))
        return dy * np.where(p < 0.02, 0, dp), dy * (np.log(1 - p) - np.log(p))

    return lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)), vjp


@wrong(Array((4, 5), low=0.1, high=1), Array((4, 5), low=0.1, high=1), size="absolute 1")
def kl_divergence_one():
    """The derivative of p log p lacks the summand 1."""

    def vjp(arrays, dy):
        p, q = arrays
        return dy * np.log(p / q), -dy * p / q

    return lambda p, q: (p * np.log(p / q)).sum(), vjp


@wrong(Array((4, 5)), Array((4, 5)), size="the projection")
def cosine_similarity_projection():
    """The norms count as constants in the gradient."""

    def norms(x, y):
        return np.sqrt((x * x).sum(1) + 1e-4) * np.sqrt((y * y).sum(1) + 1e-4)

    def vjp(arrays, dy):
        x, y = arrays
        scale = (dy / norms(x, y))[:, None]
        return scale * y, scale * x

    return lambda x, y: (x * y).sum(1) / norms(x, y), vjp


@wrong(
    Array((3, 2)),
    Array((4, 2)),
    region="equal points",
    size="nan",
    source="pytorch/pytorch#37154",
    witness=[[[1.0, 2.0], [0.0, 1.0]], [[1.0, 2.0]]],
)
def distances_at_zero():
    """The gradient of a distance of 0 is nan."""

    def f(x, y):
        d = x[:, None] - y
        return np.sqrt((d * d).sum(2))

    def vjp(arrays, dy):
        x, y = arrays
        d = (dy / f(x, y))[:, :, None] * (x[:, None] - y)
        return d.sum(1), -d.sum(0)

    return f, vjp
