"""The type of a check: a name, an assertion in a sentence, and the function that judges it."""

from collections.abc import Callable
from dataclasses import dataclass

from manualnn.oracle.checks.trial import Trial
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.capabilities import Capabilities

Judge = Callable[[Trial], Finding | None]
"""Returns the finding if the engine is wrong, None if it is right. Raises Declined or Faulty."""


@dataclass(frozen=True)
class Judgement:
    """An assertion about an engine, judged on one case at a time."""

    name: str
    sentence: str
    judge: Judge
    needs: Callable[[Capabilities], bool] = lambda _: True
    """Returns whether the engine's capabilities allow the check."""
    shares_memory: bool = False
    """True if the check works only for engines in this process."""
    restarts: bool = False
    """True if the check starts the engine again, which is slow for an engine in another process."""
