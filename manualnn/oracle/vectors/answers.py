"""Answers to the conformance vectors: results in files, judged without calling an engine.

    judge_answers("answers")                 the `Report` on a folder of answers
    judge_answers("answers", "vectors")      answers to the vectors of a folder, not of seed 0

VECTORS.md describes a folder of answers. `AnswersError` names a file that cannot be read. A vector
without an answer is skipped. If more vectors are skipped than answered, or if the capabilities
exclude nearly all vectors, the report says so and the exit code is 3.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.oracle.cases.recipe import DIFFERENTIAL
from manualnn.oracle.checks.conventions import settle
from manualnn.oracle.checks.ledger import Ledger
from manualnn.oracle.checks.trial import Faulty, Skipped, Trial
from manualnn.oracle.diagnosis.diagnose import diagnose
from manualnn.oracle.engines.client import EngineClient, connect
from manualnn.oracle.engines.faults import EngineError, Fault
from manualnn.oracle.engines.messages import read_arrays
from manualnn.oracle.engines.validation import map_result
from manualnn.oracle.findings import CheckResult, Finding
from manualnn.oracle.protocol.capabilities import DTYPES, RETURNS, Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.claims import Claim, ClaimError
from manualnn.oracle.protocol.features import TABLES
from manualnn.oracle.report.report import Report
from manualnn.oracle.truth.compare import group_of
from manualnn.oracle.truth.extended import truth_statement
from manualnn.oracle.vectors.draw import of_dtype, vector_cases
from manualnn.oracle.vectors.files import Vectors, read_vectors

CLAIMS = "capabilities.json"
DIAGNOSED = 6
"""Number of findings that are diagnosed; each takes up to two seconds."""
FEWEST = 0.05
"""Smallest share of the vectors that has to be judged."""
Key = tuple[str, str]
"""A vector's id and a dtype."""


class AnswersError(EngineError):
    """A folder holds no answers, or answers that cannot be read."""


def judge_answers(folder: str | Path, vectors: str | Path | None = None) -> Report:
    """Return the report on a folder of answers."""
    started, folder = time.perf_counter(), Path(folder)
    given = Vectors(0, vector_cases()) if vectors is None else read_vectors(vectors)
    cases = given.cases
    answers = dict(_read_answers(folder, {case.id for case in cases}))
    claims = _read_claims(folder, given, answers)
    report = Report(f"answers in {folder}", claims, "vectors", given.seed, truth_statement())
    tally = Tally(report)
    with connect(Recorded(claims, answers)) as bench:
        settle(bench, [of_dtype(case, dtype) for case in cases for dtype in claims.dtypes])
        report.capabilities = replace(claims, conventions=bench.capabilities.conventions)
        for case in cases:
            for dtype in claims.dtypes:
                tally.judge(bench, of_dtype(case, dtype))
        tally.diagnose(bench)
    tally.conclude()
    report.seconds = time.perf_counter() - started
    return report


class Recorded:
    """An engine that returns recorded answers to the vectors, and skips all other cases."""

    def __init__(self, claims: Capabilities, answers: Mapping[Key, Mapping[str, Any]]) -> None:
        self._claims = claims
        self._answers = answers

    def capabilities(self) -> Capabilities:
        """Return the capabilities, with torch's layout of weights, because `step` transposes them.

        The gradients of a first step do not depend on the optimizer or its state. So answers of
        engines without optimizers are judged for vectors of one step with any optimizer.
        """
        claims = replace(self._claims, weight_layout="out,in")
        if claims.optimizers:
            return claims
        return replace(claims, optimizers=_all("optimizers"), accepts_state=True)

    def step(self, case: Case) -> Mapping[str, Any]:
        """Return the recorded answer to a case."""
        answer = self._answers.get((of_dtype(case, "float64").id, case.dtype))
        if answer is None:
            return {"skipped": "the vector has no answer"}
        if "skipped" in answer or self._claims.weight_layout == "out,in":
            return answer
        weights = ("grads.", "params.", "state.")
        return map_result(
            answer, lambda name, a: np.transpose(a) if name.startswith(weights) else a
        )


