"""Time budgets: seconds of work of this process and of the engine.

    budget = Budget(2.0)
    while not budget.over: …
    budget.with_at_least(0.5)       the rest of the budget, or half a second if the rest is less

The budget measures the CPU time of this process and of engines in other processes, because other
work on a busy machine should not count. An engine that sleeps uses no CPU time. So wall-clock time
counts too, at 1/PATIENCE.
"""

import time

from manualnn.oracle.engines.work import WORK

PATIENCE = 4


class Budget:
    """A number of seconds, from now on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._clock, self._work = time.monotonic(), _work()

    @property
    def spent(self) -> float:
        """Seconds spent so far. Threads that run at the same time do not count twice."""
        clock = time.monotonic() - self._clock
        return min(clock, max(_work() - self._work, clock / PATIENCE))

    @property
    def over(self) -> bool:
        """True if nothing is left."""
        return self.spent >= self._seconds

    def with_at_least(self, seconds: float) -> "Budget":
        """Return this budget, or a new one of `seconds` if less than that is left."""
        return self if self._seconds - self.spent >= seconds else Budget(seconds)


def _work() -> float:
    """Return the CPU time of this process and of engines so far."""
    return time.process_time() + WORK.seconds
