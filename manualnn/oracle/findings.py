"""Results of calling and judging an engine, as plain data.

`Outcome` is the result of one call of `step`. `Finding` is one failed check on one case: reports
print it, the shrinker simplifies its case, and the diagnosis explains it. `CheckResult` holds the
status of one check with its findings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from manualnn.oracle.protocol.case import Case

FAULTS = ("error", "crash", "hang", "garbage", "malformed")
"""Kinds of failed calls. error: an exception or an `errored` reply; crash: the process ended;
hang: no reply within the time limit; garbage: a reply that is not one line of JSON; malformed: a
result with a wrong shape, dtype or name."""
STATUSES = (
    *("passed", "failed", "errored", "expected", "unexpected"),
    *("not_judged", "not_claimed", "skipped"),
)
"""Statuses of a check. failed: wrong numbers; errored: a failed call; expected: a failure that the
file of expected failures lists; unexpected: the file lists the check, but it passes; not_judged:
its cases need another feature, which fails; not_claimed: the capabilities exclude it; skipped: the
engine skipped all of its cases."""
FAILING = ("failed", "errored")
"""Statuses that fail a run, apart from "unexpected"."""


@dataclass(frozen=True)
class Outcome:
    """The result of one call, or the reason why there is none."""

    result: Mapping[str, Any] | None = None
    """Arrays of the case's dtype in torch's layout, the loss as a 0-d array. See `case`."""
    skipped: str | None = None
    """The engine's reason for skipping the case."""
    fault: str | None = None
    """The kind of failed call, one of FAULTS."""
    message: str = ""
    """Details of a failed call, such as the traceback, the text on stdout or the exit code."""

    def quantities(self) -> dict[str, Any]:
        """Return every array under its full name, as `Expected.quantities` does."""
        result = self.result or {}
        named = {name: result[name] for name in ("outputs", "loss") if name in result}
        named |= {f"grads.{key}": a for key, a in result.get("grads", {}).items()}
        if "input_grad" in result:
            named["input_grad"] = result["input_grad"]
        for name, group in result.get("state", {}).items():
            if name != "step":
                named |= {f"state.{name}.{key}": a for key, a in group.items()}
        return named | {f"params.{key}": a for key, a in result.get("params", {}).items()}


@dataclass(frozen=True)
class Excerpt:
    """The part of an array around its first wrong entry, as nested lists."""

    start: tuple[int, ...]
    """Index of the part's first entry in the array."""
    shape: tuple[int, ...]
    """Shape of the whole array."""
    got: Any
    expected: Any
    bound: Any
    wrong: Any
    """True for each entry that is wrong."""


@dataclass(frozen=True)
class Entry:
    """One wrong entry of one array."""

    quantity: str
    """The array's full name, such as "grads.0.weight"; the index of "loss" is ()."""
    index: tuple[int, ...]
    got: float
    expected: float
    bound: float
    """Largest possible |got − expected| of a correct engine; 0 where equality is required."""
    wrong: int = 1
    """Number of wrong entries in the array."""
    size: int = 1
    """Number of entries in the array."""
    array: Excerpt | None = field(default=None, compare=False, repr=False)
    """The array around the entry; None where a single number was compared."""


@dataclass(frozen=True)
class Cause:
    """A known bug that explains a finding."""

    bug: str
    """The bug's id in the catalogue, such as "mean-for-sum-bias"."""
    title: str
    wrong: str
    """The equation that the engine seems to compute."""
    right: str
    """The correct equation."""


@dataclass(frozen=True)
class Diagnosis:
    """Description of a finding: which numbers are wrong, when, and the likely causes."""

    first: str
    """The first wrong quantity, in the order of a training step."""
    scope: str
    """A sentence about which entries are wrong and which quantities are right."""
    ratio: str = ""
    """The factor c and its likely meaning where got ≈ c · truth; otherwise empty."""
    when: str = ""
    """The condition of the failure, from nearby cases: "only when N equals a width"."""
    likely: tuple[Cause, ...] = ()
    """Bugs that reproduce the engine's numbers. Several of them are alternatives that the cases do
    not distinguish, unless `together`."""
    hurried: bool = False
    """True if the time limit was reached before any known bug was found to explain the finding."""
    together: bool = False
    """True if all likely bugs act in this case."""
    unknown: str = ""
    """The reason why no bug is named."""


@dataclass(frozen=True, eq=False)
class Finding:
    """One failed check on one case."""

    check: str
    """The check's id, such as "loss.MSELoss:grads"."""
    case: Case
    """The case on which the check failed; with the check's id it reproduces the failure."""
    calls: tuple[Case, ...]
    """All cases sent to a fresh engine, in order; `entries` belong to the last one."""
    kind: str = "wrong"
    """"wrong" for wrong numbers, or one of FAULTS."""
    message: str = ""
    """The assertion that failed, as a sentence; or the message of a failed call."""
    entries: tuple[Entry, ...] = ()
    """The first wrong entry of every wrong quantity, in the order of a training step."""
    right: tuple[str, ...] = ()
    """Quantities that were compared and are right."""
    blamed: tuple[str, ...] = ()
    """Features without which the engine is right on the case; empty if they are not known."""
    minimal: bool = False
    """True if the shrinker has finished with the case."""
    repeatable: bool = True
    """False if the check failed once, but passed in a new process and after the recent calls."""
    diagnosis: Diagnosis | None = None


@dataclass
class CheckResult:
    """Status of one check, with its findings."""

    id: str
    sentence: str
    """The assertion of the check."""
    status: str
    cases: int = 0
    """Number of judged cases."""
    skipped: int = 0
    """Number of cases that the engine skipped."""
    findings: list[Finding] = field(default_factory=list)
    reason: str = ""
    """The reason for the status, where it needs one."""

    def settle(self, *, blocked: bool) -> None:
        """Set the final status; `blocked`: a feature at fault made cases useless."""
        if self.findings:
            self.status = "failed" if self.findings[0].kind == "wrong" else "errored"
            self.reason = ""
        elif blocked:
            self.status = "not_judged"
        elif self.cases:
            self.status, self.reason = "passed", ""
        elif self.status == "skipped" and not self.reason:
            self.status, self.reason = "not_claimed", "the claims allow no such case"
