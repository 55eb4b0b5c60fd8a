"""Time to spend: of the work done here, not of what a busy machine does for others.

    budget = Budget(2.0)
    while not budget.over: …
    budget.with_at_least(0.5)       itself, or half a second from now on

A second is one of the processor's for this process, or PATIENCE on the clock, whichever is over
first: what waits for an engine in another process, or for one that sleeps, comes to an end too.
"""

import time

PATIENCE = 2


class Budget:
    """So many seconds from now on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._clock, self._work = time.monotonic(), time.process_time()

    @property
    def spent(self) -> float:
        """Seconds that are gone; threads that work side by side do not count twice."""
        clock = time.monotonic() - self._clock
        return min(clock, max(time.process_time() - self._work, clock / PATIENCE))

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= self._seconds

    def with_at_least(self, seconds: float) -> "Budget":
        """Return what is left, or that many seconds if it is less."""
        return self if self._seconds - self.spent >= seconds else Budget(seconds)
