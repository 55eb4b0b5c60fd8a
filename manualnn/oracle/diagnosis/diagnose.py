"""What a finding looks like and what it may come from, by asking the engine more.

    diagnose(bench, finding, seconds=2.0)      a Diagnosis; never raises for what the engine does
    diagnose(bench, finding, suspects=ids)     the same; these mistakes are tried before all others

In this order, as far as time goes: which quantity diverges first and which of its entries
(`scopes`), whether by a constant (`ratios`), which known mistakes reproduce the engine's own
numbers (`hypotheses`), and when it fails (`conditions`, `histories`). The case of a finding is
often too small to tell: of one sample and one column every mistake looks alike. So the case is
grown again (`variations`), and what the engine answers to the grown ones decides. A cause is named
if it reproduces all answers; where more than one does and no case tells them apart, each is named;
where none does, none is. A mistake that was named before, and gives all these answers as well, is
named again. The same engine gets the same diagnosis, unless time runs out.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.bug import Bug
from manualnn.oracle.cases.neighbours import admitted, far, near
from manualnn.oracle.cases.resize import valid
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.conditions import condition
from manualnn.oracle.diagnosis.factors import passes_as_float32, precision, related, told
from manualnn.oracle.diagnosis.histories import after_what
from manualnn.oracle.diagnosis.hypotheses import surviving
from manualnn.oracle.diagnosis.location import scope_of
from manualnn.oracle.diagnosis.observation import Observation, observe
from manualnn.oracle.engines.client import EngineClient, EngineError, connect
from manualnn.oracle.findings import Cause, Diagnosis, Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.truth.compare import is_same

UNSTEADY = "asked again, a fresh engine gives other numbers: the same case has not one answer"
LEFT_FOR_CONDITIONS = 0.5
"""So many seconds there are for them, even if all others are spent."""
AGAIN = 3
"""So often a case is asked again, to see that it has one answer."""
MOST = 3
"""So many causes are named at most."""


def diagnose(
    bench: EngineClient, finding: Finding, *, seconds: float = 2.0, suspects: Iterable[str] = ()
) -> Diagnosis:
    """Return what can be said of a finding within about that time."""
    try:
        # Wrong engines give numbers of all kinds; what is NaN or infinite is told as such.
        with np.errstate(all="ignore"):
            return _diagnosed(bench, finding, Budget(seconds), [BUGS[name] for name in suspects])
    except EngineError as error:
        return Diagnosis(finding.entries[0].quantity if finding.entries else "", str(error))


def _diagnosed(
    bench: EngineClient, finding: Finding, budget: Budget, suspects: Sequence[Bug]
) -> Diagnosis:
    own = None if finding.kind != "wrong" else _own(bench, finding, budget)
    if own is None and finding.kind == "wrong" and is_about_numbers(finding):
        return Diagnosis(finding.entries[0].quantity, UNSTEADY)
    if own is None:
        return _of_behaviour(bench, finding, budget)
    if not _steady(bench, own):
        return Diagnosis(scope_of(own)[0], UNSTEADY)
    return _of_numbers(bench, own, budget, suspects)


def _of_numbers(
    bench: EngineClient, own: Observation, budget: Budget, suspects: Sequence[Bug]
) -> Diagnosis:
    trials = [own, *_trials(bench, own, budget)]
    failing = [trial for trial in trials if trial.fails]
    telling = next((t for t in failing[1:] if len(t.calls) == len(own.calls)), own)
    first, scope = scope_of(telling)
    if telling is not own:
        scope += f" (seen with N = {telling.case.n}, widths {_arrow(telling.case)})"
    same = [trial for trial in failing if first in trial.bad]
    ratio = told([related(trial, first) for trial in same[1:4] or same]) or precision(telling)
    bugs = _likely(bench, own, trials, budget, suspects)
    hurried = not bugs and budget.over
    budget = budget.with_at_least(LEFT_FOR_CONDITIONS)
    when, neighbours = _when(bench, own, budget)
    for trial in neighbours if len(bugs) > 1 else ():
        bugs = surviving(bugs, [trial], budget) or bugs
    likely = tuple(_cause(bug) for bug in bugs[:MOST])
    return Diagnosis(first, scope, ratio, when, likely, hurried)


def _of_behaviour(bench: EngineClient, finding: Finding, budget: Budget) -> Diagnosis:
    """Return the diagnosis of an engine that gives no numbers, or does wrong with right ones."""

    def asks(case: Case) -> bool | None:
        if budget.over or bench.capabilities.refuses(case) or not valid(case):
            return None
        if finding.kind == "wrong":
            return rejudge(bench, finding.check, case) is not None
        bench.fresh()
        return bench.run(case).fault == finding.kind

    first = finding.entries[0].quantity if finding.entries else ""
    scope = finding.message.strip().splitlines()[-1] if finding.message.strip() else finding.kind
    likely = _behaving_alike(finding, budget)
    budget = budget.with_at_least(LEFT_FOR_CONDITIONS)
    when = condition(asks, finding.case, bench.capabilities) if finding.kind != "hang" else ""
    return Diagnosis(first, scope, when=when, likely=likely)


def _own(bench: EngineClient, finding: Finding, budget: Budget) -> Observation | None:
    """Return the finding once more: the first wrong call, with no more before it than needed.

    None where no number is wrong.
    """
    calls = finding.calls or (finding.case,)
    trial = observe(bench, calls)
    if trial is None:
        return None
    for i, case in enumerate(calls):
        part = Observation(calls[: i + 1], trial.outcomes[: i + 1], trial.truths[: i + 1])
        if part.fails:
            alone = observe(bench, [case])
            if alone is not None and alone.fails:
                return alone
            return _shortest(bench, part, budget)
    return None


def is_about_numbers(finding: Finding) -> bool:
    """Whether it says that the answer to a case is not the truth; a count of steps is no number."""
    judgement = finding.check.rpartition(":")[2]
    numbers = {entry.quantity for entry in finding.entries} - {"state.step"}
    return judgement in {quantity.partition(".")[0] for quantity in numbers}


def _steady(bench: EngineClient, seen: Observation) -> bool:
    """Whether the same calls have the same answers, a few times more."""
    for _ in range(AGAIN):
        again = observe(bench, seen.calls)
        if again is None or again.got.keys() != seen.got.keys():
            return False
        if not all(is_same(a, again.got[name]) for name, a in seen.got.items()):
            return False
    return True


def _shortest(bench: EngineClient, seen: Observation, budget: Budget) -> Observation:
    """Return the same failure after one call, if that is enough: one of the same dtype first.

    Hypotheses run in longdouble, where calls in several dtypes are not kept apart.
    """
    *earlier, case = seen.calls
    for before in sorted(earlier, key=lambda other: other.dtype != case.dtype):
        pair = observe(bench, [before, case])
        if pair is not None and pair.fails:
            return pair
        if budget.over:
            break
    return seen


def _trials(bench: EngineClient, own: Observation, budget: Budget) -> Iterator[Observation]:
    """Yield what the engine answers to cases near its own."""
    for calls in admitted(near(own.calls), bench.capabilities):
        if budget.over:
            return
        trial = observe(bench, calls, fresh=bench.in_process or len(calls) > 1)
        if trial is not None:
            yield trial


def _likely(
    bench: EngineClient,
    own: Observation,
    trials: Sequence[Observation],
    budget: Budget,
    suspects: Sequence[Bug],
) -> list[Bug]:
    """Return the known mistakes that give all answers of these trials, and of more if need be."""
    # What is wrong everywhere contradicts most hypotheses at once.
    hardest = sorted(trials, key=lambda trial: -len(trial.bad))
    ordered = [*hardest[:1], own, *hardest[1:]]
    bugs = list(suspects)
    for trial in ordered:
        bugs = surviving(bugs, [trial], budget)
    if not bugs:
        bugs = _possible(own)
        for trial in ordered:
            bugs = surviving(bugs, [trial], budget)
    for calls in admitted(far(own.case, bench.capabilities), bench.capabilities):
        if len(bugs) < 2 or budget.over:
            break
        more = observe(bench, calls, fresh=bench.in_process or len(calls) > 1)
        # A trial that none of them explains tells of another mistake.
        if more is not None:
            bugs = surviving(bugs, [more], budget) or bugs
    return bugs


def _possible(own: Observation) -> list[Bug]:
    """Return the bugs that can lead to what is seen: not those of what comes later in a step."""
    if len(own.calls) > 1:
        excluded = {kind for bug in BUGS.values() if (kind := bug.kind) != "memory"}
    elif own.case.steps > 1:
        excluded = set()
    elif "outputs" in own.bad:
        excluded = {"optimizers", "losses"}
    elif {name.partition(".")[0] for name in own.bad} <= {"state", "params"}:
        # Where no gradient is returned, its mistakes show in what follows from it.
        gradients = any(name.startswith("grads.") for name in own.got)
        excluded = {"losses", "activations"} if gradients else set()
    else:
        excluded = {"optimizers"}
    # What shows in whatever is asked, as outputs that are taken too late, is of no one place.
    anywhere = len(own.calls) == 1
    return [
        bug
        for bug in BUGS.values()
        if bug.kind not in excluded or (anywhere and bug.killed_by.startswith("*:"))
    ]


def _behaving_alike(finding: Finding, budget: Budget) -> tuple[Cause, ...]:
    """Return the known mistakes of which the same check finds the same."""
    alike = []
    judgement = finding.check.rpartition(":")[2]
    of_memory = judgement.startswith("memory.") or judgement in {"repeat", "interleaved", "history"}
    for bug in BUGS.values():
        if of_memory and bug.kind != "memory":
            continue
        for factory in bug.engines:
            if budget.over:
                return ()
            with connect(factory) as hypothesis:
                other = rejudge(hypothesis, finding.check, finding.case)
            if other is not None and _look(other) == _look(finding):
                alike.append(bug)
                break
    return tuple(_cause(bug) for bug in alike) if len(alike) <= MOST else ()


def _look(finding: Finding) -> tuple[object, ...]:
    """Return what two findings of the same mistake have in common."""
    lines = finding.message.strip().splitlines()
    entries = tuple((entry.quantity, entry.index) for entry in finding.entries)
    return finding.kind, lines[-1] if lines else "", entries


def _when(bench: EngineClient, own: Observation, budget: Budget) -> tuple[str, list[Observation]]:
    """Return under which condition it fails, and what the engine answered to find that out."""
    seen: list[Observation] = []
    # That float32's wider bounds do not show it is no condition of the mistake.
    hidden = "float32" if own.case.dtype == "float64" and passes_as_float32(own) else None

    def asks_all(calls: Sequence[Case]) -> bool | None:
        if calls[-1].dtype == hidden:
            return None
        refused = any(bench.capabilities.refuses(case) or not valid(case) for case in calls)
        if refused or budget.over:
            return None
        trial = observe(bench, calls, fresh=bench.in_process or len(calls) > 1)
        if trial is None:
            return None
        seen.append(trial)
        return trial.fails

    if len(own.calls) > 1:
        return after_what(asks_all, own.case), seen
    return condition(lambda case: asks_all([case]), own.case, bench.capabilities), seen


def _cause(bug: Bug) -> Cause:
    return Cause(bug.id, bug.title, bug.wrong, bug.right)


def _arrow(case: Case) -> str:
    linear = [layer["out_features"] for layer in case.layers if layer["type"] == "Linear"]
    return "→".join(map(str, [case.widths[0], *linear]))
