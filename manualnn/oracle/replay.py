"""Failures saved as files, to judge them again later.

    save(report, folder)           writes R-7f3a9c01.json, … for every finding; returns their paths
    load(file_or_id, folder)       Failure(checks, target, case, before); raises ReplayError
    again(client, check, failure)  the Finding that the engine gives now, or None if it passes

A file is named after its case. It holds {"checks": [ids], "target": …, "case": {…},
"before": [{…}, …], "repeatable": true}. `before` are the cases that the engine had before this
one, because a failure may depend on them. A failure that depends on still earlier calls, or on
chance, is not repeatable.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from manualnn.errors import ManualNNError, OracleError
from manualnn.oracle.cases.resize import is_valid
from manualnn.oracle.checks.table import JUDGEMENTS, judge
from manualnn.oracle.checks.trial import Declined, Trial
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import (
    LAYER_ROWS,
    LOSS_ROWS,
    buffer_of,
    options_of,
    shapes_of,
    state_names,
)
from manualnn.oracle.protocol.masks import find_wrong_mask
from manualnn.oracle.report.report import Report
from manualnn.output.files import write_whole

FOLDER = ".manualnn"
"""Default folder of saved failures."""


class ReplayError(OracleError, ValueError):
    """A saved failure is missing, or its file cannot be read or written."""


@dataclass(frozen=True)
class Failure:
    """A case with the checks that failed on it."""

    checks: tuple[str, ...]
    target: str
    case: Case
    before: tuple[Case, ...] = ()
    """Cases that the engine had before this one."""
    repeatable: bool = True
    """False if the run itself did not see the failure again; then passing now means nothing."""


def save(report: Report, folder: str | Path = FOLDER) -> list[Path]:
    """Write one file for each case of a finding; create the folder if there is a finding.

    A new folder gets a .gitignore, so that it does not enter a repository. Raises ReplayError if
    the files cannot be written.
    """
    found: dict[str, Failure] = {}
    for finding in (finding for result in report.results for finding in result.findings):
        name = finding.case.id
        known = found.get(name, Failure((), report.target, finding.case))
        before = max(known.before, finding.calls[:-1], key=len)
        repeatable = known.repeatable and finding.repeatable
        checks = (*known.checks, finding.check)
        found[name] = replace(known, checks=checks, before=before, repeatable=repeatable)
    paths = [Path(folder, f"{name}.json") for name in found]
    try:
        if paths:
            make_folder(Path(folder))
        for path, failure in zip(paths, found.values(), strict=True):
            content = {
                "checks": failure.checks,
                "target": failure.target,
                "case": failure.case.to_json(),
                "before": [case.to_json() for case in failure.before],
                "repeatable": failure.repeatable,
            }
            write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise ReplayError(
            f"the failures cannot be saved in {folder} ({error.strerror or error}), so --replay "
            "will not find them; name another folder with --failures."
        ) from error
    return paths


def make_folder(folder: Path) -> None:
    """Create a folder of saved failures with a .gitignore, unless it exists."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        write_whole(folder / ".gitignore", b"*\n")


def load(file_or_id: str, folder: str | Path = FOLDER) -> Failure:
    """Return the failure in a file, or the one with that id in a folder."""
    path = Path(file_or_id)
    if not path.is_file():
        path = Path(folder, f"{file_or_id}.json")
    if not path.is_file():
        saved = ", ".join(sorted(p.stem for p in Path(folder).glob("R-*.json"))) or "none"
        raise ReplayError(
            f"there is no failure {file_or_id!r}: neither a file with that name nor {path}. "
            f"Saved in {folder}: {saved}."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        case = Case.from_json(content["case"])
        before = tuple(map(Case.from_json, content["before"]))
        repeatable = bool(content.get("repeatable", True))
        failure = Failure(tuple(content["checks"]), content["target"], case, before, repeatable)
        for each in (case, *before):
            _require_valid(each)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, ManualNNError) else repr(error)
        raise ReplayError(
            f"{path} is not a failure saved by `manualnn check`: {reason}. Expected "
            '{"checks": […], "target": …, "case": {…}, "before": […]}.'
        ) from error
    unknown = [c for c in failure.checks if str(c).rpartition(":")[2] not in JUDGEMENTS]
    if unknown or not failure.checks:
        raise ReplayError(
            f"{path} names {'the unknown check ' + repr(unknown[0]) if unknown else 'no check'}; "
            "run `manualnn check` again, `manualnn check --list` lists all ids."
        )
    return failure


def _require_valid(case: Case) -> None:
    """Raise an error if a case is not one that an engine could get, after changes by hand."""
    for _, spec in case.parts():
        options_of(spec)
    is_class = LOSS_ROWS[case.loss["type"]].targets == "classes" and case.t.ndim == 1
    t = (case.n,) if is_class else (case.n, case.widths[-1])
    expected: dict[str, tuple[int, ...]] = {"x": (case.n, case.widths[0]), "t": t}
    if case.sample_weights is not None:
        expected["sample_weights"] = (case.n,)
    params: dict[str, tuple[int, ...]] = {}
    for i, layer in enumerate(case.layers):
        before = case.widths[i]
        params |= {f"{i}.{name}": shape for name, shape in shapes_of(layer, before).items()}
        noise = LAYER_ROWS[layer["type"]].noise
        if noise and case.noise and f"{i}.{noise.name}" in case.noise:
            expected[f"noise.{i}.{noise.name}"] = (case.n, before)
    rule = options_of(case.optimizer) if case.optimizer else None
    groups = ["params", *(f"state.{name}" for name in state_names(rule) if case.state)]
    expected |= {
        f"{group}.{key}": shape
        for group in groups
        for key, shape in params.items()
        if group == "params" or buffer_of(key) is None
    }
    got = {name: array.shape for name, array in case.arrays().items()}
    for name in {**expected, **got}:
        if got.get(name) != expected.get(name):
            raise ReplayError(f"{name} has shape {got.get(name)}; expected {expected.get(name)}")
    if wrong := find_wrong_mask(case):
        raise ReplayError(wrong)
    if case.steps < 1 or not is_valid(case):
        raise ReplayError("no engine can answer its case; see its steps, its targets and its state")


def again(client: EngineClient, check: str, failure: Failure) -> Finding | None:
    """Return the finding of a check in a new process; if none, after the cases before it."""
    for before in dict.fromkeys(((), failure.before)):
        client.restart()
        for case in before:
            client.run(case)
        try:
            finding = judge(Trial(client, check, failure.case))
        except Declined as reason:
            raise ReplayError(
                f"{client.target} cannot be judged on the case {failure.case.id}: {reason}"
            ) from reason
        if finding is not None:
            return finding
    return None
