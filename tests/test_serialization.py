"""Model files: loading restores a trainer bit for bit, and damaged files are refused."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy as st_numpy
from cases import Case, cases
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from model_files import pack, unpack

from manualnn import (
    LAYERS,
    SGD,
    Adam,
    DivergedError,
    Layer,
    Linear,
    MissingExtraError,
    ModelFileError,
    MSELoss,
    Sequential,
    Sigmoid,
    SpecError,
    Trainer,
)
from manualnn.serialization import load, load_with_notes, save

NET = Sequential(Linear(3, 4), Sigmoid(), Linear(4, 2))

FEWER = settings(max_examples=max(8, settings.default.max_examples // 5))
"""Writing a file takes longer than all else that these tests do."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def trainer() -> Trainer:
    trainer = Trainer(NET, MSELoss(), Adam(), seed=3)
    trainer.step(np.ones((2, 3)), np.zeros((2, 2)))
    return trainer


def rewrite(
    path: Path,
    change: Callable[[dict[str, Any], dict[str, Any]], object] = lambda _about, _arrays: None,
) -> None:
    """Write a model file again, with something in it changed."""
    about, arrays = unpack(path.read_bytes())
    change(about, arrays)
    path.write_bytes(pack(about, arrays))


# ---------------------------------------------------------------------- bit for bit


@FEWER
@given(case=cases(), resumable=st.booleans())
def test_a_loaded_trainer_is_the_saved_one(folder: Path, case: Case, *, resumable: bool) -> None:
    path = folder / "model"
    saved = Trainer(case.net, case.loss, case.rule, params=case.params)
    save(path, saved, resumable=resumable)
    loaded = load(path)
    assert loaded.params == saved.params
    assert loaded.params.vector.tobytes() == saved.params.vector.tobytes()
    assert loaded.spec() == saved.spec()
    np.testing.assert_array_equal(loaded.predict(case.x), saved.predict(case.x))


def go_on(trainer: Trainer, case: Case, epochs: int) -> Any:
    """Train on; return what there is to compare."""
    try:
        losses = trainer.fit(case.x, case.t, epochs=epochs, batch_size=2, progress=False).loss
    except DivergedError as error:
        losses = ["diverged", error.epoch, repr(error.last_loss)]
    vectors = {name: np.asarray(value).tobytes() for name, value in trainer.state.items()}
    return losses, trainer.params.vector.tobytes(), vectors, trainer.steps


@FEWER
@given(case=cases(), seed=st.integers(0, 2**64))
def test_training_goes_on_after_loading_as_if_it_had_never_been_saved(
    folder: Path, case: Case, seed: int
) -> None:
    """Shuffling, dropout, momentum and step count included."""
    path = folder / "model"
    trainer = Trainer(case.net, case.loss, case.rule, params=case.params, seed=seed)
    assume(not any(a.refuses(len(case.x), is_training=True) for a in case.net.layers))
    go_on(trainer, case, 1)
    save(path, trainer)
    assert go_on(load(path), case, 2) == go_on(trainer, case, 2)


@FEWER
@given(
    notes=st.dictionaries(
        st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
    )
)
def test_notes_come_back(folder: Path, notes: dict[str, Any]) -> None:
    save(folder / "model", Trainer(NET, MSELoss(), SGD()), notes=notes)
    assert load_with_notes(folder / "model")[1] == notes


