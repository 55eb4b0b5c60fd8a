"""The container of a model file: a JSON description and named arrays in a safetensors file.

    8 bytes      length of the header
    header       JSON: {"__metadata__": {"manualnn": DESCRIPTION}, KEY: {dtype, shape, offsets}, …}
    the rest     the numbers of the arrays

DESCRIPTION is a JSON text that begins with {"sha256": DIGEST, "version": 2, …}. DIGEST is the
SHA-256 of the whole file without the 64 characters of DIGEST itself, so that no bit of a file can
change unnoticed. It protects from damage, not from forgery: whoever changes a file on purpose can
compute a new digest. Files of version 1 have no digest; they are read without this protection.

SHA-256 reads 0.7 GB/s to 2 GB/s, depending on the processor. CRC-32 is about twice as fast, but
lets one of 4 billion damaged files pass.
"""

import hashlib
import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import MissingExtraError, ModelFileError, SpecError
from manualnn.output.files import write_whole
from manualnn.serialization.foreign import recognize
from manualnn.serialization.texts import parse_json, printable
from manualnn.validation import shown

VERSION = 2
"""Version of the files that this module writes. It reads this version and version 1."""
HEADER_MAX = 16 * 2**20
"""Maximum length of a header in bytes. It bounds the time and memory that a hostile file costs."""
MARK = b'"manualnn":"{\\"sha256\\":\\"'
"""The bytes before the digest. Elsewhere in the header, quotes in a text are escaped."""
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?"}
DTYPES |= {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}
"""NumPy's dtype of each dtype of safetensors, without the complex ones."""
DIGITS = 64
LENGTH = 8


