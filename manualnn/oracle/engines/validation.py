"""Validation of an engine's result: names, shapes and kinds of numbers.

    normalize_result(raw, case, claims)    arrays of the case's dtype; raises Malformed
    map_result(result, change)             change(name, array) of every array; names as in findings

A result must contain exactly the arrays that the engine claims to return, with the right shapes.
Arrays that it does not claim are ignored, but an unknown name is rejected, because it is probably
misspelled. NaN and infinity are accepted here; the checks judge them.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.protocol.capabilities import RETURNS, Capabilities
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import options_of, state_names


class Malformed(OracleError, ValueError):  # noqa: N818 - the fault's name
    """A result has a wrong name, shape or kind of number, or is incomplete."""


def normalize_result(raw: Any, case: Case, claims: Capabilities) -> dict[str, Any]:
    """Return a result as arrays; raises Malformed if invalid. Arrays that fit are not copied."""
    if not isinstance(raw, Mapping):
        raise Malformed(
            f"the result is {_show(raw)}; it has to be a mapping with {', '.join(claims.returns)}."
        )
    for name in raw:
        if name not in RETURNS:
            raise Malformed(f"the result has {name!r}; it may have {', '.join(RETURNS)}.")
    asked = [name for name in claims.returns if case.optimizer or name not in {"params", "state"}]
    _require_names("the result", [name for name in raw if name in asked], asked)
    return {name: _READERS[name](raw[name], case) for name in asked}


def read_weight(value: Any, shape: tuple[int, ...]) -> Array:
    """Return a drawn weight in float64; raises Malformed."""
    return _read_array("the weight of init", value, shape, "float64")


def map_result(result: Mapping[str, Any], change: Callable[[str, Array], Array]) -> dict[str, Any]:
    """Return a result with `change(name, array)` for every array, such as "grads.0.weight"."""

    def changed(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: changed(f"{name}.{key}", entry) for key, entry in value.items()}
        return value if name == "state.step" else change(name, value)

    return {name: changed(name, value) for name, value in result.items()}


def _read_array(name: str, value: Any, shape: tuple[int, ...], dtype: str) -> Array:
    try:
        array = np.asarray(value)
    except Exception as error:
        raise Malformed(f"{name} is not an array of numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise Malformed(
            f"{name} is {_show(value)}, of dtype {array.dtype}; it has to hold real numbers."
        )
    single = shape == () and array.size == 1
    empty = array.size == 0 and 0 in shape
    if single or empty:
        array = array.reshape(shape)
    if array.shape != shape:
        raise Malformed(f"{name} has shape {array.shape}; it has to have {shape}.")
    if array.dtype == dtype:
        return array
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def _read_group(name: str, value: Any, case: Case) -> dict[str, Array]:
    """Return an array for every parameter, with the parameter's shape; buffers are in "params"."""
    if not isinstance(value, Mapping):
        raise Malformed(f"{name} is {_show(value)}; it has to be a mapping from names to arrays.")
    arrays = case.params if name == "params" else case.learned
    _require_names(name, value, arrays)
    return {
        key: _read_array(f"{name}.{key}", value[key], array.shape, case.dtype)
        for key, array in arrays.items()
    }


def _read_state(value: Any, case: Case) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Malformed(f"state is {_show(value)}; it has to be a mapping.")
    names = state_names(options_of(case.optimizer or {}))
    if not case.learned:  # no arrays, so the names may be missing
        value = {**{n: {} for n in names}, **value}
    _require_names("state", [name for name in value if name != "step"], names)
    state: dict[str, Any] = {n: _read_group(f"state.{n}", value[n], case) for n in names}
    if "step" in value:
        state["step"] = _read_count(value["step"])
    return state


def _read_count(value: Any) -> int:
    step = float(_read_array("state.step", value, (), "float64"))
    if not step.is_integer():
        raise Malformed(f"state.step is {step}; it has to be the number of updates so far.")
    return int(step)


_READERS: dict[str, Callable[[Any, Case], Any]] = {
    "loss": lambda value, case: _read_array("loss", value, (), case.dtype),
    "grads": lambda value, case: _read_group("grads", value, case),
    "params": lambda value, case: _read_group("params", value, case),
    "outputs": lambda value, case: _read_array(
        "outputs", value, (case.n, case.widths[-1]), case.dtype
    ),
    "input_grad": lambda value, case: _read_array("input_grad", value, case.x.shape, case.dtype),
    "state": _read_state,
}


def _require_names(what: str, got: Collection[Any], expected: Collection[str]) -> None:
    missing = [name for name in expected if name not in got]
    surplus = [name for name in got if name not in expected]
    if missing or surplus:
        slips = [f"lacks {name!r}" for name in missing] + [f"has {name!r}" for name in surplus]
        wanted = ", ".join(expected) or "nothing"
        raise Malformed(f"{what} {' and '.join(slips)}; it has to hold {wanted}.")


def _show(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - it is the engine's own object
        text = f"a {type(value).__qualname__}"
    return text if len(text) <= 80 else text[:79] + "…"
