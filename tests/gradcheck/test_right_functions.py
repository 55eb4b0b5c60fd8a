"""The right functions of the benchmark: as many as promised, and some of them run."""

import numpy as np
import pytest
from gradcheck.faults import FAULTS
from gradcheck.functions import right_numpy
from gradcheck.functions.catalogue import functions
from gradcheck.functions.entry import Wrong

pytestmark = pytest.mark.once


def test_the_benchmark_has_330_right_functions_and_no_name_twice():
    right = [function for function in functions().values() if not isinstance(function, Wrong)]
    assert len(right) >= 330
    assert len(right_numpy.FUNCTIONS) >= 30


def test_every_fault_names_a_right_function():
    right = functions()
    assert [name for name in FAULTS if name not in right or isinstance(right[name], Wrong)] == []


@pytest.mark.parametrize("function", right_numpy.FUNCTIONS, ids=lambda function: function.name)
def test_a_pair_agrees_with_a_central_difference(function):
    """‖∂/∂h wᵀf(x + h·v) − vᵀvjp(w)‖ is of the order h², as far as rounding allows."""
    rng = np.random.default_rng(0)
    arrays = [_draw(array, rng) for array in function.inputs]
    f, vjp = function.build()
    free = [i for i, array in enumerate(arrays) if array.dtype.kind == "f"]
    single = any(arrays[i].dtype == np.float32 for i in free)
    v = {i: _direction(function.inputs[i], rng).astype(arrays[i].dtype) for i in free}
    y = f(*arrays)
    w = [rng.normal(size=np.shape(part)) for part in (y if isinstance(y, tuple) else (y,))]
    h = 2.0**-8 if single else 2.0**-18

    def value(step):
        moved = [a + step * v[i] if i in v else a for i, a in enumerate(arrays)]
        out = f(*moved)
        return sum(np.sum(a * b) for a, b in zip(_parts(out), w, strict=True))

    expected = (value(h) - value(-h)) / (2 * h)
    gradients = _parts(vjp(arrays, tuple(w) if isinstance(y, tuple) else w[0]))
    got = sum(np.sum(g * v[i]) for g, i in zip(gradients, free, strict=True))
    scale = sum(np.sum(np.abs(g * v[i])) for g, i in zip(gradients, free, strict=True))
    assert abs(got - expected) <= (2e-3 if single else 1e-4) * (scale + 1e-6)


def _parts(value):
    return value if isinstance(value, tuple) else (value,)


def _direction(array, rng):
    v = rng.normal(size=array.shape)
    return v + v.T if array.kind in {"symmetric", "spd"} else v


def _draw(array, rng):
    if array.kind == "classes":
        return rng.integers(array.high, size=array.shape)
    low = -2 if array.low is None else array.low
    x = rng.uniform(low, low + 4 if array.high is None else array.high, array.shape)
    if array.kind == "sorted":
        x = np.sort(x, array.axis)
    if array.kind == "probabilities":
        x = np.exp(x) / np.exp(x).sum(array.axis, keepdims=True)
    if array.kind in {"symmetric", "spd"}:
        x = x @ x.T + np.eye(len(x))
    return x.astype(array.dtype)
