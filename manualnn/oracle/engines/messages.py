"""Messages to and from a process: one JSON object per line, arrays in one of three forms.

    write_request(seq, case, form, directory)     the line that sends a case
    read_reply(line, seq)                         the `Outcome` in the answer; raises Fault
    write_call(kind, seq, groups, form, options)  the line that calls a function for `gradcheck`
    read_list(line, seq, name)                    the arrays in the answer to it; raises Fault
    read_arrays(result, folder)                   a result with arrays in place of their JSON forms
    read_hello(line)                              the claims in the first line of an engine

A form is "list", "base64" or "safetensors". With "safetensors" the arrays are in a file in
`directory`. An answer may use all forms.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.oracle.engines.faults import EngineError, Fault, quote_start
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import PROTOCOL, Array, Case, read_array, to_base64, to_lists

HELLO = {"type": "hello", "protocol": PROTOCOL}
STOP = {"type": "stop"}


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def write_request(seq: int, case: Case, form: str, directory: str | None = None) -> bytes:
    """Return the line that sends a case. With a directory, write its arrays to a file there."""
    message: dict[str, Any] = {"type": "run", "seq": seq}
    if directory is not None:
        path = str(Path(directory, "case.safetensors"))
        arrays = {name: np.ascontiguousarray(array) for name, array in case.arrays().items()}
        load_safetensors().save_file(arrays, path)
        message["directory"] = directory
        message["case"] = case.to_json(lambda name, _: {"path": path, "key": name})
    else:
        message["case"] = case.to_json(_WRITERS[form])
    return encode(message)


def write_call(
    kind: str, seq: int, groups: Mapping[str, Iterable[Array]], form: str, options: Any
) -> bytes:
    """Return the line that calls a function: kind "value" or "vjp", with named lists of arrays."""
    write = _WRITERS[form]
    lists = {name: [write(name, array) for array in arrays] for name, arrays in groups.items()}
    return encode({"type": kind, "seq": seq, **lists, "options": options})


def write_init(seq: int, spec: Mapping[str, Any], shape: tuple[int, int], seed: int) -> bytes:
    """Return the line that asks for a weight; its shape is in the engine's layout."""
    about = {"init": dict(spec), "shape": list(shape), "seed": seed}
    return encode({"type": "init", "seq": seq, **about})


def read_weight(text: bytes, seq: int) -> Outcome:
    """Return the outcome in the answer to it, the weight read but not validated."""
    kind, content = _content(text, seq, "weight")
    if kind == "skipped":
        return Outcome(skipped=content)
    return Outcome(result=_arrays("weight", content, _Files(Path())))


def read_reply(text: bytes, seq: int) -> Outcome:
    """Return the outcome in a line, with arrays that are read but not validated."""
    kind, content = _content(text, seq, "result")
    if kind == "skipped":
        return Outcome(skipped=content)
    if not isinstance(content, Mapping):
        raise Fault("malformed", f"the reply's result is {content!r}; it has to be an object.")
    return Outcome(result=read_arrays(content))


def read_list(text: bytes, seq: int, name: str) -> list[Any]:
    """Return the arrays in the list of a name, None for null; raises Fault, also if skipped."""
    kind, content = _content(text, seq, name)
    if kind == "skipped":
        raise Fault("error", f"it skipped the call: {content}")
    if not isinstance(content, list):
        raise Fault("malformed", f"the reply's {name} is {content!r}; it has to be a list.")
    files = _Files(Path())
    return [
        None if part is None else _arrays(f"{name}[{i}]", part, files)
        for i, part in enumerate(content)
    ]


def read_arrays(result: Any, folder: Path = Path()) -> Any:
    """Return a result with arrays in place of their JSON forms; raises Fault if a form is invalid.

    Paths of files are relative to the folder.
    """
    return _arrays("result", result, _Files(folder))


def read_hello(text: bytes) -> dict[str, Any]:
    """Return the claims in the first line of an engine."""
    message = _message(text)
    if message.get("type") != "hello":
        raise Fault("garbage", f"the first line has type {message.get('type')!r}, not 'hello'.")
    return {name: value for name, value in message.items() if name != "type"}


def load_safetensors() -> Any:
    """Return the module for such files; raises EngineError if it is not installed."""
    try:
        from safetensors import numpy as files
    except ImportError as error:
        raise EngineError(
            "arrays by path need safetensors, which is not installed; pip install "
            '\'manualnn[cli]\', or let the engine claim "arrays": "base64".'
        ) from error
    return files


_KINDS = {"skipped": "reason", "errored": "trace"}
_WRITERS: dict[str, Callable[[str, Array], Any]] = {
    "list": lambda _, array: to_lists(array),
    "base64": lambda _, array: to_base64(array),
}

_BARE_NUMBER = re.compile(
    rb"[\[,:]\s*([+-]?(?:nan(?:\([^)]*\))?|inf(?:inity)?|1\.#\w+)|[+]\d[\d.eE+-]*)\s*[\],}]",
    re.IGNORECASE,
)
"""A number that C or Python prints, but JSON does not have: -nan, nan(0x7), inf, 1.#IND, +1.5."""


def _content(text: bytes, seq: int, name: str) -> tuple[str, Any]:
    """Return the type of a reply, and its content: that of a name if the type is "ok"."""
    message = _message(text)
    keys = {"ok": name, **_KINDS}
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in keys:
        raise Fault("garbage", f"a reply has type {kind!r}; known are {', '.join(keys)}.")
    if message.get("seq") != seq:
        raise Fault(
            "garbage",
            f"the reply has seq {message.get('seq')!r}; it has to be {seq}.",
        )
    content = message.get(keys[kind])
    if kind != "ok" and not isinstance(content, str):
        content = json.dumps(content)
    if kind == "errored":
        raise Fault("error", str(content))
    return kind, content


def _message(text: bytes) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
        word = _BARE_NUMBER.search(text) if text.lstrip().startswith(b"{") else None
        if word:
            raise Fault(
                "malformed",
                f"a reply holds the bare word {word[1].decode()}, which is not JSON: "
                f"{quote_start(text[max(0, word.start() - 40) :])}. Write the string "
                '"NaN", "Infinity" or "-Infinity" in its place.',
            ) from None
    if not isinstance(message, dict):
        raise Fault(
            "garbage",
            f"a line on stdout is not a JSON object: {quote_start(text)}. "
            "Only replies go there, each on one line; what is for people goes to stderr.",
        )
    return message


def _arrays(name: str, value: Any, files: "_Files") -> Any:
    array = isinstance(value, Mapping) and not value.keys().isdisjoint({"base64", "data", "path"})
    if isinstance(value, Mapping) and not array:
        return {key: _arrays(f"{name}.{key}", entry, files) for key, entry in value.items()}
    try:
        if isinstance(value, Mapping) and "path" in value:
            return files[value["path"]][value["key"]]
        read = read_array(value, None)
        # JavaScript writes 1e20 without a point. NumPy has no integer of that size.
        return read_array(value, np.float64) if read.dtype == object else read
    except Exception as error:
        slip = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise Fault("malformed", f"{name} is not an array: {slip}") from error


class _Files(dict[str, Mapping[str, Array]]):
    """The arrays of files, by the path relative to a folder; each file is read once."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, path: str) -> Mapping[str, Array]:
        self[path] = load_safetensors().load_file(str(self._folder / path))
        return self[path]
