"""Named bugs that explain a finding: the same cause as that of an earlier finding.

named_causes(bench, known, finding)      the named bugs that explain it; empty if none do
gives(bench, known, finding)             True if an engine with them has the same finding
client_for(bench, check)                 the client for the cases of a check
"""

from manualnn.oracle.cases.neighbours import similar_calls
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.diagnosis.diagnose import is_about_numbers, signature
from manualnn.oracle.diagnosis.names.hypotheses import Hypothesis
from manualnn.oracle.diagnosis.names.known import UPDATES, Known
from manualnn.oracle.diagnosis.observation import observe
from manualnn.oracle.diagnosis.updates import explains_update
from manualnn.oracle.engines.client import EngineClient, connect
from manualnn.oracle.findings import Finding


def named_causes(bench: EngineClient, known: Known, finding: Finding) -> list[Hypothesis]:
    """Return the named bugs that explain a finding and similar cases; empty if none do."""
    if not known.hypotheses or not finding.repeatable:
        return []
    if not is_about_numbers(finding) and gives(bench, known, finding):
        return acting_causes(known, finding)
    client, calls = client_for(bench, finding.check), finding.calls or (finding.case,)
    seen = observe(client, calls) if is_about_numbers(finding) else None
    causes = known.explaining(seen) if seen is not None else []
    for similar in similar_calls(calls, bench.capabilities) if causes else ():
        other = observe(client, similar, fresh=False)
        if other is not None and other.is_wrong and not known.covers(other):
            return []
    if causes or not explains_update(bench, known, finding):
        return causes
    return [h for h in known.of_rules if h.bug.acts_in(finding.case)]


def acting_causes(known: Known, finding: Finding) -> list[Hypothesis]:
    """Return the named bugs of parts that are in the case; all of them if there is none."""
    return [h for h in known.hypotheses if h.bug.acts_in(finding.case)] or known.hypotheses


def gives(bench: EngineClient, known: Known, finding: Finding) -> bool:
    """Return True if an engine with the named bugs has the same finding."""
    with connect(known.engine) as hypothesis:
        hypothesis.capabilities = bench.capabilities
        other = rejudge(hypothesis, finding.check, finding.case)
    return other is not None and signature(other) == signature(finding)


def client_for(client: EngineClient, check: str) -> EngineClient:
    """Return a client for the cases of a check or of a recipe.

    The results for recipes of losses and layers have no updates, because a bug of an update rule is
    left to the recipes of that rule.
    """
    is_before_update = check.startswith(("loss.", "layer.")) and "grads" in (
        client.capabilities.returns
    )
    return client.omitting(*UPDATES) if is_before_update else client
