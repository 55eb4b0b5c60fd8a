"""Conventions between the oracle and an engine: weight layout, options, validated results.

    in_layout(case, claims)          the case with weights in the engine's layout
    complete(case)                   the case with every option, in dictionaries of its own
    accept(outcome, seen, claims)    the outcome with its result validated, weights as (out, in)
    copied(outcome)                  the outcome with arrays of its own
    read_claims(name, content)       the capabilities; raises EngineError if they are invalid

The checks know one layout of weights, (out, in).
"""

from dataclasses import replace
from typing import Any

import numpy as np

from manualnn.oracle.engines.faults import EngineError
from manualnn.oracle.engines.validation import Malformed, map_result, normalize_result, read_weight
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.claims import ClaimError
from manualnn.oracle.protocol.features import with_all_options

STORED = ("params.", "state.")
"""Prefixes of the arrays of a case that have the layout of the weights."""
RETURNED = ("grads.", *STORED)


def in_layout(case: Case, claims: Capabilities) -> Case:
    """Return the case with weights in the engine's layout."""
    if claims.weight_layout == "out,in":
        return case
    return case.map(lambda name, a: in_torch_layout(name, a, claims))


def in_torch_layout(name: str, array: Array, claims: Capabilities) -> Array:
    """Return an array of the engine's layout in the layout (out, in), or the reverse."""
    is_turned = claims.weight_layout == "in,out" and name.startswith(RETURNED)
    return array.T if is_turned else array


def complete(case: Case) -> Case:
    """Return the case with every option, in dictionaries that the engine may change."""
    return replace(
        case.map(lambda _, array: array),
        layers=tuple(with_all_options(spec) for spec in case.layers),
        loss=with_all_options(case.loss),
        optimizer=case.optimizer and with_all_options(case.optimizer),
    )


def accept(outcome: Outcome, seen: Case, claims: Capabilities) -> Outcome:
    """Return the outcome of `seen`, a case in the engine's layout, with a valid result.

    Arrays that fit are not copied.
    """
    if outcome.result is None:
        return outcome
    try:
        result = normalize_result(outcome.result, seen, claims)
    except Malformed as error:
        return Outcome(fault="malformed", message=str(error))
    if claims.weight_layout == "in,out":
        result = map_result(result, lambda name, a: in_torch_layout(name, a, claims))
    return Outcome(result=result)


def accept_weight(outcome: Outcome, shape: tuple[int, int], claims: Capabilities) -> Outcome:
    """Return the outcome of `init` with a valid weight of shape (out, in), in float64."""
    if outcome.result is None:
        return outcome
    is_turned = claims.weight_layout == "in,out"
    try:
        raw = read_weight(outcome.result, shape[::-1] if is_turned else shape)
    except Malformed as error:
        return Outcome(fault="malformed", message=str(error))
    return Outcome(result={"weight": np.array(raw.T if is_turned else raw)})


def copied(outcome: Outcome) -> Outcome:
    """Return an outcome that shares no memory with the engine; arrays are in C order."""
    if outcome.result is None:
        return outcome
    return Outcome(result=map_result(outcome.result, lambda _, a: np.array(a, order="C")))


def read_claims(name: str, content: Any) -> Capabilities:
    """Return the capabilities of an engine; raises EngineError if they are invalid."""
    try:
        return Capabilities.read(content)
    except (ClaimError, TypeError, ValueError) as error:
        raise EngineError(f"{name} claims what cannot be understood: {error}") from error
