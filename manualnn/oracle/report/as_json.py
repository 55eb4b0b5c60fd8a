"""Report as JSON, for other programs.

    to_json(report)       a mapping for `json.dumps`; `reading.from_json` reads it

Schema 1:

    schema, target, profile, seed, truth, cases, entries, undecided, seconds, avoided,
    problems
    capabilities      the engine's claims, after validation
    conventions       one sentence for each convention that was claimed or found
    relaxations       one sentence for each claim that widens error bounds
    sharpness         {"float64": median of bound / |value|, …}, in the plain recipes
    sharpness_overall the same in all recipes
    counts            {"passed": 400, "failed": 2, …}: number of checks of each status
    mistakes          [{title, checks}]: the distinct mistakes, with the checks that they fail
    exit_code         0 no failure, 1 a failure, 3 the run proves little
    results           [{id, sentence, status, cases, skipped, reason, findings}]
      findings        [{check, kind, message, entries, right, blamed, minimal, repeatable,
                        case_id, case, before, diagnosis}]
        before        the cases that the engine had before, as `--replay` sends them
        entries       [{quantity, index, got, expected, bound, wrong, size, array}]
          array       null or {start, shape, got, expected, bound, wrong}: some eight rows and
                      columns around the entry; `wrong` says which of them are wrong
        diagnosis     null or {first, scope, ratio, when, hurried, together, unknown,
                        likely: [{bug, title, wrong, right}]}

NaN and infinities are the strings "NaN", "Infinity" and "-Infinity".
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.report.mistakes import distinct_mistakes

if TYPE_CHECKING:
    from manualnn.oracle.report.report import Report

SCHEMA = 1
DERIVED = ("schema", "conventions", "relaxations", "counts", "mistakes", "exit_code")
"""Values that a report computes from its other values."""


def to_json(report: "Report") -> dict[str, Any]:
    """Return a report as a mapping of lists, strings and finite numbers."""
    claims = report.capabilities
    said = claims.described_conventions(), claims.relaxations()
    derived = (SCHEMA, *said, report.counts(), distinct_mistakes(report.results), report.exit_code)
    return _plain(report) | _plain(dict(zip(DERIVED, derived, strict=True)))


def _plain(value: Any) -> Any:
    """Return a value in terms of mappings, lists, strings and finite numbers."""
    if isinstance(value, Case):
        value = value.to_json()
    elif is_dataclass(value):
        added: dict[str, Any] = {}
        if isinstance(value, Finding):
            added = {"case_id": value.case.id, "before": value.calls[:-1]}
        value = {f.name: getattr(value, f.name) for f in fields(value) if f.name != "calls"} | added
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(float(value) if isinstance(value, np.floating) else value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
