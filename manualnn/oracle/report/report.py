"""Report of a run: its data, with its forms as text and as a page.

Report              target, capabilities, results, figures, problems
report.to_html()    a page in one file
"""

from dataclasses import dataclass, field

from manualnn.oracle.findings import STATUSES, CheckResult
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.report.as_html import to_fragment, to_html
from manualnn.oracle.report.summary import text


@dataclass(repr=False)
class Report:
    """Results of all checks of one engine; `print` shows the same text as the command."""

    target: str
    capabilities: Capabilities
    profile: str
    seed: int
    truth: str
    """A sentence about the precision in which the truth was computed."""
    results: list[CheckResult] = field(default_factory=list)
    cases: int = 0
    """Number of judged calls of `step`."""
    entries: int = 0
    """Number of compared array entries."""
    sharpness: dict[str, float] = field(default_factory=dict)
    """Median of bound / |value| for each dtype, over the plain recipes."""
    sharpness_overall: dict[str, float] = field(default_factory=dict)
    """The same over all recipes, including those that provoke rounding errors."""
    undecided: float = 0.0
    """Share of the slopes at kinks that rounding decides."""
    seconds: float = 0.0
    avoided: list[str] = field(default_factory=list)
    """Features that fail, and that the checks of other features therefore do without."""
    problems: list[str] = field(default_factory=list)
    """Reasons why the run proves little, such as "only 3 cases ran"."""

    @property
    def engine_name(self) -> str:
        """The engine's name with its version."""
        return f"{self.capabilities.name} {self.capabilities.version}".strip()

    def counts(self) -> dict[str, int]:
        """Return the number of checks of each status."""
        return {s: sum(result.status == s for result in self.results) for s in STATUSES}

    @property
    def exit_code(self) -> int:
        """0: no failure; 1: a check failed, errored or passed unexpectedly; 3: problems."""
        counts = self.counts()
        if counts["failed"] or counts["errored"] or counts["unexpected"]:
            return 1
        return 3 if self.problems else 0

    def __repr__(self) -> str:
        """Return the target and the number of checks of each status, on one line."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts().items() if count)
        return f"Report({self.target!r}, {self.profile}: {counts}; exit code {self.exit_code})"

    def __str__(self) -> str:
        """Return the report as text."""
        return text(self)

    def to_html(self, failures: str | None = None) -> str:
        """Return the report as a page in one file that needs no network.

        `failures` is the folder of saved failures; with it, each finding has the command to replay
        it.
        """
        return to_html(self, failures)

    def _repr_html_(self) -> str:
        """Return the verdict and the findings for a notebook."""
        return to_fragment(self)
