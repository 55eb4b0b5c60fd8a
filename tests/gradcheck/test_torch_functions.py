"""Functions of torch as functions of arrays: every way in which people write them."""

from dataclasses import dataclass
from functools import partial, wraps

import numpy as np
import pytest

from manualnn.errors import GradcheckError
from manualnn.gradcheck import Array
from manualnn.gradcheck.functions.base import FunctionFailed, Unsupported
from manualnn.gradcheck.functions.find import find_function

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.once

F = torch.autograd.Function
X = np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -0.75]])
W, DY = np.array([2.0, -4.0, 8.0]), np.array([[1.0, -2.0, 0.5], [4.0, 0.25, -1.0]])


class Old(F):
    """x·w + b, with arguments that have no gradient."""

    @staticmethod
    def forward(ctx, x, w, b, scale):
        ctx.save_for_backward(x, w)
        ctx.scale = scale
        return scale * x * w + (0 if b is None else b)

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        return ctx.scale * dy * w, ctx.scale * (dy * x).sum(0), None, None


class New(F):
    """The same with a context of its own, and with rules for vmap."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, w):
        return 2 * x * w

    @staticmethod
    def setup_context(ctx, inputs, output):
        del output
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        return 2 * dy * w, 2 * (dy * x).sum(0)


class Layer(torch.nn.Module):
    """The same, where w is a parameter; a call changes the buffer."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([2.0, -4.0, 8.0]))
        self.fixed = torch.nn.Parameter(torch.tensor(2.0), requires_grad=False)
        self.register_buffer("calls", torch.tensor(0.0))
        self.register_buffer("count", torch.tensor(0))

    def forward(self, x):
        self.calls += 1
        self.count += 1
        return self.fixed * x * self.w * self.calls


def plain(x, w, *, scale=2):
    return {"y": (scale * x * w, torch.argmax(x)), "size": len(x)}


INPUTS = [Array((2, 3)), Array(3)]
PRODUCTS = {
    "Function": (Old, [*INPUTS, None, 2.0], {}),
    "apply": (Old.apply, [*INPUTS, None, 2.0], {}),
    "setup_context": (New.apply, INPUTS, {}),
    "module": (Layer(), INPUTS[:1], {}),
    "plain": (plain, INPUTS, {}),
    "options": (plain, INPUTS, {"scale": 2.0}),
    "tensors": (lambda x, w: x * w * 2, [torch.ones(2, 3).double(), torch.ones(3).double()], {}),
    "a function in place": (lambda x, w: torch.Tensor.mul_(x, 2 * w), INPUTS, {}),
}


@pytest.mark.parametrize(("f", "inputs", "options"), PRODUCTS.values(), ids=PRODUCTS)
def test_values_and_gradients_of_every_form(f, inputs, options):
    function = find_function(f, inputs, options=options)
    x, dy = X.copy(), DY.copy()
    assert function.framework == "torch"
    np.testing.assert_array_equal(function.value([x, W])[0], 2 * X * W)
    live = function.forward([X.copy(), W])
    for got in (function.vjp([x, W], [dy]), live.backward([dy]), live.backward([dy])):
        np.testing.assert_array_equal(got[0], 2 * DY * W)
        np.testing.assert_array_equal(got[1], 2 * (DY * X).sum(axis=0))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(dy, DY)


