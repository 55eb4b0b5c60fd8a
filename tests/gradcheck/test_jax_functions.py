"""Functions of JAX as functions of arrays: every way in which people write them."""

from functools import partial

import numpy as np
import pytest

from manualnn.gradcheck import Array
from manualnn.gradcheck.functions.base import FunctionFailed, Unsupported
from manualnn.gradcheck.functions.find import find_function

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.once

jnp = jax.numpy
X = np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -0.75]])
W, DY = np.array([2.0, -4.0, 8.0]), np.array([[1.0, -2.0, 0.5], [4.0, 0.25, -1.0]])
INPUTS = [Array((2, 3)), Array(3)]


def with_vjp(f, forward, backward, **options):
    function = jax.custom_vjp(f, **options)
    function.defvjp(forward, backward)
    return function


def product(x, w):
    return 2 * x * w


def plain(x, w, *, scale=2):
    return {"y": (scale * x * jnp.asarray(w), jnp.argmax(x)), "size": len(x)}


def concrete(x, w):
    return jnp.asarray(2 if x.sum() > -100 else 3) * x * w


@jax.custom_jvp
def with_jvp(x, w):
    return 2 * x * w


@with_jvp.defjvp
def _tangent(inputs, tangents):
    (x, w), (dx, dw) = inputs, tangents
    return with_jvp(x, w), 2 * (dx * w + x * dw)


def backward(saved, dy):
    x, w = saved
    return 2 * dy * w, 2 * (dy * x).sum(0)


PRODUCTS = {
    "custom_vjp": (with_vjp(product, lambda *xs: (product(*xs), xs), backward), INPUTS, {}),
    "custom_jvp": (with_jvp, INPUTS, {}),
    "nondiff_argnums": (
        with_vjp(
            lambda scale, x, w: scale * x * w,
            lambda scale, x, w: (scale * x * w, (x, w)),
            lambda scale, saved, dy: backward(saved, dy * scale / 2),
            nondiff_argnums=(0,),
        ),
        [2, *INPUTS],
        {},
    ),
    "jit": (jax.jit(lambda x, w: 2 * x * w), INPUTS, {}),
    "options": (partial(jax.jit, static_argnames="scale")(plain), INPUTS, {"scale": 2}),
    "no jit": (concrete, INPUTS, {}),
    "arrays": (lambda x, w: x * w * 2, [jnp.ones((2, 3)), jnp.ones(3)], {}),
}


@pytest.mark.parametrize(("f", "inputs", "options"), PRODUCTS.values(), ids=PRODUCTS)
def test_values_and_gradients_of_every_form(f, inputs, options):
    function = find_function(f, inputs, options=options)
    assert function.framework == "jax"
    assert [slot.name for slot in function.inputs] == ["x", "w"]
    np.testing.assert_array_equal(function.value([X, W])[0], 2 * X * W)
    live = function.forward([X, W])
    for got in (function.vjp([X, W], [DY]), live.backward([DY]), live.backward([DY])):
        np.testing.assert_array_equal(got[0], 2 * DY * W)
        np.testing.assert_array_equal(got[1], 2 * (DY * X).sum(axis=0))
    assert jnp.ones(2).dtype == jnp.float32  # 64-bit numbers are switched off again


