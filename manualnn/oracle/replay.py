"""Failures kept as files, so that each can be seen again.

    save(report, folder)         writes R-7f3a9c01.json, … for every finding; returns their paths
    load(file_or_id, folder)     Failure(checks, target, case); ReplayError where there is none

A file is named after its case: {"checks": [ids], "target": …, "case": {…}}.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from manualnn.oracle.case import Case
from manualnn.oracle.findings import Report

FOLDER = ".manualnn"
"""Where failures are kept if nothing else is said."""


class ReplayError(ValueError):
    """There is no such failure, or its file cannot be understood."""


@dataclass(frozen=True)
class Failure:
    """A case, and the checks that failed on it."""

    checks: tuple[str, ...]
    target: str
    case: Case


def save(report: Report, folder: str | Path = FOLDER) -> list[Path]:
    """Write every finding's case to a file of its own; makes the folder if there are any."""
    found: dict[str, Failure] = {}
    for finding in (finding for result in report.results for finding in result.findings):
        name = finding.case.id
        checks = found[name].checks if name in found else ()
        found[name] = Failure((*checks, finding.check), report.target, finding.case)
    paths = [Path(folder, f"{name}.json") for name in found]
    if paths:
        Path(folder).mkdir(parents=True, exist_ok=True)
    for path, failure in zip(paths, found.values(), strict=True):
        content = {
            "checks": failure.checks,
            "target": failure.target,
            "case": failure.case.to_json(),
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
        return Failure(tuple(content["checks"]), content["target"], case)
    except (KeyError, TypeError, ValueError) as error:
        raise ReplayError(
            f"{path} is no failure that was saved by `manualnn check`: {error!r}. Expected "
            '{"checks": […], "target": …, "case": {…}}.'
        ) from error
