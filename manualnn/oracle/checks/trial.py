"""One case under judgement: calls of the engine, comparisons with the truth, the finding.

    trial = Trial(bench, check_id, case)
    trial.base                   the engine's result for the case, {"grads.0.weight": …}
    trial.ask(other)             the engine's result for another case
    trial.truth(other)           the true values of a case, with bounds
    trial.compare(got, truths)   wrong entries and right quantities
    trial.finding(…)             the finding, with every call that led to it

`Declined`: this check does not apply to this case, or the engine refused it. `Faulty`: the call
raised, hung, crashed or returned no valid result. Entries without a bound are not compared;
`Ledger` counts them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from manualnn.errors import OracleError
from manualnn.oracle.checks.ledger import Ledger
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.engines.examination import Examination
from manualnn.oracle.findings import Entry, Finding, Outcome
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.compare import (
    Comparison,
    compare,
    find_differences,
    group_of,
    truth_arrays,
)
from manualnn.oracle.truth.step import Expected, truth

TAME = ("loss.", "layer.")
"""Prefixes of recipes that do not aim at kinks. There an undecided slope is a lost comparison."""


class Declined(OracleError):  # noqa: N818 - a signal: there is nothing to judge
    """The check does not apply to this case, or the engine refused it."""


class Follows(Declined):
    """A quantity cannot be judged because it follows from another one, which is wrong."""


class Skipped(Declined):
    """The engine refused a case that its capabilities include."""


class Faulty(OracleError):  # noqa: N818 - a signal: the error is the engine's
    """A call of the engine ended without a valid result."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


def at_first_step(case: Case) -> Case:
    """Return the case without optimizer state, of one step."""
    return case.but(state=None, steps=1)


def is_per_sample(name: str) -> bool:
    """Return True if an array of a case has a row for each sample."""
    return group_of(name) in {"x", "t", "noise", "sample_weights"}