@pytest.mark.parametrize("key", ["custom_vjp", "custom_jvp"])
def test_the_gradient_is_a_function_with_a_gradient(key):
    function = find_function(*PRODUCTS[key][:2])
    assert function.gradient_function() is None
    function.value([X, W])
    second = function.gradient_function()
    assert [slot.name for slot in second.inputs] == ["x", "w", "cotangent"]
    # The gradients are a = 2 dy w and b = 2 Σ dy x. For cotangents u and v: ∂/∂x = 2 dy v,
    # ∂/∂w = 2 Σ dy u, ∂/∂dy = 2 (u w + x v).
    u, v = X + 1, W - 1
    for got, expected in zip(
        second.vjp([X, W, DY], [u, v]),
        (2 * DY * v, 2 * (DY * u).sum(axis=0), 2 * (u * W + X * v)),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


def test_transforms_and_tangents():
    function = find_function(*PRODUCTS["custom_vjp"][:2])
    stacked = [np.stack([X, -X]), np.stack([W, 3 * W])], [np.stack([DY, DY])]
    np.testing.assert_array_equal(function.batched_value(stacked[0])[0], [2 * X * W, -6 * X * W])
    np.testing.assert_array_equal(function.batched_vjp(*stacked)[0], [2 * DY * W, 6 * DY * W])
    np.testing.assert_array_equal(function.jitted_vjp([X, W], [DY])[0], 2 * DY * W)
    assert function.jvp([X, W], [X, W]) is None
    tangents = find_function(*PRODUCTS["custom_jvp"][:2]).jvp([X, W], [DY, W])
    np.testing.assert_array_equal(tangents[0], 2 * (DY * W + X * W))
    with pytest.raises(Unsupported):
        find_function(concrete, INPUTS).jitted_vjp([X, W], [DY])


def rows(i, w):
    return w[i]


BACKWARDS = {
    "None": lambda saved, dy: (None, jnp.zeros((2, 3)).at[saved].add(dy)),
    "float0": lambda saved, dy: (
        np.zeros(saved.shape, jax.dtypes.float0),
        jnp.zeros((2, 3)).at[saved].add(dy),
    ),
}


@pytest.mark.parametrize("form", BACKWARDS)
def test_integers_have_no_gradient(form):
    f = with_vjp(rows, lambda i, w: (w[i], i), BACKWARDS[form])
    function = find_function(f, [np.array([1, 0, 1]), Array((2, 3))])
    weights = np.ones((3, 3)) * [[1], [2], [4]]
    (gradient,) = function.vjp([np.array([1, 0, 1]), X], [weights])
    np.testing.assert_array_equal(gradient, [[2, 2, 2], [5, 5, 5]])


def test_a_missing_gradient_is_zero():
    def forward(x, w):
        return product(x.value, w.value), w.value

    f = jax.custom_vjp(product)
    f.defvjp(forward, lambda w, dy: (2 * dy * w, None), symbolic_zeros=True)
    dx, dw = find_function(f, INPUTS).vjp([X, W], [DY])
    np.testing.assert_array_equal(dx, 2 * DY * W)
    np.testing.assert_array_equal(dw, [0, 0, 0])


def test_parameters_in_a_nest_are_inputs():
    def f(params, x, key):
        del key
        return x @ params["w"].T + params["b"][0]

    inputs = [{"w": X, "b": [np.array([1.0, 2.0])]}, Array(3), jax.random.key(0)]
    function = find_function(f, inputs, framework="jax")
    assert [slot.name for slot in function.inputs] == ["params.w", "params.b[0]", "x"]
    got = function.vjp([X, np.array([1.0, 2.0]), W], [np.array([1.0, -3.0])])
    for gradient, expected in zip(
        got, (np.outer([1, -3], W), [1, -3], X[0] - 3 * X[1]), strict=True
    ):
        np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_small_floating_point_numbers(dtype):
    function = find_function(lambda x: x * x, [Array(1, dtype=dtype)], framework="jax")
    x = np.array(jnp.asarray([1.1], dtype), "float32")
    expected = np.array(jnp.asarray([1.1], dtype) ** 2, "float32")
    assert function.value([x])[0].dtype == "float32"
    np.testing.assert_array_equal(function.value([x])[0], expected)
    np.testing.assert_array_equal(function.value_in("float64", [x])[0], x.astype(float) ** 2)
    assert function.value_in("complex128", [x])[0].dtype == "complex128"


def test_complex_results_are_pairs_of_real_ones():
    function = find_function(lambda x: x + 2j * x, [Array((2, 3))], framework="jax")
    np.testing.assert_array_equal(function.value([X])[0], np.stack([X, 2 * X], -1))
    (gradient,) = function.vjp([X], [np.stack([DY, X], -1)])
    np.testing.assert_array_equal(gradient, DY + 2 * X)
    with pytest.raises(Unsupported):
        function.value_in("complex128", [X])


def test_code_of_numpy_has_a_gradient_where_jax_takes_it_and_no_second_one():
    def sine(x):
        return np.sin(x)

    f = with_vjp(sine, lambda x: (np.sin(x), x), lambda x, dy: (dy * np.cos(x),))
    function = find_function(f, [Array((2, 3))])
    np.testing.assert_array_equal(function.vjp([X], [DY])[0], DY * np.cos(X))
    function.value([X])
    with pytest.raises(FunctionFailed) as caught:
        function.gradient_function().vjp([X, DY], [X])
    assert caught.value.is_refusal
    assert "internal frames" not in caught.value.trace
    assert "jax_function.py" not in caught.value.trace


def test_failures_say_what_failed():
    broken = with_vjp(product, lambda *xs: (product(*xs), xs), lambda _, dy: (dy, dy))
    with pytest.raises(FunctionFailed) as caught:
        find_function(broken, INPUTS).vjp([X, W], [DY])
    assert caught.value.where == "vjp"
    with pytest.raises(FunctionFailed, match="no floating array") as caught:
        find_function(jnp.argmax, [Array(3)]).value([W])
    assert caught.value.where == "value"
