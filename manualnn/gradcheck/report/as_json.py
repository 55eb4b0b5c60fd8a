"""Report as JSON, for other programs.

    to_json(report)       a mapping for `json.dumps`

Schema 1:

    schema, target, framework, seed, inputs, points, entries, undecided, conventions, problems,
    seconds, command
    methods           {"complex step": 900, …}: number of entries by the way of their reference
    sharpness         median of bound / |value|
    imprecise         largest error, relative to Σ |w||J|, that is taken for a lack of digits
    counts            {"passed": 12, "failed": 1, …}: number of checks of each status
    exit_code         0 no failure, 1 a failure, 3 too little was judged
    results           [{id, sentence, status, points, entries, findings, reason}]
      findings        [{check, message, point_id, point, entries, wrong, size, method, region,
                        likely, details}]
        point         {arrays, cotangents, style}; an array is {dtype, shape, data}
        entries       [{input, index, got, low, high, bound}]

Numbers have the shortest digits that read back exactly. NaN and infinities are the strings "NaN",
"Infinity" and "-Infinity".
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.gradcheck.data import Finding
from manualnn.gradcheck.report.replay import array_to_json, point_id
from manualnn.oracle.protocol.case import to_lists

if TYPE_CHECKING:
    from manualnn.gradcheck.report.report import Report

SCHEMA = 1


def to_json(report: "Report") -> dict[str, Any]:
    """Return a report as a mapping of lists, strings and finite numbers."""
    derived = {"counts": report.counts(), "exit_code": report.exit_code}
    return {"schema": SCHEMA, **plain(report), **derived}


def plain(value: Any) -> Any:
    """Return a value in terms of mappings, lists, strings and finite numbers."""
    if isinstance(value, np.ndarray):
        return array_to_json(value)
    if is_dataclass(value):
        added = {"point_id": point_id(value.point)} if isinstance(value, Finding) else {}
        value = {f.name: getattr(value, f.name) for f in fields(value)} | added
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, bool | int | str | None):
        return value
    return _number(value) if isinstance(value, float | np.generic) else str(value)


def _number(value: Any) -> Any:
    if isinstance(value, np.generic) and value.dtype.kind in "iub":
        return value.item()
    return float(value) if np.isfinite(value) else to_lists(np.asarray(value))
