"""The JSON form of layers, losses and optimizers, and the base class of all three.

    {"type": "LeakyReLU", "negative_slope": 0.01}

`type` and the names of the options are torch's. A description is a frozen dataclass, and its fields
are its options.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Any, TypeVar, get_args

import numpy as np

from manualnn.errors import SpecError
from manualnn.validation import refuse_mask, shown

T = TypeVar("T")

QUIET = {"is_shown": False}
"""Metadata of an option that is in the repr and in the JSON form only if it is not the default."""

SYNONYMS = {
    "criterion": "loss",
    "input_size": "in_features",
    "learning_rate": "lr",
    "model": "net",
    "network": "net",
    "optimizer": "rule",
    "output_size": "out_features",
    "parameters": "params",
    "weights": "params",
}
"""Names that other libraries use, and the names here."""


class Constructor(type):
    """Metaclass of what users build: a wrong argument is a SpecError that names the right ones."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """Return a new object."""
        try:
            return super().__call__(*args, **options)
        except TypeError:
            if message := _misuse(cls, args, options):
                raise SpecError(message) from None
            raise

    @property
    def __signature__(cls) -> Any:
        """The signature of `__init__`. Without it, help would show that of `__call__`."""
        import inspect

        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def _misuse(kind: Any, args: tuple[Any, ...], options: dict[str, Any]) -> str:
    """Return the message about arguments that a constructor does not take, or "" if it does."""
    signature = kind.__signature__
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        known = list(signature.parameters)
        unknown = [name for name in options if name not in known]
        synonyms = [meant for name in unknown if (meant := SYNONYMS.get(name)) in known]
        hint = f" (did you mean {synonyms[0]!r}?)" if synonyms else ""
        if unknown and not hint:
            hint = _did_you_mean(unknown[0], known)
        reason = f"got an unexpected argument {unknown[0]!r}" if unknown else str(error)
        return f"{kind.__name__}: {reason}{hint}. Its arguments: {', '.join(known) or 'none'}."
    return ""


class Description(metaclass=Constructor):
    """Base of layers, losses and optimizers: a frozen dataclass whose fields are its options.

    The methods are written here once. Letting dataclass generate them for every class would add a
    third to the package's import time.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the expression that makes the description."""
        options = ", ".join(f"{name}={value!r}" for name, value in _options(self, is_shown=True))
        return f"{type(self).__name__}({options})"

    def __eq__(self, other: object) -> bool:
        """Return True if the other has the same type and the same options."""
        same = type(other) is type(self)
        return _options(self) == _options(other) if same else NotImplemented

    def __hash__(self) -> int:
        """Hash by type and options."""
        return hash((type(self), *_options(self)))

    def __post_init__(self) -> None:
        """Raise SpecError if an option does not have the type of its field.

        A NumPy scalar becomes a Python number, which does not change the dtype of an expression. A
        list or an array becomes a tuple, so that the description stays hashable.
        """
        for option in fields(self):  # type: ignore[arg-type]
            value = getattr(self, option.name)
            if type(value) is option.type:
                continue
            refuse_mask(value, option.name)
            try:
                value = _plain(value)
            except RecursionError as error:
                message = f"{type(self).__name__}: {option.name} is nested too deep."
                raise SpecError(message) from error
            object.__setattr__(self, option.name, value)
            if not _fits(value, option.type):
                kind = option.type.__name__ if isinstance(option.type, type) else option.type
                message = (
                    f"{type(self).__name__}: {option.name} must be of type {kind}, "
                    f"got {shown(value)}."
                )
                raise SpecError(message)


def _options(description: Any, *, is_shown: bool = False) -> list[tuple[str, Any]]:
    """Return names and values of the options. If the class is not a dataclass, return its id.

    With `is_shown`, leave out quiet options that are the default.
    """
    if not is_dataclass(description):
        return [("id", id(description))]
    found = [(option, getattr(description, option.name)) for option in fields(description)]
    return [
        (option.name, value)
        for option, value in found
        if not is_shown or value != option.default or option.metadata != QUIET
    ]


def beyond_float32(description: Any) -> str:
    """Return the message about an option beyond float32's largest number, or "" without one.

    Infinity is a number of float32. The layers of a layer are searched, too.
    """
    most = float(np.finfo(np.float32).max)
    for name, value in _options(description):
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Description) and (message := beyond_float32(part)):
                return message
            if isinstance(part, int | float) and most < abs(part) < float("inf"):
                kind = type(description).__name__
                return f"{kind}: {name} must be within ±{most:g} in float32, got {shown(value)}"
    return ""


def to_spec(description: Any) -> dict[str, Any]:
    """Return the JSON form of a layer, a loss or an optimizer.

    Raises SpecError if its class is not a dataclass.
    """
    spec: dict[str, Any] = {"type": type(description).__name__}
    if not is_dataclass(description):
        message = (
            f"{type(description).__name__} has no JSON form: it must be a dataclass, whose fields "
            f"are its options."
        )
        raise SpecError(message)
    for name, value in _options(description, is_shown=True):
        parts = value if isinstance(value, tuple) else (value,)
        forms = [to_spec(part) if isinstance(part, Description) else part for part in parts]
        spec[name] = forms if isinstance(value, tuple) else value
    return spec


