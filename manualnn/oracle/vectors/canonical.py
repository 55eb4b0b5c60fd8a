"""JSON and safetensors files that are byte-identical on every machine for the same content.

json_bytes(content)              JSON with sorted keys, one line for every key and array
safetensors_bytes(arrays)        safetensors with the tensors in the order of their names
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS = 100
"""Longest line, in characters. A longer object gets one line for every key."""
KINDS = {"f": ("F64", "<f8"), "i": ("I64", "<i8")}


def json_bytes(content: Any) -> bytes:
    """Return content as JSON; floats have the shortest digits that read back exactly."""
    return (_lines(content, "") + "\n").encode()


def safetensors_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays of float64 or integers as safetensors: header length, header, numbers."""
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    start = 0
    for name in sorted(arrays):
        kind, dtype = KINDS[arrays[name].dtype.kind]
        parts.append(np.ascontiguousarray(arrays[name], dtype).tobytes())
        end = start + len(parts[-1])
        shape = list(arrays[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # The numbers have to begin at a multiple of 8 bytes.
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def _lines(value: Any, indent: str) -> str:
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
    deeper = indent + " "
    if isinstance(value, Mapping) and len(flat) > COLUMNS:
        entries = [f"{deeper}{json.dumps(k)}: {_lines(value[k], deeper)}" for k in sorted(value)]
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        entries = [deeper + _lines(entry, deeper) for entry in value]
        return "[\n" + ",\n".join(entries) + f"\n{indent}]"
    return flat
