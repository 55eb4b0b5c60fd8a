"""What running and judging an engine yields: outcomes of cases, and findings.

`Outcome` is what became of one call of `step`; `Finding` is one check that failed, as plain data,
which the report prints, the shrinker makes smaller and the diagnosis explains.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from manualnn.oracle.protocol.case import Case

FAULTS = ("error", "crash", "hang", "garbage", "malformed")
"""How a call can go wrong: an exception or an `errored` reply; the process ended; no reply within
the time limit; a reply that is no line of JSON; a result with a wrong shape, dtype or name."""


@dataclass(frozen=True)
class Outcome:
    """What became of one call: a result, or the reason for there being none."""

    result: Mapping[str, Any] | None = None
    """Normalised: arrays of the case's dtype in torch's layout, loss a 0-d array. See `case`."""
    skipped: str | None = None
    """The engine's own reason for not taking the case."""
    fault: str | None = None
    """One of FAULTS."""
    message: str = ""
    """The traceback, what stood on stdout, the exit code …"""

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
class Entry:
    """One entry of one array that is not what it has to be."""

    quantity: str
    """Such as "grads.0.weight"; "loss" has the index ()."""
    index: tuple[int, ...]
    got: float
    expected: float
    bound: float
    """How far from `expected` a correct engine may be; 0 where equality is asked for."""
    wrong: int = 1
    """Of the array's entries, so many are wrong …"""
    size: int = 1
    """… of that many."""


@dataclass(frozen=True, eq=False)
class Finding:
    """A check that failed."""

    check: str
    """Its id, such as "loss.MSELoss:grads"."""
    case: Case
    """With the check's id all that is needed to see it again."""
    calls: tuple[Case, ...]
    """What the check asked of a fresh engine, in this order; the last is what `entries` are of."""
    kind: str = "wrong"
    """"wrong", or one of FAULTS."""
    message: str = ""
    """In a sentence, what was asserted and is not so; or what a fault looked like."""
    entries: tuple[Entry, ...] = ()
    """The first wrong entry of every quantity that is wrong, in the order of a step."""
    right: tuple[str, ...] = ()
    """Quantities that were compared and are right."""
    minimal: bool = False
    """Whether the case has been made as small as it goes."""
    diagnosis: "Diagnosis | None" = None


@dataclass(frozen=True)
class Cause:
    """A mistake that explains a finding."""

    bug: str
    """Its id in the catalogue, such as "mean-for-sum-bias"."""
    title: str
    wrong: str
    """The line of mathematics as the engine seems to have it."""
    right: str
    """The line as it has to be."""


@dataclass(frozen=True)
class Diagnosis:
    """What a finding looks like, and what it may come from."""

    first: str
    """The quantity that diverges first."""
    scope: str
    """In words: which entries are wrong, and what is right."""
    ratio: str = ""
    """Where got ≈ c · truth: c, and what it may be; else empty."""
    when: str = ""
    """Under which condition it fails, where nearby cases pass: "only when N equals a width"."""
    likely: tuple[Cause, ...] = ()
    """Causes that reproduce the engine's own numbers; none: unknown. More than one: the cases at
    hand do not tell them apart."""
    hurried: bool = False
    """Whether none is named, and time ran out before all had been tried."""


STATUSES = ("passed", "failed", "errored", "expected", "unexpected", "not_claimed", "skipped")
"""failed: wrong numbers; errored: a fault; expected: a failure that the file of expected failures
names; unexpected: it names the check, which passes; skipped: the engine took none of its cases."""


@dataclass
class CheckResult:
    """What became of one check."""

    id: str
    sentence: str
    """What it asserts."""
    status: str
    cases: int = 0
    """Judged."""
    skipped: int = 0
    """Not taken by the engine."""
    findings: list[Finding] = field(default_factory=list)
    reason: str = ""
    """Of not claiming or skipping it, or of expecting the failure."""


@dataclass(repr=False)
class Report:
    """What became of all of them; `print` shows what the command does."""

    target: str
    capabilities: Any
    """A `Capabilities`."""
    profile: str
    seed: int
    truth: str
    """In what precision the truth was computed."""
    results: list[CheckResult] = field(default_factory=list)
    cases: int = 0
    """Calls of `step` that were judged."""
    entries: int = 0
    """Numbers that were compared."""
    sharpness: dict[str, float] = field(default_factory=dict)
    """The median of bound / |value|, for each dtype, in the plain recipes."""
    sharpness_overall: dict[str, float] = field(default_factory=dict)
    """The same in all of them, those that provoke rounding among them."""
    undecided: float = 0.0
    """The share of slopes at kinks that rounding decides."""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    """Why the run as a whole is worth little: "only 3 cases ran", an expected failure unmatched."""

    def counts(self) -> dict[str, int]:
        """Return how many checks have each status."""
        return {s: sum(result.status == s for result in self.results) for s in STATUSES}

    @property
    def exit_code(self) -> int:
        """0: all is well; 1: a check failed, errored or passed unexpectedly; 3: too little ran."""
        counts = self.counts()
        if counts["failed"] or counts["errored"] or counts["unexpected"]:
            return 1
        return 3 if self.problems else 0

    def __repr__(self) -> str:
        """Return what was judged, and how many checks have each status."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts().items() if count)
        return f"Report({self.target!r}, {self.profile}: {counts}; exit code {self.exit_code})"

    def __str__(self) -> str:
        """Return the report that a person reads."""
        from manualnn.oracle.report.report import text

        return text(self)
