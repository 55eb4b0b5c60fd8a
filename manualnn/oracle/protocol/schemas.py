"""JSON Schemas (draft 2020-12) of the files and messages that programs exchange.

    NAMES               "answer", "capabilities", "case", "explanation", "failure", …
    read_schema(name)   one schema, complete in itself

The files of manualnn/schemas contain all that does not depend on the table of features. The
definitions of layers, losses, optimizers and their claims follow from that table.
"""

import json
from importlib.resources import files
from typing import Any

from manualnn.oracle.protocol.features import ROWS
from manualnn.oracle.protocol.rows import REDUCTIONS, REQUIRED, Feature, Option

_FILES = {
    file.name.removesuffix(".json"): file
    for file in files("manualnn").joinpath("schemas").iterdir()
}
NAMES = tuple(sorted(_FILES.keys() - {"definitions"}))


def read_schema(name: str) -> dict[str, Any]:
    """Return the schema of a name in NAMES, with every definition that it refers to."""
    contents = {file: json.loads(path.read_bytes()) for file, path in _FILES.items()}
    known = contents.pop("definitions") | _describe_features()
    for file, content in contents.items():
        known |= content.pop("$defs", {})
        known[file] = content
    needed: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        found = waiting.pop()
        if found not in needed:
            needed[found] = known[found]
            waiting += _list_references(known[found])
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:manualnn:{name}",
    }
    return {**head, **needed.pop(name), "$defs": needed}


def _list_references(content: Any) -> list[str]:
    """Return the names of the definitions that a part of a schema refers to."""
    if not isinstance(content, dict | list):
        return []
    values = content.values() if isinstance(content, dict) else content
    names = [name for value in values for name in _list_references(value)]
    reference = content.get("$ref") if isinstance(content, dict) else None
    return [reference.removeprefix("#/$defs/"), *names] if reference else names


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more, "additionalProperties": False}


def _describe_features() -> dict[str, Any]:
    """Return the definitions of layers, losses, optimizers, and of the claims of each kind."""
    definitions: dict[str, Any] = {}
    for name, kind in (("layer", "layers"), ("loss", "losses"), ("optimizer", "optimizers")):
        rows = ROWS[kind]
        definitions[name] = {"oneOf": [_describe_spec(row) for row in rows.values()]}
        values = {"anyOf": [{"const": "any"}, {"type": "array"}]}
        claims = {
            name: {"anyOf": [{"const": "any"}, _object(dict.fromkeys(row.options, values))]}
            for name, row in rows.items()
        }
        names = {"type": "array", "items": {"enum": list(rows)}}
        definitions[f"{kind}_claim"] = {"anyOf": [names, _object(claims)]}
    return definitions


def _describe_spec(row: Feature) -> dict[str, Any]:
    options = {name: _describe_option(name, option) for name, option in row.options.items()}
    required = [name for name, option in row.options.items() if option.default is REQUIRED]
    return _object({"type": {"const": row.name}, **options}, required=["type", *required])


_NAMED: dict[str, dict[str, Any]] = {
    "reduction": {"enum": list(REDUCTIONS)},
    "layers": {"type": "array", "items": {"$ref": "#/$defs/layer"}, "minItems": 1},
    "groups": {
        "type": "array",
        "items": _object(
            {
                "params": {"type": "string"},
                "lr": {"type": "number"},
                "weight_decay": {"type": "number"},
            },
            required=["params"],
        ),
    },
}
"""The schemas of options by their names."""


def _describe_option(name: str, option: Option) -> dict[str, Any]:
    if name in _NAMED:
        return _NAMED[name]
    match option.default:
        case default if default is REQUIRED:
            return {"type": "number"} if option.is_chosen else {"type": "integer", "minimum": 1}
        case None:
            return {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/numbers"}]}
        case tuple(pair):
            size = {"minItems": len(pair), "maxItems": len(pair)}
            return {"type": "array", "items": {"type": "number"}, **size}
        case bool() | str() as default:
            is_text = isinstance(default, str)
            return {"enum": list(option.values)} if is_text else {"type": "boolean"}
    values = (*option.values, *option.exact)
    is_integer = all(isinstance(value, int) for value in values if value is not None)
    number = "integer" if is_integer else "number"
    return {"type": [number, "null"] if None in values else number}
