"""Report as JSON, for other programs.

    to_json(report)       a mapping for `json.dumps`
    from_json(content)    the report; raises ReportError for other content

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
                        case_id, case, diagnosis}]
        entries       [{quantity, index, got, expected, bound, wrong, size}]
        diagnosis     null or {first, scope, ratio, when, hurried, together, unknown,
                        likely: [{bug, title, wrong, right}]}

NaN and infinities are the strings "NaN", "Infinity" and "-Infinity". The calls of a finding are not
included: they follow from its check and its case.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.findings import Cause, CheckResult, Diagnosis, Entry, Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.claims import ClaimError
from manualnn.oracle.report.mistakes import distinct_mistakes
from manualnn.oracle.report.report import Report

SCHEMA = 1
DERIVED = ("schema", "conventions", "relaxations", "counts", "mistakes", "exit_code")
"""Values that a report computes from its other values."""


class ReportError(OracleError, ValueError):
    """The content is not a report of this schema."""


def to_json(report: Report) -> dict[str, Any]:
    """Return a report as a mapping of lists, strings and finite numbers."""
    claims = report.capabilities
    said = claims.described_conventions(), claims.relaxations()
    derived = (SCHEMA, *said, report.counts(), distinct_mistakes(report.results), report.exit_code)
    return _plain(report) | _plain(dict(zip(DERIVED, derived, strict=True)))


def from_json(content: Any) -> Report:
    """Return the report that `to_json` was called with; each finding has its case as only call."""
    if not isinstance(content, Mapping) or content.get("schema") != SCHEMA:
        got = content.get("schema") if isinstance(content, Mapping) else content
        raise ReportError(f"not a report of schema {SCHEMA}: got 'schema' {got!r}.")
    values = {name: value for name, value in content.items() if name not in DERIVED}
    try:
        values["capabilities"] = Capabilities.read(values["capabilities"])
        values["results"] = [_read_result(result) for result in values["results"]]
        for name in ("undecided", "seconds"):
            values[name] = float(values[name])
        for name in ("sharpness", "sharpness_overall"):
            values[name] = {dtype: float(v) for dtype, v in values[name].items()}
        return Report(**values)
    except (AttributeError, KeyError, TypeError, ClaimError) as error:
        raise ReportError(f"not a complete report of schema {SCHEMA}: {error!r}.") from error


def _read_result(content: Mapping[str, Any]) -> CheckResult:
    return CheckResult(**{**content, "findings": [_read_finding(f) for f in content["findings"]]})


def _read_finding(content: Mapping[str, Any]) -> Finding:
    values = {name: value for name, value in content.items() if name != "case_id"}
    case = values["case"] = Case.from_json(values["case"])
    values["entries"] = tuple(_read_entry(entry) for entry in values["entries"])
    values |= {name: tuple(values[name]) for name in ("right", "blamed")}
    if values["diagnosis"] is not None:
        likely = tuple(Cause(**cause) for cause in values["diagnosis"]["likely"])
        values["diagnosis"] = Diagnosis(**{**values["diagnosis"], "likely": likely})
    return Finding(calls=(case,), **values)


def _read_entry(content: Mapping[str, Any]) -> Entry:
    numbers = {name: float(content[name]) for name in ("got", "expected", "bound")}
    return Entry(**{**content, "index": tuple(content["index"]), **numbers})


def _plain(value: Any) -> Any:
    """Return a value in terms of mappings, lists, strings and finite numbers."""
    if isinstance(value, Case):
        value = value.to_json()
    elif is_dataclass(value):
        added = {"case_id": value.case.id} if isinstance(value, Finding) else {}
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
