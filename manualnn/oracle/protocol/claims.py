"""Claims of features: how the result of `capabilities()` is read, and the errors in it."""

import re
from collections.abc import Iterable, Mapping
from math import inf
from numbers import Integral, Real
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.protocol.features import REDUCTIONS, ROWS

Claim = dict[str, Any]
"""{option: list of values, or "any"} for the options with other values than the default."""


class ClaimError(OracleError, ValueError):
    """The result of `capabilities()` is invalid."""


def read_claims(
    kind: str, content: Any, table: Mapping[str, Mapping[str, Any]]
) -> dict[str, Claim]:
    """Return what is claimed of every layer, loss or optimizer."""
    if isinstance(content, str) or not isinstance(content, Iterable):
        raise ClaimError(
            f"capabilities() has {kind} {content!r}; it has to be a list of names, or a mapping of "
            "names to options."
        )
    if not isinstance(content, Mapping):
        content = {name: {} for name in content}
    claims: dict[str, Claim] = {}
    for name, claim in content.items():
        if name not in table:
            raise ClaimError(
                f"capabilities() claims {name!r} among the {kind}; known are {', '.join(table)}."
            )
        rows = ROWS[kind][name].options
        every = {option: "any" for option, row in rows.items() if row.is_in_any}
        options = every if claim == "any" else dict(claim)
        options = {o: "any" for o, row in rows.items() if row.is_chosen} | options
        for option, given in options.items():
            if option not in table[name]:
                raise ClaimError(
                    f"capabilities() claims {name}'s {option!r}; it has {', '.join(table[name])}."
                )
            listed = isinstance(given, Iterable) and not isinstance(given, str)
            if not listed and given != "any":
                raise ClaimError(
                    f"capabilities() has {name}'s {option} {given!r}; it has to be a list of "
                    'values, or "any".'
                )
        if options.get("reduction", "any") != "any":
            require_known(f"{name}'s reduction", options["reduction"], REDUCTIONS)
        unstated = [o for o in ("reduction", "factor") if o in options and not options[o]]
        if unstated:
            raise ClaimError(f"capabilities() claims {name} without a {unstated[0]}; add one.")
        claims[name] = options
    return claims


def require_known(what: str, values: Any, known: tuple[Any, ...]) -> None:
    """Raise ClaimError for a value that is not known."""
    for value in values:
        if value not in known:
            listing = ", ".join(repr(v) for v in known)
            raise ClaimError(f"capabilities() has {what} {value!r}; it has to be among {listing}.")


def require_size(what: str, value: Any) -> None:
    """Raise ClaimError unless the value is an integer from 1 on."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise ClaimError(f"capabilities() has {what} {value!r}; it has to be an integer from 1 on.")


def require_networks(pattern: Any) -> None:
    """Raise ClaimError unless the pattern is a regular expression that a network matches."""
    try:
        valid = any(re.fullmatch(pattern, letters) for letters in ("L", "LA", "LAL", "A", "LALA"))
    except (TypeError, re.error):
        valid = False
    if not valid:
        raise ClaimError(
            f"capabilities() has networks {pattern!r}; it has to be a regular expression for the "
            'layers in order, L for Linear and A for any other, such as "(LA)*L".'
        )


def require_positive(what: str, value: Any) -> None:
    """Raise ClaimError unless the value is a positive number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < inf:
        raise ClaimError(f"capabilities() has {what} {value!r}; it has to be a positive number.")


def is_equal(a: Any, b: Any) -> bool:
    """Return True if two values of an option are the same."""
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return a is b or (isinstance(a, str) and a == b)
    return np.shape(a) == np.shape(b) and bool(np.all(np.equal(a, b)))
