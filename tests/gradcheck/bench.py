"""Table of what each checker of gradients catches, and of its false alarms.

    tox -e gradcheck                            all functions, into tests/gradcheck/RESULTS.md
    tox -e gradcheck -- --quick                 a tenth of them
    python tests/gradcheck/bench.py --only 'softplus*' --peer manualnn

Every checker works in a process of its own, which is started again after a crash or a timeout.
The verdicts are kept in a file as they come, and a run with the same `--verdicts FILE` goes on
from there. The exit code is 1 if ours misses more than 2 of 100 wrong functions, or raises an alarm
that faults.py does not adjudicate.
"""

import argparse
import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy and torch read it, here and in the processes

from gradcheck.functions.catalogue import functions  # noqa: E402
from gradcheck.functions.entry import Function, Wrong  # noqa: E402

PEERS = ("manualnn", "torch slow", "torch fast", "JAX", "numdifftools")
AT_ONCE = 2
TIME_LIMIT = 60.0
"""Seconds for one function by the clock; a checker that needs more has no answer."""
START_LIMIT = 120.0
"""Seconds in which a process imports a framework and is ready."""
OURS = "manualnn"

Verdicts = dict[str, dict[str, list[Any]]]
"""For each peer and function: the verdict, its seconds and its message."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", metavar="PATTERN", help="names; repeatable")
    parser.add_argument("--peer", action="append", choices=PEERS, help="repeatable; all if none")
    parser.add_argument("--quick", action="store_true", help="every tenth function")
    parser.add_argument("--verdicts", type=Path, metavar="FILE", help="go on from there")
    parser.add_argument("--output", type=Path, metavar="FILE", help="Markdown; printed if none")
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT, metavar="SECONDS")
    options = parser.parse_args()
    chosen = {
        name: function
        for name, function in functions().items()
        if not options.only or any(fnmatchcase(name, pattern) for pattern in options.only)
    }
    if options.quick:
        chosen = dict(list(chosen.items())[::10])
    if not chosen:
        sys.exit(f"no function of the benchmark matches {options.only}.")
    peers = [peer for peer in PEERS if peer in (options.peer or PEERS)]
    verdicts = read_verdicts(options.verdicts)
    judge_all(chosen, peers, verdicts, options.verdicts, options.time_limit)

    from gradcheck.results import ours_is_good, to_markdown

    page = to_markdown(chosen, {peer: verdicts[peer] for peer in peers})
    if options.output:
        options.output.write_text(page, encoding="utf-8")
    else:
        say(page)
    return 0 if OURS not in peers or ours_is_good(chosen, verdicts[OURS]) else 1


def read_verdicts(file: Path | None) -> Verdicts:
    """Return the verdicts in a file; each of its lines holds the peer, the name and the verdict."""
    verdicts: Verdicts = {peer: {} for peer in PEERS}
    if file and file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            peer, name, verdict = json.loads(line)
            verdicts[peer][name] = verdict
    return verdicts


def judge_all(
    chosen: dict[str, Function],
    peers: list[str],
    verdicts: Verdicts,
    file: Path | None,
    time_limit: float,
) -> None:
    """Add the missing verdicts. Functions of one framework follow each other in a process."""
    tasks = []
    for peer in peers:
        known = {name for name, answer in verdicts[peer].items() if answer[0] in {"right", "wrong"}}
        for framework in ("numpy", "torch", "jax"):
            names = [n for n, f in chosen.items() if f.framework == framework and n not in known]
            tasks += [(peer, names[::2]), (peer, names[1::2])]
    lock = threading.Lock()

    def work(task: tuple[str, list[str]]) -> None:
        peer, names = task
        for name, verdict in judged(peer, names, time_limit):
            with lock:
                verdicts[peer][name] = verdict
                if file:
                    with file.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps([peer, name, verdict]) + "\n")
            expected = "wrong" if isinstance(chosen[name], Wrong) else "right"
            mark = " " if verdict[0] == expected else "!"
            say(f"{mark} {peer:12} {name:40} {verdict[0]:8} {verdict[1]:6.2f} s  {verdict[2]}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(work, tasks):
            pass  # an error of a task is raised here


def judged(peer: str, names: list[str], time_limit: float) -> Iterator[tuple[str, list[Any]]]:
    """Yield the verdict of each function, by a process that is renewed where it ends or hangs."""
    context = multiprocessing.get_context("spawn")
    child, process = None, None
    for name in names:
        if child is None:
            child, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, peer), daemon=True)
            process.start()
            theirs.close()
        try:
            child.send(name)
            # The first message says that the function is built: imports do not count.
            ready = child.poll(START_LIMIT + time_limit) and child.recv()
            answer = child.recv() if ready and child.poll(time_limit) else None
            verdict = answer or ["timeout", time_limit, ""]
        except (EOFError, ConnectionError):
            verdict = ["crash", 0.0, "the process ended."]
        yield name, verdict
        if verdict[0] in {"timeout", "crash"}:
            process.kill()
            process.join()
            child.close()
            child = None
    if child is not None:
        child.close()
        process.join(10)
        process.kill()


def serve(connection: Connection, peer: str) -> None:
    """Judge the functions whose names arrive, in a process of its own."""
    import warnings

    from gradcheck.peers import judge

    warnings.simplefilter("ignore")
    known = functions()
    is_warm = False
    while True:
        try:
            name = connection.recv()
        except EOFError:
            return
        function = known[name]
        built = function.build()
        if not is_warm:  # the first call also imports what the checker needs
            judge(peer, function, built)
            is_warm = True
        connection.send(True)  # noqa: FBT003 - a message
        connection.send(judge(peer, function, built))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
