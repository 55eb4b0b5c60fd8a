"""A NumPy pair as a function: the forms of its backward pass, its arguments, and its failures."""

import subprocess
import sys

import numpy as np
import pytest

from manualnn.errors import GradcheckError
from manualnn.gradcheck import Array
from manualnn.gradcheck.functions.arguments import list_entries
from manualnn.gradcheck.functions.base import FunctionFailed, Unsupported, copy_layout
from manualnn.gradcheck.functions.find import find_function

X, W = np.arange(6.0).reshape(2, 3), np.array([2.0, -1.0, 4.0])
DY = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])
GRADIENTS = DY * W, (DY * X).sum(axis=0)  # of x·w
INPUTS = [Array((2, 3)), Array(3)]


def scale(x, w):
    return x * w


def backward(arrays, dy):
    x, w = arrays
    return dy * w, (dy * x).sum(axis=0)


FORMS = {
    "of a list of arrays": backward,
    "of the arrays one by one": lambda x, w, dy: [dy * w, (dy * x).sum(axis=0)],
    "that returns names": lambda a, dy: {"w": (dy * a[0]).sum(axis=0), "x": dy * a[1]},
}


@pytest.mark.parametrize("vjp", FORMS.values(), ids=FORMS)
def test_a_backward_pass_may_have_any_form(vjp):
    function = find_function(scale, INPUTS, vjp=vjp)
    assert [slot.name for slot in function.inputs] == ["x", "w"]
    for got in (function.vjp([X, W], [DY]), function.forward([X, W]).backward([DY])):
        for gradient, expected in zip(got, GRADIENTS, strict=True):
            np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("x", [X, np.array(3.0), np.ones(1), np.ones((1, 1)), np.ones((0, 2))])
@pytest.mark.parametrize(
    "vjp",
    [
        lambda arrays, dy: [2 * arrays[0] * dy],
        lambda arrays, dy: 2 * arrays[0] * dy,
        lambda x, dy: 2 * x * dy,
    ],
    ids=["list of list", "array of list", "array of array"],
)
def test_a_backward_pass_of_one_input_may_take_and_return_the_array_itself(vjp, x):
    function = find_function(lambda x: x * x, [x], vjp=vjp)
    (gradient,) = function.vjp([x], [x + 1])
    np.testing.assert_array_equal(gradient, 2 * x * (x + 1))
    assert gradient.shape == x.shape


def test_a_gradient_of_a_wrong_shape_is_kept_as_it_is():
    function = find_function(scale, INPUTS, vjp=lambda a, dy: (dy * a[1], dy * a[0]))
    assert [g.shape for g in function.vjp([X, W], [DY])] == [(2, 3), (2, 3)]
    function = find_function(np.sin, [X], vjp=lambda a, dy: (dy * np.cos(a[0]))[:1])
    assert function.vjp([X], [DY])[0].shape == (1, 3)


def test_outputs_that_hold_no_real_numbers_have_no_cotangent():
    def largest(x):
        return {"value": x.max(axis=1), "place": x.argmax(axis=1)}

    def vjp(arrays, dy):
        value, place = dy
        assert place is None
        return np.where(arrays[0] == arrays[0].max(axis=1, keepdims=True), value[:, None], 0)

    function = find_function(largest, [X], vjp=vjp)
    assert [output.shape for output in function.value([X])] == [(2,)]
    np.testing.assert_array_equal(
        function.vjp([X], [np.array([5.0, 7.0])])[0], [[0, 0, 5], [0, 0, 7]]
    )


def test_what_is_no_array_is_passed_as_it_is():
    calls = []

    def f(x, flag, sizes, *, power=1, **_):
        calls.append((flag, sizes, power))
        return x["a"] ** power + x["b"][0]

    def vjp(arrays, dy, power):
        x, _, _ = arrays
        return dy * power * x["a"] ** (power - 1), dy

    inputs = [{"a": X, "b": [DY]}, None, (1, 2)]
    function = find_function(f, inputs, vjp=vjp, options={"power": 3, "other": 0})
    assert [slot.name for slot in function.inputs] == ["x.a", "x.b[0]"]
    np.testing.assert_array_equal(function.value([X, DY])[0], X**3 + DY)
    np.testing.assert_array_equal(function.vjp([X, DY], [DY])[0], DY * 3 * X**2)
    assert set(calls) == {(None, (1, 2), 3)}


def test_numbers_are_inputs_only_where_no_entry_is_an_array():
    assert len(list_entries([X, 2.0, 3])) == 1
    assert [float(entry) for entry in list_entries([2.0, 3])] == [2.0]
    assert len(list_entries(Array(3))) == 1


def test_inputs_are_not_changed_and_results_are_copies():
    kept = np.zeros((2, 3))

    def f(x):
        x *= 2
        kept[...] = x
        return kept

    def vjp(arrays, dy):
        arrays[0][...] = 7
        dy *= 2
        return dy

    function, x, dy = find_function(f, [X], vjp=vjp), X.copy(), DY.copy()
    first = function.value([x])[0]
    function.value([x + 1])
    gradient = function.vjp([x], [dy])[0]
    np.testing.assert_array_equal(first, 2 * X)
    np.testing.assert_array_equal(gradient, 2 * DY)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(dy, DY)


