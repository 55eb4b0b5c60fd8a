"""Answers to the conformance vectors, judged: for engines that wrote them to files.

    judge_answers("answers")                 a `Report`, as a run of an engine gives one
    judge_answers("answers", "vectors")      about the vectors of a folder; else those of seed 0

VECTORS.md says what a folder of answers holds. `AnswersError` says what of it cannot be read. A
vector without an answer is skipped. More skipped than answered, or nearly all beyond what is
claimed, is too little to say anything.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.oracle.cases.recipe import DIFFERENTIAL
from manualnn.oracle.checks.ledger import Ledger
from manualnn.oracle.diagnosis.diagnose import diagnose
from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.engines.client import EngineClient, connect
from manualnn.oracle.engines.faults import EngineError, Fault
from manualnn.oracle.engines.messages import arrays_of
from manualnn.oracle.engines.validation import map_result
from manualnn.oracle.findings import CheckResult, Finding, Outcome
from manualnn.oracle.protocol.capabilities import DTYPES, RETURNS, Capabilities, Claim, ClaimError
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import TABLES
from manualnn.oracle.report.report import Report
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.compare import compare
from manualnn.oracle.truth.extended import truth_statement
from manualnn.oracle.truth.step import truth
from manualnn.oracle.vectors.draw import of_dtype, vector_cases
from manualnn.oracle.vectors.files import read_vectors

CLAIMS = "capabilities.json"
DIAGNOSED = 6
"""Findings that are explained: it takes up to two seconds each."""
FEWEST = 0.05
"""The share of the vectors that has to be judged to say anything."""
Key = tuple[str, str]
"""A vector's id, and a dtype."""


class AnswersError(EngineError):
    """A folder holds no answers, or some that cannot be understood."""


def judge_answers(folder: str | Path, vectors: str | Path | None = None) -> Report:
    """Return the report on a folder of answers."""
    started, folder = time.perf_counter(), Path(folder)
    seed, cases = (0, vector_cases()) if vectors is None else read_vectors(vectors)
    answers = dict(_answers(folder, {case.id for case in cases}))
    claims = _claims(folder, answers, {case.id for case in cases if case.optimizer})
    report = Report(f"answers in {folder}", claims, "vectors", seed, truth_statement())
    tally = _Tally(report)
    with connect(Recorded(claims, answers)) as bench:
        for case in cases:
            for dtype in claims.dtypes:
                tally.judge(bench, of_dtype(case, dtype))
        tally.diagnose(bench)
    tally.conclude()
    report.seconds = time.perf_counter() - started
    return report


class Recorded:
    """An engine that knows the answers to the vectors, and no others."""

    def __init__(self, claims: Capabilities, answers: Mapping[Key, Mapping[str, Any]]) -> None:
        self._claims = claims
        self._answers = answers

    def capabilities(self) -> Capabilities:
        """Return what is claimed, weights as torch lays them out: `step` turns them.

        The gradients of a first step owe nothing to optimizer or state, so an engine without
        optimizers answers the vectors of one step too.
        """
        claims = replace(self._claims, weight_layout="out,in")
        if claims.optimizers:
            return claims
        return replace(claims, optimizers=_all("optimizers"), accepts_state=True)

    def step(self, case: Case) -> Mapping[str, Any]:
        """Return the recorded answer to a case."""
        answer = self._answers.get((of_dtype(case, "float64").id, case.dtype))
        if answer is None:
            return {"skipped": "there is no answer to it"}
        if "skipped" in answer or self._claims.weight_layout == "out,in":
            return answer
        turned = ("grads.", "params.", "state.")
        return map_result(answer, lambda name, a: np.transpose(a) if name.startswith(turned) else a)


