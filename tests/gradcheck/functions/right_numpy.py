"""Right pairs of NumPy: a function and its vector-Jacobian product, as people write them."""

from functools import partial
from typing import Any

import numpy as np
from gradcheck.functions.entry import Function
from gradcheck.functions.expressions import NAMES

from manualnn.gradcheck import Array

X = Array((5, 7))
ROW = Array((7,))
SMALL = Array((5, 7), low=-30, high=30)
AWAY = Array((5, 7), low=0.125, high=64)
TAME = Array((4, 4), low=-1, high=1)
SPD = Array((4, 4), kind="spd")
PROBABILITIES = Array((5, 7), kind="probabilities")
SORTED = Array((4, 4), kind="sorted")
CLASSES = Array((5,), kind="classes", high=7, dtype="int64")
ROWS_OF_X = Array((6,), kind="classes", high=5, dtype="int64")
SINGLE = Array((5, 7), dtype="float32")


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_vjp(y, dy):
    return y * (dy - (dy * y).sum(-1, keepdims=True))


def log_softmax(x):
    z = x - x.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def onehot(classes, count):
    return np.eye(count)[classes]


def cross_entropy(x, t):
    return -log_softmax(x)[np.arange(len(t)), t].sum() / max(1, len(t))


def normalized(x, eps=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return centred * scale, scale


def layer_norm_vjp(x, g, dy):
    n, scale = normalized(x)
    h = dy * g
    dx = scale * (h - h.mean(-1, keepdims=True) - n * (h * n).mean(-1, keepdims=True))
    return dx, (dy * n).sum(0), dy.sum(0)


def inverse_rms(x):
    return 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def rms_norm_vjp(x, g, dy):
    r, h = inverse_rms(x), dy * g
    return r * h - x * r**3 * (h * x).mean(-1, keepdims=True), (dy * x * r).sum(0)


def norm_vjp(x, dy):
    norm = np.hypot.reduce(x, axis=-1)[:, None]
    return dy[:, None] * np.divide(x, norm, out=np.zeros_like(x), where=norm > 0)


def shared_by_ties(x, dy):
    best = x == x.max(-1, keepdims=True)
    return dy[:, None] * best / best.sum(-1, keepdims=True)


def maximum_vjp(x, y, dy):
    first = np.where(x == y, 0.5, x > y)
    return dy * first, dy * (1 - first)


def sort_vjp(x, dy):
    dx = np.zeros_like(dy)
    np.put_along_axis(dx, np.argsort(x, -1, kind="stable"), dy, -1)
    return dx


def take_vjp(x, rows, dy):
    dx = np.zeros_like(x)
    np.add.at(dx, rows, dy)
    return dx


def two_outputs_vjp(x, dy):
    dx = dy[0] * np.cos(x) + dy[1] * x[:, :1]
    dx[:, :1] += (dy[1] * x).sum(-1, keepdims=True)
    return dx


def cumprod_vjp(x, dy):
    dx = np.zeros_like(x)
    for i in range(x.shape[-1]):
        rest = x.copy()
        rest[..., i] = 1
        dx[..., i] = (dy * np.cumprod(rest, -1))[..., i:].sum(-1)
    return dx


def squared_gaps_vjp(x, dy):
    d = 2 * np.diff(x, axis=-1) * dy
    return np.pad(d, ((0, 0), (1, 0))) - np.pad(d, ((0, 0), (0, 1)))


def regular(A):
    """Return a diagonally dominant matrix, for entries of A in [-1, 1]."""
    return A + 2 * len(A) * np.eye(len(A))


def solve_vjp(A, b, dy):
    db = np.linalg.solve(regular(A).T, dy)
    return -db @ np.linalg.solve(regular(A), b).T, db


def inverse_vjp(A, dy):
    Y = np.linalg.inv(regular(A))
    return -Y.T @ dy @ Y.T


def eigenvalues_vjp(A, dy):
    V = np.linalg.eigh(A)[1]
    return V * dy @ V.T


def attention_vjp(Q, K, V, dy):
    scale = 1 / np.sqrt(Q.shape[1])
    P = softmax(Q @ K.T * scale)
    dS = softmax_vjp(P, dy @ V.T) * scale
    return dS @ K, dS.T @ Q, P.T @ dy


LINEAR = X, Array((7, 3)), Array((3,))
HEADS = Array((3, 4)), Array((5, 4)), Array((5, 2))
HUBER = "np.where(np.abs(x - y) < 1, 0.5 * (x - y) ** 2, np.abs(x - y) - 0.5)"

# Name, f, vjp, and the inputs x, y, z …; dy is the cotangent.
PAIRS = [
    ("relu", "np.maximum(x, 0)", "dy * (x > 0)", X),
    ("leaky relu", "np.where(x > 0, x, 0.1 * x)", "np.where(x > 0, dy, 0.1 * dy)", X),
    ("tanh", "np.tanh(x)", "dy / np.cosh(np.clip(x, -350, 350)) ** 2", X),
    ("tanh by its output", "np.tanh(x)", "dy * (1 - np.tanh(x) ** 2)", X),
    ("sigmoid", "sigmoid(x)", "dy * sigmoid(x) * sigmoid(-x)", X),
    ("sigmoid by its output", "sigmoid(x)", "dy * sigmoid(x) * (1 - sigmoid(x))", X),
    ("softplus", "np.logaddexp(0, x)", "dy * sigmoid(x)", X),
    ("silu", "x * sigmoid(x)", "dy * sigmoid(x) * (1 + x * sigmoid(-x))", X),
    ("sine", "np.sin(x)", "dy * np.cos(x)", SMALL),
    ("sine of 1e-6 size", "1e-6 * np.sin(x)", "1e-6 * dy * np.cos(x)", SMALL),
    ("exp", "np.exp(x)", "dy * np.exp(x)", X),
    ("expm1", "np.expm1(x)", "dy * (np.expm1(x) + 1)", X),
    ("log1p", "np.log1p(x)", "dy / (1 + x)", Array((5, 7), low=-0.5)),
    ("arctangent", "np.arctan(x)", "dy / (1 + x * x)", X),
    ("absolute value", "np.abs(x)", "dy * np.sign(x)", X),
    ("cube root", "np.cbrt(x)", "dy / (3 * np.cbrt(x) ** 2)", AWAY),
    ("square root with eps", "np.sqrt(x * x + 1e-8)", "dy * x / np.sqrt(x * x + 1e-8)", X),
    ("identity", "x.copy()", "dy", X),
    ("identity that returns its input", "x", "dy", X),
    ("constant", "np.ones_like(x)", "0 * dy", X),
    ("bias", "x + y", "(dy, dy.sum(0))", X, ROW),
    ("scaled columns", "x * y", "(dy * y, (dy * x).sum(0))", X, ROW),
    ("quotient", "x / y", "(dy / y, -dy * x / y**2)", X, AWAY),
    ("linear", "x @ y + z", "(dy @ y.T, x.T @ dy, dy.sum(0))", *LINEAR),
    (
        "matrix product of a batch",
        "x @ y",
        "(dy @ y.T, np.einsum('bij,bik->jk', x, dy))",
        Array((2, 3, 4)),
        Array((4, 5)),
    ),
    ("softmax", "softmax(x)", "softmax_vjp(softmax(x), dy)", X),
    ("log softmax", "log_softmax(x)", "dy - softmax(x) * dy.sum(-1, keepdims=True)", X),
    (
        "logsumexp",
        "np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1)) + x.max(-1)",
        "dy[:, None] * softmax(x)",
        X,
    ),
    (
        "mean cross-entropy",
        "cross_entropy(x, y)",
        "dy * (softmax(x) - onehot(y, x.shape[1])) / max(1, len(y))",
        X,
        CLASSES,
    ),
    ("half squared error", "0.5 * ((x - y) ** 2).sum()", "(dy * (x - y), dy * (y - x))", X, X),
    ("Huber", HUBER, "(dy * np.clip(x - y, -1, 1), -dy * np.clip(x - y, -1, 1))", X, X),
    ("layer normalisation", "normalized(x)[0] * y + z", "layer_norm_vjp(x, y, dy)", X, ROW, ROW),
    (
        "layer normalisation of a large mean",
        "normalized(x)[0] * y + z",
        "layer_norm_vjp(x, y, dy)",
        Array((5, 7), low=1e4, high=1e4 + 4),
        ROW,
        ROW,
    ),
    ("RMS normalisation", "x * y * inverse_rms(x)", "rms_norm_vjp(x, y, dy)", SMALL, ROW),
    ("sum of squares", "(x * x).sum()", "2 * x * dy", X),
    ("norm of rows", "np.sqrt((x * x).sum(-1))", "norm_vjp(x, dy)", AWAY),
    ("norm of rows with slope 0 at 0", "np.hypot.reduce(x, axis=-1)", "norm_vjp(x, dy)", X),
    (
        "maximum of rows to the first of ties",
        "x.max(-1)",
        "dy[:, None] * onehot(x.argmax(-1), x.shape[1])",
        X,
    ),
    ("maximum of rows shared by ties", "x.max(-1)", "shared_by_ties(x, dy)", X),
    ("maximum half and half at ties", "np.maximum(x, y)", "maximum_vjp(x, y, dy)", X, X),
    ("sort", "np.sort(x, -1)", "sort_vjp(x, dy)", X),
    ("clip that passes the ends", "np.clip(x, -1, 2)", "dy * ((x >= -1) & (x <= 2))", X),
    ("rows with repeats", "x[y]", "take_vjp(x, y, dy)", X, ROWS_OF_X),
    ("two outputs", "(np.sin(x), x[:, :1] * x)", "two_outputs_vjp(x, dy)", SMALL),
    ("cumulative product", "np.cumprod(x, -1)", "cumprod_vjp(x, dy)", SMALL),
    ("cumulative sum", "np.cumsum(x, -1)", "np.cumsum(dy[..., ::-1], -1)[..., ::-1]", X),
    ("solve", "np.linalg.solve(regular(x), y)", "solve_vjp(x, y, dy)", TAME, Array((4, 2))),
    ("inverse", "np.linalg.inv(regular(x))", "inverse_vjp(x, dy)", TAME),
    ("log-determinant", "np.linalg.slogdet(x)[1]", "dy * np.linalg.inv(x).T", SPD),
    ("eigenvalues", "np.linalg.eigvalsh(x)", "eigenvalues_vjp(x, dy)", SPD),
    (
        "attention",
        "softmax(x @ y.T / np.sqrt(x.shape[1])) @ z",
        "attention_vjp(x, y, z, dy)",
        *HEADS,
    ),
    (
        "convolution",
        "np.correlate(x, y, 'valid')",
        "(np.convolve(dy, y), np.correlate(x, dy, 'valid'))",
        Array((9,)),
        Array((3,)),
    ),
    (
        "average pool",
        "(x[:, ::2] + x[:, 1::2]) / 2",
        "np.repeat(dy, 2, axis=1) / 2",
        Array((2, 6, 4)),
    ),
    (
        "cross-entropy of probabilities",
        "-(x * np.log(y)).sum(-1)",
        "(-np.log(y) * dy[:, None], -x / y * dy[:, None])",
        PROBABILITIES,
        Array((5, 7), low=0.125, high=1),
    ),
    ("squared gaps of sorted numbers", "np.diff(x) ** 2", "squared_gaps_vjp(x, dy)", SORTED),
    ("symmetric product", "x @ x", "dy @ x.T + x.T @ dy", Array((4, 4), kind="symmetric")),
    ("float32 exp", "np.exp(x)", "dy * np.exp(x)", SINGLE),
    ("float32 arctangent", "np.arctan(x)", "dy / (1 + x * x)", SINGLE),
    ("float32 softmax", "softmax(x)", "softmax_vjp(softmax(x), dy)", SINGLE),
]


def build(value: str, vjp: str, count: int) -> tuple[Any, Any]:
    names = ", ".join(NAMES[:count])
    f = eval(f"lambda {names}: {value}", globals())  # noqa: S307 - an expression of this file
    product = eval(f"lambda {names}, dy: {vjp}", globals())  # noqa: S307
    return f, lambda arrays, dy: product(*arrays, dy)


FUNCTIONS = [
    Function(f"numpy: {name}", "numpy", partial(build, value, vjp, len(inputs)), inputs)
    for name, value, vjp, *inputs in PAIRS
]
