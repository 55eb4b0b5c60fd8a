"""What an engine answered, made plain or refused in a sentence.

    normalize_result(raw, case, claims)    arrays of the case's dtype; raises Malformed
    map_result(result, change)             change(name, array) of every array; names as in findings

A result has to hold what its engine claims to return, and of that every array, in its shape, and
none besides. What it holds beyond its claims is not looked at, but a name that nothing has is
taken for a slip. NaN and infinity are numbers here: judging them is not validation's business.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.protocol.capabilities import RETURNS, Capabilities
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import options_of, state_names


class Malformed(OracleError, ValueError):  # noqa: N818 - the fault's name
    """A result has a wrong shape, kind of number or name, or lacks something."""


def normalize_result(raw: Any, case: Case, claims: Capabilities) -> dict[str, Any]:
    """Return a result as plain arrays; Malformed where it is none.

    Arrays that fit already are the engine's own, not copies.
    """
    if not isinstance(raw, Mapping):
        raise Malformed(
            f"the result is {_shown(raw)}; it has to be a mapping with {', '.join(claims.returns)}."
        )
    for name in raw:
        if name not in RETURNS:
            raise Malformed(f"the result has {name!r}; it may have {', '.join(RETURNS)}.")
    asked = [name for name in claims.returns if case.optimizer or name not in {"params", "state"}]
    _same_names("the result", [name for name in raw if name in asked], asked)
    return {name: _READERS[name](raw[name], case) for name in asked}


def map_result(result: Mapping[str, Any], change: Callable[[str, Array], Array]) -> dict[str, Any]:
    """Return a result with `change(name, array)` for every array, such as "grads.0.weight"."""

    def changed(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: changed(f"{name}.{key}", entry) for key, entry in value.items()}
        return value if name == "state.step" else change(name, value)

    return {name: changed(name, value) for name, value in result.items()}


def _array(name: str, value: Any, shape: tuple[int, ...], dtype: str) -> Array:
    try:
        array = np.asarray(value)
    except Exception as error:
        raise Malformed(f"{name} is no array of numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise Malformed(
            f"{name} is {_shown(value)}, of dtype {array.dtype}; it has to hold real numbers."
        )
    single = shape == () and array.size == 1
    empty = array.size == 0 and 0 in shape
    if single or empty:
        array = array.reshape(shape)
    if array.shape != shape:
        raise Malformed(f"{name} has shape {array.shape}; it has to have {shape}.")
    with np.errstate(all="ignore"):
        return array.astype(dtype, copy=False)


def _grouped(name: str, value: Any, case: Case) -> dict[str, Array]:
    """Return an array for every parameter, each of its shape."""
    if not isinstance(value, Mapping):
        raise Malformed(f"{name} is {_shown(value)}; it has to be a mapping from names to arrays.")
    _same_names(name, value, case.params)
    return {
        key: _array(f"{name}.{key}", value[key], param.shape, case.dtype)
        for key, param in case.params.items()
    }


def _state(value: Any, case: Case) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Malformed(f"state is {_shown(value)}; it has to be a mapping.")
    names = state_names(options_of(case.optimizer or {}))
    if not case.params:  # then there is nothing to keep, under whichever names
        value = {**{n: {} for n in names}, **value}
    _same_names("state", [name for name in value if name != "step"], names)
    state: dict[str, Any] = {n: _grouped(f"state.{n}", value[n], case) for n in names}
    if "step" in value:
        state["step"] = _count(value["step"])
    return state


def _count(value: Any) -> int:
    step = float(_array("state.step", value, (), "float64"))
    if not step.is_integer():
        raise Malformed(f"state.step is {step}; it has to be the number of updates so far.")
    return int(step)


_READERS: dict[str, Callable[[Any, Case], Any]] = {
    "loss": lambda value, case: _array("loss", value, (), case.dtype),
    "grads": lambda value, case: _grouped("grads", value, case),
    "params": lambda value, case: _grouped("params", value, case),
    "outputs": lambda value, case: _array("outputs", value, (case.n, case.widths[-1]), case.dtype),
    "input_grad": lambda value, case: _array("input_grad", value, case.x.shape, case.dtype),
    "state": _state,
}


def _same_names(what: str, got: Collection[Any], expected: Collection[str]) -> None:
    missing = [name for name in expected if name not in got]
    surplus = [name for name in got if name not in expected]
    if missing or surplus:
        slips = [f"lacks {name!r}" for name in missing] + [f"has {name!r}" for name in surplus]
        wanted = ", ".join(expected) or "nothing"
        raise Malformed(f"{what} {' and '.join(slips)}; it has to hold {wanted}.")


def _shown(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - it is the engine's own object
        text = f"a {type(value).__qualname__}"
    return text if len(text) <= 80 else text[:79] + "…"
