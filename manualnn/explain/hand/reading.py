"""Reading the numbers of a calculation by hand, by the names of their quantities.

    {"z0": [0.42, 0.32], "a1[0]": 0.6035, "L": 0.7538,
     "dL/dz0[1]": -0.361, "gradients": {"0.weight": [[…], …]}, "updated": {"2.bias": [0.286, null]}}

A name without an index has a list of its numbers; null is a number that is not given. `dL/dq` may
stand for `∂L/∂q`, `E` for the error `L`, and `0.bias'` for `0.bias′`, the updated parameter.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.errors import SpecError
from manualnn.explain.reading import read_file
from manualnn.spec import as_json, closest

SECTIONS = {"gradients": "∂L/∂{}", "updated": "{}′"}
"""Objects with an entry for each parameter, and the names of these entries."""

Index = tuple[int, ...]


def read_numbers(mine: Any, names: Iterable[str]) -> dict[str, Decimal]:
    """Return the numbers by the names of their quantities, which must be among `names`.

    mine is the path of a JSON file or its content. Raises SpecError for anything else, and OSError
    as `open`.
    """
    if isinstance(mine, str | Path):
        mine = read_file(mine, parse_float=Decimal, parse_int=Decimal)
    if not isinstance(mine, Mapping):
        message = (
            f'a calculation must be an object such as {{"a1[0]": 0.6035}}, got {_as_json(mine)}.'
        )
        raise SpecError(message)
    lists: dict[str, dict[Index, str]] = {}
    for name in names:
        base, index = _split(name)
        lists.setdefault(base, {})[index] = name
    entries: list[tuple[str, Any]] = []
    for key, value in mine.items():
        if not isinstance(key, str):
            message = f"the names of quantities are texts such as a1[0], got {as_json(key)}."
            raise SpecError(message)
        if key in SECTIONS and isinstance(value, Mapping):
            entries += [(SECTIONS[key].format(name), numbers) for name, numbers in value.items()]
        else:
            entries.append((key, value))
    found: dict[str, Decimal] = {}
    for key, value in entries:
        numbers = _read(key, value, lists)
        if twice := sorted(found.keys() & numbers.keys()):
            message = f"{', '.join(twice)} stands in the calculation twice; leave one number out."
            raise SpecError(message)
        found |= numbers
    return found


def _read(key: str, value: Any, lists: dict[str, dict[Index, str]]) -> dict[str, Decimal]:
    """Return the numbers of one entry."""
    base, index = _split(_canonical(key))
    known = lists.get(base, {})
    if index in known:
        given = [(index, value)]
    elif known and not index:
        given = list(_entries(value))
        dimensions = len(next(iter(known)))
        given = [(at[1:] if len(at) > dimensions and at[0] == 0 else at, v) for at, v in given]
        if {at for at, _ in given} != known.keys():
            message = (
                f"{key} must be a list with the numbers {', '.join(known.values())}, "
                f"null for those not given; got {_as_json(value)}."
            )
            raise SpecError(message)
    else:
        like = closest(_canonical(key), [*lists, *known.values()])
        hint = f" (did you mean {like}?)" if like else ""
        there = ", ".join(known.values() if known else _folded(lists))
        message = f"there is no quantity {as_json(key)}{hint}. There are {there[:500]}."
        raise SpecError(message)
    return {known[at]: _number(key, v) for at, v in given if v is not None}


def _entries(value: Any) -> Iterator[tuple[Index, Any]]:
    """Yield the index and the value of each entry of nested lists."""
    if isinstance(value, list | tuple) or np.ndim(value):
        for i, row in enumerate(value):
            yield from (((i, *index), entry) for index, entry in _entries(row))
    else:
        yield (), value


def _number(key: str, value: Any) -> Decimal:
    """Return a number with the digits that it was written with."""
    is_number = isinstance(value, Real | Decimal) and not isinstance(value, bool)
    number = Decimal(str(value)) if is_number else Decimal("NaN")
    if math.isfinite(float(number)):
        return number
    what = "a number of float64" if number.is_finite() else "a number"
    message = f"{key} must be {what}, or a list of numbers, got {_as_json(value)}."
    raise SpecError(message)


def _folded(lists: Iterable[str]) -> Iterator[str]:
    """Yield the names of lists, those of all later errors as one."""
    names = [name for name in lists if "]/" not in name]
    after = [name for name in names if name.startswith("L after ")]
    yield from (name for name in names if name not in after)
    yield f"{after[0]} … {after[-1].removeprefix('L after ')}"


def _as_json(value: Any) -> str:
    """Return a value as JSON for a message, each number with the digits it was written with."""
    if isinstance(value, Decimal):
        return str(value).lower().replace("e+", "e")[:30]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_as_json, value))}]"[:200]
    if isinstance(value, Mapping):
        inner = ", ".join(f"{as_json(key)}: {_as_json(entry)}" for key, entry in value.items())
        return f"{{{inner}}}"[:200]
    return as_json(value)


def _canonical(name: str) -> str:
    """Return a name as an explanation writes it."""
    name = re.sub(r"\s*([\[\],/])\s*", r"\1", name.strip()).replace("'", "′")
    name = re.sub(r"\b(d) (?=\w)", r"\1", name)
    name = re.sub(r"^d(.+)/d(.+)$", r"∂\1/∂\2", name)
    return re.sub(r"^(∂?)E(?=$|/)", r"\1L", name)


def _split(name: str) -> tuple[str, Index]:
    """Return a name without its last index, and the index."""
    match = re.fullmatch(r"(.*)\[(\d{1,9}(?:,\d{1,9})*,?)\](′?)", name, re.ASCII)
    if not match:
        return name, ()
    return match[1] + match[3], tuple(int(i) for i in match[2].split(",") if i)
