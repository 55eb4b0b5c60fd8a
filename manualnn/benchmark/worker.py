"""Worker: the process of a peer, which builds each case once and measures it on every request.

    python -m manualnn.benchmark.worker module:Class

A request is a line of JSON on standard input: {"task", "case", "seconds"}. The answer is a line of
JSON: {"value": seconds of a call, or bytes for the task "memory", "note"}, {"skipped": reason} or
{"error": traceback}. The output of libraries goes to standard error.
"""

import importlib
import json
import os
import sys
import time
import traceback
import tracemalloc
from statistics import median
from typing import Any

from manualnn.benchmark.cases import Case
from manualnn.benchmark.peers import Call, Peer, Run, Unsupported, draw

WARM_UP = 3
"""Calls before the first measurement, if they take no longer than WARM_UP_SECONDS."""
WARM_UP_SECONDS = 0.5
LONG = 10
"""A call that takes at least this many turns is measured once; a shorter call is repeated."""
BLOCK_SECONDS = 1e-3
"""Duration of the blocks in which calls are timed, because reading the clock takes 50 ns."""


def main() -> None:
    """Answer requests until standard input ends."""
    module, _, name = sys.argv[1].partition(":")
    peer: Peer = getattr(importlib.import_module(module), name)()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    built: tuple[Any, Run] | None = None
    for line in sys.stdin:
        order = json.loads(line)
        key = order["task"], order["case"]
        try:
            if built is None or built[0] != key:
                built = None  # free the arrays of the last case before the next ones are made
                built = key, build(peer, *key)
            answer = {"value": measure(built[1].call, order), "note": built[1].note}
        except Unsupported as reason:
            answer = {"skipped": str(reason)}
        except Exception:  # noqa: BLE001  # the process that sent the request reports it
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def build(peer: Peer, task: str, fields: dict[str, Any]) -> Run:
    """Return the prepared call of a task, after some calls to warm up."""
    case = Case.from_json(fields)
    run: Run = getattr(peer, "step" if task == "memory" else task)(case, draw(case))
    started = time.perf_counter()
    for _ in range(WARM_UP):
        run.call()
        if time.perf_counter() - started > WARM_UP_SECONDS:
            break
    return run


def measure(call: Call, order: dict[str, Any]) -> float:
    """Return the peak memory in bytes for the task "memory", otherwise the time in seconds."""
    return traced_peak(call) if order["task"] == "memory" else turn(call, order["seconds"])


def turn(call: Call, seconds: float) -> float:
    """Return the time of a call, the median over blocks of calls; takes about `seconds` in all.

    A first block determines the number of calls in a block. Its time is not used, because the
    first block refills the caches after another process.
    """
    calls = 1
    while (taken := _block(call, calls)) < BLOCK_SECONDS:
        calls = max(2 * calls, min(100 * calls, int(calls * BLOCK_SECONDS / max(taken, 1e-9))))
    if taken >= LONG * seconds:
        return taken / calls
    blocks, spent = [], 0.0
    while spent < seconds:
        blocks.append(_block(call, calls))
        spent += blocks[-1]
    return median(blocks) / calls


def traced_peak(call: Call) -> int:
    """Return the largest memory of a call, minus the memory before it, in bytes."""
    tracemalloc.start()
    try:
        call()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _block(call: Call, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
