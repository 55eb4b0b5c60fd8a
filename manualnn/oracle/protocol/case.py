"""Case: one training step, or several on one batch, with all of its numbers.

    case.layers, case.loss, case.optimizer      descriptions, {"type": "Linear", …}; torch's names
    case.params, case.x, case.t, case.dtype     arrays: {"0.weight": …}, (N, in), targets
    case.learned                                case.params without buffers such as "running_mean"
    case.state, case.noise, case.steps          optimizer state, dropout masks, number of updates
    case.sample_weights                         (N,), or None
    case.to_json(), Case.from_json(…)           the form in which a case is saved and sent

An engine returns a result for a case, a mapping:

    loss                   L before the last update, a number
    grads                  {"0.weight": ∂L/∂W, …} of the last update
    params                 {"0.weight": …}, after the last update
    outputs, input_grad    the network's outputs and ∂L/∂x, of the last update
    state                  {"step": 1, "exp_avg": {"0.weight": …}, …}, after the last update
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.errors import SpecError
from manualnn.oracle.protocol.features import buffer_of, takes_indices, width_of

Array = NDArray[Any]
Spec = Mapping[str, Any]
State = dict[str, Any]
"""{"step": int, name: {key: array}}."""

PROTOCOL = 1
"""The version of the form of cases and messages."""


@dataclass(frozen=True, eq=False)
class Case:
    """A training step, or `steps` of them on the same batch."""

    layers: tuple[Spec, ...]
    loss: Spec
    params: dict[str, Array]
    x: Array
    t: Array
    optimizer: Spec | None = None
    """The update rule. None means no update: only the loss and the gradients."""
    dtype: str = "float64"
    state: State | None = None
    """The optimizer's state after `state["step"]` updates; None before the first update."""
    noise: dict[str, Array] | None = None
    """Random arrays, {"1.mask": (N, width)}; None: the network as it predicts. In training, a
    network that has a BatchNorm1d and no random layer has {}."""
    sample_weights: Array | None = None
    """The weight of every sample in the loss, (N,). A case without weights has no such entry."""
    steps: int = 1
    recipe: str = ""
    note: str = ""
    """The purpose of the case."""

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.x)

    @cached_property
    def learned(self) -> dict[str, Array]:
        """The arrays of `params` that have gradients: all except the buffers."""
        return {key: array for key, array in self.params.items() if buffer_of(key) is None}

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The width of the input and of every layer's output."""
        widths = [self.x.shape[1]]
        for layer in self.layers:
            widths.append(width_of(layer, widths[-1]))
        return tuple(widths)

    @cached_property
    def id(self) -> str:
        """A name that depends on the numbers alone, such as "R-7f3a9c01"."""
        content = {**self.to_json(), "recipe": "", "note": ""}
        return "R-" + hashlib.sha256(_dumps(content).encode()).hexdigest()[:8]

    def parts(self) -> Iterator[tuple[str, Spec]]:
        """Yield every description with its kind: "layers", "losses" or "optimizers"."""
        yield from (("layers", layer) for layer in _with_inner(self.layers))
        yield "losses", self.loss
        if self.optimizer is not None:
            yield "optimizers", self.optimizer

    def but(self, **changes: Any) -> "Case":
        """Return a case with other values."""
        return replace(self, **changes)

    def arrays(self) -> dict[str, Array]:
        """Return every array under a full name: "x", "t", "params.0.weight", "state.sum.0.bias"."""
        named = {"x": self.x, "t": self.t}
        if self.sample_weights is not None:
            named["sample_weights"] = self.sample_weights
        named |= {f"params.{key}": array for key, array in self.params.items()}
        named |= {f"noise.{key}": array for key, array in (self.noise or {}).items()}
        for name, group in (self.state or {}).items():
            if name != "step":
                named |= {f"state.{name}.{key}": array for key, array in group.items()}
        return named

    def copy(self) -> "Case":
        """Return a case with copies of the arrays, in C order and writeable."""
        return self.map(lambda _, array: np.array(array, order="C"))

    def map(self, change: Any) -> "Case":
        """Return a case with `change(name, array)` for every array; names as in `arrays`."""
        state = self.state and {
            name: group
            if name == "step"
            else {key: change(f"state.{name}.{key}", a) for key, a in group.items()}
            for name, group in self.state.items()
        }
        noise = self.noise and {k: change(f"noise.{k}", a) for k, a in self.noise.items()}
        params = {key: _as_array(change(f"params.{key}", a)) for key, a in self.params.items()}
        w = self.sample_weights
        return replace(
            self,
            x=change("x", self.x),
            t=change("t", self.t),
            params=params,
            state=state,
            noise=noise,
            sample_weights=None if w is None else change("sample_weights", w),
        )

    def to_json(self, encode: Any = None) -> dict[str, Any]:
        """Return the JSON form; encode(name, array) writes an array (default: nested lists)."""
        encode = encode or (lambda _, array: to_lists(array))
        content: dict[str, Any] = {"protocol": PROTOCOL}
        shown = self.map(encode)
        for entry in fields(self):
            content[entry.name] = getattr(shown, entry.name)
        if self.sample_weights is None:
            del content["sample_weights"]
        content["layers"] = [dict(layer) for layer in self.layers]
        content["loss"] = dict(self.loss)
        content["optimizer"] = self.optimizer and dict(self.optimizer)
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Case":
        """Return the case of a JSON form; raises SpecError if the content is not a case."""
        if content.get("protocol") != PROTOCOL:
            raise SpecError(
                f"this is not a case of protocol {PROTOCOL}: its 'protocol' is "
                f"{content.get('protocol')!r}."
            )
        known = {entry.name for entry in fields(cls)}
        values = {name: value for name, value in content.items() if name in known}
        values["layers"] = tuple(values["layers"])
        dtype = np.dtype(values.get("dtype", "float64"))

        def read(name: str, value: Any) -> Array:
            array = read_array(value, dtype)
            is_index = name == "t" and takes_indices(values["loss"], array)
            return array.astype(np.int64) if is_index else array

        return cls(**values).map(read)