LAYOUTS = [X.T, X[:, ::2], X[::-1, ::-1], np.broadcast_to(W, (4, 3)), np.array(2.0)]


@pytest.mark.parametrize("array", LAYOUTS)
def test_a_copy_has_the_same_layout(array):
    copy = copy_layout(array)
    np.testing.assert_array_equal(copy, array)
    assert copy.strides == array.strides
    assert copy.flags.writeable
    assert not np.shares_memory(copy, array)


def test_code_runs_in_other_numbers_where_it_can():
    third = np.array([1.0]) / 3
    function = find_function(np.square, [third], vjp=lambda a, dy: 2 * a[0] * dy)
    assert function.value_in("longdouble", [third])[0].dtype == np.longdouble
    np.testing.assert_array_equal(function.value_in("complex128", [1j * third])[0], -(third**2))
    np.testing.assert_array_equal(function.vjp([third], [third])[0], 2 * third * third)
    rounding = find_function(lambda x: np.cbrt(x), [third], vjp=lambda _, dy: dy)  # noqa: PLW0108
    with pytest.raises(Unsupported, match="complex128"):
        rounding.value_in("complex128", [third])


def test_a_forward_derivative_gets_a_tangent_for_each_input():
    def jvp(arrays, tangents):
        assert tangents[0] is None
        return tangents[1][arrays[0]]

    function = find_function(
        lambda i, x: x[i], [np.array([1, 0]), X], vjp=lambda _, dy: (None, dy), jvp=jvp
    )
    np.testing.assert_array_equal(function.jvp([np.array([1, 0]), X], [DY])[0], DY[[1, 0]])
    assert find_function(np.sin, [X], vjp=lambda _, dy: dy).jvp([X], [X]) is None


def fails(*_):
    raise ZeroDivisionError("no luck")


def test_a_failure_is_shown_from_the_code_of_the_function_on():
    function = find_function(scale, INPUTS, vjp=fails)
    with pytest.raises(FunctionFailed, match="no luck") as caught:
        function.vjp([X, W], [DY])
    assert caught.value.where == "vjp"
    assert "functions/numpy_pair.py" not in caught.value.trace
    assert "in fails" in caught.value.trace


RETURNS = {
    "nothing": (lambda _: None, "a return missing"),
    "no real numbers": (lambda x: x > 0, "no floating-point array, but bool"),
    "complex numbers": (lambda x: x + 1j, "complex"),
}


@pytest.mark.parametrize(("f", "message"), RETURNS.values(), ids=RETURNS)
def test_values_have_to_be_real_numbers(f, message):
    with pytest.raises(FunctionFailed, match=message):
        find_function(f, [X], vjp=backward).value([X])


GRADIENT_SLIPS = {
    "None": (lambda *_: None, "a return missing"),
    "too many": (lambda _, dy: (dy, dy, dy), "3 gradients for 2 inputs"),
    "a name too few": (lambda _, dy: {"x": dy}, "no gradient of w"),
}


@pytest.mark.parametrize(("vjp", "message"), GRADIENT_SLIPS.values(), ids=GRADIENT_SLIPS)
def test_there_has_to_be_a_gradient_for_each_input(vjp, message):
    with pytest.raises(FunctionFailed, match=message):
        find_function(scale, INPUTS, vjp=vjp).vjp([X, W], [DY])


CALLS = {
    "no backward pass": ((np.sin, [X]), {}, 'framework="torch"'),
    "no function": ((3, [X]), {"vjp": backward}, "cannot be called"),
    "no derivative": ((scale, [Array(3, kind="integers")]), {"vjp": backward}, "has a derivative"),
    "an unknown framework": ((scale, [X]), {"framework": "tf"}, "one of numpy, torch"),
    "a missing module": (("nonesuch:f", [X]), {}, "cannot be imported"),
    "a program as NumPy": (("cat f", [X]), {"vjp": backward, "framework": "numpy"}, "program"),
}


@pytest.mark.parametrize(("call", "options", "message"), CALLS.values(), ids=CALLS)
def test_a_call_that_cannot_be_used_gets_a_clear_error(call, options, message):
    with pytest.raises(GradcheckError, match=message):
        find_function(*call, **options)


def test_a_function_may_be_given_by_its_name():
    function = find_function("numpy:square", [X], vjp=lambda a, dy: 2 * a[0] * dy)
    np.testing.assert_array_equal(function.value([X])[0], X * X)


def test_a_framework_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.delitem(sys.modules, "manualnn.gradcheck.functions.jax_function", raising=False)
    with pytest.raises(GradcheckError, match="needs jax, which is not installed; pip install jax"):
        find_function(np.sin, [X], framework="jax")


@pytest.mark.once
def test_a_numpy_pair_loads_no_framework():
    code = (
        "import sys, numpy as np\n"
        "from manualnn.gradcheck.functions.find import find_function\n"
        "x = np.ones(2)\n"
        "find_function(np.sin, [x], vjp=lambda _, dy: dy).vjp([x], [x])\n"
        "print(sorted({'torch', 'jax', 'hypothesis', 'mpmath', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603 - our own Python
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
