"""Failures kept as files, so that each can be seen again.

    save(report, folder)         writes R-7f3a9c01.json, … for every finding; returns their paths
    load(file_or_id, folder)     Failure(checks, target, case, before); ReplayError if there is none
    again(bench, check, failure) the Finding as the engine shows it now, or None

A file is named after its case: {"checks": [ids], "target": …, "case": {…}, "before": [{…}, …]}.
`before` is what the engine was asked first, for a failure may need that.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from manualnn.errors import OracleError
from manualnn.oracle.checks.table import judge
from manualnn.oracle.checks.trial import Declined, Trial
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Finding, Report
from manualnn.oracle.protocol.case import Case

FOLDER = ".manualnn"
"""Where failures are kept if nothing else is said."""


class ReplayError(OracleError, ValueError):
    """There is no such failure, or its file cannot be understood."""


@dataclass(frozen=True)
class Failure:
    """A case, and the checks that failed on it."""

    checks: tuple[str, ...]
    target: str
    case: Case
    before: tuple[Case, ...] = ()
    """What the engine was asked first."""


def save(report: Report, folder: str | Path = FOLDER) -> list[Path]:
    """Write every finding's case to a file of its own; makes the folder if there are any."""
    found: dict[str, Failure] = {}
    for finding in (finding for result in report.results for finding in result.findings):
        name = finding.case.id
        known = found.get(name, Failure((), report.target, finding.case))
        before = max(known.before, finding.calls[:-1], key=len)
        found[name] = replace(known, checks=(*known.checks, finding.check), before=before)
    paths = [Path(folder, f"{name}.json") for name in found]
    if paths:
        Path(folder).mkdir(parents=True, exist_ok=True)
    for path, failure in zip(paths, found.values(), strict=True):
        content = {
            "checks": failure.checks,
            "target": failure.target,
            "case": failure.case.to_json(),
            "before": [case.to_json() for case in failure.before],
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return paths


def load(file_or_id: str, folder: str | Path = FOLDER) -> Failure:
    """Return a failure from its file, or from its id among the files of a folder."""
    path = Path(file_or_id)
    if not path.is_file():
        path = Path(folder, f"{file_or_id}.json")
    if not path.is_file():
        kept = ", ".join(sorted(p.stem for p in Path(folder).glob("R-*.json"))) or "none"
        raise ReplayError(
            f"there is no failure {file_or_id!r}: neither a file of that name nor {path}. "
            f"Kept in {folder}: {kept}."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        case = Case.from_json(content["case"])
        before = tuple(map(Case.from_json, content["before"]))
        return Failure(tuple(content["checks"]), content["target"], case, before)
    except (KeyError, TypeError, ValueError) as error:
        raise ReplayError(
            f"{path} is no failure that was saved by `manualnn check`: {error!r}. Expected "
            '{"checks": […], "target": …, "case": {…}, "before": […]}.'
        ) from error


def again(bench: EngineClient, check: str, failure: Failure) -> Finding | None:
    """Return what a check finds on a fresh engine, or else after what it was asked before."""
    for before in dict.fromkeys(((), failure.before)):
        bench.fresh()
        for case in before:
            bench.run(case)
        try:
            finding = judge(Trial(bench, check, failure.case))
        except Declined as reason:
            raise ReplayError(
                f"{bench.target} is not judged on the case {failure.case.id}: {reason}"
            ) from reason
        if finding is not None:
            return finding
    return None
