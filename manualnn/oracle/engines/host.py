"""The process of an engine in Python, as seen from here: started, asked, restarted and ended.

    host = Host("mytoy:Engine", time_limit, start_limit)
    host.ask(Call(key, is_fresh, "run", (case,)), seconds)     the answer; raises Fault
    host.begin(call)                                           send a call ahead of `ask`
    host.restart(), host.close()

What the process prints goes to a file, and the end of it is shown with a crash or a hang.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing import Pipe
from statistics import mean
from typing import TYPE_CHECKING, Any, cast

from manualnn.oracle.engines.faults import EngineError, Fault, describe_exit, shorten
from manualnn.oracle.engines.server import ENDED
from manualnn.oracle.engines.wire import pack, unpack
from manualnn.oracle.engines.work import WORK

if TYPE_CHECKING:
    from manualnn.oracle.protocol.capabilities import Capabilities

GRACE = 2.0
"""Seconds beyond the time limit in which a call has to stop by itself."""
CHEAP = 0.1
"""Longest mean time of the first calls in new processes, in seconds, if these are cheap.

Some libraries load parts of themselves at the first call, which takes seconds.
"""
PRINTED = 2**13
"""Number of bytes shown from the end of what an engine printed."""


@dataclass
class Call:
    """A call of an instance, and what `Host` notes when it sends the call."""

    key: int
    is_fresh: bool
    method: str
    arguments: tuple[Any, ...]
    number: int = 0
    is_first: bool = False

    def is_same(self, other: "Call") -> bool:
        """Return True if the answer to this call is that of another one, with the same case."""
        is_same_case = [*map(id, self.arguments)] == [*map(id, other.arguments)]
        is_same_call = (self.key, self.method) == (other.key, other.method)
        return is_same_call and is_same_case and not other.is_fresh


class Host:
    """The process of an engine: started when it is needed, and again after it ended."""

    def __init__(self, target: str, time_limit: float, start_limit: float) -> None:
        self.time_limit, self.start_limit = time_limit, start_limit
        self.claims: Capabilities | None = None
        self.keys = count()
        self._first_calls: list[float] = []
        self._used = 0.0
        self._begun: Call | None = None
        self._target = target
        self._seed = str(secrets.randbelow(2**32))
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.forks = self._is_used = self._knows_claims = False

    def begin(self, call: "Call") -> None:
        """Send a call whose answer `ask` will return; raises Fault."""
        if self._process is None:
            self._start()
        claims = None if self._knows_claims else self.claims
        call.is_first = self.claims is not None and not self._is_used
        if not self._is_used:
            self._used = 0.0  # the CPU time of a new process
        self._is_used, self._knows_claims = True, self.claims is not None
        call.number = next(self._numbers)
        head = call.number, call.key, call.is_fresh, claims
        self._send(pack((*head, call.method, call.arguments)))
        self._begun = call

    def ask(self, call: "Call", seconds: float) -> Any:
        """Return the answer to a call; raises Fault, after which a new process runs."""
        begun, self._begun = self._begun, None
        try:
            if begun is None or not begun.is_same(call):
                self.begin(call)
                begun, self._begun = call, None
            value, used = self._receive(begun.number, seconds + GRACE)
        except Fault:
            raise
        except BaseException:
            self.close()  # its late answer would count for the next call
            raise
        WORK.seconds += used - self._used
        self._used = used
        if begun.is_first:
            self._first_calls.append(used)
        return value

    @property
    def restarts_cheaply(self) -> bool:
        """True if a new process is a copy of another one, and its first call is fast."""
        return self.forks and (not self._first_calls or mean(self._first_calls) < CHEAP)

    def restart(self) -> None:
        """Leave the process if it has had a call; the next call finds one without history."""
        if self._process is None or not self._is_used:
            return
        if not self.forks:
            self.close()
            return
        try:
            self._send(pack((0, 0, False, None, "", ())))
            self._receive(ENDED, GRACE)
        except Fault:
            self.close()
        self._is_used = self._knows_claims = False

    def close(self) -> None:
        """End the process and all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        self._link.close()
        _kill(process)
        process.wait()
        self._output.close()

    def _start(self) -> None:
        self._link, theirs = Pipe()
        descriptor = theirs.fileno()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        code = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            f"from manualnn.oracle.engines.server import main; main({descriptor})"
        )
        options: dict[str, Any] = {"start_new_session": True, "pass_fds": (descriptor,)}
        if os.name == "nt":
            os.set_handle_inheritable(descriptor, True)  # type: ignore[attr-defined]  # noqa: FBT003
            options = {"close_fds": False}
        else:
            _append(self._output.fileno())
        self._process = subprocess.Popen(  # noqa: S603 - Python itself
            [sys.executable, "-u", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            # Sets of strings have the same order in all processes of an engine.
            env={"PYTHONHASHSEED": self._seed, **os.environ},
            **options,
        )
        theirs.close()
        self._is_used = self._knows_claims = False
        self._send(pack((self._target, self.time_limit)))
        answer, _ = self._receive(0, self.start_limit)
        if isinstance(answer, str):
            self.close()
            raise EngineError(answer)
        self.forks = answer

    def _send(self, content: bytes) -> None:
        try:
            self._link.send_bytes(content)
        except OSError:
            raise self._end() from None

    def _receive(self, number: int, seconds: float) -> tuple[Any, float]:
        """Return the value and the time of the answer with that number, and skip late answers."""
        end = time.monotonic() + seconds
        got = None
        while got != number:
            try:
                if not self._link.poll(max(0.0, end - time.monotonic())):
                    raise self._hang(seconds)
                got, value, used = unpack(self._link.recv_bytes())
            except (EOFError, OSError):
                raise self._end() from None
            if got == ENDED != number:
                self._is_used = self._knows_claims = False
                raise self._crash(value)
        return value, used

    def _hang(self, seconds: float) -> Fault:
        """End a process that does not answer."""
        process = cast("subprocess.Popen[bytes]", self._process)
        if os.name != "nt":
            os.killpg(process.pid, signal.SIGUSR1)  # it prints the position in the code
            time.sleep(0.1)
        fault = Fault("hang", f"no result within {seconds:g} s{self._printed()}")
        self.close()
        return fault

    def _end(self) -> Fault:
        """Return the fault of a process that ended, after it is ended for certain."""
        process = cast("subprocess.Popen[bytes]", self._process)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        fault = self._crash(process.returncode)
        self.close()
        return fault

    def _crash(self, code: int | None) -> Fault:
        how = "it closed the connection" if code is None else describe_exit(code)
        hint = " (the system does that if memory is short)" if code == -9 else ""
        return Fault("crash", f"{how}{hint}{self._printed()}")

    def _printed(self) -> str:
        """Return the end of what the engine printed during the call."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - PRINTED))
        text = self._output.read().strip(b"\0").decode(errors="replace")
        lines = [line for line in text.splitlines() if not _is_machinery(line)]
        return "\nprinted: " + shorten("\n".join(lines)) if lines else ""


def _is_machinery(line: str) -> bool:
    """Return True for a line of a traceback that leads to the engine's code."""
    return line.startswith('  File "') and ("oracle/engines" in line or '"<string>"' in line)


def _append(descriptor: int) -> None:
    """Let every write go to the end of a file, even after it was emptied."""
    import fcntl

    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if os.name == "nt":
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
