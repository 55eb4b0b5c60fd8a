"""ONNX: onnxruntime computes what the network computes, and graphs of other libraries are read."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from cases import DTYPES, KEEPS_WIDTH, networks, parameters
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_graphs import CONSTANTS, model
from values import SEEDS, arrays

from manualnn import (
    SGD,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Dropout,
    DTypeError,
    Identity,
    Layer,
    LeakyReLU,
    Linear,
    LogSoftmax,
    ManualNNError,
    MissingExtraError,
    ModelFileError,
    MSELoss,
    ReLU,
    Sequential,
    ShapeError,
    Sigmoid,
    Softmax,
    Softplus,
    Softsign,
    SpecError,
    Tanh,
    Trainer,
)
from manualnn.onnx import export_onnx, load_onnx, save_onnx

pytestmark = pytest.mark.once

NET = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))


def run(proto: onnx.ModelProto, x: Any) -> Any:
    """Return what onnxruntime computes."""
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: x})[0]


COST = 16
"""Units u = eps/2 by which exp, log, tanh and the like may be wrong, for numbers of size 1."""


def error_bound(net: Sequential, params: Any, x: Any) -> Any:
    """Return how far a computation in the dtype of x may be from the exact outputs.

    E is the error of an activation's input, u the unit of rounding. A sum of n products adds n + 1
    roundings of the sum of their sizes. A function whose slope is at most L passes on L E. To
    first order; one percent covers the rest.
    """
    u = np.finfo(x.dtype).eps / 2
    arrays = net.layer_arrays(params)
    error = np.zeros_like(x)
    for layer, own in zip(net.layers, arrays, strict=True):
        y = layer.forward(own, x)
        match layer:
            case Linear():
                size = np.abs(x) @ np.abs(own["weight"].T) + np.abs(own.get("bias", 0))
                error = error @ np.abs(own["weight"].T) + (x.shape[1] + 2) * u * size
            case Softmax():
                # The exponents zᵢ − m are wrong by 2 max E, and by u |zᵢ − m|, where a |z − m| ≤ 1.
                row = np.expm1(2 * error.max(axis=1, keepdims=True))
                error = np.minimum(row, 1) + (COST + 2 * x.shape[1]) * u + 0 * y
            case LogSoftmax():
                row = 2 * error.max(axis=1, keepdims=True)
                size = 1 + np.abs(x).max(axis=1, keepdims=True)
                error = row + (COST + 2 * x.shape[1]) * u * size + 0 * y
            case Softplus(beta=beta, threshold=threshold):
                # At the threshold, the function jumps by log(1 + exp(−threshold)) / beta.
                near = np.abs(beta * x - threshold) <= abs(beta) * (error + 4 * u * np.abs(x))
                jump = near * np.log1p(np.exp(-threshold)) / abs(beta)
                error = error + jump + COST * u * (np.abs(x) + 1 / abs(beta))
            case LeakyReLU(negative_slope=slope):
                error = max(1, abs(slope)) * error + COST * u * np.abs(y)
            case Sigmoid() | Tanh() | ReLU() | Softsign() | Dropout() | Identity():
                error = error + COST * u * np.minimum(np.abs(x), 1 + np.abs(y))
                # MLAS takes sigmoid(z) for 0 below z = −18, where it is smaller than u.
                error = error + (u if isinstance(layer, Sigmoid) else 0)
            case _:
                pytest.fail(f"state the bound of {layer!r}")
        x = y
    return 1.01 * error


@st.composite
def exports(draw: st.DrawFn) -> Any:
    """Draw a network of any layers, its parameters and a batch."""
    dtype, width = draw(DTYPES), draw(st.integers(1, 17))
    net, _ = draw(networks(width, names=KEEPS_WIDTH))
    params = draw(parameters(net, dtype))
    x = draw(arrays((draw(st.integers(1, 9)), width), dtype, ("normal", "integers", "large")))
    return net, params, x


# ---------------------------------------------------------------------- export


@given(exports())
def test_onnxruntime_computes_what_the_network_computes(drawn):
    net, params, x = drawn
    proto = export_onnx(net, params)
    onnx.checker.check_model(proto, full_check=True)
    y = net.forward(params, x)
    with np.errstate(over="ignore", invalid="ignore"):
        bound = 2 * error_bound(net, params, x)
    got = run(proto, x)
    assert got.dtype == y.dtype
    assert got.shape == y.shape
    wrong = ~(np.abs(got - y) <= bound) & np.isfinite(bound)
    assert not wrong.any(), (net, got[wrong], y[wrong], bound[wrong])


@given(exports())
def test_the_import_of_an_export_is_the_network_bit_for_bit(drawn):
    net, params, _ = drawn
    loaded, values = load_onnx(export_onnx(net, params, opset=13), dtype=params.dtype)
    changes_nothing = (Identity(), Dropout(1.0))
    assert loaded.layers == tuple(layer for layer in net.layers if layer not in changes_nothing)
    assert values.dtype == params.dtype
    assert values.vector.tobytes() == params.vector.tobytes()


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), BCEWithLogitsLoss(), BCELoss()])
def test_probabilities_are_those_of_the_loss(loss):
    net = Sequential(*NET.layers, Sigmoid()) if loss == BCELoss() else NET
    trainer = Trainer(net, loss, SGD(), seed=0)
    x = np.random.default_rng(0).standard_normal((5, 3))
    y = trainer.predict(x)
    got = run(export_onnx(trainer, probabilities=True), x)
    np.testing.assert_allclose(got, loss.probabilities(y), rtol=64 * np.finfo(float).eps)
    np.testing.assert_allclose(run(export_onnx(trainer), x), y, rtol=64 * np.finfo(float).eps)


def test_the_sizes_of_the_batch_and_of_unknown_widths_are_free():
    proto = export_onnx(Sequential(ReLU()), Sequential(ReLU()).init(0))
    for shape in [(1, 3), (7, 2), (0, 5)]:
        assert run(proto, np.zeros(shape)).shape == shape


class Square(Layer):
    def forward(self, params, x, /, *, out=None):
        return np.multiply(x, x, out=out)


PARAMS = NET.init(0)
DIVERGED = PARAMS.copy()
DIVERGED.vector[3] = np.nan


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((NET,), {}, SpecError, "expects a Trainer, or a Sequential and its Parameters"),
        ((NET, PARAMS), {"probabilities": True}, SpecError, r"append Softmax\(\)"),
        ((NET, Sequential(Linear(3, 4)).init(0)), {}, ShapeError, "expects Parameters of shapes"),
        ((NET, PARAMS.astype(np.longdouble)), {}, DTypeError, "float32 or float64"),
        ((NET, DIVERGED), {}, ManualNNError, "must be finite"),
        ((NET, PARAMS), {"opset": 12}, SpecError, "from 13 to"),
        ((NET, PARAMS), {"opset": 10_000}, SpecError, "from 13 to"),
        ((Sequential(Square()), Sequential().init(0)), {}, SpecError, "no form for"),
        ((Trainer(NET, MSELoss(), SGD()),), {"probabilities": True}, SpecError, "classification"),
    ],
)
def test_what_cannot_be_exported_is_refused(arguments, options, error, message, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(error, match=message):
        save_onnx(path, *arguments, **options)
    assert not path.exists()


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    save_onnx(tmp_path / "model.onnx", NET, PARAMS)
    net, params = load_onnx(tmp_path / "model.onnx")
    assert net == NET
    assert params == PARAMS
    with pytest.raises(ModelFileError, match="no folder"):
        save_onnx(tmp_path / "missing" / "model.onnx", NET, PARAMS)


# ---------------------------------------------------------------------- import

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
    "images": "double[N,1,3,1] x; f = Flatten(x) y = MatMul(f, wt)",
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
        "m = MatMul(x, wt) a = Sigmoid(m) c = Tanh(a) d = Relu(c) e = LeakyRelu<alpha=0.1>(d) "
        "g = Softsign(e) h = LogSoftmax<axis=-1>(g) y = Softmax<axis=1>(h)",
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
    "one slope": ("m = MatMul(x, wt) y = PRelu(m, half)", [LeakyReLU(0.5)]),
    "dropout": ("m = MatMul(x, wt) y = Dropout(m, half)", [Dropout(0.5)]),
    "softplus": ("m = MatMul(x, wt) y = Softplus(m)", [Softplus(1.0, 40.0)]),
    "softplus by TorchScript": (
        "m = MatMul(x, wt) s = Mul(m, two) p = Softplus(s) y = Div(p, two)",
        [Softplus(2.0, 40.0)],
    ),
    "softplus by dynamo": (
        "m = MatMul(x, wt) s = Mul(m, two) p = Softplus(s) d = Div(p, two) "
        "g = Greater(s, five) y = Where(g, m, d)",
        [Softplus(2.0, 5.0)],
    ),
    "softplus by dynamo, beta 1": (
        "m = MatMul(x, wt) p = Softplus(m) g = Greater(m, five) y = Where(g, m, p)",
        [Softplus(1.0, 5.0)],
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
    "a scaling alone": ("m = Mul(x, std) y = Relu(m)", "no Linear"),
    "a scaling at the end": ("m = Relu(x) y = Mul(m, std)", "no Linear"),
    "an integer": ("i = Cast<to=7>(x) y = Cast<to=11>(i)", "converts to INT64"),
    "other rows": ("m = MatMul(x, wt) y = Reshape(m, shape)", "each row as it is"),
    "a merge": ("f = Flatten<axis=0>(x) y = Relu(f)", "each row as it is"),
    "samples mixed": ("y = Softmax<axis=0>(x)", "dim must be -1 or 1"),
    "three dimensions": ("double[N,4,3] x; y = MatMul(x, wt)", r"\(N, features\)"),
    "slopes": ("m = MatMul(x, wt) y = PRelu(m, b)", "PRelu"),
    "a network in training": (
        "y, mean_, var_ = BatchNormalization<training_mode=1>(x, std, mean, mean, std)",
        "training mode",
    ),
    "a wrong width": ("m = MatMul(x, wt) y = MatMul(m, wide)", "Linear"),
    "two outputs": ("a = Relu(x) y = Tanh(x)", "pass output="),
    "an old opset": ("opset 6; y = Relu(x)", "opset 6.*7 to"),
    "two Softplus": (
        "m = MatMul(x, wt) s = Mul(m, two) p = Softplus(s) d = Div(p, five) y = Relu(d)",
        "",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_layer_represents_is_refused(name):
    text, message = REFUSED[name]
    proto = model(text, shape=np.array([-1, 1]), wide=np.ones((5, 5)))
    if name == "two outputs":
        proto.graph.output.append(onnx.helper.make_tensor_value_info("a", TensorProto.DOUBLE, [1]))
    if name == "two Softplus":  # a factor 2 inside and 1/5 outside: a Linear is missing
        message = "no Linear"
    with pytest.raises(ManualNNError, match=message):
        load_onnx(proto)


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


# ---------------------------------------------------------------------- files


def external(location: str) -> onnx.ModelProto:
    """Return a model whose weights are in another file."""
    proto = model("m = MatMul(x, wt) y = Relu(m)")
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "48"}.items():
        tensor.external_data.add(key=key, value=value)
    return proto


def test_weights_may_lie_in_a_file_beside_the_model(tmp_path):
    (tmp_path / "weights").write_bytes(CONSTANTS["wt"].astype(float).tobytes())
    (tmp_path / "m.onnx").write_bytes(external("weights").SerializeToString())
    _, params = load_onnx(tmp_path / "m.onnx")
    assert (params["0.weight"] == CONSTANTS["wt"].T).all()


@pytest.mark.parametrize("location", ["../weights", "{}/weights", "link", "", ".", "missing"])
def test_weights_elsewhere_are_not_read(location, tmp_path):
    (tmp_path / "weights").write_bytes(CONSTANTS["wt"].astype(float).tobytes())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "weights")
    proto = external(location.format(tmp_path))
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelFileError):
        load_onnx(folder / "m.onnx")


def looped() -> onnx.ModelProto:
    proto = model("a = Relu(x) y = Relu(a)")
    proto.graph.node[0].input[0] = "y"
    return proto


def twice() -> onnx.ModelProto:
    proto = model("m = MatMul(x, wt) y = Relu(m)")
    proto.graph.node.append(proto.graph.node[0])
    return proto


def without_data() -> onnx.ModelProto:
    proto = model("m = MatMul(x, wt) y = Relu(m)")
    proto.graph.initializer[0].dims[:] = [10**6, 10**6]
    return proto


INVALID = {
    "looped": (looped(), "not a valid ONNX model"),
    "one name twice": (twice(), "not a valid ONNX model"),
    "terabytes": (without_data(), "model"),
    "not finite": (model("y = MatMul(x, nan)", nan=np.full((3, 2), np.nan)), "finite, got nan"),
    "too large": (model("y = MatMul(x, big)", big=np.full((3, 2), 1e300)), "finite, got inf"),
    "empty": (onnx.ModelProto(), "not a valid ONNX model"),
    "from the future": (model("opset 1000; y = Relu(x)"), "model"),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_model_is_refused(name, tmp_path):
    proto, message = INVALID[name]
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ManualNNError, match=message) as caught:
        load_onnx(path, dtype=np.float32)
    assert str(path) in str(caught.value)


def test_a_path_without_a_file_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="no such file"):
        load_onnx(tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match="not a regular file"):
        load_onnx(tmp_path)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("onnx") / "m.onnx"


CONTENTS = [
    model(f"{AFFINE['standardised']} z = Softsign(y)").SerializeToString(),
    export_onnx(Sequential(Linear(3, 2), Softplus()), Sequential(L32).init(0)).SerializeToString(),
]


@given(st.sampled_from(CONTENTS), SEEDS, st.sampled_from(["bits", "bytes", "cut", "moved"]))
def test_a_damaged_file_loads_or_is_refused(path, content, seed, kind):
    rng = np.random.default_rng(seed)
    damaged = np.frombuffer(content, np.uint8).copy()
    where = rng.integers(0, len(damaged), rng.integers(1, 4))
    if kind == "bits":
        damaged[where] ^= np.uint8(1) << rng.integers(0, 8, len(where)).astype(np.uint8)
    elif kind == "bytes":
        damaged[where] = rng.integers(0, 256, len(where))
    elif kind == "cut":
        damaged = damaged[: where[0]]
    else:
        damaged = np.concatenate([damaged[where[0] :], damaged[: where[0]]])
    path.write_bytes(damaged.tobytes())
    try:
        _, params = load_onnx(path)
    except ManualNNError:
        return
    assert np.isfinite(params.vector).all()


def test_without_onnx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (lambda: export_onnx(NET, PARAMS), lambda: load_onnx(__file__)):
        with pytest.raises(MissingExtraError, match=r"pip install 'manualnn\[onnx\]'"):
            call()
