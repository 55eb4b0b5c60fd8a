"""Files that are the same byte by byte wherever the same content is written.

json_bytes(content)              JSON, keys sorted, a line for every key and every array
safetensors_bytes(arrays)        the format of that name, tensors in the order of their names
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS = 100
"""An object that fits into them is on one line."""
KINDS = {"f": ("F64", "<f8"), "i": ("I64", "<i8")}


def json_bytes(content: Any) -> bytes:
    """Return content as JSON, which has floats as `repr` has them: the shortest that are exact."""
    return (_lines(content, "") + "\n").encode()


def safetensors_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays of float64 and integers: the header's length, the header, the numbers."""
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
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned
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
