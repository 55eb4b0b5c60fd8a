"""The contract of layers, losses and rules, for everything in the tables.

Kernels are pure and honour `out=`; a docstring states every equation; any memory layout gives the
same answer; no finite input warns or makes NaN; imports point one way.
"""

import inspect
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from cases import LAYOUTS, Array, cases
from hypothesis import given
from hypothesis import strategies as st
from proofs import LAYER_STATEMENTS, LOSS_STATEMENTS, RULE_EXAMPLES, with_numbers
from toys import own_fields
from values import of_kind

import manualnn
from manualnn import LAYERS, LOSSES, OPTIMIZERS, SELU, Layer, Parameters, Sequential
from manualnn.oracle.protocol.features import LOSS_ROWS
from manualnn.spec import from_spec, to_spec

PACKAGE = Path(manualnn.__file__).parent
FLOATS = [np.dtype(t) for t in (np.float32, np.float64, np.longdouble)]
EXAMPLES: list[Any] = [with_numbers(s.layer) for s in LAYER_STATEMENTS]
OF_BOTH_SIGNS = ("HingeEmbeddingLoss", "KLDivLoss", "NLLLoss", "PoissonNLLLoss")
"""Losses whose terms may be positive and negative."""
LOSS_EXAMPLES = [(with_numbers(s.loss), s.target) for s in LOSS_STATEMENTS]
N = 4

# ---------------------------------------------------------------------- docstrings


def block(doc: str, name: str) -> list[str]:
    """Return the equations under *Forward* or *Backward*: its lines, up to an empty one."""
    found = re.search(rf"^{name}\b.*\n((?:    .+\n)+)", doc, re.MULTILINE)
    assert found, f"no block {name}"
    return [line.strip() for line in found[1].splitlines()]


def left_sides(lines: list[str]) -> set[str]:
    return {re.split(r"[\[ ]", line)[0] for line in lines if " = " in line}


LETTERS = {"weight": "W", "bias": "b"}


@pytest.mark.parametrize("layer", LAYERS.values())
def test_layer_states_an_equation_for_its_output_and_every_gradient(layer: type[Layer]) -> None:
    """*Forward* has a line for y; *Backward* one for the input and one for every parameter."""
    example = next(e for e in EXAMPLES if type(e) is layer)
    doc = inspect.getdoc(layer) + "\n"
    *_, x, _ = inspect.signature(layer.forward).parameters
    *_, y, dy, _ = inspect.signature(layer.backward).parameters
    assert dy == f"d{y}"
    assert left_sides(block(doc, "Forward")) == {y}
    wanted = {f"d{x}"} | {
        f"d{LETTERS.get(name, name)}" for name in example.shapes() if "." not in name
    }
    assert left_sides(block(doc, "Backward")) == wanted
    assert f"given {dy} = ∂L/∂{y}" in doc
    shapes = doc.partition("Shapes:")[2].partition("\n\n")[0]
    for name in wanted | {x, y, dy}:
        assert re.search(rf"\b{name}\b", shapes), f"Shapes does not name {name}"
    assert "Source: " in doc


@pytest.mark.parametrize("loss", LOSSES.values())
def test_loss_states_its_value_and_its_gradient(loss: Any) -> None:
    doc = inspect.getdoc(loss) + "\n"
    assert left_sides(block(doc, "Forward")) == {"L"}
    assert left_sides(block(doc, "Backward")) == {"dy"}
    assert "Shapes: y" in doc
    assert "Source: " in doc


@pytest.mark.parametrize("rule", OPTIMIZERS.values())
def test_rule_states_its_step_and_its_state(rule: Any) -> None:
    """Each rule has a line θ ← …, and names the vectors that it keeps."""
    doc = inspect.getdoc(rule)
    assert "θ ← θ − " in doc
    examples = map(with_numbers, RULE_EXAMPLES)
    kept = {name for e in examples if type(e) is rule for name in e.vectors()}
    inherited = "".join(inspect.getdoc(base) or "" for base in rule.__mro__ if base is not object)
    assert "State" in doc
    assert all(name in inherited for name in kept)


