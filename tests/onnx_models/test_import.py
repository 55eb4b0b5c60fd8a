"""ONNX import: graphs of other exporters become layers, or are refused."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from onnx_models.bounds import error_bound
from onnx_models.graphs import CONSTANTS, model

from manualnn import (
    GELU,
    SELU,
    Dropout,
    DTypeError,
    Hardsigmoid,
    LeakyReLU,
    Linear,
    LogSoftmax,
    ManualNNError,
    PReLU,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Softsign,
    SpecError,
    Tanh,
)
from manualnn.onnx import load_onnx

pytestmark = pytest.mark.once

L32 = Linear(3, 2)
L32_ = Linear(3, 2, bias=False)

AFFINE = {
    "torch": "y = Gemm<alpha=1.0, beta=1.0, transB=1>(x, w, b)",
    "factors": "y = Gemm<alpha=0.5, beta=4.0>(x, wt, row)",
    "no bias": "y = Gemm<transB=1>(x, w)",
    "a number as bias": "y = Gemm<transB=1>(x, w, two)",
    "skl2onnx": "z = Cast<to=11>(x) m = MatMul(z, wt) y = Add(m, row)",
    "bias first": "m = MatMul(x, wt) y = Add(b, m)",
    "two layers": "h = Gemm<transB=1>(x, w, b) y = Gemm(h, v, b)",
    "transposed": "t = Transpose<perm=[1, 0]>(w) m = MatMul(x, t) y = Add(m, b)",
    "constant nodes": "c = Constant<value_floats=[4.0, -2.0]>() d = Cast<to=1>(x) "
    "f = Constant<value = float[3,2] {1.0, 2.0, 3.0, -1.0, 0.0, 5.0}>() "
    "m = MatMul(d, f) y = Add(m, c)",
    "standardised": "s = Sub(x, mean) d = Div(s, std) y = Gemm<transB=1>(d, w, b)",
    "Scaler": "c = ai.onnx.ml.Scaler<offset=[1.0, -2.0, 4.0], scale=[0.5, 2.0, 4.0]>(x) "
    "m = Gemm<transB=1>(c, w, b) y = Cast<to=11>(m)",
    "one Scaler for all": "c = ai.onnx.ml.Scaler<offset=[1.0], scale=[0.5]>(x) "
    "d = Cast<to=11>(c) y = MatMul(d, wt)",
    "scaled twice": "s = Mul(x, std) t = Add(s, mean) u = Mul(two, t) y = MatMul(u, wt)",
    "mirrored": "s = Sub(two, x) y = MatMul(s, wt)",
    "scaled back": "m = Gemm<transB=1>(x, w, b) s = Mul(m, two) y = Add(s, row)",
    "normalised": "h = Gemm<transB=1>(x, w, b) r = Relu(h) "
    "n = BatchNormalization<epsilon=0.0>(r, b, b, b, spread) y = MatMul(n, v)",
    "flat": "f = Flatten(x) i = Identity(f) m = MatMul(i, wt) y = Add(m, b)",
    "reshaped": "f = Reshape(x, shape) y = MatMul(f, wt)",
    "by the batch": "s = Shape(x) g = Gather(s, first) n = Unsqueeze(g, axes) "
    "c = Concat<axis=0>(n, last) f = Reshape(x, c) y = MatMul(f, wt)",
    "images": "double[N,1,3,1] x; s = Mul(x, two) f = Flatten(s) y = MatMul(f, wt)",
}
SHAPES = {
    "shape": np.array([-1, 3]),
    "first": np.array(0),
    "axes": np.array([0]),
    "last": np.array([-1]),
    "spread": np.array([4.0, 0.25]),
}


@pytest.mark.parametrize("name", AFFINE)
def test_affine_operators_become_linear_layers(name):
    proto = model(AFFINE[name], np.float64, **SHAPES)
    net, params = load_onnx(proto, dtype=np.float64)
    x = np.arange(-6, 6).astype(float).reshape(4, 3)
    given = x.reshape(4, 1, 3, 1) if name == "images" else x
    expected = ReferenceEvaluator(proto).run(None, {"x": given})[0]
    np.testing.assert_array_equal(net.forward(params, x), expected)
    layers = {"two layers": 2, "normalised": 3}.get(name, 1)
    assert len(net.layers) == layers


CHAINS: dict[str, tuple[str, list[Any]]] = {
    "every function": (
        (
            "m = MatMul(x, wt) a = Sigmoid(m) c = Tanh(a) d = Relu(c) e = LeakyRelu<alpha=0.1>(d) "
            "g = Softsign(e) h = LogSoftmax<axis=-1>(g) y = Softmax<axis=1>(h)"
        ),
        [Sigmoid(), Tanh(), ReLU(), LeakyReLU(0.1), Softsign(), LogSoftmax(), Softmax(1)],
    ),
    "default options": (
        "m = MatMul(x, wt) a = LeakyRelu(m) y = Softmax(a)",
        [LeakyReLU(), Softmax()],
    ),
    "defaults of opset 11": (
        "opset 11; m = MatMul(x, wt) a = Dropout<ratio=0.25>(m) y = Softmax(a)",
        [Dropout(0.25), Softmax(1)],
    ),
    "one slope": ("m = MatMul(x, wt) y = PRelu(m, half)", [PReLU()]),
    "slopes": ("m = MatMul(x, wt) y = PRelu(m, b)", [PReLU(2)]),
    "dropout": ("m = MatMul(x, wt) y = Dropout(m, half)", [Dropout(0.5)]),
    "dropout exported for training": (
        "m = MatMul(x, wt) t = Constant<value = bool {1}>() y = Dropout(m, none, t)",
        [Dropout(0.0)],
    ),
    "softplus": ("m = MatMul(x, wt) y = Softplus(m)", [Softplus(1.0, 40.0)]),
    "softplus by TorchScript": (
        "m = MatMul(x, wt) s = Mul(m, two) p = Softplus(s) y = Div(p, two)",
        [Softplus(2.0, 40.0)],
    ),
    "softplus by dynamo": (
        (
            "m = MatMul(x, wt) s = Mul(m, two) p = Softplus(s) d = Div(p, two) "
            "g = Greater(s, five) y = Where(g, m, d)"
        ),
        [Softplus(2.0, 5.0)],
    ),
    "softplus by dynamo, beta 1": (
        "m = MatMul(x, wt) p = Softplus(m) g = Greater(m, five) y = Where(g, m, p)",
        [Softplus(1.0, 5.0)],
    ),
    "constants of GELU and SELU, rounded to float32": (
        (
            "m = MatMul(x, wt) d = Div(m, root) e = Erf(d) a = Add(e, unit) p = Mul(m, a) "
            "g = Mul(p, half) y = Selu(g)"
        ),
        [GELU(), SELU()],
    ),
    "hard sigmoid": (
        "m = MatMul(x, wt) y = HardSigmoid<alpha=0.16666667, beta=0.5>(m)",
        [Hardsigmoid()],
    ),
    "softsign by torch": (
        "m = MatMul(x, wt) a = Abs(m) p = Add(unit, a) y = Div(m, p)",
        [Softsign()],
    ),
    "two classes": (
        "m = MatMul(x, w1) s = Sigmoid(m) n = Sub(unit, s) y = Concat<axis=1>(n, s)",
        [Softmax()],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_functions_become_layers(name):
    text, layers = CHAINS[name]
    proto = model(text, np.float32)
    net, params = load_onnx(proto)
    assert list(net.layers[1:]) == layers
    x = np.arange(-6, 6, dtype=np.float32).reshape(4, 3) / 4
    expected = ReferenceEvaluator(proto).run(None, {"x": x})[0]
    # Weights and x are exact, so the bound of ours serves for the evaluator as well.
    bound = 2 * error_bound(net, params, x)
    assert (np.abs(net.forward(params, x) - expected) <= bound).all()


REFUSED = {
    "an operator": ("m = MatMul(x, wt) y = Gelu(m)", r"node 'y' \(Gelu\).*Known operators: Add, "),
    "transA": ("y = Gemm<transA=1>(x, b)", "transA=1 mixes"),
    "weights on the left": ("y = MatMul(v, x)", "first input must be the samples"),
    "a product of inputs": ("y = Mul(x, x)", "no constant"),
    "a reciprocal": ("m = Relu(x) y = Div(two, m)", "divides a constant"),
    "a shift of samples": ("y = Add(x, wt)", r"shape \(3, 2\)"),
    "a wider constant": ("double[N,1] x; s = Add(x, mean) y = MatMul(s, wt)", "3 entries for 1"),
    "a scaling alone": ("m = Mul(x, std) y = Relu(m)", r"\(Mul\) scales or shifts"),
    "a scaling at the end": ("m = Relu(x) y = Mul(m, std)", r"\(Mul\) scales or shifts"),
    "an integer": ("i = Cast<to=7>(x) y = Cast<to=11>(i)", "converts to INT64"),
    "other rows": ("m = MatMul(x, wt) y = Reshape(m, shape)", "each row as it is"),
    "a merge": ("f = Flatten<axis=0>(x) y = Relu(f)", "each row as it is"),
    "samples mixed": ("y = Softmax<axis=0>(x)", "dim must be -1 or 1"),
    "three dimensions": ("double[N,4,3] x; y = MatMul(x, wt)", r"\(N, features\)"),
    "images scaled by row": (
        "double[N,4,3] x; s = Mul(x, std) f = Flatten(s) y = MatMul(f, flat)",
        r"\(N, features\), got \['N', 4, 3\]",
    ),
    "another Selu": ("y = Selu<alpha=1.5>(x)", r"\(Selu\)"),
    "two inputs of Softsign": (
        "r = Relu(x) a = Abs(r) p = Add(unit, a) y = Div(x, p)",
        "no constant",
    ),
    "another Softsign": ("a = Abs(x) p = Add(two, a) y = Div(x, p)", "no constant"),
    "two classes of two": (
        "m = MatMul(x, wt) s = Sigmoid(m) n = Sub(unit, s) y = Concat<axis=1>(n, s)",
        "of one output",
    ),
    "slopes that are computed": ("m = MatMul(x, wt) y = PRelu(m, m)", "PRelu"),
    "a network in training": (
        "y, mean_, var_ = BatchNormalization<training_mode=1>(x, std, mean, mean, std)",
        "training mode",
    ),
    "a wrong width": ("m = MatMul(x, wt) y = MatMul(m, wide)", "Linear"),
    "two outputs": ("a = Relu(x) y = Tanh(x)", "pass output="),
    "an old opset": ("opset 6; y = Relu(x)", "opset 6.*7 to"),
    "a factor that is not beta": (
        "m = MatMul(x, wt) s = Mul(m, two) p = Softplus(s) d = Div(p, five) y = Relu(d)",
        r"\(Div\) scales or shifts",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_layer_represents_is_refused(name):
    text, message = REFUSED[name]
    proto = model(text, shape=np.array([-1, 1]), wide=np.ones((5, 5)), flat=np.ones((12, 2)))
    if name == "two outputs":
        proto.graph.output.append(onnx.helper.make_tensor_value_info("a", TensorProto.DOUBLE, [1]))
    with pytest.raises(ManualNNError, match=message):
        load_onnx(proto)


def test_weights_and_biases_stay_bit_identical():
    """0 is not added to a bias: it would change −0."""
    b = np.array([-0.0, 0.1])
    _, params = load_onnx(model("m = MatMul(x, wt) y = Add(m, zero)", zero=b))
    assert params["0.bias"].tobytes() == b.tobytes()
    assert params["0.weight"].tobytes() == CONSTANTS["wt"].T.astype(float).tobytes()


def test_an_inner_value_may_be_the_output():
    proto = model("m = MatMul(x, wt) g = Tanh(m) y = Gelu(g)")
    net, params = load_onnx(proto, output="m")
    assert net == Sequential(L32_)
    assert (params["0.weight"] == CONSTANTS["wt"].T).all()
    with pytest.raises(SpecError, match="no output of a node"):
        load_onnx(proto, output="other")


def test_half_precision_is_widened_only_if_asked():
    proto = model("y = Gemm<transB=1>(x, w, b)", np.float16)
    with pytest.raises(DTypeError, match="float16; pass dtype="):
        load_onnx(proto)
    _, params = load_onnx(proto, dtype=np.float32)
    assert params.dtype == np.float32
    assert (params["0.weight"] == CONSTANTS["w"]).all()


def test_a_shift_that_would_cancel_too_many_digits_needs_float64():
    text = "s = Sub(x, far) d = Div(s, std) y = Gemm<transB=1>(d, w, b)"
    proto = model(text, np.float32, far=np.full(3, 1e6, np.float32))
    with pytest.raises(SpecError, match="pass dtype='float64'"):
        load_onnx(proto)
    net, params = load_onnx(proto, dtype="float64")
    x = 1e6 + np.arange(6.0).reshape(2, 3)
    z = (x - 1e6) / CONSTANTS["std"]
    np.testing.assert_array_equal(net.forward(params, x), z @ CONSTANTS["w"].T + CONSTANTS["b"])