@pytest.mark.parametrize(("f", "inputs", "options"), PRODUCTS.values(), ids=PRODUCTS)
def test_the_gradient_is_a_function_with_a_gradient(f, inputs, options):
    function = find_function(f, inputs, options=options)
    assert function.gradient_function() is None
    function.value([X, W])
    second = function.gradient_function()
    assert [slot.name for slot in second.inputs][2:] == ["cotangent"]
    np.testing.assert_array_equal(second.value([X, W, DY])[0], 2 * DY * W)
    # The gradients are a = 2 dy w and b = 2 Σ dy x. For cotangents u and v: ∂/∂x = 2 dy v,
    # ∂/∂w = 2 Σ dy u, ∂/∂dy = 2 (u w + x v).
    u, v = X + 1, W - 1
    for got, expected in zip(
        second.vjp([X, W, DY], [u, v]),
        (2 * DY * v, 2 * (DY * u).sum(axis=0), 2 * (u * W + X * v)),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


@dataclass
class Results:
    """A result of two tensors."""

    product: torch.Tensor
    sums: torch.Tensor


class Scaled:
    """An object that can be called."""

    def __init__(self):
        self.exp = torch.nn.functional.silu

    def __call__(self, x):
        return self.exp(x)


def imports_inside(x):
    import torch as t

    return t.sin(x)


def annotated(x: torch.Tensor):
    return x * 2


FORMS = {
    "a data class": lambda x: Results(x.exp(), torch.sum(x)),
    "an object": Scaled(),
    "an import inside": imports_inside,
    "an annotation": annotated,
    "a partial function": partial(torch.softmax, dim=-1),
    "a method of tensors": torch.Tensor.exp,
    "a wrapper": wraps(annotated)(partial(annotated)),
    "only methods": lambda x: x.exp(),
}


@pytest.mark.parametrize("f", FORMS.values(), ids=FORMS)
def test_torch_is_found_in(f):
    function = find_function(f, [Array((2, 3))])
    assert function.framework == "torch"
    assert function.value([X])[0].shape == (2, 3)


def test_names_are_those_of_the_signature_and_of_the_parameters():
    names = {key: [s.name for s in find_function(*PRODUCTS[key][:2]).inputs] for key in PRODUCTS}
    assert {tuple(value) for value in names.values()} == {("x", "w")}
    assert find_function(Old, PRODUCTS["Function"][1]).name == "Old.apply"


def test_a_module_has_the_dtype_of_its_inputs_and_is_not_changed():
    layer = Layer()
    function = find_function(layer, [Array((2, 3))])
    assert function.value([X, W])[0].dtype == np.float64
    assert function.inputs[1].dtype == "float64"
    np.testing.assert_array_equal(function.parameters, [W])
    assert layer.calls == layer.count == 0
    assert layer.w.dtype == torch.float32
    single = find_function(layer, [Array((2, 3), dtype="float32")])
    assert single.value([X.astype("f"), W.astype("f")])[0].dtype == np.float32


def test_hooks_of_parameters_change_their_gradients():
    module = torch.nn.Linear(3, 2).double()
    module.weight.register_hook(lambda gradient: gradient / 2)
    linear = find_function(module, [Array((2, 3))])
    dy = np.array([[1.0, 2.0], [-4.0, 0.5]])
    for _ in range(2):
        dx, dw, db = linear.vjp((X, *linear.parameters), (dy,))
        np.testing.assert_allclose(dx, dy @ linear.parameters[0], rtol=1e-14)
        np.testing.assert_allclose(dw, dy.T @ X / 2, rtol=1e-14)
        np.testing.assert_array_equal(db, dy.sum(0))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_small_floating_point_numbers(dtype):
    kind = getattr(torch, dtype)
    function = find_function(lambda x: x * x, [Array(1, dtype=dtype)], framework="torch")
    carrier = "float32" if dtype == "bfloat16" else dtype
    x = torch.tensor([1.1]).to(kind).float().numpy().astype(carrier)
    expected = (torch.tensor([1.1]).to(kind) ** 2).double().numpy()
    assert function.value([x])[0].dtype == carrier
    np.testing.assert_array_equal(function.value([x])[0], expected)
    np.testing.assert_array_equal(function.value_in("float64", [x])[0], x.astype(float) ** 2)


LAYOUTS = {
    "transposed": X.T.copy().T,
    "strided": np.repeat(X, 2, axis=1)[:, ::2],
    "reversed": X[::-1].copy()[::-1],
    "repeated": np.broadcast_to(W, (2, 3)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensors_have_the_strides_of_the_arrays(layout):
    seen = []

    def see(x):
        seen.append(tuple(8 * step for step in x.stride()))
        return torch.sin(x)

    array = LAYOUTS[layout]
    function = find_function(see, [Array((2, 3))])
    np.testing.assert_allclose(function.value([array])[0], np.sin(array), rtol=1e-15)
    function.vjp([array], [array])
    strides = array.copy().strides if layout == "reversed" else array.strides  # torch has none < 0
    assert set(seen) == {strides}


def test_a_live_call_shares_memory_with_the_arrays():
    def overwrites(x):
        x.detach()[0, 0] = 7
        return 1 * x

    array = X.copy()
    live = find_function(overwrites, [Array((2, 3))], framework="torch").forward([array])
    assert array[0, 0] == 7
    assert live.in_place == ()


class Relu(F):
    """ReLU in place, as torch allows it."""

    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        ctx.save_for_backward(x.clamp_(min=0))
        return x

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (y > 0)


@pytest.mark.parametrize("f", [Relu.apply, torch.relu_, torch.nn.ReLU(inplace=True)])
def test_functions_may_work_in_place(f):
    function = find_function(f, [Array((2, 3))])
    np.testing.assert_array_equal(function.value([X])[0], np.maximum(X, 0))
    np.testing.assert_array_equal(function.vjp([X], [DY])[0], DY * (X > 0))
    assert function.forward([X.copy()]).in_place == (0,)


def test_random_numbers_are_the_same_in_every_call_and_the_generator_is_left_alone():
    function = find_function(torch.nn.Dropout(0.5), [Array(100)])
    x, state = np.ones(100), torch.get_rng_state()
    (mask,) = function.value([x])
    assert set(mask) == {0, 2}
    np.testing.assert_array_equal(function.value([x])[0], mask)
    np.testing.assert_array_equal(function.vjp([x], [x])[0], mask)
    assert function.forward([x]).is_random
    assert torch.equal(torch.get_rng_state(), state)
    assert not find_function(torch.exp, [Array(2)]).forward([np.ones(2)]).is_random


class Several(F):
    """x², a copy that has no derivative, and the places of the maxima; gradients may be None."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        copy, places = x.clone(), x.argmax(-1)
        ctx.mark_non_differentiable(copy, places)
        return x * x, copy, places, x * 3

    @staticmethod
    def backward(ctx, square, copy, places, triple):
        (x,) = ctx.saved_tensors
        assert copy is None
        assert places is None
        gradients = [2 * x * square if square is not None else None]
        gradients += [3 * triple if triple is not None else None]
        return sum(gradient for gradient in gradients if gradient is not None)


def test_only_outputs_with_a_derivative_count_and_may_be_left_unused():
    function = find_function(Several, [Array((2, 3))])
    square, triple = function.value([X])
    np.testing.assert_array_equal(square, X * X)
    np.testing.assert_array_equal(triple, 3 * X)
    live = function.forward([X])
    np.testing.assert_array_equal(live.backward([DY, None])[0], 2 * X * DY)
    np.testing.assert_array_equal(live.backward([None, DY])[0], 3 * DY)
    assert live.backward([None, None]) == (None,)
    np.testing.assert_array_equal(function.vjp([X], [DY, DY])[0], 2 * X * DY + 3 * DY)


def test_a_detached_result_has_the_gradient_zero():
    function = find_function(lambda x: torch.exp(x.detach()), [Array((2, 3))])
    np.testing.assert_array_equal(function.value([np.zeros((2, 3))])[0], 1)
    np.testing.assert_array_equal(function.vjp([X], [DY])[0], 0)


def test_only_wanted_gradients_are_computed():
    wanted = []

    class Product(Old):
        @staticmethod
        def backward(ctx, dy):
            wanted.append(ctx.needs_input_grad)
            return Old.backward(ctx, dy)

    function = find_function(Product, PRODUCTS["Function"][1])
    dx, dw = function.forward([X, W], [False, True]).backward([DY])
    assert dx is None
    np.testing.assert_array_equal(dw, 2 * (DY * X).sum(axis=0))
    assert wanted == [(False, True, False, False)]


def test_integers_have_no_gradient():
    function = find_function(torch.nn.functional.embedding, [np.array([1, 0, 1]), Array((2, 3))])
    weights = np.ones((3, 3)) * [[1], [2], [4]]
    (gradient,) = function.vjp([np.array([1, 0, 1]), X], [weights])
    np.testing.assert_array_equal(gradient, [[2, 2, 2], [5, 5, 5]])


def test_a_function_that_differentiates_something_itself():
    def force(x):
        return torch.autograd.grad((x**3).sum(), x, create_graph=True)[0]

    function = find_function(force, [Array((2, 3))])
    np.testing.assert_allclose(function.value([X])[0], 3 * X**2, rtol=1e-15)
    np.testing.assert_allclose(function.vjp([X], [DY])[0], 6 * X * DY, rtol=1e-15)


def test_complex_results_are_pairs_of_real_ones():
    function = find_function(lambda x: torch.complex(x, 2 * x), [Array((2, 3))])
    np.testing.assert_array_equal(function.value([X])[0], np.stack([X, 2 * X], -1))
    np.testing.assert_array_equal(function.vjp([X], [np.stack([DY, X], -1)])[0], DY + 2 * X)
    with pytest.raises(Unsupported):
        function.value_in("complex128", [X])


def test_transforms_are_claimed_only_by_functions_that_have_them():
    stacked = [np.stack([X, -X]), np.stack([W, 3 * W])], [np.stack([DY, DY])]
    new = find_function(New, INPUTS)
    np.testing.assert_array_equal(new.batched_value(stacked[0])[0], [2 * X * W, -6 * X * W])
    np.testing.assert_array_equal(new.batched_vjp(*stacked)[0], [2 * DY * W, 6 * DY * W])
    old = find_function(Old, PRODUCTS["Function"][1])
    with pytest.raises(Unsupported):
        old.batched_vjp(*stacked)
    assert old.jvp([X, W], [X, W]) is None
    tangents = find_function(plain, INPUTS).jvp([X, W], [DY, W])
    np.testing.assert_array_equal(tangents[0], 2 * (DY * W + X * W))


class Broken(Old):
    """A gradient for one input only."""

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.saved_tensors[1]


class Once(Old):
    """A gradient that cannot be differentiated."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        return Old.backward(ctx, dy)


def test_failures_say_what_failed():
    inputs = PRODUCTS["Function"][1]
    with pytest.raises(FunctionFailed, match="incorrect number of gradients") as caught:
        find_function(Broken, inputs).vjp([X, W], [DY])
    assert caught.value.where == "vjp"
    assert not caught.value.is_refusal
    with pytest.raises(FunctionFailed, match="no floating tensor") as caught:
        find_function(torch.argmax, [Array(3)]).value([W])
    assert caught.value.where == "value"
    once = find_function(Once, inputs)
    once.value([X, W])
    with pytest.raises(FunctionFailed) as caught:
        once.gradient_function().vjp([X, W, DY], [X, W])
    assert caught.value.is_refusal
    with pytest.raises(GradcheckError, match="vjp is for NumPy"):
        find_function(Old, inputs, vjp=lambda a, _: a, framework="torch")
