"""Timing: peers in processes of their own take turns, and are compared turn by turn.

    for row in compare(peers, cases, rounds=7, seconds=0.05): …
    row.value("manualnn")                  the median over the rounds
    row.ratio("torch", "manualnn")         the median of the rounds' ratios

In one process, torch's waiting threads would slow down NumPy's. If one peer were measured after
the other, a change of the machine's speed would look like a difference between peers.
"""

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from manualnn.benchmark.cases import Case
from manualnn.benchmark.peers import Peer
from manualnn.doctor.processes import environment, python

SETTLE = 0.05
"""Pause after a turn with several threads, in seconds: idle threads still use their cores."""
LIMIT = 180.0
"""Timeout of an answer, in seconds; torch.compile takes some ten seconds for a case."""


@dataclass
class Row:
    """The measurements of one case: for each peer its turns, or the reason why it was skipped."""

    task: str
    case: Case
    turns: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def value(self, peer: str) -> float | None:
        """Return the median of a peer's turns: seconds, or bytes for the task "memory"."""
        return median(self.turns[peer]) if self.turns.get(peer) else None

    def ratio(self, above: str, below: str) -> float | None:
        """Return the median over the rounds of one peer's turn divided by another's."""
        pairs = list(zip(self.turns.get(above, ()), self.turns.get(below, ()), strict=False))
        return median(a / b for a, b in pairs) if pairs else None

    def to_json(self) -> dict[str, Any]:
        """Return all measurements as JSON."""
        medians = {peer: self.value(peer) for peer in self.turns}
        return {**vars(self), "case": self.case.to_json(), "medians": medians}


class Worker:
    """The process of a peer."""

    def __init__(self, peer: type[Peer], threads: int) -> None:
        self._name = peer.name
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            python("manualnn.benchmark.worker", peer.address()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(threads, peer.environment(threads)),
            encoding="utf-8",
        )

    def ask(self, task: str, case: Case, seconds: float) -> dict[str, Any]:
        """Return the worker's answer; {"ended", "error"} if the process ended without one."""
        order = json.dumps({"task": task, "case": case.to_json(), "seconds": seconds})
        assert self._process.stdin is not None  # noqa: S101  # both are pipes, see __init__
        assert self._process.stdout is not None  # noqa: S101
        late = threading.Timer(LIMIT, self._process.kill)
        late.start()
        try:
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            late.cancel()
        if answer:
            result: dict[str, Any] = json.loads(answer)
            return result
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or [f"no answer in {LIMIT:g} s"]
        return {"ended": True, "error": f"the process of {self._name} ended: {lines[-1]}"}

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._errors.close()


def compare(
    peers: Sequence[type[Peer]],
    cases: Iterable[Case],
    *,
    task: str = "step",
    rounds: int,
    seconds: float,
) -> Iterator[Row]:
    """Yield the row of each case as soon as it is measured, with every peer that has the task.

    A peer that is not installed, cannot do a case or fails is skipped, with the reason.
    """
    able = [peer for peer in peers if peer.has_task(task)]
    workers: dict[str, Worker] = {}
    threads = 0
    try:
        for case in cases:
            if case.threads != threads:
                _stop(workers)
                threads = case.threads
            yield _row(able, workers, Row(task, case), rounds=rounds, seconds=seconds)
    finally:
        _stop(workers)


def _row(
    peers: Sequence[type[Peer]],
    workers: dict[str, Worker],
    row: Row,
    *,
    rounds: int,
    seconds: float,
) -> Row:
    for peer in peers:
        if missing := peer.missing():
            row.skipped[peer.name] = f"not installed: pip install {' '.join(missing)}"
    for turn in range(rounds):
        there = [peer for peer in peers if peer.name not in row.skipped]
        first = turn % len(there) if there else 0
        # Every round starts with another peer, because a turn may slow down the one after it.
        for peer in there[first:] + there[:first]:
            if peer.name not in workers:
                workers[peer.name] = Worker(peer, row.case.threads)
            answer = workers[peer.name].ask(row.task, row.case, seconds)
            if answer.get("ended"):
                workers.pop(peer.name).stop()
            if "value" in answer:
                row.turns.setdefault(peer.name, []).append(answer["value"])
                row.notes[peer.name] = answer["note"]
            else:
                row.turns.pop(peer.name, None)
                row.skipped[peer.name] = (
                    answer.get("skipped") or answer["error"].strip().splitlines()[-1]
                )
            if row.case.threads > 1:
                time.sleep(SETTLE)
    return row


def _stop(workers: dict[str, Worker]) -> None:
    for worker in workers.values():
        worker.stop()
    workers.clear()
