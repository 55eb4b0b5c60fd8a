"""Findings of updates, judged by the engine's own gradients, whatever other bugs those have.

is_update(finding)                       True if an update is the first that is wrong
update_is_wrong(bench, finding)          True if the rule is at fault
explains_update(bench, known, finding)   True if named bugs of rules give the update
"""

from manualnn.oracle.checks.trajectory import judge_own_updates, updates_by
from manualnn.oracle.checks.trial import Declined, Faulty, Trial
from manualnn.oracle.diagnosis.names.known import UPDATES, Known
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Finding
from manualnn.oracle.truth.compare import group_of

NEEDED = {"grads", "params"}
"""What an engine has to return, so that its updates can be judged by its gradients."""


def is_update(finding: Finding) -> bool:
    """Return True if the first wrong quantity of a finding is one of an update."""
    return bool(finding.entries) and group_of(finding.entries[0].quantity) in UPDATES


def update_is_wrong(bench: EngineClient, finding: Finding) -> bool:
    """Return True if an update does not follow from the engine's own gradients.

    Then the rule is at fault, whatever else is. Wrong updates of earlier steps change all
    quantities of a later step, so several steps are judged from the first one on.
    """
    case, judgement = finding.case, finding.check.rpartition(":")[2]
    if judgement in {"lr.zero", "update.own_gradient"}:
        return True
    if case.steps == 1:
        return is_update(finding)
    if not set(bench.capabilities.returns) >= NEEDED:
        return False
    if bench.is_python:
        bench.fresh()
    try:
        return judge_own_updates(Trial(bench, finding.check, case), *UPDATES) is not None
    except (Declined, Faulty):
        return False


def explains_update(bench: EngineClient, known: Known, finding: Finding) -> bool:
    """Return True if the named bugs explain an update, given the engine's own gradients."""
    case = finding.case
    is_judged = case.steps == 1 and set(bench.capabilities.returns) >= NEEDED
    if not known.of_rules or not is_update(finding) or not is_judged:
        return False
    if bench.is_python:
        bench.fresh()
    trial = Trial(bench, finding.check, case)
    try:
        near = updates_by(trial, case, [trial.base])
    except (Declined, Faulty):
        return False
    return trial.outcome is not None and known.explains_update(case, trial.outcome, near)
