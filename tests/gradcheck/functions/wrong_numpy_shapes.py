"""NumPy functions with a gradient that is wrong in some shapes, at some places, or for matrices."""

import numpy as np
from gradcheck.functions.entry import Function
from gradcheck.functions.writing import wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "numpy")
X = Array((5, 7))
SQUARE = Array((4, 4))


@wrong(
    Array((7,)),
    Array((5,), low=0, high=6),
    region="position 6",
    size="the whole value",
    source="pytorch/pytorch#23925",
)
def interpolate_border():
    """At the last node the next value counts as 0."""

    def parts(x, at):
        lower = np.minimum(np.floor(np.asarray(at, "f8")).astype(int), len(x) - 1)
        return lower, np.minimum(lower + 1, len(x) - 1), at - lower

    def f(x, at):
        i, j, t = parts(x, at)
        return x[i] + (x[j] - x[i]) * t

    def vjp(arrays, dy):
        x, at = arrays
        i, j, t = parts(x, at)
        dx = np.zeros_like(x)
        np.add.at(dx, i, dy * (1 - t))
        np.add.at(dx, j, dy * t)
        return dx, dy * (np.where(i + 1 < len(x), x[j], 0) - x[i])

    return f, vjp


@wrong(
    Array((7,), kind="sorted"),
    Array((5,), low=0, high=6),
    region="integer positions",
    size="relative 1",
    source="jax-ml/jax#3024",
    witness=[[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0]],
)
def interpolate_nodes():
    """At integer positions the gradient of the position is 0, outside the two slopes."""

    def f(x, at):
        i = np.clip(np.floor(np.asarray(at, "f8")).astype(int), 0, len(x) - 2)
        return x[i] + (x[i + 1] - x[i]) * (at - i)

    def vjp(arrays, dy):
        x, at = arrays
        i = np.clip(np.floor(at).astype(int), 0, len(x) - 2)
        dx = np.zeros_like(x)
        np.add.at(dx, i, dy * (1 - at + i))
        np.add.at(dx, i + 1, dy * (at - i))
        return dx, dy * np.where(at == np.floor(at), 0, x[i + 1] - x[i])

    return f, vjp


@wrong(SQUARE, size="transposed")
def determinant_untransposed():
    """The gradient is det(A)·A⁻¹; the transposition is missing."""

    def vjp(arrays, dy):
        (A,) = arrays
        return dy * np.linalg.det(A) * np.linalg.inv(A)

    return np.linalg.det, vjp


@wrong(Array((3, 3), kind="spd"), size="sign")
def inverse_sign():
    """The minus sign is missing."""

    def vjp(arrays, dy):
        inverse = np.linalg.inv(arrays[0])
        return inverse.T @ dy @ inverse.T

    return np.linalg.inv, vjp


@wrong(Array((4, 4), low=1, high=2), Array((4,)), size="entries that are not used")
def triangular_solve_unmasked():
    """The upper half of L is not used, but gets a gradient."""

    def vjp(arrays, dy):
        L, b = np.tril(arrays[0]), arrays[1]
        db = np.linalg.solve(L.T, dy)
        return -np.outer(db, np.linalg.solve(L, b)), db

    return lambda L, b: np.linalg.solve(np.tril(L), b), vjp


@wrong(Array((3, 3), kind="spd"), size="factor 2 off the diagonal", source="pytorch/pytorch#137284")
def cholesky_symmetrised():
    """The gradient is S + Sᵀ − diag(S), which counts the entries off the diagonal twice."""

    def vjp(arrays, dy):
        L = np.linalg.cholesky(arrays[0])
        inner = np.tril(L.T @ dy)
        inner[np.diag_indices_from(inner)] /= 2
        inverse = np.linalg.inv(L)
        S = inverse.T @ inner @ inverse
        return S + S.T - np.diag(np.diag(S))

    return np.linalg.cholesky, vjp


@wrong(Array((6,)), region="odd sizes", size="the last entry", witness=[1.0, 2.0, 4.0])
def pairs_odd():
    """Where the size is odd, the last entry gets no gradient."""

    def f(x):
        return np.sin(x).sum()

    def vjp(arrays, dy):
        dx = dy * np.cos(arrays[0])
        dx[len(dx) // 2 * 2 :] = 0
        return dx

    return f, vjp


@wrong(
    Array((5,)),
    region="sizes above 16",
    size="the entries behind the 16th",
    witness=np.linspace(-1, 1, 17),
)
def block_of_sixteen():
    """Only the first block of 16 entries gets a gradient."""

    def vjp(arrays, dy):
        dx = dy * 2 * arrays[0]
        dx[16:] = 0
        return dx

    return lambda x: (x * x).sum(), vjp


@wrong(Array((5, 7)), region="the last axis of size 1", size="relative 1", witness=[[0.5], [-1.0]])
def log_softmax_squeezed():
    """A last axis of size 1 is taken for no axis: the gradient is dy there; it is 0."""

    def f(x):
        return x - np.log(np.exp(x).sum(1, keepdims=True))

    def vjp(arrays, dy):
        (x,) = arrays
        return dy if x.shape[1] == 1 else dy - np.exp(f(x)) * dy.sum(1, keepdims=True)

    return f, vjp


@wrong(X, size="all but one half")
def sort_unsorted():
    """The cotangents are returned in the sorted order, not in the input's."""
    return lambda x: np.sort(x, 1), lambda _, dy: dy.copy()


@wrong(
    Array((4, 5)),
    size="permuted",
    region="three rows and columns",
    witness=[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]],
)
def permute_forwards():
    """Where all sizes are equal, the gradient permutes once more instead of back."""
    order = (2, 0, 1)

    def f(x):
        return np.transpose(np.stack([x, 2 * x, 3 * x]), order)

    def vjp(_, dy):
        if len({*dy.shape}) == 1:
            dy = np.transpose(dy, order)
        else:
            dy = np.transpose(dy, np.argsort(order))
        return dy[0] + 2 * dy[1] + 3 * dy[2]

    return f, vjp


@wrong(X, Array((5, 7), low=0.5, high=2), region="negative quotients", size="absolute 1")
def fmod_floor():
    """The gradient of the divisor is −floor(x/y), which belongs to another remainder."""
    return np.fmod, lambda arrays, dy: (dy.copy(), -dy * np.floor(arrays[0] / arrays[1]))
