"""Every check of behaviour finds its planted fault in a NumPy pair, and accuses no right pair."""

import numpy as np
import pytest

from manualnn.gradcheck.behaviour import CHECKS
from manualnn.gradcheck.data import Point
from manualnn.gradcheck.functions.arguments import Arguments
from manualnn.gradcheck.functions.base import Slot, Unsupported
from manualnn.gradcheck.functions.numpy_pair import NumpyPair

BY_ID = {check.id: check for check in CHECKS}


def judge(id_, pair, arrays, cotangents=None):
    """Return the finding of one check, None if there is none."""
    f, vjp = pair
    slots = [Slot("xyz"[i], dtype=str(array.dtype)) for i, array in enumerate(arrays)]
    function = NumpyPair(f, Arguments(arrays, f), slots, {}, vjp=vjp)
    return judge_function(id_, function, arrays, cotangents)


def judge_function(id_, function, arrays, cotangents=None):
    rng = np.random.default_rng(0)
    outputs = function.value(arrays)
    cotangents = cotangents or tuple(rng.standard_normal(o.shape).astype(o.dtype) for o in outputs)
    try:
        return BY_ID[id_].judge(function, Point(tuple(arrays), cotangents), rng)
    except Unsupported:
        return None


def ids_of_findings(function, arrays, cotangents=None):
    """Return the ids of all checks that accuse a function at one point."""
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