# ---------------------------------------------------------------------- kernels


class Call:
    """The arrays of one layer, with numbers of both signs."""

    def __init__(self, layer: Any, dtype: Any = np.float64, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        width = getattr(layer, "in_features", None) or layer.inputs(3)
        shapes = layer.shapes() | layer.sample_shapes((N, width))
        self.layer = layer
        self.arrays = {k: rng.normal(size=s).astype(dtype) for k, s in shapes.items()}
        for name, array in layer.buffers().items():  # a running variance is at least 0
            self.arrays[name] = np.asarray(np.abs(rng.normal(size=array.shape)), dtype)
        self.x = rng.normal(size=(N, width)).astype(dtype)
        self.y = layer.forward(self.arrays, self.x)
        self.dy = rng.normal(size=self.y.shape).astype(dtype)

    def results(self, x: Array, y: Array, dy: Array) -> dict[str, Array]:
        """Return dx and every dθ, which was full of NaN before."""
        shapes = self.layer.shapes()
        grads = {name: np.full(shape, np.nan, x.dtype) for name, shape in shapes.items()}
        self.layer.backward_params(self.arrays, x, y, dy, grads)
        return {"dx": self.layer.backward(self.arrays, x, y, dy), **grads}

    def read_only(self) -> None:
        for array in (self.x, self.y, self.dy, *self.arrays.values()):
            array.flags.writeable = False


def assert_equal(got: dict[str, Array], wanted: dict[str, Array]) -> None:
    for name, array in wanted.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layer", EXAMPLES, ids=str)
def test_kernels_of_a_layer_are_pure(layer: Layer, dtype: Any) -> None:
    """They write to no argument, their results share no memory, and keep the dtype."""
    call = Call(layer, dtype)
    call.read_only()
    results = call.results(call.x, call.y, call.dy)
    arguments = [call.x, call.y, call.dy, *call.arrays.values()]
    assert not any(np.shares_memory(call.y, a) for a in arguments if a is not call.y)
    assert not any(np.shares_memory(r, a) for r in results.values() for a in arguments)
    assert {r.dtype for r in (call.y, *results.values())} == {dtype}
    assert results["dx"].shape == call.x.shape
    assert_equal(call.results(call.x, call.y, call.dy), results)


@pytest.mark.parametrize("dtype", [*FLOATS, np.dtype(object)], ids=str)
@pytest.mark.parametrize("layer", EXAMPLES, ids=str)
def test_kernels_of_a_layer_honour_out(layer: Layer, dtype: Any) -> None:
    """They return what they are handed, filled with what they would have returned."""
    call = Call(layer, dtype)
    for wanted, kernel in (
        (call.y, lambda out: layer.forward(call.arrays, call.x, out=out)),
        (
            layer.backward(call.arrays, call.x, call.y, call.dy),
            lambda out: layer.backward(call.arrays, call.x, call.y, call.dy, out=out),
        ),
    ):
        out = np.full(wanted.shape, np.nan, dtype)
        assert kernel(out) is out
        np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("layer", EXAMPLES, ids=str)
def test_what_backward_says_it_does_not_read_does_not_matter(layer: Layer) -> None:
    """NaN changes nothing where reads_input or reads_output is False, and does where it is True."""
    call = Call(layer)
    plain = call.results(call.x, call.y, call.dy)
    nothing = np.full_like(call.x, np.nan), np.full_like(call.y, np.nan)
    without_x = call.results(nothing[0], call.y, call.dy)
    without_y = call.results(call.x, nothing[1], call.dy)
    for reads, got in ((layer.reads_input, without_x), (layer.reads_output, without_y)):
        if not reads:
            assert_equal(got, plain)
        else:
            assert any(not np.array_equal(got[name], plain[name]) for name in plain)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layer", [e for e in EXAMPLES if not e.reads_input], ids=str)
def test_layer_that_does_without_its_input_may_overwrite_it(layer: Layer, dtype: Any) -> None:
    call = Call(layer, dtype)
    x = call.x.copy()
    assert layer.forward(call.arrays, x, out=x) is x
    np.testing.assert_array_equal(x, call.y)


def outputs_and_targets(loss: Any, target: str, dtype: Any) -> tuple[Array, Array]:
    rng = np.random.default_rng(2)
    t = rng.random((N, 3)).astype(dtype)
    classes = {"classes": np.array([2, 0, -7, 1]), "indices": np.array([2, 0, 1, 1])}
    t = classes[target] if target in classes else of_kind(type(loss).__name__, t)
    inside = LOSS_ROWS[type(loss).__name__].takes_probabilities
    y = rng.random((N, 3)) if inside else rng.normal(size=(N, 3))
    return y.astype(dtype), t


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("loss", "target"), LOSS_EXAMPLES, ids=str)
def test_kernels_of_a_loss_are_pure_and_honour_out(loss: Any, target: str, dtype: Any) -> None:
    y, t = outputs_and_targets(loss, target, dtype)
    y.flags.writeable = t.flags.writeable = False
    value, dy = loss.forward(y, t), loss.backward(y, t)
    both_value, both_dy = loss.forward_and_backward(y, t)
    assert np.asarray(value).dtype == dy.dtype == both_dy.dtype == dtype
    assert not any(np.shares_memory(a, b) for a in (dy, both_dy) for b in (y, t))
    for kernel in (loss.backward, lambda *a, out: loss.forward_and_backward(*a, out=out)[1]):
        out = np.full_like(y, np.nan)
        assert kernel(y, t, out=out) is out
        np.testing.assert_allclose(out, dy, rtol=64 * np.finfo(dtype).eps)
    # Sharing work may order operations otherwise: a few roundings, not 64.
    np.testing.assert_allclose(both_value, value, rtol=64 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("loss", "target"), LOSS_EXAMPLES, ids=str)
