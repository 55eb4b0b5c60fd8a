"""Every check of behaviour finds its planted fault in a NumPy pair, and accuses no right pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manualnn.gradcheck.behaviour import CHECKS
from manualnn.gradcheck.behaviour.layout import EXPANSIONS, LAYOUTS
from manualnn.gradcheck.data import Point
from manualnn.gradcheck.functions.arguments import Arguments
from manualnn.gradcheck.functions.base import Slot, Unsupported
from manualnn.gradcheck.functions.numpy_pair import NumpyPair
from manualnn.gradcheck.second import reason_incomplete

BY_ID = {check.id: check for check in CHECKS}


def judge(id_, pair, arrays, cotangents=None):
    """Return the finding of one check, None if there is none."""
    return judge_function(id_, function_of(pair, arrays), arrays, cotangents)


def function_of(pair, arrays):
    f, vjp, *jvp = pair
    slots = [Slot("xyz"[i], dtype=str(array.dtype)) for i, array in enumerate(arrays)]
    return NumpyPair(f, Arguments(arrays, f), slots, {}, vjp=vjp, jvp=jvp[0] if jvp else None)


def judge_function(id_, function, arrays, cotangents=None):
    rng = np.random.default_rng(0)
    outputs = function.value(arrays)
    cotangents = cotangents or tuple(rng.standard_normal(o.shape).astype(o.dtype) for o in outputs)
    try:
        return BY_ID[id_].judge(function, Point(tuple(arrays), cotangents), rng)
    except Unsupported:
        return None


def ids_of_findings(function, arrays, cotangents=None):
    """Return the ids of all checks with a finding at one point."""
    claimed = [check.id for check in CHECKS if not check.reason_not_claimed(function)]
    return [id_ for id_ in claimed if judge_function(id_, function, arrays, cotangents)]


X = np.array([[0.5, -2.0, 3.25], [1.0, -0.75, 2.0]])


def square(x):
    """Return x²."""
    return x * x


STATE = {}


def remembering(x):
    """Return x², and keep x in a global variable."""
    STATE["x"] = x
    return x * x


def writing(x):
    """Return the old x², and write over x."""
    y = x * x
    x *= 2
    return y


def _count(_arrays, dy):
    STATE["calls"] = STATE.get("calls", 0) + 1
    return dy * STATE["calls"]


BUFFER = np.zeros((2, 3))


def _buffered(arrays, dy):
    np.multiply(2 * arrays[0], dy, out=BUFFER)
    return BUFFER


def _scribble(arrays, dy):
    dy *= 2 * arrays[0]
    return dy.copy()


def _change_input(arrays, dy):
    gradient = 2 * arrays[0] * dy
    arrays[0][...] = 0
    return gradient


def _storage(array):
    """Return the entries as they lie in memory, as a kernel without strides reads them."""
    base = array if array.base is None else array.base
    return np.resize(base.ravel(order="K"), array.size).reshape(array.shape)


def _of_storage(arrays, dy):
    return 2 * arrays[0] * _storage(dy)


def _of_input_storage(arrays, dy):
    return 2 * _storage(arrays[0]) * dy


WRONG = {
    "shape": (np.sin, lambda arrays, dy: (np.cos(arrays[0]) * dy).sum(0, keepdims=True)),
    "dtype": (square, lambda arrays, dy: (2 * arrays[0] * dy).astype(np.float32)),
    "zero": (square, lambda arrays, dy: 2 * arrays[0] * dy + 1e-9),
    "linear": (square, lambda arrays, dy: 2 * arrays[0] * np.clip(dy, -1, 1)),
    "repeatable": (square, _count),
    "graphs": (remembering, lambda _, dy: 2 * STATE["x"] * dy),
    "retained": (remembering, lambda _, dy: 2 * STATE.pop("x") * dy),
    "jvp": (square, lambda arrays, dy: 2 * arrays[0] * dy, lambda _, v: (2 + 1e-3) * X * v[0]),
    "memory.inputs": (writing, lambda arrays, dy: 2 * arrays[0] * dy),
    "memory.results": (square, _buffered),
    "layout.cotangent": (square, _of_storage),
    "layout.inputs": (square, _of_input_storage),
}


@pytest.mark.parametrize("id_", WRONG)
def test_fault_is_found(id_):
    STATE.clear()
    right = square, lambda arrays, dy: 2 * arrays[0] * dy
    assert judge(id_, WRONG[id_], [X]) is not None
    assert judge(id_, right, [X]) is None


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _softmax_vjp(arrays, dy):
    y = _softmax(arrays[0])
    return y * (dy - (y * dy).sum(-1, keepdims=True))


def _largest_vjp(arrays, dy):
    """Return the gradient of the largest entry of each row; equal entries share it."""
    x = arrays[0]
    ties = x == x.max(-1, keepdims=True)
    return np.where(ties, dy[:, None], 0) / ties.sum(-1, keepdims=True, dtype=x.dtype)


def _layer_norm(x):
    z = x - x.mean(-1, keepdims=True)
    return z / np.sqrt((z * z).mean(-1, keepdims=True) + 1e-5)


def _layer_norm_vjp(arrays, dy):
    (x,) = arrays
    y, deviation = _layer_norm(x), np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    inner = dy - dy.mean(-1, keepdims=True) - y * (y * dy).mean(-1, keepdims=True)
    return inner / deviation


RIGHT = {
    "identity": (lambda x: x, lambda _, dy: dy, lambda _, v: v[0]),
    "view": (lambda x: x.T, lambda _, dy: dy.T),
    "sum": (np.sum, lambda arrays, dy: np.broadcast_to(dy, arrays[0].shape)),
    "relu": (lambda x: np.maximum(x, 0), lambda arrays, dy: np.where(arrays[0] > 0, dy, 0)),
    "exp": (np.exp, lambda arrays, dy: np.exp(arrays[0]) * dy),
    "sqrt": (np.sqrt, lambda arrays, dy: dy / (2 * np.sqrt(arrays[0]))),
    "softmax": (_softmax, _softmax_vjp),
    "largest": (lambda x: x.max(-1), _largest_vjp),
    "layer norm": (_layer_norm, _layer_norm_vjp),
}
POINTS = {
    "ordinary": X,
    "magnitudes": X * 2.0 ** np.array([[-20, 9, 0], [40, -3, 6]]),
    "large mean": X + 1e6,
    "saturated": np.array([[-745.0, 0.0, 710.0], [88.0, -0.0, 1e-310]]),
    "ties": np.array([[1.0, 1.0, -1.0], [0.0, 0.0, 0.0]]),
    "one row": X[:1],
    "empty": X[:0],
    "float32": X.astype(np.float32),
    "float16": X.astype(np.float16),
}


@pytest.mark.parametrize("x", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("pair", RIGHT.values(), ids=RIGHT)
def test_right_pair_has_no_finding(pair, x):
    assert ids_of_findings(function_of(pair, [x]), [x]) == []


def test_right_pair_of_two_inputs_has_no_finding():
    pair = np.add, lambda _, dy: (dy, dy.sum(0))
    assert ids_of_findings(function_of(pair, [X, X[0]]), [X, X[0]]) == []
    pair = np.matmul, lambda arrays, dy: (dy @ arrays[1].T, arrays[0].T @ dy)
    x, w = X.astype(np.float32), np.linspace(-3, 8, 12, dtype=np.float32).reshape(3, 4)
    assert ids_of_findings(function_of(pair, [x, w]), [x, w]) == []


class GradientOfProduct:
    """The gradients (w·dy, x·dy) of x·w as a function, whose own gradient lacks x."""

    framework = "torch"
    inputs = (Slot("x"), Slot("w"), Slot("cotangent"))

    def vjp(self, arrays, cotangents):
        """Return the gradients for x, which is missing, w and dy."""
        x, w, dy = arrays
        first, second = cotangents
        return np.zeros_like(x), dy * first, w * first + x * second


def test_second_derivatives_that_are_all_zero_are_incomplete():
    points = [Point((X, X + 1, X - 1), (X + 2, X + 3))]
    assert "for x are all zero" in reason_incomplete(GradientOfProduct(), points)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=3), st.sampled_from(["f8", "f4", "i8", "?"])
)
def test_layouts_have_the_same_numbers_and_expansions_have_one_along_an_axis(shape, dtype):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    for name, layout in LAYOUTS.items():
        stored = layout(array.copy())
        np.testing.assert_array_equal(stored, array, err_msg=name)
        assert stored.dtype == array.dtype
        assert not np.shares_memory(stored, array)
    whole, last_axis = (expand(array.copy()) for expand in EXPANSIONS.values())
    assert whole.shape == last_axis.shape == array.shape
    assert (whole == array.reshape(-1)[-1]).all()
    assert (last_axis == array[..., -1:]).all()


def test_layouts_are_what_their_names_say():
    array = np.arange(12.0).reshape(3, 4)
    stored = {name: layout(array.copy()) for name, layout in LAYOUTS.items()}
    assert stored["in Fortran order"].strides == (8, 24)
    assert stored["strided"].strides == (64, 16)
    assert stored["of negative strides"].strides == (-32, -8)
    whole, last_axis = (expand(array.copy()) for expand in EXPANSIONS.values())
    assert whole.strides == (0, 0)
    assert last_axis.strides[-1] == 0
