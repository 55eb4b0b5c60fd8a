"""Damaged and hostile files: each is refused with its reason, at little cost."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import fuzzing
import numpy as np
import pytest
import safetensors.numpy as st_numpy
from hypothesis import given, settings
from model_files import assemble, header_of, pack, signed, unpack

from manualnn import (
    Adam,
    Checkpoint,
    EarlyStopping,
    Linear,
    ModelFileError,
    MSELoss,
    Sequential,
    SpecError,
    Trainer,
    load,
    save,
)
from manualnn.serialization import load_with_notes

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(scope="module")
def content(folder: Path) -> bytes:
    """Return a sound file, which is small enough to change each of its bits."""
    path = folder / "sound"
    net = Sequential(Linear(1, 2))
    save(path, Trainer(net, MSELoss(), Adam(), seed=3), resumable=False, notes={"é": "ü"})
    return path.read_bytes()


def refusal(path: Path, content: bytes) -> str:
    """Return why the content is refused as a model file."""
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as error:
        load(path)
    assert str(path) in str(error.value)
    return str(error.value)


# ---------------------------------------------------------------------- damage


def test_the_checksum_is_the_sha256_of_everything_else(content: bytes) -> None:
    assert signed(content) == content


def test_every_flip_of_a_single_bit_is_refused(folder: Path, content: bytes) -> None:
    """Nightly runs flip all eight bits of each byte, other runs one of them."""
    is_nightly = settings.default.max_examples >= 1000
    for bit in range(0, 8 * len(content), 1 if is_nightly else 9):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        refusal(folder / "flipped", bytes(changed))


def test_a_file_truncated_or_continued_at_any_byte_is_refused(folder: Path, content: bytes) -> None:
    for length in range(len(content)):
        message = refusal(folder / "cut", content[:length])
        assert any(w in message for w in ("truncated", "empty", "zeros", "not a model file"))
    for more in (b"\0", b" ", content):
        assert "bytes appended" in refusal(folder / "continued", content + more)


def test_a_file_of_version_1_is_read_without_a_checksum(folder: Path, content: bytes) -> None:
    """Version 1 is what manualnn 0.1.0 wrote: the same parts, and no checksum."""
    about, arrays = unpack(content)
    st_numpy.save_file(arrays, folder / "old", {"manualnn": json.dumps(about | {"version": 1})})
    (folder / "new").write_bytes(content)
    assert load(folder / "old").params == load(folder / "new").params
    assert load(folder / "old").spec() == load(folder / "new").spec()


def test_a_file_of_version_2_needs_its_checksum(folder: Path, content: bytes) -> None:
    about, arrays = unpack(content)
    bare = st_numpy.save(arrays, {"manualnn": json.dumps(about)})
    assert "no checksum" in refusal(folder / "bare", bare)


# ---------------------------------------------------------------------- hostility

SPEC = {
    "layers": [{"type": "Linear", "in_features": 1, "out_features": 2, "bias": True}],
    "loss": {"type": "MSELoss"},
    "optimizer": {"type": "SGD", "lr": 0.1},
    "dtype": "float64",
}
ARRAYS = {"0.weight": np.ones((2, 1)), "0.bias": np.ones(2)}
ABOUT = {"version": 2, "spec": SPEC, "notes": {}}
WIDE = {"type": "Linear", "in_features": 2**40, "out_features": 2**40, "bias": True}


def with_text(old: str, new: str) -> bytes:
    """Return a signed file in whose description a piece of JSON is replaced by another."""
    text = json.dumps({"sha256": "0" * 64} | ABOUT, separators=(",", ":"))
    assert old in text
    header = json.dumps(header_of(text.replace(old, new), ARRAYS), separators=(",", ":"))
    return signed(assemble(header, b"".join(array.tobytes() for array in ARRAYS.values())))


def with_header(old: str, new: str) -> bytes:
    """Return a file in whose header a text is replaced by another."""
    whole = pack(ABOUT, ARRAYS)
    end = 8 + int.from_bytes(whole[:8], "little")
    header = whole[8:end].decode()
    assert old in header
    return signed(assemble(header.replace(old, new), whole[end:]))


MANY = ",".join(['{"type":"Identity"}'] * 10**6)
HOSTILE = {
    "header of 2^63 bytes": (b"\xff" * 7 + b"\x7f{", "9,223,372,036,854,775,807 bytes"),
    "header of 4 GB": ((2**32).to_bytes(8, "little") + b'{"a":' + b" " * 99, "truncated or"),
    "spec of terabytes": (
        pack(ABOUT | {"spec": SPEC | {"layers": [WIDE]}}, ARRAYS),
        r"expected 0.bias \(1099511627776,\) float64, 0.weight \(1099511627776, 1099511627776\)",
    ),
    "array of terabytes": (with_header("[0,16]", f"[0,{2**45}]"), "truncated: it should have 3"),
    "shape beyond its bytes": (with_header("[2,1]", f"[{2**62},{2**62}]"), "arrays cannot be read"),
    "negative shape": (with_header("[2,1]", "[-2,-1]"), "arrays cannot be read"),
    "overlapping arrays": (with_header("[16,32]", "[0,32]"), "arrays cannot be read"),
    "a hole": (with_header("[0,16]", "[8,16]"), "arrays cannot be read"),
    "unknown dtype": (with_header('"F64"', '"F63"'), "arrays cannot be read"),
    "a million layers": (with_text(json.dumps(SPEC["layers"], separators=(",", ":")), f"[{MANY}]"),
                         "16,777,216"),
    "deep nesting": (with_text('"notes":{}', '"notes":' + "[" * 10**5 + "]" * 10**5), "recursion"),
    "deep header": (with_header("[2,1]", "[" * 10**5 + "]" * 10**5), "recursion"),
    "duplicate key": (with_text('"lr":0.1', '"lr":0.1,"lr":9'), "the key 'lr' occurs twice"),
    "duplicate array": (
        with_header('"0.bias"', '"0.weight"'), "the key '0.weight' occurs twice"
    ),
    "duplicate description": (
        with_header('"manualnn":', '"manualnn":"{}","manualnn":'), "the key 'manualnn' occurs twice"
    ),
    "huge integer": (with_text('"lr":0.1', f'"lr":{"9" * 10**5}'), "digits"),
    "large integer": (with_text('"lr":0.1', f'"lr":{"9" * 4000}'), "lr must be a number"),
    "infinite number": (with_text('"lr":0.1', '"lr":1e999'), "1e999 is not a number"),
    "not a number": (with_text('"lr":0.1', '"lr":NaN'), "NaN is not a number"),
    "other encoding": (with_header("Linear", "\u0130").replace(b"\xc4\xb0", b"\xff\xfe"), "utf"),
    "code": (with_text('"Linear"', '"__import__(\'os\').abort()"'), "there is no type"),
    "escape sequence": (with_text('"Linear"', r'"\u001b[2J\ud800"'), r"\\u001b\[2J\\ud800"),
    "escape sequence in a key": (
        with_header('"0.bias"', r'"\u001b[2J' + "x" * 5000 + '"'), r"got \\x1b\[2Jxxx.*…\. Save the"
    ),
    "structured dtype": (with_text('"float64"', '"f8,(9999999,)f8"'), "expected the dtype float32"),
}  # fmt: skip


@pytest.mark.parametrize(("hostile", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_at_the_cost_of_its_size(
    tmp_path: Path, hostile: bytes, message: str
) -> None:
    tracemalloc.start()
    try:
        path = tmp_path / "hostile"
        path.write_bytes(hostile)
        with pytest.raises(ModelFileError, match=message) as error:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20 + 20 * len(hostile)
    finally:
        tracemalloc.stop()
    assert len(str(error.value)) < 1500
    assert str(error.value).isprintable()


def test_what_surrounds_the_hostile_places_is_sound(folder: Path) -> None:
    (folder / "sound").write_bytes(with_text('"lr":0.1', '"lr":9'))
    assert load(folder / "sound").lr == 9


@given(numbers=fuzzing.INPUTS)
def test_any_change_is_refused_or_leaves_a_sound_model(folder: Path, numbers: list[int]) -> None:
    fuzzing.judge(numbers, folder / "fuzzed")


def test_the_files_that_the_fuzzer_changes_are_sound(folder: Path) -> None:
    for (about, arrays), sound in zip(fuzzing.BASES, fuzzing.SOUND, strict=True):
        (folder / "base").write_bytes(sound)
        trainer, notes, own = load_with_notes(folder / "base")
        assert notes == about["notes"]
        assert own.keys() == {k.removeprefix("notes.") for k in arrays if k.startswith("notes.")}
        assert trainer.params["0.weight"].tobytes() == arrays["0.weight"].tobytes()


@pytest.mark.parametrize(
    ("name", "value"), [("wait", [1]), ("wait", None), ("wait", 2**70), ("best", "x"), ("best", [])]
)
def test_a_checkpoint_with_a_state_of_other_types_is_refused(
    tmp_path: Path, name: str, value: Any
) -> None:
    path = tmp_path / "run"
    trainer = Trainer(Sequential(Linear(1, 2)), MSELoss(), Adam())
    x, t = np.ones((2, 1)), np.zeros((2, 2))
    options: Any = {"callbacks": [EarlyStopping(monitor="loss"), Checkpoint(path)]}
    trainer.fit(x, t, epochs=2, progress=False, **options)
    trainer.fit(x, t, epochs=3, progress=False, resume=path, **options)
    about, arrays = unpack(path.read_bytes())
    about["notes"]["checkpoint"]["states"][0][name] = value
    path.write_bytes(pack(about, arrays))
    with pytest.raises(SpecError, match=f"EarlyStopping has the damaged {name}"):
        trainer.fit(x, t, epochs=4, progress=False, resume=path, **options)