def _read_answers(folder: Path, ids: set[str]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """Yield every answer of a folder. Raises AnswersError for one that cannot be read."""
    places: dict[Key, str] = {}
    for place, content in _read_objects(folder):
        if not isinstance(content, Mapping):
            raise AnswersError(f"{place} is not a JSON object; an answer has 'id' and 'result'.")
        key = (str(content.get("id")), str(content.get("dtype", "float64")))
        if key[0] not in ids:
            raise AnswersError(
                f"{place} answers {key[0]!r}, which is none of the {len(ids)} vectors; if they are "
                "of another seed or version, name their folder with --vectors."
            )
        if key[1] not in DTYPES:
            raise AnswersError(f"{place} has dtype {key[1]!r}; it has to be one of {DTYPES}.")
        if key in places:
            raise AnswersError(f"{place} answers {key[0]} in {key[1]} again, after {places[key]}.")
        places[key] = place
        if "skipped" in content:
            yield key, {"skipped": str(content["skipped"])}
        elif isinstance(content.get("result"), Mapping):
            try:
                yield key, read_arrays(content["result"], folder)
            except Fault as error:
                raise AnswersError(f"{place}: {error}") from error
        else:
            raise AnswersError(f"{place} has neither a 'result' nor 'skipped' with a reason.")
    if not places:
        raise AnswersError(
            f"{folder} holds no answers; write one JSON object with 'id', 'dtype' and 'result' for "
            "every vector, in files *.json, or a line each in a file *.jsonl."
        )


def _read_objects(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.jsonl")]):
        if path.name == CLAIMS:
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            yield str(path), _parse(str(path), content)
            continue
        for number, line in enumerate(content.splitlines(), 1):
            if line.strip():
                yield f"{path}:{number}", _parse(f"{path}:{number}", line)


def _parse(place: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise AnswersError(f"{place} is not JSON: {error}") from error


def _read_claims(
    folder: Path, vectors: Vectors, answers: Mapping[Key, Mapping[str, Any]]
) -> Capabilities:
    """Return the capabilities in capabilities.json, or else those that the vectors are for.

    Without both, infer them from the answers: every feature, and each kind of result that all
    answers hold. Only vectors with an optimizer can return parameters and state.
    """
    path = folder / CLAIMS
    if path.is_file():
        try:
            return Capabilities.read(_parse(str(path), path.read_bytes()))
        except ClaimError as error:
            raise AnswersError(f"{path} holds no valid capabilities: {error}") from error
    if vectors.claims is not None:
        return Capabilities.read(vectors.claims)
    updated = {case.id for case in vectors.cases if case.optimizer}
    returned = ["loss", "grads"]
    for name in RETURNS:
        relevant = [
            answer
            for (vector, _), answer in answers.items()
            if "skipped" not in answer and (name not in {"params", "state"} or vector in updated)
        ]
        if name not in returned and relevant and all(name in answer for answer in relevant):
            returned.append(name)
    return Capabilities.read(
        {
            **{kind: _all(kind) for kind in TABLES},
            "name": folder.name,
            "dtypes": [dtype for dtype in DTYPES if any(key[1] == dtype for key in answers)],
            "returns": returned,
            "accepts_state": True,
            "max_steps": 10**9,
            "empty_batch": True,
        }
    )


def _all(kind: str) -> dict[str, Claim]:
    """Return the claim of all layers, losses or optimizers with every option."""
    return {name: dict.fromkeys(options, "any") for name, options in TABLES[kind].items()}


@dataclass
class Tally:
    """Judges answers one by one and collects the results of the report."""

    report: Report
    results: dict[str, CheckResult] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    skipped: int = 0
    refused: int = 0

    def judge(self, bench: EngineClient, case: Case) -> None:
        """Judge the answer to one vector."""
        if bench.capabilities.refuses(case):
            self.refused += 1
            return
        trial = Trial(bench, f"{case.recipe}:outputs", case, self.ledger)
        try:
            trial.ask_base()
        except Skipped:
            self.skipped += 1
            self._add(trial.check, "skipped")
        except Faulty as faulty:
            self._add(trial.check, "errored", trial.fault(faulty), case)
        else:
            self.report.cases += 1
            self._compare(trial)

    def diagnose(self, bench: EngineClient) -> None:
        """Diagnose the first finding of the first failed checks, from the recorded answers."""
        failed = [result for result in self.results.values() if result.findings]
        for result in failed[:DIAGNOSED]:
            finding = result.findings[0]
            result.findings[0] = replace(finding, diagnosis=diagnose(bench, finding))

    def conclude(self) -> None:
        """Complete the report."""
        report = self.report
        report.results = list(self.results.values())
        report.sharpness = self.ledger.sharpness(plain=True)
        report.sharpness_overall = self.ledger.sharpness()
        report.undecided = self.ledger.undecided_share()
        report.entries = self.ledger.entries
        if report.cases <= self.skipped:
            report.problems.append(
                f"only {report.cases} of {report.cases + self.skipped} vectors are answered"
            )
        elif report.cases < FEWEST * (every := report.cases + self.skipped + self.refused):
            report.problems.append(
                f"only {report.cases} of {every} vectors are within the claims; claims without "
                "optimizers include the loss and the gradients of vectors with any optimizer"
            )

    def _compare(self, trial: Trial) -> None:
        wrong, right = trial.verdict
        for judgement in DIFFERENTIAL:
            trial.check = f"{trial.case.recipe}:{judgement}"
            entries = [entry for entry in wrong if group_of(entry.quantity) == judgement]
            if entries:
                message = f"{judgement} differ from the truth by more than rounding"
                self._add(trial.check, "failed", trial.finding(message, entries, right), trial.case)
            elif any(group_of(name) == judgement for name in right):
                self._add(trial.check, "passed")

    def _add(
        self, check: str, status: str, finding: Finding | None = None, case: Case | None = None
    ) -> None:
        sentence = "answers to vectors lie within the bound of the truth"
        result = self.results.setdefault(check, CheckResult(check, sentence, "skipped"))
        if status == "skipped":
            result.skipped += 1
            return
        result.cases += 1
        order = ("skipped", "passed", "errored", "failed")
        result.status = max(result.status, status, key=order.index)
        if finding is not None and case is not None:
            vector = f"vector {of_dtype(case, 'float64').id}"  # the id of the file, in every dtype
            result.findings.append(replace(finding, message=f"{vector}: {finding.message}"))
