"""Parameters: one vector and named views into it, which no operation separates."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from manualnn import DTypeError, Linear, Parameters, Sequential, ShapeError, Sigmoid, SpecError

SHAPES = {"0.weight": (2, 3), "0.bias": (2,), "2.weight": (1, 2)}
SIZE = 10


def counting(dtype: str = "float64") -> Parameters:
    return Parameters(SHAPES, np.arange(SIZE, dtype=dtype))


def shares_its_vector(params: Parameters) -> bool:
    params.vector[...] = np.arange(100, 100 + SIZE)
    views = [params["0.weight"], params["0.bias"], params["2.weight"]]
    by_layer = [params.layers[0]["weight"], params.layers[0]["bias"], params.layers[2]["weight"]]
    return all(
        np.concatenate([v.ravel() for v in group]).tolist() == list(range(100, 100 + SIZE))
        for group in (views, by_layer)
    )


def test_arrays_lie_in_the_vector_in_the_order_of_the_names() -> None:
    params = counting()
    assert list(params) == list(SHAPES)
    assert params["0.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert params["0.bias"].tolist() == [6, 7]
    assert params["2.weight"].tolist() == [[8, 9]]
    assert params.layers[1] == {}


def test_writing_to_a_view_writes_to_the_vector_and_the_other_way_round() -> None:
    params = counting()
    params["0.weight"][1, 2] = -1
    params.layers[2]["weight"][0, 1] = -2
    assert params.vector.tolist() == [0, 1, 2, 3, 4, -1, 6, 7, 8, -2]
    assert shares_its_vector(params)


def test_a_given_vector_is_used_as_it_is() -> None:
    vector = np.zeros(SIZE)
    Parameters(SHAPES, vector)["0.bias"][:] = 5
    assert vector.tolist() == [0] * 6 + [5, 5, 0, 0]


def test_it_is_a_mapping() -> None:
    params = counting()
    assert len(params) == 3
    assert "2.weight" in params
    assert "1.weight" not in params
    assert params.get("1.weight") is None
    assert {key: value.shape for key, value in params.items()} == SHAPES


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"no parameter '1\.weight'; there are 0\.weight, 0\.bias"):
        counting()["1.weight"]


@pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1, 0])
def test_a_vector_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ShapeError, match=rf"shape \({SIZE},\), got \({size},\)"):
        Parameters(SHAPES, np.zeros(size))


def test_a_matrix_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"got \(1, 10\)"):
        Parameters(SHAPES, np.zeros((1, SIZE)))


@pytest.mark.parametrize("dtype", ["int64", "float16", "complex128", ">f8"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(DTypeError, match="expected dtype float32, float64 or longdouble"):
        Parameters(SHAPES, np.zeros(SIZE, dtype))
    with pytest.raises(DTypeError):
        counting().astype(dtype)


def test_numbers_in_a_list_may_be_the_vector() -> None:
    assert shares_its_vector(Parameters(SHAPES, [0.5] * SIZE))  # type: ignore[arg-type]


def test_a_strided_vector_is_copied_whole() -> None:
    params = Parameters(SHAPES, np.arange(2.0 * SIZE)[::2])
    assert params["0.bias"].tolist() == [12, 14]
    assert shares_its_vector(params)


COPIES: dict[str, Callable[[Parameters], Parameters]] = {
    "copy": Parameters.copy,
    "astype": lambda p: p.astype("float64"),
    "deepcopy": copy.deepcopy,
    "pickle": lambda p: pickle.loads(pickle.dumps(p)),  # noqa: S301 - its own bytes
}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
def test_a_copy_is_equal_and_independent_and_its_views_are_its_own(
    duplicate: Callable[[Parameters], Parameters],
) -> None:
    params = counting()
    double = duplicate(params)
    assert double == params
    assert shares_its_vector(double)
    assert params == counting()


def test_a_shallow_copy_shares_the_vector() -> None:
    params = counting()
    shallow = copy.copy(params)
    assert shares_its_vector(shallow)
    assert shallow.vector is params.vector


def test_zeros_like_has_the_names_and_the_dtype() -> None:
    zeros = counting("float32").zeros_like()
    assert zeros == Parameters(SHAPES, dtype=np.float32)
    assert not zeros.vector.any()


def test_equality_looks_at_names_dtype_and_values() -> None:
    params = counting()
    assert params == counting()
    assert params != counting("float32")
    assert params != counting().zeros_like()
    renamed = Parameters({f"1{key}": shape for key, shape in SHAPES.items()}, params.vector)
    assert params != renamed
    assert params != dict(params)
    params.vector[0] = np.nan
    assert params != params.copy()
    for array in (np.ones(3), np.ones((2, 3)), np.zeros(2, [("a", "f8")])):
        assert (NET.init(seed=1) == array) is False
        assert (array == NET.init(seed=1)) is False


def test_what_changes_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(counting())


def test_repr_names_size_dtype_and_shapes() -> None:
    text = repr(counting("float32"))
    assert text == "Parameters(10 float32: 0.weight (2, 3), 0.bias (2,), 2.weight (1, 2))"


NET = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 1, bias=False))


@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
def test_state_dict_and_back_is_the_same(dtype: str) -> None:
    params = NET.init(seed=1, dtype=dtype)
    assert NET.load_state_dict(params.state_dict()) == params


def test_a_state_dict_shares_nothing() -> None:
    params = NET.init(seed=1)
    state = params.state_dict()
    loaded = NET.load_state_dict(state)
    before = params.copy()
    for array in state.values():
        array[...] = 0
    assert loaded == params == before


def test_a_state_dict_may_be_read_in_another_dtype() -> None:
    params = NET.init(seed=1)
    assert NET.load_state_dict(params.state_dict(), dtype=np.float32) == params.astype(np.float32)


def test_a_state_dict_of_lists_of_integers_becomes_float64() -> None:
    state = {"0.weight": [[1, 2, 3], [4, 5, 6]], "0.bias": [7, 8], "2.weight": [[9, 10]]}
    params = NET.load_state_dict(state)
    assert params.dtype == np.float64
    assert params.vector.tolist() == list(range(1, 11))


def test_missing_and_unknown_keys_are_named() -> None:
    state = NET.init(seed=1).state_dict()
    del state["0.bias"]
    state |= {"2.bias": np.zeros(1), "4.bias": np.zeros(1)}
    with pytest.raises(ShapeError, match=r"missing 0\.bias; not known 2\.bias, 4\.bias"):
        NET.load_state_dict(state)


def test_a_transposed_weight_is_refused_also_where_it_has_the_same_size() -> None:
    state = NET.init(seed=1).state_dict()
    state["0.weight"] = state["0.weight"].T
    with pytest.raises(ShapeError, match=r"0\.weight must have shape \(2, 3\), got \(3, 2\)"):
        NET.load_state_dict(state)


def test_text_in_a_state_dict_is_refused() -> None:
    state = NET.init(seed=1).state_dict() | {"0.bias": ["a", "b"]}
    with pytest.raises(DTypeError):
        NET.load_state_dict(state)


class Tensor:
    """A torch tensor as `load_state_dict` sees it: on a device, in a graph, of torch's dtypes."""

    def __init__(self, values: np.ndarray, dtype: str, where: str = "a graph") -> None:
        self.values, self.dtype, self.where = values, f"torch.{dtype}", where

    def detach(self) -> "Tensor":
        return Tensor(self.values, self.dtype[6:], "a device")

    def cpu(self) -> "Tensor":
        if self.where != "a device":
            raise RuntimeError("Cannot copy out of meta tensor; no data!")
        return Tensor(self.values, self.dtype[6:], "the cpu")

    def float(self) -> "Tensor":
        return Tensor(self.values.astype(np.float32), "float32", self.where)

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        if self.where != "the cpu":
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values