def _as_array(value: Any) -> Any:
    """Return an array for a NumPy scalar, which arithmetic makes of an array without axes."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def place_of(name: str) -> tuple[int, str]:
    """Return the layer and the name in it of an array such as "params.1.weight".

    The array of a layer in a Residual, "params.1.0.weight", belongs to the layer 1. The layer of
    any other array is −1.
    """
    group, *rest = name.split(".")
    key = rest[1:] if group == "state" else rest
    return (int(key[0]), ".".join(key[1:])) if len(key) > 1 else (-1, name)


def _with_inner(layers: Iterable[Spec]) -> Iterator[Spec]:
    """Yield layers, and then the layers that they contain."""
    layers = tuple(layers)
    yield from layers
    for layer in layers:
        yield from _with_inner(layer.get("layers", ()))


def to_lists(array: Array) -> Any:
    """Return an array as nested lists; as {"shape", "data"} if it has no entries."""
    array = np.asarray(array)
    if array.size == 0:
        return {"shape": list(array.shape), "data": []}
    if array.dtype.kind in "iub":
        return array.tolist()
    return _spelt(array.astype(np.float64).tolist())


def to_base64(array: Array) -> dict[str, Any]:
    """Return an array as {"dtype", "shape", "base64"}: little-endian bytes in C order."""
    plain = np.ascontiguousarray(array, np.dtype(array.dtype).newbyteorder("<"))
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(plain.tobytes()).decode(),
    }


def read_array(value: Any, dtype: Any) -> Array:
    """Return the array of any of these forms; raises ValueError if it is invalid.

    JSON has no NaN and no infinity: null is NaN, and "NaN", "Infinity" and "-Infinity" are strings.
    """
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Mapping) and "base64" in value:
        kind = np.dtype(value["dtype"]).newbyteorder("<")
        array = np.frombuffer(base64.b64decode(value["base64"], validate=True), kind)
        return array.reshape([int(size) for size in value["shape"]]).astype(kind.newbyteorder("="))
    if isinstance(value, Mapping) and "data" in value:
        return np.array(_read(value["data"]), dtype).reshape([int(size) for size in value["shape"]])
    return np.array(_read(value), dtype)


def _spelt(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelt(entry) for entry in value]
    if np.isfinite(value):
        return value
    return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(entry) for entry in value]
    return np.nan if value is None else float(value) if isinstance(value, str) else value


def _dumps(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
