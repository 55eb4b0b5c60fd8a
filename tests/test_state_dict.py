"""State_dicts of other networks: prefixes, other names, checkpoints, half precision, files."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy as st_numpy
from hypothesis import given
from hypothesis import strategies as st
from model_files import assemble

import manualnn as mnn
from manualnn import Linear, ModelFileError, ReLU, Sequential, ShapeError, SpecError

pytestmark = pytest.mark.once

NET = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
STATE = NET.init(seed=1).state_dict()
NAMES = st.text("abc_.0129", min_size=1, max_size=9)


def renamed(**names: str) -> dict[str, Any]:
    """Return STATE under other names of its layers, 0 and 2 being called `first` and `second`."""
    layers = {"0": names["first"], "2": names["second"]}
    return {f"{layers[key[0]]}.{key[2:]}": array for key, array in STATE.items()}


# ---------------------------------------------------------------------- prefixes


@given(prefixes=st.lists(st.sampled_from(["module", "_orig_mod", "model", "0", "net.body"])))
def test_a_prefix_that_all_keys_share_is_removed(prefixes: list[str]) -> None:
    prefix = "".join(f"{part}." for part in prefixes)
    state = {prefix + key: array for key, array in STATE.items()}
    assert NET.load_state_dict(state) == NET.init(seed=1)


@pytest.mark.parametrize("prefix", ["module", "module_", "1"])
def test_a_prefix_without_its_dot_is_none(prefix: str) -> None:
    with pytest.raises(ShapeError, match=r"missing 0\.bias"):
        NET.load_state_dict({prefix + key: array for key, array in STATE.items()})


def test_a_prefix_of_some_keys_only_is_none() -> None:
    state = {("module." if key == "0.bias" else "") + key: array for key, array in STATE.items()}
    with pytest.raises(ShapeError, match=r"missing 0\.bias; not known module\.0\.bias"):
        NET.load_state_dict(state)
    with pytest.raises(ShapeError, match=r"not known .*module\.extra"):
        NET.load_state_dict({f"module.{key}": a for key, a in (STATE | {"extra": 1}).items()})


# ---------------------------------------------------------------------- other names


@given(names=st.lists(NAMES, min_size=2, max_size=2, unique=True))
def test_names_map_their_layers_to_ours(names: list[str]) -> None:
    state = renamed(first=names[0], second=names[1])
    assert NET.load_state_dict(state, names=dict(zip(names, "02", strict=True))) == NET.init(1)
    assert NET.load_state_dict(state, names=dict(zip(names, (0, 2), strict=True))) == NET.init(1)


def test_names_may_be_those_of_single_arrays() -> None:
    state = dict(zip(["w1", "b1", "w2", "b2"], STATE.values(), strict=True))
    names = dict(zip(state, STATE, strict=True))
    assert NET.load_state_dict(state, names=names) == NET.init(seed=1)


@pytest.mark.parametrize(("first", "second"), [("fc1", "fc2"), ("0", "3"), ("body.in", "head")])
def test_the_message_says_which_names_fit(first: str, second: str) -> None:
    """The argument in the message works as it stands, also where a file sorted the names."""
    state = renamed(first=first, second=second)
    for order in (state, dict(sorted(state.items())), dict(reversed(state.items()))):
        with pytest.raises(ShapeError, match="fit by shape: pass names=") as error:
            NET.load_state_dict(order)
        given_names = str(error.value).partition("names=")[2].partition("}")[0] + "}"
        names = json.loads(given_names.replace("'", '"'))
        assert names == {first: "0", second: "2"}
        assert NET.load_state_dict(order, names=names) == NET.init(seed=1)


def test_layers_of_one_shape_are_told_apart_by_their_numbers_only() -> None:
    deep = Sequential(*(Linear(2, 2) for _ in range(11)))
    state = deep.init(seed=0).state_dict()
    other = {f"fc{key}": array for key, array in sorted(state.items())}  # fc0, fc1, fc10, fc2, …
    with pytest.raises(ShapeError, match=r"\{'fc0': '0', 'fc1': '1', 'fc2': '2', .*'fc10': '10'\}"):
        deep.load_state_dict(other)
    words = {"0": "encode", "1": "decode"}
    pair = Sequential(Linear(2, 2), Linear(2, 2))
    other = {f"{words[key[0]]}.{key[2:]}": a for key, a in pair.init(seed=0).state_dict().items()}
    with pytest.raises(ShapeError) as error:
        pair.load_state_dict(other)
    assert "names=" not in str(error.value)


def test_names_that_make_two_arrays_one_are_refused() -> None:
    with pytest.raises(SpecError, match=r"two arrays the key '0\.weight'"):
        NET.load_state_dict(STATE, names={"2": "0"})
    with pytest.raises(SpecError, match="names must be a mapping"):
        NET.load_state_dict(STATE, names=["fc1"])  # type: ignore[arg-type]


def test_a_list_of_names_in_a_message_is_cut() -> None:
    with pytest.raises(ShapeError, match="and 88 more") as error:
        NET.load_state_dict(dict.fromkeys(map(str, range(100)), 1.0))
    assert len(str(error.value)) < 500


# ---------------------------------------------------------------------- what is no state_dict

MODULE = SimpleNamespace(state_dict=lambda: STATE)
NO_STATE_DICTS = {
    "checkpoint": ({"epoch": 3, "state_dict": STATE}, r"pass checkpoint\['state_dict'\]\."),
    "lightning": (
        {"hyper_parameters": {"lr": 1}, "model": STATE}, r"pass checkpoint\['model'\]\."
    ),
    "module in it": ({"net": MODULE, "epoch": 3}, r"pass checkpoint\['net'\]\.state_dict\(\)\."),
}  # fmt: skip


@pytest.mark.parametrize(("other", "message"), NO_STATE_DICTS.values(), ids=NO_STATE_DICTS)
def test_a_checkpoint_is_told_apart_with_the_remedy(other: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        NET.load_state_dict(other)


@pytest.mark.parametrize("path", ["model.safetensors", Path("model.safetensors")])
def test_a_path_in_place_of_a_state_dict_is_refused_with_the_remedy(path: Any) -> None:
    with pytest.raises(SpecError, match=r"pass manualnn\.load_arrays\(path\)"):
        NET.load_state_dict(path)


def test_a_transposed_weight_is_named_as_such() -> None:
    with pytest.raises(ShapeError, match=r"got \(3, 4\); pass its transpose\."):
        NET.load_state_dict(STATE | {"0.weight": STATE["0.weight"].T})


# ---------------------------------------------------------------------- files


def test_arrays_of_any_safetensors_file_are_read(tmp_path: Path) -> None:
    arrays = {
        name: np.array([[0, 1, 1]], name).reshape(shape)
        for name in ("bool", "int8", "uint64", "float16", "float32", "float64")
        for shape in ((1, 3),)
    } | {"empty": np.zeros((0, 3)), "scalar": np.array(7.0)}
    st_numpy.save_file(arrays, tmp_path / "file")
    back = mnn.load_arrays(tmp_path / "file")
    assert back.keys() == arrays.keys()
    for key, array in arrays.items():
        assert (back[key].dtype, back[key].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(back[key], array)


@given(bits=st.lists(st.integers(0, 2**16 - 1), min_size=1))
def test_bfloat16_is_the_upper_half_of_float32(folder: Path, bits: list[int]) -> None:
    """1 sign bit, 8 bits of exponent and 7 of mantissa: float32 without its last 16 bits."""
    data = np.array(bits, "<u2").tobytes()
    entry = {"dtype": "BF16", "shape": [len(bits)], "data_offsets": [0, len(data)]}
    (folder / "half").write_bytes(assemble(json.dumps({"x": entry}), data))
    x = mnn.load_arrays(folder / "half")["x"]
    assert x.dtype == np.float32
    assert (x.view("<u4") == [bit * 2**16 for bit in bits]).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("halves")


def test_half_precision_from_a_file_is_widened_when_asked(tmp_path: Path) -> None:
    halves = {key: np.round(array * 64).astype(np.float16) for key, array in STATE.items()}
    st_numpy.save_file(halves, tmp_path / "half")
    params = NET.load_state_dict(mnn.load_arrays(tmp_path / "half"), dtype="float32")
    assert params.dtype == np.float32
    for key, array in halves.items():
        assert params[key].tolist() == array.tolist()


def test_a_dtype_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    entry = {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}
    (tmp_path / "file").write_bytes(assemble(json.dumps({"x": entry}), b"\0"))
    with pytest.raises(ModelFileError, match="F8_E4M3"):
        mnn.load_arrays(tmp_path / "file")
