"""Names of parameters in state_dicts of other networks: prefixes, layers, checkpoints.

    "module.0.weight" → "0.weight"      a prefix that all keys share is removed
    "fc1.weight"      → "0.weight"      with names={"fc1": "0"}

Where neither fits, the message says which `names` would, or where in a checkpoint the weights are.
"""

import re
from collections.abc import Mapping
from typing import Any

from manualnn.errors import ShapeError, SpecError

Shapes = Mapping[str, tuple[int, ...]]
SHOWN = 12
"""Maximum number of names in a message."""


def fit_keys(
    state_dict: Mapping[str, Any], shapes: Shapes, owner: object, names: Any = None
) -> Mapping[str, Any]:
    """Return the state_dict with the keys of `shapes`. Raises ShapeError if it has others."""
    if names is not None:
        state_dict = _rename(state_dict, names)
    state_dict = _strip_prefix(state_dict, shapes)
    missing, unknown = shapes.keys() - state_dict.keys(), state_dict.keys() - shapes.keys()
    if missing or unknown:
        message = (
            f"the state_dict does not fit {owner!r}: "
            f"missing {_listed(missing)}; not known {_listed(unknown)}."
        )
        if inner := _find_state_dict(state_dict):
            message += f" It is a checkpoint: pass {inner}."
        elif argument := _suggest(state_dict, shapes):
            message += f" The layers fit by shape: pass {argument}, after a look at their order."
        raise ShapeError(message)
    return state_dict


def _strip_prefix(state_dict: Mapping[str, Any], shapes: Shapes) -> Mapping[str, Any]:
    """Return the state_dict without a prefix that all its keys share, if they then are `shapes`'.

    torch adds "module." for DataParallel, "_orig_mod." for a compiled module, and the name of the
    attribute for a module in a module.
    """
    if state_dict.keys() == shapes.keys() or not all(isinstance(key, str) for key in state_dict):
        return state_dict
    first = next(iter(state_dict), "")
    for key in shapes:
        prefix = first.removesuffix(key)
        if prefix.endswith(".") and {prefix + name for name in shapes} == state_dict.keys():
            return {name.removeprefix(prefix): value for name, value in state_dict.items()}
    return state_dict


def _rename(state_dict: Mapping[str, Any], names: Any) -> dict[str, Any]:
    """Return the state_dict with keys, or the names of layers in keys, replaced by `names`."""
    if not isinstance(names, Mapping):
        message = f'names must be a mapping such as {{"fc1": "0", "fc2": "2"}}, got {names!r}.'
        raise SpecError(message)
    renamed: dict[str, Any] = {}
    for key, value in state_dict.items():
        layer, _, name = str(key).rpartition(".")
        new = str(names.get(key, f"{names[layer]}.{name}" if layer in names else key))
        if new in renamed:
            message = f"names gives two arrays the key {new!r}, {key!r} the second time."
            raise SpecError(message)
        renamed[new] = value
    return renamed


def _suggest(state_dict: Mapping[str, Any], shapes: Shapes) -> str:
    """Return the argument `names` with which the state_dict would fit, or "" if there is none.

    Layers of the same shapes are matched by the numbers in their names. A file may have sorted the
    names as texts ("fc1", "fc10", "fc2"), so that the order of a state_dict is not evident.
    """
    theirs = _layers({key: tuple(getattr(v, "shape", ())) for key, v in state_dict.items()})
    ours = _layers(shapes)
    if len(ours) != len(theirs) or len(ours) > SHOWN:
        return ""
    names: dict[str, str] = {}
    for parts in set(map(frozenset, theirs.values())) | set(map(frozenset, ours.values())):
        own = [layer for layer, found in ours.items() if found == parts]
        other = [layer for layer, found in theirs.items() if found == parts]
        kinds = {re.sub(r"\d+", "#", layer) for layer in other}
        if len(own) != len(other) or (len(other) > 1 and len(kinds) > 1):
            return ""
        by_number = sorted(other, key=lambda layer: [*map(int, re.findall(r"\d+", layer))])
        names |= zip(by_number, own, strict=True)
    ordered = dict(sorted(names.items(), key=lambda pair: int(pair[1])))
    return f"names={ordered}"


def _find_state_dict(state_dict: Mapping[str, Any]) -> str | None:
    """Return the expression for the state_dict in a checkpoint, or None if it is no checkpoint."""
    for key, value in state_dict.items():
        is_module = hasattr(value, "state_dict")
        if is_module or (isinstance(value, Mapping) and any(map(_is_array, value.values()))):
            return f"checkpoint[{key!r}]" + (".state_dict()" if is_module else "")
    return None


def _listed(keys: Any) -> str:
    """Return the names in order, cut after some, or "none"."""
    names = sorted(map(str, keys))
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest or "none"


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _layers(shapes: Shapes) -> dict[str, set[tuple[str, tuple[int, ...]]]]:
    """Return for each layer the names and shapes of its arrays."""
    layers: dict[str, set[tuple[str, tuple[int, ...]]]] = {}
    for key, shape in shapes.items():
        layer, _, name = str(key).rpartition(".")
        layers.setdefault(layer, set()).add((name, shape))
    return layers
