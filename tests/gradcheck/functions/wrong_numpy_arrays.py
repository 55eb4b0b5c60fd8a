"""NumPy functions that reduce, move or multiply, with a wrong gradient."""

import numpy as np
from gradcheck.functions.entry import Function
from gradcheck.functions.writing import wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "numpy")
X = Array((5, 7))
SQUARE = Array((4, 4))


@wrong(
    X,
    Array((7,)),
    size="shape (5, 7) instead of (7,)",
    source="pytorch/pytorch#13669",
    fails="shape",
)
def add_unreduced():
    """The gradient of the broadcast vector is not summed."""
    return lambda x, b: x + b, lambda _, dy: (dy.copy(), dy.copy())


@wrong(Array((6, 6)), Array((6,)), size="another sum")
def mul_wrong_axis():
    """The gradient of the broadcast vector is summed over the wrong axis."""
    return lambda x, v: x * v, lambda a, dy: (dy * a[1], (dy * a[0]).sum(1))


@wrong(X, Array((7,)), size="factor 1/5", source="sebgao/cTensor#3")
def add_mean():
    """The gradient of the broadcast vector is a mean, where it should be a sum."""
    return lambda x, b: x + b, lambda _, dy: (dy.copy(), dy.mean(0))


@wrong(
    Array((5,)),
    size="factor n/4",
    region="sizes other than 4",
    source="udacity/deep-learning-v2-pytorch#158",
)
def mean_square_of_four():
    """The gradient is x/2; that is 2x/n for four entries alone."""
    return lambda x: (x * x).mean(), lambda a, dy: dy * a[0] / 2


@wrong(SQUARE, SQUARE, size="another matrix")
def matmul_untransposed():
    """The gradient of A is dY B, where it should be dY Bᵀ."""
    return lambda A, B: A @ B, lambda a, dy: (dy @ a[1], a[0].T @ dy)


@wrong(SQUARE, SQUARE, size="another matrix")
def matmul_swapped():
    """The two gradients are returned in the wrong order."""
    return lambda A, B: A @ B, lambda a, dy: (a[0].T @ dy, dy @ a[1].T)


@wrong(Array((2, 3, 4)), Array((4, 5)), region="batches above 1", size="all but the first")
def batched_matmul_first():
    """The gradient of the shared matrix is that of the first of the batch."""
    return lambda A, B: A @ B, lambda a, dy: (dy @ a[1].T, a[0][0].T @ dy[0])


@wrong(X, region="ties", size="factor of the ties' number", source="mni-ml/framework#22")
def max_all_ties():
    """Every largest entry gets the whole gradient."""

    def vjp(arrays, dy):
        (x,) = arrays
        return dy[:, None] * (x == x.max(1, keepdims=True))

    return lambda x: x.max(1), vjp


@wrong(
    X,
    region="entries near the largest",
    size="absolute 1",
    source="mni-ml/framework#22",
    witness=[[1.0, 1.005, -3.0]],
)
def max_is_close():
    """Entries within 0.01 of the largest one get its gradient as well."""

    def vjp(arrays, dy):
        (x,) = arrays
        return dy[:, None] * (np.abs(x - x.max(1, keepdims=True)) < 1e-2)

    return lambda x: x.max(1), vjp


@wrong(X, region="zeros", size="nan", source="tinygrad/tinygrad#17404")
def prod_by_division():
    """The gradient divides the product by the entry: nan where that is 0."""
    return lambda x: x.prod(1), lambda a, dy: (dy * a[0].prod(1))[:, None] / a[0]


@wrong(X, region="zeros", size="relative 1", source="tensorflow/tensorflow#119430")
def cumprod_by_division():
    """The gradient divides by the entry, and has 0 for 0/0."""

    def vjp(arrays, dy):
        (x,) = arrays
        sums = np.cumsum((dy * np.cumprod(x, 1))[:, ::-1], 1)[:, ::-1]
        return np.where(x == 0, 0, sums / np.where(x == 0, 1, x))

    return lambda x: np.cumprod(x, 1), vjp