def from_spec(spec: Any, table: Mapping[str, type[T]], kind: str) -> T:
    """Build the layer, loss or optimizer that a JSON form describes.

    Raises SpecError if the type is not in the table, or if an option is unknown, missing or out of
    range.
    """
    if not isinstance(spec, Mapping) or "type" not in spec:
        example = next(iter(table))
        message = (
            f'{kind}: expected an object such as {{"type": "{example}", …}}, got {as_json(spec)}.'
        )
        raise SpecError(message)
    name = spec["type"]
    if not isinstance(name, str) or name not in table:
        known = ", ".join(table)
        message = (
            f"{kind}: there is no type {as_json(name)}{_did_you_mean(name, table)}. Known: "
            f"{known}; one of your own is first entered in manualnn's LAYERS, LOSSES or OPTIMIZERS."
        )
        raise SpecError(message)
    given = {key: value for key, value in spec.items() if key != "type"}
    options: dict[str, Field[Any]] = {f.name: f for f in fields(table[name])}  # type: ignore[arg-type]
    for key, value in list(given.items()):
        if key not in options:
            known = ", ".join(options) or "none"
            message = (
                f"{name} has no option {key!r}{_did_you_mean(key, options)}. Its options: {known}."
            )
            raise SpecError(message)
        if _holds_descriptions(options[key].type) and isinstance(value, list | tuple):
            parts = enumerate(value)
            given[key] = tuple(from_spec(v, table, f"{kind}.{key}[{i}]") for i, v in parts)
        elif isinstance(value, _JSON) and not _fits(_plain(value), options[key].type):
            message = f"{kind}.{key} must be {_in_words(options[key].type)}, got {as_json(value)}."
            raise SpecError(message)
    missing = [k for k, f in options.items() if f.default is MISSING and k not in given]
    if missing:
        got = shown(given) if given else "no options"
        message = f"{name} needs {', '.join(missing)}; got {got}."
        raise SpecError(message)
    return table[name](**given)


def _holds_descriptions(kind: Any) -> bool:
    """Return True for the type of an option that is a tuple of layers."""
    members = get_args(kind)
    return bool(members) and isinstance(members[0], type) and issubclass(members[0], Description)


_JSON = (str, int, float, bool, list, dict, type(None))
_WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}


def _in_words(kind: Any) -> str:
    """Return what values of an option's type are in JSON."""
    if isinstance(kind, UnionType):
        return ", or ".join(map(_in_words, get_args(kind)))
    if members := get_args(kind):
        things = "objects" if members[0] is dict else "numbers"
        return f"a list of {'' if Ellipsis in members else f'{len(members)} '}{things}"
    return "null" if kind is type(None) else _WORDS.get(kind, f"of type {kind}")


def as_json(value: Any) -> str:
    """Return a value as JSON for a message, cut if it is long; a terminal shows all of it."""
    import json

    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return shown(value)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text[:200])


def refuse_misspelt(spec: Mapping[str, Any], parts: Iterable[str]) -> None:
    """Raise SpecError if a key looks like a misspelt name of an optional part."""
    parts = tuple(parts)
    for key in spec.keys() - set(parts):
        if hint := _did_you_mean(key, parts):
            message = f"a run has no part {key!r}{hint}."
            raise SpecError(message)


def _fits(value: Any, kind: Any) -> bool:
    """Return True if a value has the type of an option.

    An integer is also a float. A boolean is neither. A tuple has no NaN.
    """
    members = get_args(kind)
    if isinstance(kind, UnionType):
        return any(_fits(value, member) for member in members)
    if members:
        if members[-1] is Ellipsis and isinstance(value, tuple):
            members = members[:1] * len(value)
        same_length = isinstance(value, tuple) and len(value) == len(members)
        has_nan = same_length and any(entry != entry for entry in value)  # noqa: PLR0124
        return same_length and not has_nan and all(map(_fits, value, members))
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        if not isinstance(value, Real):
            return _is_foreign_number(value)
        is_too_large = isinstance(value, int) and abs(value) > sys.float_info.max
        return not is_too_large
    wider = {int: Integral, dict: Mapping}
    return isinstance(value, wider.get(kind, kind))


def _is_foreign_number(value: Any) -> bool:
    """Return True for a number of another library, such as a symbol, with its own mathematics."""
    if type(value).__module__.partition(".")[0] in {"builtins", "numpy"}:
        return False
    try:
        return bool(value - 0.5 == value - 0.5)
    except Exception:  # noqa: BLE001 - whatever such an object raises, it is no number
        return False


def _plain(value: Any) -> Any:
    """Return Python numbers for NumPy numbers, and a tuple for a list, tuple or array."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def closest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to name, or None if no name is similar."""
    import difflib

    text = str(name)[:100].lower()  # a file may hold names of any length
    names = {one.lower(): one for one in known}
    meant = difflib.get_close_matches(text, list(names), n=1)
    return names[meant[0]] if meant else None


def _did_you_mean(name: Any, known: Iterable[str]) -> str:
    meant = closest(name, known)
    return f" (did you mean {meant!r}?)" if meant else ""


def require(description: Any, option: str, expected: str, condition: Any) -> None:
    """Raise SpecError if the condition on an option is false, or if the option is NaN."""
    value = getattr(description, option)
    is_nan = isinstance(value, Real) and value != value  # noqa: PLR0124
    is_undecided = bool(getattr(condition, "free_symbols", ()))  # a relation of SymPy's symbols
    if is_nan or not (is_undecided or condition):
        message = f"{type(description).__name__}: {option} must be {expected}, got {shown(value)}."
        raise SpecError(message)
