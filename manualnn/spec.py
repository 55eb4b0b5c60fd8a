"""One JSON form for layers, losses, optimizers and whole runs.

    {"type": "LeakyReLU", "negative_slope": 0.01}

`type` and the options' names are torch's. A description is a frozen dataclass; its fields are its
options.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from numbers import Integral, Real
from types import UnionType
from typing import Any, TypeVar, get_args

from manualnn.errors import SpecError

T = TypeVar("T")


def to_spec(description: Any) -> dict[str, Any]:
    """Return the JSON form of a layer, a loss or an optimizer."""
    spec: dict[str, Any] = {"type": type(description).__name__}
    for field in fields(description):
        value = getattr(description, field.name)
        spec[field.name] = list(value) if isinstance(value, tuple) else value
    return spec


def from_spec(spec: Any, table: Mapping[str, type[T]], kind: str) -> T:
    """Build the layer, loss or optimizer that a JSON form describes.

    Raises SpecError for a type that the table does not have, and for options that are unknown,
    missing or impossible.
    """
    if not isinstance(spec, Mapping) or "type" not in spec:
        example = next(iter(table))
        message = f'{kind}: expected an object such as {{"type": "{example}", …}}, got {spec!r}.'
        raise SpecError(message)
    name = spec["type"]
    if not isinstance(name, str) or name not in table:
        known = ", ".join(table)
        message = f"{kind}: there is no type {name!r}{_did_you_mean(name, table)}. Known: {known}."
        raise SpecError(message)
    given = {key: _frozen(value) for key, value in spec.items() if key != "type"}
    options: dict[str, Field[Any]] = {f.name: f for f in fields(table[name])}  # type: ignore[arg-type]
    for key in given:
        if key not in options:
            known = ", ".join(options) or "none"
            message = (
                f"{name} has no option {key!r}{_did_you_mean(key, options)}. Its options: {known}."
            )
            raise SpecError(message)
    missing = [k for k, f in options.items() if f.default is MISSING and k not in given]
    if missing:
        message = f"{name} needs {', '.join(missing)}; got {dict(given) or 'no options'}."
        raise SpecError(message)
    for key, value in given.items():
        expected = options[key].type
        if not _fits(value, expected):
            plain = expected.__name__ if isinstance(expected, type) else expected
            message = f"{name}: {key} must be of type {plain}, got {spec[key]!r}."
            raise SpecError(message)
    return table[name](**given)


def refuse_misspelt(spec: Mapping[str, Any], parts: Iterable[str]) -> None:
    """Raise SpecError where a key is nearly, but not quite, the name of an optional part."""
    parts = tuple(parts)
    for key in spec.keys() - set(parts):
        if hint := _did_you_mean(key, parts):
            message = f"a run has no part {key!r}{hint}."
            raise SpecError(message)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an option's type; an integer is also a float, a boolean is neither."""
    members = get_args(kind)
    if isinstance(kind, UnionType):
        return any(_fits(value, member) for member in members)
    if members:
        if members[-1] is Ellipsis and isinstance(value, tuple):
            members = members[:1] * len(value)
        same_length = isinstance(value, tuple) and len(value) == len(members)
        return same_length and all(map(_fits, value, members))
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, {float: Real, int: Integral}.get(kind, kind))


def _frozen(value: Any) -> Any:
    """Return lists as tuples, so that a description stays hashable."""
    return tuple(value) if isinstance(value, list) else value


def _did_you_mean(name: Any, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def require(description: Any, option: str, expected: str, condition: Any) -> None:
    """Raise SpecError unless the condition on an option holds."""
    value = getattr(description, option)
    plain = isinstance(value, Real) and not isinstance(value, bool)
    if not condition or (plain and math.isnan(value)):
        message = f"{type(description).__name__}: {option} must be {expected}, got {value!r}."
        raise SpecError(message)


def require_positive_integer(description: Any, *options: str) -> None:
    """Raise SpecError unless each of the options is an integer of at least 1."""
    for option in options:
        value = getattr(description, option)
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        require(description, option, "an integer of at least 1", whole and value >= 1)
