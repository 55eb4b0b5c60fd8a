"""The report of a saved failure that is judged again.

    rerun(failure, target)      a report with one result for each check that failed

A check that passes now is "passed". If its failure was not seen again in its own run either, that
proves nothing: the check is "skipped", and the report has a problem.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

from manualnn.oracle.checks.conventions import settle
from manualnn.oracle.diagnosis.explainer import Explainer
from manualnn.oracle.engines.client import EngineClient, connect
from manualnn.oracle.findings import CheckResult
from manualnn.oracle.replay import Failure, ReplayError, again
from manualnn.oracle.report.report import Report
from manualnn.oracle.runner import checks_for
from manualnn.oracle.truth.extended import truth_statement

UNDECIDED = "it failed once in the run, and not when it was repeated there; run again"


def rerun(failure: Failure, target: str, **connection: Any) -> Report:
    """Judge a failure again; raises ReplayError if the engine no longer claims its case."""
    began = time.perf_counter()
    with connect(target, **connection) as client:
        settle(client)
        refused = client.capabilities.refuses(failure.case)
        if refused:
            raise ReplayError(
                f"{target} no longer claims what the case {failure.case.id} needs: {refused}."
            )
        explainer = Explainer(client, math.inf)
        sentences = dict(checks_for(client.capabilities))
        results = [_judge(client, explainer, failure, check, sentences) for check in failure.checks]
        report = Report(target, client.capabilities, "replay", 0, truth_statement(), results)
    report.cases = len(results)
    report.problems += (f"{r.id}: {r.reason}" for r in results if r.status == "skipped")
    report.seconds = time.perf_counter() - began
    return report


def _judge(
    client: EngineClient,
    explainer: Explainer,
    failure: Failure,
    check: str,
    sentences: Mapping[str, str],
) -> CheckResult:
    finding = again(client, check, failure)
    result = CheckResult(check, sentences.get(check, check), "passed", cases=1)
    if finding is not None:
        result.findings.append(explainer.diagnosed(finding))
        result.settle(blocked=False)
    elif not failure.repeatable:
        result.status, result.reason = "skipped", UNDECIDED
    return result
