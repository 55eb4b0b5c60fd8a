"""Time budgets: seconds of this process's own work.

    budget = Budget(2.0)
    while not budget.over: …
    budget.with_at_least(0.5)       the rest of the budget, or half a second if the rest is less

The budget measures the CPU time of this process, because other work on a busy machine should not
count. An engine in another process, or one that sleeps, uses no CPU time here. So wall-clock time
counts too, at 1/PATIENCE.
"""

import time

PATIENCE = 2


class Budget:
    """A number of seconds, from now on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._clock, self._work = time.monotonic(), time.process_time()

    @property
    def spent(self) -> float:
        """Seconds spent so far. Threads that run at the same time do not count twice."""
        clock = time.monotonic() - self._clock
        return min(clock, max(time.process_time() - self._work, clock / PATIENCE))

    @property
    def over(self) -> bool:
        """True if nothing is left."""
        return self.spent >= self._seconds

    def with_at_least(self, seconds: float) -> "Budget":
        """Return this budget, or a new one of `seconds` if less than that is left."""
        return self if self._seconds - self.spent >= seconds else Budget(seconds)
