"""Examination of a call: facts about the memory that an engine in Python uses.

    examine(call, case, claims)                       the `Examination` of one call
    examine(call, case, claims, layout="strided")     the arrays of the case in another layout
    examine(call, case, claims, then=other)           also the effect of the next call

`call` gets the case's own arrays and returns the engine's own arrays. So this runs in the process
of the engine, and returns plain data, which may go to another process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manualnn.oracle.engines.conventions import accept, complete, copied, in_layout, in_torch_layout
from manualnn.oracle.engines.layouts import LAYOUTS
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Array, Case

Call = Callable[[Case], Outcome]


@dataclass(frozen=True)
class Examination:
    """The outcome of a call, and facts about memory. Arrays are copies, weights are (out, in)."""

    outcome: Outcome
    written: dict[str, Array] = field(default_factory=dict)
    """Inputs whose numbers the call changed, with the numbers after the call."""
    shared: tuple[tuple[str, str], ...] = ()
    """Pairs of results that share memory."""
    shared_inputs: tuple[tuple[str, str], ...] = ()
    """Pairs of a result and an input that share memory."""
    dtypes: dict[str, str] = field(default_factory=dict)
    """Dtypes of the results as returned. Numbers and lists of Python have none."""
    changed: dict[str, Array] = field(default_factory=dict)
    """Results whose numbers the next call changed, with the numbers after that call."""


def examine(
    call: Call, case: Case, claims: Capabilities, layout: str = "", then: Case | None = None
) -> Examination:
    """Return the examination of a call with a copy of the case."""
    seen = in_layout(case, claims)
    given = complete(seen.map(LAYOUTS[layout]) if layout else seen.copy())
    inputs = given.arrays()
    raw = call(given)
    outcome = accept(raw, seen, claims)
    got = {n: a for n, a in outcome.quantities().items() if isinstance(a, np.ndarray)}
    kept = {name: array.copy() for name, array in got.items()}
    plain = copied(outcome)
    if then is not None and outcome.result is not None:
        call(complete(in_layout(then, claims).copy()))
    return Examination(
        plain,
        {} if layout else _written(inputs, seen.arrays(), claims),
        *_shared(got, inputs),
        _dtypes(raw.quantities(), got) if got else {},
        {name: array.copy() for name, array in got.items() if not _is_same(array, kept[name])},
    )


def _written(
    inputs: Mapping[str, Array], before: Mapping[str, Array], claims: Capabilities
) -> dict[str, Array]:
    return {
        name: in_torch_layout(name, array, claims).copy()
        for name, array in inputs.items()
        if not _is_same(array, before[name])
    }


def _is_same(a: Array, b: Array) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def _shared(
    got: Mapping[str, Array], inputs: Mapping[str, Array]
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    names = list(got)
    pairs = [(name, other) for i, name in enumerate(names) for other in names[:i]]
    among = tuple(pair for pair in pairs if np.shares_memory(got[pair[0]], got[pair[1]]))
    with_inputs = tuple(
        (name, other)
        for name in names
        for other, array in inputs.items()
        if np.shares_memory(got[name], array)
    )
    return among, with_inputs


def _dtypes(raw: Mapping[str, Any], names: Mapping[str, Array]) -> dict[str, str]:
    """Return the dtypes of the results that have one; "float32" of torch's "torch.float32"."""
    kinds = {name: getattr(raw.get(name), "dtype", None) for name in names}
    return {
        name: str(getattr(kind, "name", kind)).rpartition(".")[2]
        for name, kind in kinds.items()
        if kind is not None
    }