def test_gradient_of_a_loss_on_mpmath_numbers_is_made_of_them(loss: Any, target: str) -> None:
    """So that any layer before it can compute on; mpmath subtracts no Fraction."""
    y, t = outputs_and_targets(loss, target, np.float64)
    y = np.frompyfunc(mpmath.mpf, 1, 1)(y)
    assert {type(entry) for entry in loss.backward(y, t).flat} == {mpmath.mpf}


# ---------------------------------------------------------------------- layouts


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("layer", EXAMPLES, ids=str)
def test_memory_layout_does_not_matter(layer: Layer, layout: str) -> None:
    """Small integers round nowhere in Linear, so the BLAS may add in any order; normalisations add
    what has been rounded, in an order that depends on the processor; other layers add nothing."""
    call, arrange = Call(layer), LAYOUTS[layout]
    call.x, call.dy = np.rint(2 * call.x), np.rint(2 * call.dy)
    call.arrays = {name: np.rint(2 * array) for name, array in call.arrays.items()}
    x, dy = (arrange(a) for a in (call.x, call.dy))
    plain_x, plain_dy = x.copy(order="C"), dy.copy(order="C")
    plain_y = layer.forward(call.arrays, plain_x)
    wanted = call.results(plain_x, plain_y, plain_dy)
    y = arrange(plain_y) if layout != "broadcast" else plain_y
    got = call.results(x, y, dy)
    if hasattr(layer, "normalize"):
        for name, array in wanted.items():
            np.testing.assert_allclose(got[name], array, rtol=0, atol=64 * np.finfo(float).eps)
        return
    np.testing.assert_array_equal(layer.forward(call.arrays, x), plain_y)
    assert_equal(got, wanted)


@pytest.mark.parametrize(("loss", "target"), LOSS_EXAMPLES, ids=str)
def test_memory_layout_does_not_matter_to_a_loss(loss: Any, target: str) -> None:
    """The gradient is the same to the last bit; L, a sum of 12 terms, within 12 roundings."""
    for layout, arrange in LAYOUTS.items():
        y, t = map(arrange, outputs_and_targets(loss, target, np.float64))
        value, dy = loss.value_and_grad(y, t)
        plain_value, plain_dy = loss.value_and_grad(y.copy(order="C"), t.copy(order="C"))
        np.testing.assert_array_equal(dy, plain_dy, layout)
        np.testing.assert_allclose(value, plain_value, 12 * np.finfo(float).eps, err_msg=layout)


