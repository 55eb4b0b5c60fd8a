"""ONNX files: written whole, and refused if they are damaged or hostile."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from onnx_models.graphs import CONSTANTS, model
from values import SEEDS

from manualnn import (
    Linear,
    ManualNNError,
    MissingExtraError,
    ModelFileError,
    Sequential,
    Softplus,
    Tanh,
)
from manualnn.onnx import export_onnx, load_onnx, save_onnx

NET = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))
PARAMS = NET.init(0)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    save_onnx(tmp_path / "model.onnx", NET, PARAMS)
    net, params = load_onnx(tmp_path / "model.onnx")
    assert net == NET
    assert params == PARAMS
    with pytest.raises(ModelFileError, match="no folder"):
        save_onnx(tmp_path / "missing" / "model.onnx", NET, PARAMS)


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


@pytest.mark.parametrize("place", ["model", "node"])
def test_weights_are_not_searched_in_the_current_folder(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("weights").write_bytes(CONSTANTS["wt"].astype(float).tobytes())
    proto = external("weights")
    if place == "node":
        tensor = proto.graph.initializer.pop()
        node = onnx.helper.make_node("Constant", [], ["wt"], value=tensor)
        proto.graph.node.insert(0, node)
        Path("m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ManualNNError, match=r"in another file"):
        load_onnx(proto if place == "model" else "m.onnx")


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
    "too large": (model("y = MatMul(x, big)", big=np.full((3, 2), 1e300)), "too large for float32"),
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


MODELS = [
    model("s = Sub(x, mean) d = Div(s, std) h = Gemm<transB=1>(d, w, b) y = Softsign(h)"),
    export_onnx(Sequential(Linear(3, 2), Softplus()), Sequential(Linear(3, 2)).init(0)),
]
CONTENTS = [proto.SerializeToString() for proto in MODELS]


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