def _answers(folder: Path, ids: set[str]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """Yield every answer of a folder; AnswersError where one cannot be understood."""
    places: dict[Key, str] = {}
    for place, content in _objects(folder):
        if not isinstance(content, Mapping):
            raise AnswersError(f"{place} is no JSON object; an answer has 'id' and 'result'.")
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
                yield key, arrays_of(content["result"], folder)
            except Fault as error:
                raise AnswersError(f"{place}: {error}") from error
        else:
            raise AnswersError(f"{place} has neither a 'result' nor 'skipped' with a reason.")
    if not places:
        raise AnswersError(
            f"{folder} holds no answers; write one JSON object with 'id', 'dtype' and 'result' for "
            "every vector, in files *.json, or a line each in a file *.jsonl."
        )


def _objects(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.jsonl")]):
        if path.name == CLAIMS:
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            yield str(path), _parsed(str(path), content)
            continue
        for number, line in enumerate(content.splitlines(), 1):
            if line.strip():
                yield f"{path}:{number}", _parsed(f"{path}:{number}", line)


def _parsed(place: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise AnswersError(f"{place} is no JSON: {error}") from error


def _claims(
    folder: Path, answers: Mapping[Key, Mapping[str, Any]], updated: set[str]
) -> Capabilities:
    """Return what capabilities.json says; else everything, and of results what all of them hold.

    `updated` are the ids of the vectors that have parameters and state to return.
    """
    path = folder / CLAIMS
    if path.is_file():
        try:
            return Capabilities.read(_parsed(str(path), path.read_bytes()))
        except ClaimError as error:
            raise AnswersError(f"{path} cannot be understood: {error}") from error
    held = ["loss", "grads"]
    for name in RETURNS:
        asked = [
            answer
            for (vector, _), answer in answers.items()
            if "skipped" not in answer and (name not in {"params", "state"} or vector in updated)
        ]
        if name not in held and asked and all(name in answer for answer in asked):
            held.append(name)
    return Capabilities.read(
        {
            **{kind: _all(kind) for kind in TABLES},
            "name": folder.name,
            "dtypes": [dtype for dtype in DTYPES if any(key[1] == dtype for key in answers)],
            "returns": held,
            "accepts_state": True,
            "max_steps": 10**9,
            "empty_batch": True,
        }
    )


def _all(kind: str) -> dict[str, Claim]:
    """Return a claim of all layers, losses or optimizers with every option."""
    return {name: dict.fromkeys(options, "any") for name, options in TABLES[kind].items()}


@dataclass
class _Tally:
    """Judges answers and makes the report's results of them."""

    report: Report
    results: dict[str, CheckResult] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    jumps: list[tuple[int, int]] = field(default_factory=list)
    skipped: int = 0
    refused: int = 0

    def judge(self, bench: EngineClient, case: Case) -> None:
        """Judge the answer to one vector."""
        if bench.capabilities.refuses(case):
            self.refused += 1
            return
        outcome = bench.run(case)
        if outcome.fault is not None:
            finding = Finding(
                f"{case.recipe}:outputs", case, (case,), outcome.fault, outcome.message
            )
            self._add(finding.check, "errored", finding)
        elif outcome.skipped is not None:
            self.skipped += 1
            self._add(f"{case.recipe}:outputs", "skipped")
        else:
            self._compare(case, outcome, Precision.of(case.dtype, bench.capabilities))

    def diagnose(self, bench: EngineClient) -> None:
        """Explain the first finding of the first checks that failed, by the recorded answers."""
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
        undecided, entries = (sum(column) for column in zip(*self.jumps, (0, 0), strict=True))
        report.undecided = undecided / max(entries, 1)
        if report.cases <= self.skipped:
            report.problems.append(
                f"only {report.cases} of {report.cases + self.skipped} vectors are answered"
            )
        elif report.cases < FEWEST * (every := report.cases + self.skipped + self.refused):
            report.problems.append(
                f"only {report.cases} of {every} vectors are within the claims; claims without "
                "optimizers admit those of every optimizer, for the loss and the gradients"
            )

    def _compare(self, case: Case, outcome: Outcome, kind: Precision) -> None:
        trial = Observation((case,), (outcome,), (truth(case, kind),))
        self.report.cases += 1
        self.report.entries += sum(array.size for array in trial.got.values())
        self.jumps += kind.jumps
        self.ledger.note_case(case, {name: trial.expected[name] for name in trial.got})
        wrong, right = compare(trial.got, trial.expected)
        for judgement in DIFFERENTIAL:
            named = [name for name in trial.got if name.partition(".")[0] == judgement]
            entries = tuple(entry for entry in wrong if entry.quantity in named)
            check = f"{case.recipe}:{judgement}"
            if entries:
                message = f"{judgement} farther from the truth than rounding explains"
                finding = Finding(check, case, (case,), "wrong", message, entries, right)
                self._add(check, "failed", finding)
            elif named:
                self._add(check, "passed")

    def _add(self, check: str, status: str, finding: Finding | None = None) -> None:
        sentence = "answers to vectors lie within the bound of the truth"
        result = self.results.setdefault(check, CheckResult(check, sentence, "skipped"))
        if status == "skipped":
            result.skipped += 1
            return
        result.cases += 1
        order = ("skipped", "passed", "errored", "failed")
        result.status = max(result.status, status, key=order.index)
        if finding is not None:
            result.findings.append(finding)