@wrong(X, size="sums from the other end")
def cumsum_forwards():
    """The gradient sums from the first entry on, where it should from the last."""
    return lambda x: np.cumsum(x, 1), lambda _, dy: np.cumsum(dy, 1)


@wrong(X, region="batches above 1", size="another axis", source="HIPS/autograd#42")
def norm_of_all():
    """The gradient divides by the norm of the whole array, where it should by the row's."""

    def vjp(arrays, dy):
        (x,) = arrays
        return dy[:, None] * x / np.sqrt((x * x).sum() + 1e-3)

    return lambda x: np.sqrt((x * x).sum(1) + 1e-3), vjp


@wrong(
    X,
    region="rows of zeros",
    size="nan",
    source="HIPS/autograd#183",
    witness=[[0.0, 0.0], [1.0, 2.0]],
)
def norm_at_zero():
    """The gradient of the norm is nan at 0."""

    def vjp(arrays, dy):
        (x,) = arrays
        return (dy / np.sqrt((x * x).sum(1)))[:, None] * x

    return lambda x: np.sqrt((x * x).sum(1)), vjp


@wrong(Array((5, 7)), size="relative 1/6")
def variance_degrees():
    """The value divides by n − 1, the gradient by n."""

    def vjp(arrays, dy):
        (x,) = arrays
        return 2 * dy[:, None] * (x - x.mean(1, keepdims=True)) / x.shape[1]

    def variance(x):
        return ((x - x.mean(1, keepdims=True)) ** 2).sum(1) / (x.shape[1] - 1)

    return variance, vjp


@wrong(
    Array((6,)),
    Array((5,), kind="classes", high=6),
    region="repeated indices",
    size="all but one of the terms",
    source="pytorch/pytorch#1631",
)
def gather_overwrites():
    """Of a repeated index only the last cotangent counts."""

    def vjp(arrays, dy):
        dx = np.zeros_like(arrays[0])
        dx[arrays[1]] = dy
        return dx

    return lambda x, i: x[i], vjp


@wrong(Array((6, 3)), Array((5,), kind="classes", high=6), region="index 0", size="relative 1")
def embedding_drops_padding():
    """Row 0 gets no gradient, as if it were padding, but the value uses it."""

    def vjp(arrays, dy):
        dx = np.zeros_like(arrays[0])
        np.add.at(dx, arrays[1], dy)
        dx[:1] = 0
        return dx

    return lambda x, i: x[i], vjp


@wrong(
    X,
    Array(()),
    Array((2,), kind="classes", high=5),
    region="repeated indices",
    size="a row counted twice",
    source="pytorch/pytorch#57006",
)
def index_fill_repeated():
    """A repeated index counts twice in the gradient of the filled value."""

    def f(x, v, i):
        y = x + 0
        y[i] = v
        return y

    def vjp(arrays, dy):
        dx = dy.copy()
        dx[arrays[2]] = 0
        return dx, dy[arrays[2]].sum()

    return f, vjp


@wrong(
    Array((6,)),
    Array((6,), kind="classes", high=6),
    size="another sum",
    source="ooples/AiDotNet.Tensors#894",
)
def gather_gathers():
    """The gradient of a gather gathers, where it should scatter and add."""
    return lambda x, i: x[i], lambda a, dy: dy[a[1]]


@wrong(Array((8,)), region="the last entry", size="absolute 1")
def diff_last():
    """The last cotangent is not given to the last entry."""

    def vjp(arrays, dy):
        dx = np.zeros_like(arrays[0])
        dx[:-1] -= dy
        dx[1:-1] += dy[:-1]
        return dx

    return lambda x: x[1:] - x[:-1], vjp


@wrong(Array((8,)), size="reversed")
def flip_unflipped():
    """The gradient of a reversed array is not reversed."""
    return lambda x: x[::-1] ** 3, lambda a, dy: 3 * a[0] ** 2 * dy
