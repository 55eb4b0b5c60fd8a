"""Texts from files: strict JSON, and their display in messages."""

import json
import math
from collections import Counter
from typing import Any

SHOWN = 400
"""Maximum number of characters of a file's text in a message."""


def parse_json(text: str) -> Any:
    """Return the data of a JSON text.

    Raises ValueError for a duplicate key, for NaN, and for a number beyond the range of a float.
    """
    return json.loads(
        text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite_float
    )


def printable(value: Any) -> str:
    """Return the text, or the repr of another value, cut and without control characters.

    A file could hold sequences that change the terminal on which a message is printed.
    """
    text = value if isinstance(value, str) else repr(value)
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        duplicate = Counter(key for key, _ in pairs).most_common(1)[0][0]
        message = f"the key {duplicate!r} occurs twice"
        raise ValueError(message)
    return found


def _finite_float(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(name: str) -> Any:
    message = f"{name} is not a number of JSON"
    raise ValueError(message)
