"""Validation of files and messages against the JSON Schemas that the package ships."""

import json
from functools import cache

import jsonschema

from manualnn.oracle.protocol.schemas import read_schema


@cache
def validator(name):
    schema = read_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def validate(name, content):
    """Raise a ValidationError if the content, or the text of a JSON file, breaks a schema."""
    if isinstance(content, str | bytes):
        content = json.loads(content)
    validator(name).validate(json.loads(json.dumps(content)))
