"""Profiles: the number and the size of the cases of a run."""

from dataclasses import dataclass

from manualnn.errors import OracleError
from manualnn.oracle.cases.choices import Size


class UnknownNameError(OracleError, ValueError):
    """There is no profile, recipe or check with the given name."""


@dataclass(frozen=True)
class Profile:
    """Number and size of the cases, and the time for explanations."""

    examples: int
    """Cases for each recipe."""
    size: Size
    explaining: float
    """Seconds to shrink and explain all findings together."""


PROFILES = {
    "quick": Profile(25, Size(), 45),
    "ci": Profile(200, Size(33, 257, 4, 13, (257, 300, 511, 1025)), 60),
    "nightly": Profile(5000, Size(512, 4097, 5, 40, (257, 1023, 1024, 1025, 4097)), 600),
}