# ---------------------------------------------------------------------- extremes


def extremes(dtype: Any) -> Array:
    """Return every pair of the numbers at which something overflows, saturates or underflows."""
    info = np.finfo(dtype)
    positive = [0, info.smallest_subnormal, info.tiny, 1, 40, 89, 800, 1e4, info.max / 2, info.max]
    values = np.array(positive, dtype)
    values = np.concatenate([values, -values])
    return np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layer", [e for e in EXAMPLES if not e.shapes()], ids=str)
def test_no_finite_input_makes_a_layer_give_nan(layer: Layer, dtype: Any) -> None:
    """All its values and slopes are finite, and nothing warns. Only Linear, SELU and
    Softplus with β < 1 may leave the range: there the true value does."""
    x = extremes(dtype) / (2 if isinstance(layer, SELU) else 1)
    net = Sequential(layer)
    noise = {key: np.ones_like(mask) for key, mask in net.sample(0, x).items()}
    params = net.init(0, dtype)
    for loss in (manualnn.MSELoss("sum"), manualnn.L1Loss("sum")):
        y = net.forward(params, x, noise=noise)
        _, _, dx = net.value_and_grad(params, loss, x, y - np.sign(y), noise=noise, input_grad=True)
        assert np.isfinite(y).all()
        assert np.isfinite(dx).all()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("loss", "target"), LOSS_EXAMPLES, ids=str)
def test_no_finite_input_makes_a_loss_give_nan(loss: Any, target: str, dtype: Any) -> None:
    """Nothing warns; L may be infinite, where a sum of finite terms is, and dy is then finite or
    infinite with it, never NaN. Terms of both signs are too small for a difference of infinities.
    """
    y = np.pad(extremes(dtype), [(0, 0), (0, 1)])
    y = np.clip(y, 0, 1) if LOSS_ROWS[type(loss).__name__].takes_probabilities else y
    y = y / (2 * y.size) if type(loss).__name__ in OF_BOTH_SIGNS else y
    for k in range(3):
        t = np.eye(3, dtype=dtype)[[k] * len(y)]
        of_classes = target in {"classes", "indices"}
        t = np.full(len(y), k) if of_classes else of_kind(type(loss).__name__, t)
        value, dy = loss.value_and_grad(y, t)
        assert not np.isnan(value)
        assert not np.isnan(dy).any()
        grows = type(loss).__name__ in {"MSELoss", "PoissonNLLLoss"}
        if not grows and vars(loss).get("p") != 2:
            assert np.isfinite(dy).all()


@given(case=cases(dtypes=st.sampled_from(FLOATS), sizes=st.integers(1, 9)))
def test_no_public_function_warns(case: Any) -> None:
    """Not even on saturated, subnormal or huge numbers: warnings are errors here."""
    case.net.forward(case.params, case.x)
    _, grads = case.net.value_and_grad(case.params, case.loss, case.x, case.t, noise=case.noise())
    assert grads.dtype == case.dtype


# ---------------------------------------------------------------------- specs


@pytest.mark.parametrize(
    ("description", "table"),
    [
        *((e, LAYERS) for e in EXAMPLES),
        *((loss, LOSSES) for loss, _ in LOSS_EXAMPLES),
        *((with_numbers(rule), OPTIMIZERS) for rule in RULE_EXAMPLES),
    ],
    ids=str,
)
def test_spec_goes_through_json_and_back(description: Any, table: Any) -> None:
    """Every option survives, and an option is what torch would be given."""
    spec = json.loads(json.dumps(to_spec(description)))
    changed = [f for f in fields(description) if getattr(description, f.name) != f.default]
    shown = {f.name for f in (*own_fields(description), *changed)}
    assert spec.keys() == {"type"} | shown
    assert from_spec(spec, table, "layer") == description


def test_parameters_of_a_network_without_any_are_empty() -> None:
    assert Parameters({}).vector.shape == (0,)