def tensors(dtype: str, values: str = "float64") -> dict[str, Tensor]:
    """Return tensors whose numbers every float type can hold."""
    integers = np.arange(NET.init(seed=0).vector.size, dtype=values)
    return {key: Tensor(array, dtype) for key, array in Parameters(NET.shapes, integers).items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensors_in_a_graph_on_a_device_are_read(dtype: str) -> None:
    params = NET.load_state_dict(tensors(dtype, dtype))
    assert params.dtype == dtype
    assert params.vector.tolist() == list(range(params.vector.size))


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_tensors_of_half_precision_are_refused_unless_a_dtype_is_given(half: str) -> None:
    state: dict[str, Any] = dict(tensors(half))
    if half == "float16":
        state = {key: tensor.values.astype(half) for key, tensor in state.items()}
    message = rf"0\.weight is .*{half}, expected float32, float64 .*; pass dtype='float32' to load"
    with pytest.raises(DTypeError, match=message):
        NET.load_state_dict(state)
    params = NET.load_state_dict(state, dtype="float32")
    assert params.dtype == np.float32
    assert params.vector.tolist() == list(range(params.vector.size))


def test_a_tensor_that_cannot_be_copied_is_refused() -> None:
    class Meta(Tensor):
        def detach(self) -> "Tensor":
            return self

    state = tensors("float32") | {"0.bias": Meta(np.zeros(2), "float32")}
    with pytest.raises(DTypeError, match=r"0\.bias cannot be copied to the CPU \(Cannot copy out"):
        NET.load_state_dict(state)


def test_an_object_that_numpy_cannot_read_is_refused() -> None:
    x = Tensor(np.zeros((1, 3)), "float32")
    with pytest.raises(DTypeError, match="x must be an array, got Tensor, not readable by NumPy"):
        NET.forward(NET.init(0), x)


def test_complex_numbers_in_a_state_dict_are_refused() -> None:
    state = NET.init(seed=1).state_dict() | {"0.bias": [1j, 2]}
    for dtype in (None, "float64"):
        with pytest.raises(DTypeError, match=r"0\.bias must be an array of real numbers, got"):
            NET.load_state_dict(state, dtype)


class Module:
    """A torch module as `load_state_dict` sees it."""

    def state_dict(self) -> dict[str, Any]:
        return NET.init(seed=1).state_dict()


def test_a_module_in_place_of_its_state_dict_is_refused() -> None:
    message = r"expects a mapping .* got an object of type Module; pass its state_dict\(\)\."
    with pytest.raises(SpecError, match=message):
        NET.load_state_dict(Module())  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="got an object of type list; pass a mapping"):
        NET.load_state_dict([])  # type: ignore[arg-type]
    assert NET.load_state_dict(Module().state_dict()) == NET.init(seed=1)


def test_a_network_without_parameters_has_an_empty_vector() -> None:
    net = Sequential(Sigmoid())
    assert net.init(seed=0).vector.shape == (0,)
    assert net.load_state_dict({}) == net.init(seed=0)


def test_assigned_values_are_copied_in() -> None:
    """To the vector or to a name; the views stay views."""
    params = counting()
    params.vector = np.arange(10, 20)
    params["0.bias"] = [1, 2]
    params.vector += 1
    assert params.vector.tolist() == [11, 12, 13, 14, 15, 16, 2, 3, 19, 20]
    assert shares_its_vector(params)


def test_assigned_values_must_have_the_shape() -> None:
    params = counting()
    with pytest.raises(ShapeError, match=r"vector has shape \(10,\), got values of shape \(3,\)"):
        params.vector = [1, 2, 3]
    with pytest.raises(ShapeError, match=r"0.bias has shape \(2,\), got values of shape \(\)"):
        params["0.bias"] = 1.0
