"""Embedding in ONNX: exports, imports of other exporters' graphs, and refused graphs."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from onnx_models.graphs import model
from onnx_models.test_export import run

from manualnn import Embedding, Linear, ManualNNError, Sequential
from manualnn.onnx import export_onnx, load_onnx

pytestmark = pytest.mark.once

TABLE = np.arange(12.0).reshape(4, 3) - 5
OUT = np.array([[1.0, -2, 3, 0, 2, -1], [0, 1, 1, -3, 2, 2]])
INT = "int64[N,2] x; "


@given(st.data())
def test_an_export_looks_up_what_the_network_looks_up(data):
    """Exactly, because the sums of small integers do not round; the import is the network."""
    rows, size, k = (data.draw(st.integers(1, most)) for most in (6, 4, 4))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    net = Sequential(Embedding(rows, size), Linear(k * size, 2))
    params = net.init(0, dtype)
    params.vector = rng.integers(-9, 10, params.vector.size)
    x = rng.integers(0, rows, (data.draw(st.integers(0, 5)), k)).astype(dtype)
    proto = export_onnx(net, params)
    onnx.checker.check_model(proto, full_check=True)
    got = run(proto, x)
    assert got.dtype == dtype
    assert np.array_equal(got, net.forward(params, x))
    loaded, values = load_onnx(proto)
    assert loaded == net
    assert values.vector.tobytes() == params.vector.tobytes()


@pytest.mark.parametrize("width", [None, 2])
def test_a_table_alone_is_exported_for_any_number_of_indices(width):
    net = Sequential(Embedding(4, 3, padding_idx=1))
    params = net.init(0, "float32")
    proto = export_onnx(net, params)
    for k in (width,) if width else (1, 5):
        x = np.arange(2 * k).reshape(2, k) % 4
        assert np.array_equal(run(proto, x.astype("float32")), net.forward(params, x))
    loaded, values = load_onnx(proto)
    assert loaded.layers == (Embedding(4, 3),)  # no graph says which row is for padding
    assert values.dtype == np.float32


GRAPHS = {
    "torch, flattened": INT
    + "g = Gather(table, x) f = Flatten<axis=1>(g) y = Gemm<transB=1>(f, o)",
    "torch, reshaped": INT + "g = Gather<axis=0>(table, x) f = Reshape(g, row) y = MatMul(f, ot)",
    "int32": "int32[N,2] x; g = Gather(table, x) f = Flatten<axis=1>(g) y = Gemm<transB=1>(f, o)",
    "converted to int32": "double[N,2] x; c = Cast<to=6>(x) g = Gather(table, c) "
    "f = Flatten<axis=1>(g) y = Gemm<transB=1>(f, o)",
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_that_look_up_rows_become_an_embedding(name):
    proto = model(GRAPHS[name], table=TABLE, o=OUT, ot=OUT.T, row=np.array([-1, 6]))
    net, params = load_onnx(proto)
    assert net.layers == (Embedding(4, 3), Linear(6, 2, bias=False))
    x = np.array([[0, 3], [2, 2], [1, 0]])
    kinds = {"int32": np.int32, "converted to int32": float}
    expected = ReferenceEvaluator(proto).run(None, {"x": x.astype(kinds.get(name, np.int64))})[0]
    assert np.array_equal(net.forward(params, x), expected)


REFUSED: dict[str, tuple[str, str]] = {
    "columns": (INT + "g = Gather<axis=1>(table, x) y = Flatten<axis=1>(g)", "with axis=0"),
    "rows of the input": ("i = Cast<to=7>(flat) y = Gather(x, i)", "rows of a constant matrix"),
    "a vector": (INT + "y = Gather(flat, x)", "rows of a constant matrix"),
    "one index a sample": (
        "int64[N] x; g = Gather(table, x) y = Gemm<transB=1>(g, w)",
        r"must have the shape \(N, features\), got \['N'\]",
    ),
    "no rows of the samples": (
        INT + "g = Gather(table, x) y = Relu(g)",
        r"must have the shape \(N, features\), got \['N', 2, 3\]",
    ),
    "computed indices": (
        "double[N,2] x; s = Relu(x) c = Cast<to=7>(s) g = Gather(table, c) y = Flatten<axis=1>(g)",
        "takes indices; make it the first layer",
    ),
    "indices of one byte": (
        "c = Cast<to=3>(x) d = Cast<to=7>(c) g = Gather(table, d) y = Flatten<axis=1>(g)",
        "converts to INT8",
    ),
}


def test_a_table_gives_a_network_without_matrices_its_dtype():
    _, params = load_onnx(model(INT + "g = Gather(table, x) y = Flatten<axis=1>(g)", table=TABLE))
    assert params.dtype == float


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_embedding_of_the_input_is_refused(name):
    text, message = REFUSED[name]
    constants: dict[str, Any] = {"table": TABLE, "flat": np.arange(3.0)}
    with pytest.raises(ManualNNError, match=message):
        load_onnx(model(text, **constants))
