"""Report of one run of gradcheck: its data, with its forms as text and as JSON.

Report              target, framework, results, figures, conventions, problems
report.ok           True if nothing is wrong and enough was judged
report.to_json()    a mapping for `json.dumps`
report.save()       the failing points as files, to judge them again
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manualnn.gradcheck.data import CheckResult
from manualnn.gradcheck.report import replay
from manualnn.gradcheck.report.as_json import to_json
from manualnn.gradcheck.report.text import text

STATUSES = ("passed", "failed", "errored", "not_judged", "not_claimed")
"""failed: something is wrong; errored: the function raised an error; not_judged: too little could
be decided; not_claimed: the check does not apply to such a function."""
FAILING = ("failed", "errored")


@dataclass(repr=False)
class Report:
    """Results of all checks of one function; `print` shows the same text as the command."""

    target: str
    """The function's name, or the command's TARGET."""
    framework: str
    """ "numpy", "torch", "jax" or "program"."""
    seed: int = 0
    inputs: tuple[str, ...] = ()
    """Names of the inputs, in the order of a point's arrays."""
    results: list[CheckResult] = field(default_factory=list)
    points: int = 0
    """Number of judged calls."""
    entries: int = 0
    """Number of compared entries of gradients."""
    methods: dict[str, int] = field(default_factory=dict)
    """Number of entries by the way in which their reference was computed."""
    sharpness: float = float("nan")
    """Median of bound / |value| over all compared entries; NaN if there is none."""
    imprecise: float = 0.0
    """Largest relative error beyond rounding that was taken for a lack of digits; 0: there is none.

    Approximations of special functions in libraries have such errors, below 2⁻³⁰.
    """
    undecided: float = 0.0
    """Share of the entries whose derivative could not be decided."""
    conventions: list[str] = field(default_factory=list)
    """Slopes that the function takes at kinks, each as a sentence."""
    problems: list[str] = field(default_factory=list)
    """Reasons why the run proves little, such as "no entry could be decided"."""
    seconds: float = 0.0
    command: str = ""
    """The command that judges saved points again, without `--replay`; empty for a call in Python.
    With it, the text has the line to replay each finding."""

    @property
    def ok(self) -> bool:
        """True if no check failed and enough was judged."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0: no failure; 1: a check failed; 3: no failure, but too little was judged."""
        if any(result.status in FAILING for result in self.results):
            return 1
        return 3 if self.problems else 0

    def counts(self) -> dict[str, int]:
        """Return the number of checks of each status."""
        return {s: sum(result.status == s for result in self.results) for s in STATUSES}

    def __repr__(self) -> str:
        """Return the target and the number of checks of each status, on one line."""
        counts = ", ".join(f"{n} {status}" for status, n in self.counts().items() if n)
        return f"Report({self.target!r}: {counts}; exit code {self.exit_code})"

    def __str__(self) -> str:
        """Return the report as text."""
        return text(self)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a mapping of lists, strings and finite numbers."""
        return to_json(self)

    def save(self, folder: str | Path = replay.FOLDER) -> list[Path]:
        """Write one file for each failing point; return their paths."""
        return replay.save(self.target, self.results, folder)
