"""Recognition of other programs' files, and what to do with them.

Only the first bytes of a file are looked at. Nothing is unpacked or executed.
"""

import os
from collections.abc import Mapping

LOAD_ARRAYS = "pass the arrays to net.load_state_dict"
PICKLE = (
    "a pickle, which may execute code when it is read",
    f"load it with the program that wrote it, and {LOAD_ARRAYS}",
)
TORCH = (
    "a file of torch.save",
    "with torch, pass torch.load({path!r}, weights_only=True) to net.load_state_dict",
)
TORCHSCRIPT = "with torch, pass torch.jit.load({path!r}).state_dict() to net.load_state_dict"
UNPACK = "unpack it first"
TABLE = "`manualnn train` makes a model from a table"

JOBLIB = (
    "compressed by zlib, probably a pickle of joblib",
    f"load it with the program that wrote it, and {LOAD_ARRAYS}",
)

KINDS: Mapping[bytes, tuple[str, str]] = {
    b"\x80\x02\x8a\x0al\xfc\x9c": TORCH,
    b"\x80\x02": PICKLE,
    b"\x80\x03": PICKLE,
    b"\x80\x04": PICKLE,
    b"\x80\x05": PICKLE,
    b"\x89HDF": ("an HDF5 file, as Keras writes it", f"read it with h5py, and {LOAD_ARRAYS}"),
    b"\x93NUMPY": (
        "one array of NumPy",
        "pass {{'0.weight': np.load({path!r}), …}} to net.load_state_dict",
    ),
    b"GGUF": ("a GGUF file", f"read it with the package gguf, and {LOAD_ARRAYS}"),
    b"\x1f\x8b": ("compressed by gzip", UNPACK),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", UNPACK),
    b"BZh": ("compressed by bzip2", UNPACK),
    b"\xfd7zXZ": ("compressed by xz", UNPACK),
    b"\x78\x01": JOBLIB,
    b"\x78\x5e": JOBLIB,
    b"\x78\x9c": JOBLIB,
    b"\x78\xda": JOBLIB,
    b"\xff\xfe": ("a text in UTF-16", TABLE),
    b"\xfe\xff": ("a text in UTF-16", TABLE),
    b"PAR1": ("a Parquet table", TABLE),
    b"\x89PNG": ("a picture", "give the path of a model"),
    b"\xff\xd8\xff": ("a picture", "give the path of a model"),
    b"%PDF": ("a PDF document", "give the path of a model"),
    b"\x7fELF": ("a program", "give the path of a model"),
    b"SQLite format": ("a database of SQLite", "give the path of a model"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file itself", "run `git lfs pull`"),
    b"<!DOCTYPE": ("a web page, probably of a failed download", "download the file again"),
    b"<html": ("a web page, probably of a failed download", "download the file again"),
}
"""Kind and remedy by the first bytes of a file."""
ONNX_FIELDS = {bytes([8 * number + 2]) for number in range(1, 9)}
"""Third byte of an ONNX file, after the field `ir_version`: the next field, a text or a graph."""
ZIPPED: Mapping[bytes, tuple[str, str]] = {
    b".pkl": TORCH,
    b".npy": ("an archive of NumPy", "pass np.load({path!r}) to net.load_state_dict"),
    b".xml": ("an office document", TABLE),
    b"json": ("a model of Keras", f"read it with Keras, and {LOAD_ARRAYS}"),
}
"""Kind and remedy by the end of the first name in a zip archive."""


def recognize(path: str | os.PathLike[str], start: bytes) -> str | None:
    """Return a message about the file that begins so, or None if its kind is unknown."""
    kind = _kind(start)
    if kind is None:
        return None
    what, remedy = kind
    return (
        f"{path} is not a model file: it is {what}. Expected a safetensors file, as "
        f"manualnn saves it; {remedy.format(path=str(path))}."
    )


def _kind(start: bytes) -> tuple[str, str] | None:
    if not start.strip(b"\0"):
        what = "filled with zeros" if start else "empty"
        return what, "its writing or copying failed; save or copy the model again"
    if start.startswith(b"PK\x03\x04"):
        name = start[30 : 30 + int.from_bytes(start[26:28], "little")]
        if b"/data/" in name:
            return "a file of torch.jit.save", TORCHSCRIPT
        return ZIPPED.get(name[-4:], ("a zip archive", UNPACK))
    if start[:1] == b"\x08" and start[1:2] < b" " and start[2:3] in ONNX_FIELDS:
        return "an ONNX file", "load it with manualnn.onnx.load_onnx({path!r})"
    known = next((kind for magic, kind in KINDS.items() if start.startswith(magic)), None)
    return known or _kind_of_text(start)


def _kind_of_text(start: bytes) -> tuple[str, str] | None:
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:  # otherwise the end cuts a character
            return None
        text = start[: error.start].decode()
    if not all(c.isprintable() or c.isspace() for c in text):
        return None
    if text.lstrip().startswith(("{", "[")):
        return "a text in JSON", "Trainer.from_spec takes the data of a run's spec"
    return "a text", TABLE