def test_own_arrays_come_back_whatever_their_memory_layout(tmp_path: Path) -> None:
    numbers = np.arange(6.0).reshape(2, 3)
    own = {"columns": numbers.T[::2], "swapped": numbers.astype(">f4"), "0.weight": np.array(7)}
    save(tmp_path / "model", Trainer(NET, MSELoss(), SGD()), arrays=own)
    back = load_with_notes(tmp_path / "model")[2]
    assert back.keys() == own.keys()
    assert back["columns"].tolist() == [[0, 3], [2, 5]]
    assert back["swapped"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert back["0.weight"].shape == ()


@pytest.mark.parametrize("dtype", [object, "U3", complex, "M8[s]"])
def test_an_array_that_no_file_can_hold_is_refused(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(ModelFileError, match="booleans, integers or floats"):
        save(tmp_path / "model", Trainer(NET, MSELoss(), SGD()), arrays={"a": np.ones(2, dtype)})
    assert not list(tmp_path.iterdir())


def test_what_is_saved_to_be_used_only_is_a_plain_state_dict(
    tmp_path: Path, trainer: Trainer
) -> None:
    save(tmp_path / "model", trainer, resumable=False)
    arrays = st_numpy.load_file(tmp_path / "model")
    assert NET.load_state_dict(arrays) == trainer.params


def test_a_learning_rate_changed_on_the_way_is_kept(tmp_path: Path, trainer: Trainer) -> None:
    trainer.lr = np.float32(0.1)
    save(tmp_path / "model", trainer)
    assert load(tmp_path / "model").lr == float(np.float32(0.1))


# ---------------------------------------------------------------------- what cannot be loaded


def about(key: str, value: Any) -> Callable[[Any, Any], None]:
    return lambda about, _: about.__setitem__(key, value)


def array(key: str, value: Any) -> Callable[[Any, Any], None]:
    return lambda _, arrays: arrays.__setitem__(key, np.asarray(value))


def without(part: int, key: str) -> Callable[[Any, Any], None]:
    return lambda *parts: parts[part].pop(key)


HUGE = {"layers": [{"type": "Linear", "in_features": 10**12, "out_features": 10**6}]}
CHANGES = {
    "version": (about("version", 3), "of version 3, this manualnn reads the versions 1 and 2"),
    "no version": (without(0, "version"), "of version None, this"),
    "no spec": (without(0, "spec"), "there is no 'spec'"),
    "spec of another kind": (about("spec", [1]), "expected"),
    "unknown layer": (about("spec", {"layers": [{"type": "Conv9"}], "dtype": "float64"}), "Conv9"),
    "huge network": (about("spec", HUGE | {"dtype": "float64"}), "do not fit together"),
    "no dtype": (about("spec", HUGE), "there is no 'dtype'"),
    "notes of another kind": (about("notes", 3), "do not fit"),
    "missing key": (without(1, "0.weight"), r"expected 0.weight \(4, 3\) float64, got nothing"),
    "unknown key": (array("9.bias", [1.0]), r"got 9.bias \(1,\) float64"),
    "shape": (array("2.bias", [1.0]), r"expected 2.bias \(2,\) float64, got 2.bias \(1,\)"),
    "dtype": (array("2.bias", np.ones(2, np.float32)), r"2.bias \(2,\) float32"),
    "nan": (array("2.bias", [1.0, np.nan]), r"must be finite, got nan in 2.bias at \(1,\)"),
    "infinity": (array("2.bias", [np.inf, 0]), "must be finite, got inf"),
    "optimizer's vector": (without(1, "optimizer.exp_avg"), r"optimizer.exp_avg \(26,\)"),
    "progress": (about("training", {}), "there is no 'steps'"),
    "step": (
        lambda about, _: about["training"].__setitem__("steps", "1"),
        "progress of the training is damaged",
    ),
    "generator": (
        lambda about, _: about["training"]["random"].__setitem__("bit_generator", "__import__"),
        "progress of the training is damaged",
    ),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_file_whose_parts_do_not_fit_is_refused(
    tmp_path: Path, trainer: Trainer, change: Any, message: str
) -> None:
    path = tmp_path / "model"
    save(path, trainer)
    rewrite(path)
    load(path)
    rewrite(path, change)
    with pytest.raises(ModelFileError, match=message) as error:
        load(path)
    assert str(path) in str(error.value)


# ---------------------------------------------------------------------- what cannot be saved


@pytest.mark.parametrize("other", [NET, NET.init(0), "model"], ids=["net", "params", "text"])
def test_what_is_no_trainer_is_refused(tmp_path: Path, other: Any) -> None:
    with pytest.raises(
        SpecError, match=rf"expects a path and a Trainer, got {type(other).__name__}"
    ):
        save(tmp_path / "model", other)
    assert not list(tmp_path.iterdir())


def test_longdouble_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"float32 or float64, got .*astype"):
        save(tmp_path / "model", Trainer(NET, MSELoss(), SGD(), dtype=np.longdouble))
    assert not list(tmp_path.iterdir())


def test_parameters_that_are_not_finite_are_refused(tmp_path: Path, trainer: Trainer) -> None:
    trainer.params["2.bias"][1] = np.nan
    with pytest.raises(ModelFileError, match=r"2.bias"):
        save(tmp_path / "model", trainer)
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Own(Layer):
    """A layer of the user's own, of which loading knows nothing."""


def test_a_layer_that_loading_does_not_know_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(Sequential(Own()), MSELoss(), SGD())
    with pytest.raises(ModelFileError, match=r"could not be loaded again: .*no type \"Own\""):
        save(tmp_path / "model", trainer)
    assert not list(tmp_path.iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LAYERS, "Own", Own)
        save(tmp_path / "model", trainer)
        assert load(tmp_path / "model").net == trainer.net
        patch.setitem(LAYERS, "Own", Sigmoid)
        with pytest.raises(ModelFileError, match="another class has the name"):
            save(tmp_path / "model", trainer)


@pytest.mark.parametrize("notes", [{"x": object()}, {"x": np.inf}, {"x": np.ones(2)}])
def test_notes_that_are_no_json_are_refused(
    tmp_path: Path, trainer: Trainer, notes: dict[str, Any]
) -> None:
    with pytest.raises(ModelFileError, match="JSON"):
        save(tmp_path / "model", trainer, notes=notes)
    assert not list(tmp_path.iterdir())


def test_a_generator_that_numpy_restores_unchecked_is_refused(tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.MT19937(0))
    trainer = Trainer(NET, MSELoss(), SGD(), seed=rng)
    with pytest.raises(ModelFileError, match=r"MT19937.*resumable=False"):
        save(tmp_path / "model", trainer)
    save(tmp_path / "model", trainer, resumable=False)
    assert load(tmp_path / "model").params == trainer.params


def test_without_safetensors_the_message_names_the_extra(
    tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "safetensors"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"manualnn\[cli\]"):
        save(tmp_path / "model", trainer)
    with pytest.raises(ImportError, match=r"manualnn\[cli\]"):
        load(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_model_of_a_table_is_not_loaded_without_its_scaling(trainer, tmp_path):
    save(tmp_path / "model", trainer, notes={"table": {"target": "y"}})
    with pytest.raises(ModelFileError, match=r"manualnn\.tabular\.load_model"):
        load(tmp_path / "model")
