"""JSON Schemas (draft 2020-12) of everything that the oracle, engines and programs exchange.

    NAMES               "answer", "capabilities", "case", "explanation", "failure", …
    read_schema(name)   one schema, complete in itself

The files of manualnn/schemas hold all that does not depend on the table of features. The
definitions of layers, losses, optimizers and claims follow from that table.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from manualnn.oracle.protocol.features import ROWS
from manualnn.oracle.protocol.rows import REDUCTIONS, REQUIRED, Option

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_FOLDER = files("manualnn").joinpath("schemas")
_SHARED = "definitions"
NAMES = tuple(
    sorted(
        name
        for file in _FOLDER.iterdir()
        if (name := file.name.removesuffix(".json")) not in {file.name, _SHARED}
    )
)


def read_schema(name: str) -> dict[str, Any]:
    """Return the schema of a name in NAMES, with every definition that it refers to."""
    known = _read(_SHARED) | _describe_features()
    for file in NAMES:
        content = _read(file)
        known |= content.pop("$defs", {})
        known[file] = content
    needed: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        found = waiting.pop()
        if found not in needed:
            needed[found] = known[found]
            waiting.extend(_list_references(known[found]))
    root = {"$schema": DRAFT, "$id": f"urn:manualnn:{name}", **needed.pop(name)}
    return {**root, "$defs": dict(sorted(needed.items()))}


def _read(file: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_FOLDER.joinpath(f"{file}.json").read_bytes())
    return content


def _list_references(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if "$ref" in content:
            yield content["$ref"].removeprefix("#/$defs/")
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            yield from _list_references(value)


def _describe_features() -> dict[str, Any]:
    """Return definitions of a layer, loss and optimizer, and of the claims of each kind."""
    definitions: dict[str, Any] = {}
    for singular, kind in (("layer", "layers"), ("loss", "losses"), ("optimizer", "optimizers")):
        rows = ROWS[kind]
        definitions[singular] = {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": name},
                        **{key: _describe_option(key, o) for key, o in row.options.items()},
                    },
                    "required": [
                        "type",
                        *(key for key, o in row.options.items() if o.default is REQUIRED),
                    ],
                    "additionalProperties": False,
                }
                for name, row in rows.items()
            ]
        }
        values = {"anyOf": [{"const": "any"}, {"type": "array"}]}
        claims = {
            name: {
                "anyOf": [
                    {"const": "any"},
                    {
                        "type": "object",
                        "properties": dict.fromkeys(row.options, values),
                        "additionalProperties": False,
                    },
                ]
            }
            for name, row in rows.items()
        }
        definitions[f"{kind}_claim"] = {
            "anyOf": [
                {"type": "array", "items": {"enum": list(rows)}},
                {"type": "object", "properties": claims, "additionalProperties": False},
            ]
        }
    return definitions


def _describe_option(name: str, option: Option) -> dict[str, Any]:
    if name == "reduction":
        return {"enum": list(REDUCTIONS)}
    if option.default is REQUIRED:
        return {"type": "integer", "minimum": 1}
    if option.default is None:
        return {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/numbers"}]}
    if isinstance(option.default, tuple):
        size = len(option.default)
        return {"type": "array", "items": {"type": "number"}, "minItems": size, "maxItems": size}
    if isinstance(option.default, bool):
        return {"type": "boolean"}
    whole = all(isinstance(value, int) for value in (*option.values, *option.exact))
    return {"type": "integer" if whole else "number"}