@dataclass
class Trial:
    """A case, and the calls of the engine that judging it needed."""

    bench: EngineClient
    check: str
    case: Case
    ledger: Ledger = field(default_factory=Ledger)
    calls: list[Case] = field(default_factory=list)
    """The calls since the engine was last fresh, or since the check began."""
    in_new_process: bool = True
    """True if a fresh engine is a new process, without history in the globals of modules.

    That is so only where a new process is cheap.
    """
    known_truths: dict[int, tuple[Case, Expected]] = field(default_factory=dict)
    outcome: Outcome | None = None
    """The engine's outcome for the case itself, once it was called."""

    @cached_property
    def base(self) -> dict[str, Any]:
        """The engine's result for the case itself. The engine is called once."""
        self.outcome = self.bench.run(self.case)
        return self._result(self.outcome)

    def ask_base(self) -> dict[str, Any]:
        """Return `base` and count it among the calls."""
        self.calls.append(self.case)
        return self.base

    def ask(self, case: Case) -> dict[str, Any]:
        """Return the engine's result for a case. Raises Declined or Faulty if there is none."""
        self._accept(case)
        return self._result(self.bench.run(case))

    def ask_in_layout(self, case: Case, layout: str) -> dict[str, Any]:
        """Return the engine's result for a case with arrays in another memory layout."""
        self._accept(case)
        return self._result(self.bench.examine(case, layout=layout).outcome)

    @cached_property
    def facts(self) -> Examination:
        """The facts about memory for the case itself and a next call with the rows reversed."""
        following = self.case.map(lambda name, a: a[::-1].copy() if name in ("x", "t") else a)
        examination = self.bench.examine(self.case, then=following)
        self._result(examination.outcome)
        return examination

    def _accept(self, case: Case) -> None:
        """Add the case to the calls. Raises Declined if the engine does not claim it."""
        if reason := self.bench.capabilities.refuses(case):
            raise Declined(reason)
        self.calls.append(case)

    def fresh(self) -> None:
        """Start a fresh engine, without history."""
        self.renew()
        self.calls.clear()

    def renew(self) -> None:
        """Remove the engine's history: see `in_new_process`."""
        if self.in_new_process and self.bench.restarts_cheaply:
            self.bench.restart()
        else:
            self.bench.fresh()

    def varies(self, case: Case, answer: Mapping[str, Any]) -> bool:
        """Return True if fresh engines give different results for the same case."""
        calls = list(self.calls)
        varied = False
        for i in range(12 if self.bench.is_python else 4):
            if i < 3:
                self.renew()
            else:
                self.bench.fresh()
            varied = varied or bool(find_differences(self.ask(case), answer))
        self.calls[:] = calls
        return varied

    def _result(self, outcome: Outcome) -> dict[str, Any]:
        self.ledger.calls += 1
        if outcome.skipped is not None:
            raise Skipped(outcome.skipped)
        if outcome.fault is not None:
            raise Faulty(outcome)
        named = outcome.quantities()
        step = (outcome.result or {}).get("state", {}).get("step")
        return named if step is None else named | {"state.step": step}

    def truth(self, case: Case) -> Expected:
        """Return the true results of a case. They are computed once."""
        if id(case) not in self.known_truths:
            expected = truth(case, Precision.of(case.dtype, self.bench.capabilities))
            # The case is stored too, so that no other case gets its id.
            self.known_truths[id(case)] = case, expected
        return self.known_truths[id(case)][1]

    @property
    def has_truth(self) -> bool:
        """True if the truth of the case itself is known already."""
        return id(self.case) in self.known_truths

    @cached_property
    def verdict(self) -> Comparison:
        """The comparison of the case itself with the truth."""
        if "base" not in self.__dict__:
            self.bench.begin(self.case)
        self.truth(self.case)  # while the engine computes
        if self.case.recipe.startswith(TAME):
            undecided, jumps = self.truth(self.case).undecided
            self.ledger.undecided += undecided
            self.ledger.jumps += jumps
        return self.compare_with_truth(self.case, self.base)

    def compare_with_truth(self, case: Case, got: Mapping[str, Any]) -> Comparison:
        """Compare the engine's result for a case with the truth."""
        expected = self.truth(case)
        return self.compare(got, expected.quantities(), expected.steps)

    def compare(
        self, got: Mapping[str, Any], truths: Mapping[str, Bounded], steps: int
    ) -> Comparison:
        """Compare a result with truths, and the optimizer's number of steps with `steps`."""
        values, bounds = truth_arrays(truths, got)
        self.ledger.note_case(self.case, values, bounds)
        entries, right = compare(got, values, bounds)
        if got.get("state.step", steps) != steps:
            wrong = Entry("state.step", (), got["state.step"], steps, 0)
            earlier = [e for e in entries if not e.quantity.startswith("params")]
            entries = (*earlier, wrong, *entries[len(earlier) :])
        return entries, right

    def require_right(self, case: Case, got: Mapping[str, Any], *names: str) -> None:
        """Raise Declined if one of these quantities is wrong, because later ones follow from it."""
        quantities = self.truth(case).quantities()
        values, bounds = truth_arrays({name: quantities[name] for name in names}, got)
        entries, _ = compare(got, values, bounds)
        if entries:
            raise Declined(f"{entries[0].quantity} is wrong already")

    def finding(
        self, message: str, entries: Iterable[Entry] = (), right: Iterable[str] = ()
    ) -> Finding:
        """Return the finding that follows from the calls so far."""
        return Finding(
            self.check,
            self.case,
            tuple(self.calls),
            message=message,
            entries=tuple(entries),
            right=tuple(right),
        )

    def fault(self, faulty: Faulty) -> Finding:
        """Return the finding of a call that ended without a valid result."""
        kind, message = faulty.outcome.fault or "error", faulty.outcome.message
        return replace(self.finding(message), kind=kind)