def write(
    path: str | os.PathLike[str], description: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write a description and arrays to a file, completely or not at all.

    Raises ModelFileError if the description is no JSON or too long, or if writing fails.
    """
    path = as_path(path)
    about = {"sha256": "0" * DIGITS, "version": VERSION, **description}
    try:
        text = json.dumps(about, default=_plain, allow_nan=False, separators=(",", ":"))
        parse_json(text)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"{path}: the spec and the notes must fit into JSON ({error}); nothing was saved."
        raise ModelFileError(message) from error
    # safetensors reads an array's memory as if it were contiguous, without looking at its strides.
    contiguous = {key: np.asarray(array, order="C") for key, array in arrays.items()}
    try:
        content = bytearray(require_safetensors(".numpy").save(contiguous, {"manualnn": text}))
    except UnicodeEncodeError as error:
        message = f"{path}: the names of the arrays must be Unicode text ({error})."
        raise ModelFileError(message) from error
    if (length := int.from_bytes(content[:LENGTH], "little")) > HEADER_MAX:
        message = (
            f"{path}: the description of the model takes {length:,} bytes, a model file may have "
            f"{HEADER_MAX:,}; pass large notes as arrays. Nothing was saved."
        )
        raise ModelFileError(message)
    start = content.index(MARK) + len(MARK)
    content[start : start + DIGITS] = _digest(content, start)
    try:
        write_whole(path, content)
    except OSError as error:
        raise ModelFileError(str(error)) from error


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the description and the arrays of a file. Raises ModelFileError if it is damaged."""
    text, arrays, is_verified = _read(path, is_ours=True)
    try:
        about = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its description cannot be read ({error})") from error
    version = about.get("version") if isinstance(about, dict) else None
    if type(version) is not int or version not in {1, VERSION}:
        message = (
            f"{path} is a model file of version {printable(version)}, this manualnn reads the "
            f"versions 1 and {VERSION}; use the manualnn that saved it."
        )
        raise ModelFileError(message)
    if version == VERSION and not is_verified:
        raise _damaged(path, "it has no checksum")
    return about, arrays


def load_arrays(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Return the arrays of a safetensors file, by whichever program it was written.

        params = net.load_state_dict(load_arrays("weights.safetensors"))

    The arrays have the dtypes of the file. Only bfloat16, which NumPy lacks, becomes float32, which
    holds each of its numbers exactly.

    Raises
    ------
    ModelFileError
        If there is no such file, if it is damaged, or if it is of another kind.
    MissingExtraError
        If safetensors is not installed.

    """
    return _read(path, is_ours=False)[1]


def as_path(path: Any) -> Path:
    """Return the path of a file. Raises SpecError for an object that is no path."""
    name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else "\0"
    if "\0" in name:
        message = f"expected the path of a file, got {shown(path)}."
        raise SpecError(message)
    return Path(name)


def require_safetensors(module: str = "") -> Any:
    """Return safetensors, or a module of it. Raises MissingExtraError if it is not installed."""
    try:
        return importlib.import_module(f"safetensors{module}")
    except ImportError:
        message = "model files need the package safetensors; pip install 'manualnn[cli]'."
        raise MissingExtraError(message) from None


def _read(path: str | os.PathLike[str], *, is_ours: bool) -> tuple[Any, dict[str, Array], bool]:
    """Return the description in a safetensors file, its arrays, and True if it has a checksum.

    Raises ModelFileError if it is damaged, or, with `is_ours`, if it has no description.
    """
    safetensors = require_safetensors()
    path = as_path(path)
    try:
        if not path.is_file():
            reason = "it is not a regular file" if path.exists() else "there is no such file"
            message = f"cannot read {path}: {reason}; expected a safetensors file."
            raise ModelFileError(message)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            text = _check_header(path, file, size)
            if is_ours and not isinstance(text, str):
                raise ModelFileError(_unknown_network(path))
            file.seek(0)
            content = file.read(size)
        start = content.find(MARK) + len(MARK)
        has_digest = start >= len(MARK)
        if has_digest and content[start : start + DIGITS] != _digest(content, start):
            raise _damaged(path, "its checksum is not that of its content")
        parts = safetensors.deserialize(content)
        del content  # of the size of the file
        return text, {key: _as_array(**part) for key, part in parts}, has_digest
    except (OSError, MemoryError) as error:
        if isinstance(error, ModelFileError):
            raise
        reason = getattr(error, "strerror", None) or "it does not fit into memory"
        message = f"cannot read {path}: {reason}."
        raise ModelFileError(message) from error
    except (safetensors.SafetensorError, ValueError) as error:
        raise _damaged(path, f"its arrays cannot be read ({error})") from error


def _unknown_network(path: str | os.PathLike[str]) -> str:
    return (
        f"{path} is a safetensors file, but was not saved by manualnn, or is damaged: it does not "
        f"say which network it is for. Build the network, and load the parameters with "
        f"net.load_state_dict(manualnn.load_arrays({str(path)!r}))."
    )


def _as_array(dtype: str, shape: list[int], data: bytearray) -> Array:
    """Return the array of a file. Raises ValueError if NumPy has no such dtype."""
    if dtype not in DTYPES:
        message = f"NumPy has no dtype {dtype}"
        raise ValueError(message)
    array = np.frombuffer(data, DTYPES[dtype])
    if dtype == "BF16":  # the upper half of a float32
        array = (array.astype("<u4") << 16).view("<f4")
    return array.reshape(shape)


def _check_header(path: str | os.PathLike[str], file: BinaryIO, size: int) -> Any:
    """Return manualnn's description in the header, or None.

    Raises ModelFileError if the header does not describe exactly the rest of the file. So a large
    file of another kind is refused before its content takes memory.
    """
    start = file.read(1024)
    length = int.from_bytes(start[:LENGTH], "little")
    begins_like_header = start[LENGTH : LENGTH + 1] == b"{"
    if not begins_like_header or length > min(size - LENGTH, HEADER_MAX):
        message = recognize(path, start)
        if not begins_like_header:
            message = message or (
                f"{path} is not a model file, or is damaged; expected a safetensors file, "
                f"as manualnn saves it. Save it, or copy it, again."
            )
        if message:
            raise ModelFileError(message)
        reason = (
            f"its header should have {length:,} bytes, but the file has {size:,} and a header at "
            f"most {HEADER_MAX:,}; the file is truncated or the length is wrong"
        )
        raise _damaged(path, reason)
    file.seek(LENGTH)
    try:
        header = parse_json(file.read(length).decode())
        text = header.pop("__metadata__", {}).get("manualnn")
        ends = [entry["data_offsets"][1] for entry in header.values()]
        expected = LENGTH + length + max(ends, default=0)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header cannot be read ({error})") from error
    except (TypeError, LookupError, AttributeError) as error:
        raise _damaged(path, "its header does not describe arrays as safetensors does") from error
    if expected != size:
        what = "is truncated" if size < expected else "has bytes appended"
        raise _damaged(path, f"it {what}: it should have {expected} bytes, but has {size}")
    return text


def _digest(content: bytes | bytearray, start: int) -> bytes:
    """Return the hexadecimal SHA-256 of a file, without the digest that begins at `start`."""
    view = memoryview(content)
    found = hashlib.sha256(view[:start])
    found.update(view[start + DIGITS :])
    return found.hexdigest().encode()


def _damaged(path: str | os.PathLike[str], reason: str) -> ModelFileError:
    message = f"{path} is damaged: {printable(reason)}. Copy it again, or save the model again."
    return ModelFileError(message)


def _plain(value: Any) -> Any:
    """Return a NumPy number as a Python number, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    message = f"{value!r} is not JSON"
    raise TypeError(message)
