"""CPU time of engines in other processes, which counts as this process's own in time budgets.

WORK.seconds      seconds so far, of all engines together
"""

from dataclasses import dataclass


@dataclass
class Work:
    """A number of seconds that grows with every call of an engine."""

    seconds: float = 0.0


WORK = Work()
