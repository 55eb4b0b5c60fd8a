"""Files of other programs: each is refused by its kind and with a remedy, and never executed."""

import gzip
import io
import os
import pickle
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy as st_numpy
from model_files import pack

from manualnn import ModelFileError, load

pytestmark = pytest.mark.once


class Bomb:
    """A pickle that would make a file if it were loaded."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def saved(writer: Any, *values: Any) -> bytes:
    stream = io.BytesIO()
    writer(stream, *values)
    return stream.getvalue()


def zipped(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, pickle.dumps(Bomb()))
    return stream.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"
FOREIGN = {
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "filled with zeros"),
    "torch": (zipped("archive/data.pkl"), "file of torch.save.*weights_only=True"),
    "torchscript": (zipped("model/data/0"), r"torch\.jit\.load\(.*\)\.state_dict\(\)"),
    "joblib": (zlib.compress(pickle.dumps(Bomb()), 3), "a pickle of joblib"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "a text in UTF-16"),
    "npz": (saved(np.savez, np.ones(3)), "archive of NumPy.*pass np.load"),
    "npy": (saved(np.save, np.ones(3)), "one array of NumPy"),
    "zip": (zipped("a.txt"), "zip archive"),
    "keras": (zipped("metadata.json"), "model of Keras"),
    "pickle": (pickle.dumps(Bomb(), 4), "a pickle, which may execute code"),
    "old pickle": (pickle.dumps(Bomb(), 2), "a pickle, which may execute code"),
    "gzip": (gzip.compress(bytes(99)), "compressed by gzip.*unpack"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5 file, as Keras"),
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.0.0:", r"ONNX file.*manualnn.onnx.load_onnx\("),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(99), "a picture"),
    "table": ("größe,farbe\n1,röt\n".encode() * 200, "a text.*`manualnn train` makes a model"),
    "json": (b'{"layers": []}', "JSON.*Trainer.from_spec"),
    "web page": (b"<!DOCTYPE html><html><body>404", "failed download"),
    "git lfs": (LFS, "run `git lfs pull`"),
    "noise": (np.random.default_rng(0).bytes(5000), "not a model file, or is damaged"),
    "weights": (st_numpy.save({"0.weight": np.ones((2, 1))}), r"not saved by manualnn.*load_state"),
}


@pytest.mark.parametrize(("foreign", "message"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_refused_by_name_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreign: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(foreign)
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "file")
    assert not (tmp_path / "exploded").exists()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero", "/dev/stdin"):
        with pytest.raises(ModelFileError, match="not a regular file"):
            load(path)
    for missing in (tmp_path / "nowhere", "x" * 5000):
        with pytest.raises(OSError, match="cannot read") as error:
            load(missing)
        assert isinstance(error.value, ModelFileError)


SPEC = {"layers": [], "dtype": "float64"}
MODEL = pack({"version": 2, "spec": SPEC, "notes": {}}, {"0.weight": np.ones(9)})


def test_a_large_file_of_another_kind_costs_no_memory(tmp_path: Path) -> None:
    """The files are sparse: 1 TB that takes no space on the disk."""
    for start in (b"\x89HDF", MODEL, b"\x10" + bytes(7) + b'{"a":1'):
        with (tmp_path / "large").open("wb") as file:
            file.write(start)
            file.truncate(10**12)
        tracemalloc.start()
        with pytest.raises(ModelFileError):
            load(tmp_path / "large")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**20
