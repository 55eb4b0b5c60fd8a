"""Reading of the JSON form of a report, which `as_json` describes.

from_json(content)    the report; raises ReportError for other content
"""

from collections.abc import Mapping
from typing import Any

from manualnn.errors import OracleError
from manualnn.oracle.findings import Cause, CheckResult, Diagnosis, Entry, Excerpt, Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case, read_array
from manualnn.oracle.protocol.claims import ClaimError
from manualnn.oracle.report.as_json import DERIVED, SCHEMA
from manualnn.oracle.report.report import Report


class ReportError(OracleError, ValueError):
    """The content is not a report of this schema."""


def from_json(content: Any) -> Report:
    """Return the report that `to_json` was called with.

    A finding has the cases before it and its own case as calls.
    """
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
    values = {name: value for name, value in content.items() if name not in {"case_id", "before"}}
    before = map(Case.from_json, content.get("before", ()))
    case = values["case"] = Case.from_json(values["case"])
    values["entries"] = tuple(_read_entry(entry) for entry in values["entries"])
    values |= {name: tuple(values[name]) for name in ("right", "blamed")}
    if values["diagnosis"] is not None:
        likely = tuple(Cause(**cause) for cause in values["diagnosis"]["likely"])
        values["diagnosis"] = Diagnosis(**{**values["diagnosis"], "likely": likely})
    return Finding(calls=(*before, case), **values)


def _read_entry(content: Mapping[str, Any]) -> Entry:
    numbers = {name: float(content[name]) for name in ("got", "expected", "bound")}
    array = content.get("array")
    if array is not None:
        shapes = {name: tuple(array[name]) for name in ("start", "shape")}
        floats = {n: read_array(array[n], "float64").tolist() for n in ("got", "expected", "bound")}
        array = Excerpt(**{**array, **shapes, **floats})
    return Entry(**{**content, "index": tuple(content["index"]), **numbers, "array": array})
