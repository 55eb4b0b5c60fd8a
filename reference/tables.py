"""Looking up twins by torch's names."""

from collections.abc import Mapping
from typing import Any, TypeVar

Twin = TypeVar("Twin")


def twin_of(spec: Mapping[str, Any], table: Mapping[str, Twin], place: str) -> Twin:
    """Return the twin of a description's type; LookupError, naming the file, if there is none."""
    name = spec["type"]
    if name not in table:
        message = f"reference/{place}.py has no twin of {name!r}; add a line to its table."
        raise LookupError(message)
    return table[name]
