"""Engines in Python, each in a process of its own: a crash is an outcome, and costs one case.

    Child("mytoy:Engine", time_limit, start_limit)

The process is a `server`, started by the same Python with the same sys.path in the same folder. It
stops a call after the time limit by itself. If that fails, because compiled code does not return,
it is killed. What the engine prints goes to a file, and the end of it is shown with a crash.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import count
from multiprocessing import Pipe
from statistics import mean
from typing import Any, cast

from manualnn.oracle.engines.examination import Examination
from manualnn.oracle.engines.faults import EngineError, Fault, describe_exit, shorten
from manualnn.oracle.engines.server import ENDED
from manualnn.oracle.engines.wire import pack, unpack
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case

GRACE = 2.0
"""Seconds beyond the time limit in which a call has to stop by itself."""
CHEAP = 0.1
"""Longest mean time of the first calls in new processes, in seconds, if these are cheap.

Some libraries load parts of themselves at the first call, which takes seconds.
"""
PRINTED = 2**13
"""Number of bytes shown from the end of what an engine printed."""


class Child:
    """An engine in a process of its own, which several instances may share."""

    def __init__(
        self, target: str, time_limit: float, start_limit: float, host: "_Host | None" = None
    ) -> None:
        self.name = target
        self._host = host or _Host(target, time_limit, start_limit)
        self._key = next(self._host.keys)
        self._is_fresh = False

    def capabilities(self) -> Capabilities:
        """Return the engine's claims; raises EngineError."""
        try:
            answer = self._ask("capabilities", self._host.start_limit)
        except Fault as fault:
            raise EngineError(
                f"{self.name} failed before its first case: {fault}\n"
                "See that it can be imported and made alone, and that its capabilities() returns."
            ) from fault
        if isinstance(answer, str):
            raise EngineError(answer)
        self._host.claims = answer
        return cast("Capabilities", answer)

    def run(self, case: Case, _: Capabilities) -> Outcome:
        """Return the outcome of a copy of a case."""
        try:
            return cast("Outcome", self._ask("run", self._host.time_limit, case))
        except Fault as fault:
            return Outcome(fault=fault.kind, message=str(fault))

    def examine(self, case: Case, _: Capabilities, layout: str, then: Case | None) -> Examination:
        """Return the examination of a call, and of the next call if there is one."""
        calls = 1 if then is None else 2
        try:
            answer = self._ask("examine", calls * self._host.time_limit, case, layout, then)
        except Fault as fault:
            return Examination(Outcome(fault=fault.kind, message=str(fault)))
        return cast("Examination", answer)

    @property
    def restarts_cheaply(self) -> bool:
        """True if a new process costs little more than a new instance."""
        return self._host.restarts_cheaply

    def fresh(self) -> None:
        """Forget the instance; the next call makes a new one in the same process."""
        self._is_fresh = True

    def restart(self) -> None:
        """Leave the process; the next call finds a new one."""
        self._host.restart()

    def another(self) -> "Child":
        """Return another instance in the same process."""
        host = self._host
        return Child(self.name, host.time_limit, host.start_limit, host)

    def close(self) -> None:
        """End the process, if this is the first instance in it."""
        if self._key == 0:
            self._host.close()

    def _ask(self, method: str, seconds: float, *arguments: Any) -> Any:
        is_fresh, self._is_fresh = self._is_fresh, False
        return self._host.ask((self._key, is_fresh), method, arguments, seconds + GRACE)


class _Host:
    """The process of an engine: started when it is needed, and again after it ended."""

    def __init__(self, target: str, time_limit: float, start_limit: float) -> None:
        self.time_limit, self.start_limit = time_limit, start_limit
        self.claims: Capabilities | None = None
        self.keys = count()
        self._first_calls: list[float] = []
        self._target = target
        self._seed = str(secrets.randbelow(2**32))
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.forks = self._is_used = self._knows_claims = False

    def ask(
        self, head: tuple[Any, ...], method: str, arguments: tuple[Any, ...], seconds: float
    ) -> Any:
        """Return the answer to a call; raises Fault, after which a new process runs."""
        if self._process is None:
            self._start()
        claims = None if self._knows_claims else self.claims
        is_first = self.claims is not None and not self._is_used
        self._is_used, self._knows_claims = True, self.claims is not None
        number = next(self._numbers)
        content = pack((number, *head, claims, method, arguments))
        try:
            self._send(content)
            value, used = self._receive(number, seconds)
        except Fault:
            raise
        except BaseException:
            self.close()  # its late answer would count for the next call
            raise
        if is_first:
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
