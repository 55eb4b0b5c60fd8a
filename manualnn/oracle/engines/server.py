"""Server: the process of an engine in Python, which answers the calls of `Child`.

    main(descriptor)      serve the connection with this file descriptor, until it closes

The process imports the engine's module. Then it forks, and the copy answers the calls. When the
copy ends, the process reports how, and forks again. So every copy starts without history, and no
module is imported twice. Threads do not survive a fork. If the import started a thread, or where
the system has no fork, the process answers the calls itself, and `Child` starts another one.

A message is (number, key of the instance, is fresh, claims or None, method, arguments). The claims
are sent once to every copy. An answer is (number, value, processor time of the process so far). The
first answer is the message of an EngineError, or a bool: the process forks.
"""

import faulthandler
import gc
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings

from manualnn.oracle.engines.examination import Examination
from manualnn.oracle.engines.faults import EngineError, format_traceback
from manualnn.oracle.engines.in_process import InProcess
from manualnn.oracle.engines.wire import pack, unpack
from manualnn.oracle.findings import Outcome

if TYPE_CHECKING:
    from manualnn.oracle.protocol.capabilities import Capabilities

ENDED = -1
"""Number of the message that a copy of the process ended; its value is the exit code."""


def main(descriptor: int) -> None:
    """Serve the connection with this file descriptor, until it closes."""
    link = _connect(descriptor)
    faulthandler.enable(sys.stderr)
    _report_position_on_signal()
    target, time_limit = unpack(link.recv_bytes())
    threads = _count_threads()
    try:
        engine = InProcess(target, time_limit)
    except EngineError as error:
        _send(link, 0, str(error))
        return
    forks = 0 < _count_threads() <= threads
    _send(link, 0, forks)
    if forks:
        _fork_forever(link, engine)
    else:
        _serve(link, engine)


def _connect(descriptor: int) -> Any:
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection

        return PipeConnection(descriptor)
    return Connection(descriptor)


def _fork_forever(link: Any, engine: InProcess) -> None:
    gc.collect()
    gc.freeze()  # the collector of a copy need not write to shared pages
    while True:
        with catch_warnings(action="ignore"):
            pid = os.fork()
        if pid == 0:
            _report_position_on_signal()
            _serve(link, engine)
            os._exit(0)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it is meant for the copy
        _, status = os.waitpid(pid, 0)
        try:
            _send(link, ENDED, os.waitstatus_to_exitcode(status))
        except OSError:
            return


def _serve(link: Any, engine: InProcess) -> None:
    """Answer calls until the connection closes or a call has no method."""
    engines: dict[int, InProcess] = {}
    claims: Capabilities | None = None
    while True:
        try:
            message = link.recv_bytes()
        except (EOFError, OSError):
            return
        number, key, is_fresh, new_claims, method, arguments = unpack(message)
        if not method:
            return
        claims = new_claims or claims
        if key not in engines:
            engines[key] = engine.another()
        if is_fresh:
            engines[key].fresh()
        _empty_output()
        _send(link, number, _answer(engines[key], claims, method, arguments))


def _answer(engine: InProcess, claims: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return _call(engine, claims, method, arguments)
    except EngineError as error:
        return str(error)
    except KeyboardInterrupt as error:  # Ctrl-C does not reach this process
        outcome = Outcome(fault="error", message=format_traceback(error))
        return Examination(outcome) if method == "examine" else outcome


def _call(engine: InProcess, claims: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    """Return the value of a call.

    Without claims, the call was sent to a process that had just ended. `Child` has read so, and
    does not read this answer.
    """
    if claims and method == "examine":
        case, *others = arguments
        return engine.examine(case, claims, *others)
    if claims and method == "run":
        return engine.run(arguments[0], claims)
    if claims and method == "init":
        spec, shape, seed = arguments
        return engine.init(spec, shape, seed, claims)
    return engine.capabilities() if method == "capabilities" else None


def _send(link: Any, number: int, value: Any) -> None:
    link.send_bytes(pack((number, value, time.process_time())))


def _empty_output() -> None:
    """Forget what earlier calls printed; stdout and stderr are one file."""
    if os.fstat(2).st_size:
        os.ftruncate(2, 0)


def _report_position_on_signal() -> None:
    """Let SIGUSR1 print the position in the code, before a process that hangs is killed."""
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, sys.stderr, chain=False)


def _count_threads() -> int:
    """Return the number of threads of this process; 0 if unknown, or if it cannot fork."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() and hasattr(os, "fork") else 0
