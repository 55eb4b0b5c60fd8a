"""ONNX export: onnxruntime computes what the network computes."""

from dataclasses import fields
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from cases import DTYPES, KEEPS_WIDTH, networks, parameters
from examples_of_layers import example
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx_models.bounds import error_bound
from values import arrays

from manualnn import (
    GLU,
    LAYERS,
    SGD,
    BatchNorm1d,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    DTypeError,
    Hardtanh,
    Layer,
    Linear,
    ManualNNError,
    MSELoss,
    MultiLabelSoftMarginLoss,
    ReLU,
    RReLU,
    Sequential,
    ShapeError,
    Sigmoid,
    Softshrink,
    SpecError,
    Tanh,
    Trainer,
)
from manualnn.onnx import export_onnx, load_onnx, save_onnx
from manualnn.onnx.normalization import SINCE
from manualnn.onnx.patterns import as_predicted
from manualnn.spec import to_spec

pytestmark = pytest.mark.once

NET = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))

EXPORTED = tuple(name for name in KEEPS_WIDTH if name not in {"GLU", "Residual"})
"""The layers that ONNX has a form of."""


def run(proto: onnx.ModelProto, x: Any) -> Any:
    """Return what onnxruntime computes."""
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: x})[0]


@st.composite
def exports(draw: st.DrawFn) -> Any:
    """Draw a network of any layers, its parameters and a batch."""
    dtype, width = draw(DTYPES), draw(st.integers(1, 17))
    known = {"track_running_stats": True}  # ONNX has no form of the other
    net, _ = draw(networks(width, names=EXPORTED, options=known))
    params = draw(parameters(net, dtype))
    x = draw(arrays((draw(st.integers(1, 9)), width), dtype, ("normal", "integers", "large")))
    return net, params, x


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


OPTIONS = {
    "alpha": 0.7,
    "lambd": 0.7,
    "approximate": "tanh",
    "min_val": -0.5,
    "max_val": 1.5,
    "negative_slope": 0.3,
    "beta": 2.5,
    "threshold": 1.5,
    "p": 0.3,
    "value": -2.0,
    "dim": 1,
    "eps": 2**-7,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXPORTED)
def test_onnxruntime_computes_every_layer_and_its_import_is_the_layer(name, dtype):
    options = {f.name: OPTIONS[f.name] for f in fields(LAYERS[name]) if f.name in OPTIONS}
    net = Sequential(example(name, 2, **options))
    x = np.linspace(-3, 3, 33, dtype=dtype)[:, None] * np.array([[1, -7]], dtype)
    params = net.init(dtype=dtype)
    proto = export_onnx(net, params)
    got = run(proto, x)
    bound = 2 * error_bound(net, params, x)
    assert (np.abs(got - net.forward(params, x)) <= bound).all()
    # The mean slope of RReLU is a rounded one of LeakyReLU. BatchNorm1d is folded into a Linear.
    if name not in {"RReLU", "BatchNorm1d"}:
        kept = filter(None, map(as_predicted, net.layers))
        assert without_start(*load_onnx(proto)[0].layers) == without_start(*kept)


def without_start(*layers: Layer) -> list[dict[str, Any]]:
    """Return the forms of layers without the initial values of parameters, which no file holds."""
    specs = map(to_spec, layers)
    return [{key: value for key, value in spec.items() if key != "init"} for spec in specs]


@given(exports())
def test_the_import_of_an_export_is_the_network_bit_for_bit(drawn):
    net, params, _ = drawn
    assume(not any(isinstance(layer, RReLU) for layer in net.layers))  # its mean is a LeakyReLU
    assume(Hardtanh(0.0, 6.0) not in net.layers)  # which is a ReLU6
    assume(Softshrink(0.0) not in net.layers)  # which is a Hardshrink(0.0), as both are Identity
    assume(not any(layer.buffers() for layer in net.layers))  # they are folded into a Linear
    kept = [layer for layer in net.layers if as_predicted(layer)]
    opset = max(13, *(SINCE.get(type(layer), 0) for layer in net.layers), 0)
    loaded, values = load_onnx(export_onnx(net, params, opset=opset), dtype=params.dtype)
    assume(not any(type(layer) in SINCE and "bias" not in layer.parameters for layer in net.layers))
    assert without_start(*loaded.layers) == without_start(*kept)
    assert values.dtype == params.dtype
    assert values.vector.tobytes() == params.vector.tobytes()


@pytest.mark.parametrize("is_first", [True, False])
def test_the_import_of_an_exported_batch_norm_is_a_linear_that_predicts_the_same(is_first):
    """Exactly: ε and the running variance add up to a power of four."""
    norm, linear = BatchNorm1d(2, eps=2**-7), Linear(2, 2)
    net = Sequential(*([norm, linear] if is_first else [linear, norm]))
    place = 0 if is_first else 1
    params = net.init(0)
    params.vector = np.arange(10.0) - 4
    params.buffers[f"{place}.running_mean"][...] = [3, -1]
    params.buffers[f"{place}.running_var"][...] = np.array([4, 0.25]) - 2**-7
    loaded, values = load_onnx(export_onnx(net, params))
    assert loaded.layers == (linear,)
    x = np.arange(-3.0, 3).reshape(3, 2)
    np.testing.assert_array_equal(loaded.forward(values, x), net.forward(params, x))


def test_a_batch_norm_without_running_averages_has_no_form():
    net = Sequential(BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(SpecError, match="normalises the batch in prediction"):
        export_onnx(net, net.init(0))


@pytest.mark.parametrize(
    "loss", [CrossEntropyLoss(), BCEWithLogitsLoss(), BCELoss(), MultiLabelSoftMarginLoss()]
)
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
    def forward(self, params, x, /, *, out=None):  # noqa: ARG002
        return np.multiply(x, x, out=out)


PARAMS = NET.init(0)
DIVERGED = PARAMS.copy()
DIVERGED.vector[3] = np.nan


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((NET,), {}, SpecError, "expects a Trainer, .* or a Sequential and its Parameters"),
        ((NET, PARAMS), {"probabilities": True}, SpecError, r"append Softmax\(\)"),
        ((NET, Sequential(Linear(3, 4)).init(0)), {}, ShapeError, "expects Parameters of shapes"),
        ((NET, PARAMS.astype(np.longdouble)), {}, DTypeError, "float32 or float64"),
        ((NET, DIVERGED), {}, ManualNNError, "must be finite"),
        ((NET, PARAMS), {"opset": 12}, SpecError, "from 13 to"),
        ((NET, PARAMS), {"opset": 10_000}, SpecError, "from 13 to"),
        ((Sequential(Square()), Sequential().init(0)), {}, SpecError, "no form for"),
        ((Sequential(GLU()), Sequential().init(0)), {}, SpecError, "no form for GLU"),
        ((Trainer(NET, MSELoss(), SGD()),), {"probabilities": True}, SpecError, "classification"),
    ],
)
def test_what_cannot_be_exported_is_refused(arguments, options, error, message, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(error, match=message):
        save_onnx(path, *arguments, **options)
    assert not path.exists()
