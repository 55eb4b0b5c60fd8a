"""The type of a check: a name, an assertion in a sentence, and the function that judges it.

@check("finite", "no result is NaN or infinite where the truth is finite")
def finite(trial): …                the function becomes a `Judgement`
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from manualnn.oracle.checks.trial import Trial
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.capabilities import Capabilities

Judge = Callable[[Trial], Finding | None]
"""Returns the finding if the engine is wrong, None if it is right. Raises Declined or Faulty."""
Needs = Callable[[Capabilities], bool]


@dataclass(frozen=True)
class Judgement:
    """An assertion about an engine, judged on one case at a time."""

    name: str
    sentence: str
    judge: Judge
    needs: Needs = lambda _: True
    """Returns True if the engine's capabilities allow the check."""
    examines: bool = False
    """True if the check examines memory, which works only for engines in Python."""
    restarts: bool = False
    """True if the check starts the engine again, which is slow for an engine in another process."""

    def refuses(self, bench: EngineClient) -> str:
        """Return the reason why the check is not for an engine; empty if it is."""
        if not self.needs(bench.capabilities):
            return "the claims do not allow it"
        return "only for engines in Python" if self.examines and not bench.is_python else ""


def check(name: str, sentence: str, **options: Any) -> Callable[[Judge], Judgement]:
    """Return a decorator that makes a function a judgement with these options."""
    return lambda judge: Judgement(name, sentence, judge, **options)


def returning(*names: str) -> Needs:
    """Return the need of these kinds of results."""
    return lambda claims: set(names) <= set(claims.returns)
