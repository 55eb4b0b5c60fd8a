"""Model files written by the tests themselves, from the format as its documentation states it.

content = pack(about, arrays)       about: the description; arrays: by their keys
about, arrays = unpack(content)
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

CODES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "bool": "BOOL"}
MARK = b'"manualnn":"{\\"sha256\\":\\"'


def header_of(about_text: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    header: dict[str, Any] = {"__metadata__": {"manualnn": about_text}}
    end = 0
    for key, array in arrays.items():
        start, end = end, end + array.nbytes
        code = CODES[array.dtype.name]
        header[key] = {"dtype": code, "shape": [*array.shape], "data_offsets": [start, end]}
    return header


def assemble(header_text: str, data: bytes) -> bytes:
    header = header_text.encode()
    return len(header).to_bytes(8, "little") + header + data


def signed(content: bytes) -> bytes:
    """Return the content with the right checksum, if it has a place for one."""
    before, mark, after = content.partition(MARK)
    digest = hashlib.sha256(before + mark + after[64:]).hexdigest()
    return before + mark + digest.encode() + after[64:] if mark else content


def pack(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return a file of version 2 with its checksum; of version 1 if `about` says so."""
    start = {} if about.get("version") == 1 else {"sha256": "0" * 64}
    text = json.dumps({**start, **about}, separators=(",", ":"))
    data = b"".join(array.tobytes() for array in arrays.values())
    return signed(assemble(json.dumps(header_of(text, arrays), separators=(",", ":")), data))


def unpack(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Return the description without its checksum, and the arrays."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    about = json.loads(header.pop("__metadata__")["manualnn"])
    about.pop("sha256", None)
    names = {code: name for name, code in CODES.items()}
    arrays = {}
    for key, entry in header.items():
        start, stop = (end + offset for offset in entry["data_offsets"])
        array = np.frombuffer(content[start:stop], names[entry["dtype"]])
        arrays[key] = array.reshape(entry["shape"])
    return about, arrays
