"""Timing: every peer in a process of its own, taken turn about.

In one process torch's waiting threads would slow NumPy's; one after another, a change in the
machine's speed would look like a difference between peers.
"""

import subprocess
import sys
import time
from collections.abc import Iterable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

from cases import Case, draw
from peers import PEERS, Step

WARM_UP = 3
"""Calls before the first measurement."""


class Worker:
    """A peer's process."""

    def __init__(self, peer: str) -> None:
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(peer, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def measure(self, case: Case, seconds: float) -> float:
        """Return the seconds that a step takes, the mean over a turn of about `seconds`."""
        self._ours.send((case, seconds))
        result = self._ours.recv()
        if isinstance(result, Exception):
            raise result
        return float(result)

    def stop(self) -> None:
        """End the process."""
        self._ours.close()
        self._process.join()


def _serve(peer: str, orders: Connection) -> None:
    """Build each case's step once, and time it as often as asked."""
    case, step = None, None
    while True:
        try:
            wanted, seconds = orders.recv()
        except EOFError:
            return
        try:
            if step is None or wanted != case:
                case, step = wanted, PEERS[peer](wanted, draw(wanted))
                for _ in range(WARM_UP):
                    step()
            orders.send(_turn(step, seconds))
        except Exception as error:  # noqa: BLE001  # it is raised again in the process that asked
            orders.send(error)


def _turn(step: Step, seconds: float) -> float:
    """Call the step for about so long; return the seconds of one call."""
    calls, doubling, taken = 0, 1, 0.0
    while taken < seconds:
        started = time.perf_counter()
        for _ in range(doubling):
            step()
        taken += time.perf_counter() - started
        calls += doubling
        doubling = min(2 * doubling, 1000)
    return taken / calls


def compare(
    peers: Iterable[str], cases: Iterable[Case], *, rounds: int, seconds: float
) -> dict[Case, dict[str, float]]:
    """Return for each case and peer the median over the rounds of the seconds of one step."""
    workers = {peer: Worker(peer) for peer in peers}
    results = {}
    for case in cases:
        turns: dict[str, list[float]] = {peer: [] for peer in workers}
        for _ in range(rounds):
            for peer, worker in workers.items():
                turns[peer].append(worker.measure(case, seconds))
        results[case] = {peer: median(taken) for peer, taken in turns.items()}
        sys.stderr.write(f"{case}\n")
    for worker in workers.values():
        worker.stop()
    return results


def import_seconds(rounds: int) -> float:
    """Return the seconds that `import manualnn` takes beyond `import numpy`."""
    code = """
import numpy, time
started = time.perf_counter()
import manualnn
print(time.perf_counter() - started)
"""
    command = [sys.executable, "-c", code]
    taken = [subprocess.check_output(command) for _ in range(rounds)]  # noqa: S603  # our own code
    return median(map(float, taken))
