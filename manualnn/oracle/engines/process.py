"""Engines that are processes of any language, and speak PROTOCOL.md over stdin and stdout.

    Process("node engine.mjs", time_limit)

A process is started when it is first needed, and again after it crashed, hung or wrote garbage.
Its end takes its children along: it leads a process group. One loop writes, reads and keeps the
time, so that neither side waits for the other: an engine may fill stderr, answer before it has
read everything, or read nothing at all. This needs POSIX, where pipes can be polled.
"""

import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from selectors import EVENT_READ as READ
from selectors import EVENT_WRITE as WRITE
from selectors import DefaultSelector
from typing import Any, TypeVar

from manualnn.oracle.engines import messages as wire
from manualnn.oracle.engines.faults import EngineError, Fault, shortened, tail
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case

T = TypeVar("T")

START_LIMIT = 60.0
"""Seconds until the first line: an interpreter may load large libraries, or compile."""
LONGEST_LINE = 2**28
"""Bytes after which a line is taken for endless."""
GRACE = 0.5
"""Seconds in which a process may end by itself."""
CHUNK = 2**16
STDERR_KEPT = 2**13


class Process:
    """An engine in a process of its own."""

    def __init__(self, command: str, time_limit: float) -> None:
        self.name = command
        self._time_limit = time_limit
        self._arguments = _split(command)
        self._child: _Child | None = None
        self._seq = 0

    def capabilities(self) -> Any:
        """Return what the engine says at its start."""
        try:
            claims = self._start()[1]
        except Fault as fault:
            file = self._arguments[0]
            here = (
                f"\n{file} is a file in this folder: write ./{file}, or before it what runs it."
                if "/" not in file and Path(file).is_file()
                else ""
            )
            raise EngineError(
                f"{self.name} gave no answer to {wire.line(wire.HELLO).decode().strip()}: {fault}\n"
                "Its first line has to say what it claims: `manualnn check --protocol` shows one. "
                f"(For an engine in Python, write module:attribute or file.py:attribute.){here}"
            ) from fault
        if claims.get("arrays") == "safetensors":
            wire.safetensors()
        return claims

    def step(self, case: Case, claims: Capabilities) -> Outcome:
        """Return what becomes of a case."""
        try:
            child = self._child or self._start()[0]
            return self._ask(child, case, claims.arrays)
        except Fault as fault:
            if fault.kind not in {"error", "malformed"}:  # then it did answer
                self._end(0)
            return Outcome(fault=fault.kind, message=str(fault))
        except BaseException:
            self._end(0)  # an answer that is still to come would be taken for the next one
            raise

    def fresh(self) -> None:
        """Let the next case find a new process."""
        self.close()

    def another(self) -> "Process":
        """Return another process of the same command."""
        return Process(self.name, self._time_limit)

    def close(self) -> None:
        """End the process."""
        self._end(GRACE)

    def _end(self, grace: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end(grace)

    def _start(self) -> tuple["_Child", dict[str, Any]]:
        self._child = child = _Child(self._arguments)
        return child, child.asked(wire.line(wire.HELLO), START_LIMIT, wire.hello)

    def _ask(self, child: "_Child", case: Case, form: str) -> Outcome:
        self._seq += 1
        read = partial(wire.reply, seq=self._seq)
        if form != "safetensors":
            return child.asked(wire.request(self._seq, case, form), self._time_limit, read)
        with tempfile.TemporaryDirectory(prefix="manualnn-") as directory:
            question = wire.request(self._seq, case, form, Path(directory))
            return child.asked(question, self._time_limit, read)


class _Child:
    """A running process and its three pipes, none of which blocks."""

    def __init__(self, arguments: list[str]) -> None:
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - the command is the user's own
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise Fault("crash", f"it cannot be started: {error}") from error
        pipes = (self._popen.stdin, self._popen.stdout, self._popen.stderr)
        self._in, self._out, self._err = (pipe.fileno() for pipe in pipes if pipe)
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe, False)
        self._read = bytearray()
        self._stderr = bytearray()

    def asked(self, question: bytes, seconds: float, read: Callable[[bytes], T]) -> T:
        """Return what a line is answered, read; `Fault`, with stderr's end, if that is nothing."""
        self._stderr.clear()
        try:
            return read(self._answer(question, seconds))
        except Fault as fault:
            raise self._told(fault) from fault

    def _answer(self, question: bytes, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        unsent = memoryview(question)
        searched = 0
        with DefaultSelector() as selector:
            for pipe, event in ((self._out, READ), (self._err, READ), (self._in, WRITE)):
                selector.register(pipe, event)
            while (end := self._read.find(b"\n", searched)) < 0 or unsent:
                searched = len(self._read) if end < 0 else end
                if len(self._read) > LONGEST_LINE:
                    raise Fault("garbage", f"a line on stdout is longer than {LONGEST_LINE} bytes.")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._late(seconds, len(unsent))
                for key, _ in selector.select(left):
                    if key.fd == self._in:
                        unsent = unsent[self._write(unsent) :]
                        done = not unsent
                    else:
                        done = not (self._hear() if key.fd == self._err else self._receive())
                    if done:
                        selector.unregister(key.fd)
        answer = bytes(self._read[:end])
        del self._read[: end + 1]
        return answer

    def end(self, grace: float) -> None:
        """End the process and whatever it has started; ask it first, if there is time."""
        if grace:
            with suppress(OSError):
                os.write(self._in, wire.line(wire.STOP))
        with self._popen as popen:  # closes the pipes and waits
            if popen.stdin:
                popen.stdin.close()
            if grace:
                with suppress(subprocess.TimeoutExpired):
                    popen.wait(grace)
            # The group outlives its leader as long as it has members; where none are left, macOS
            # says that it may not be signalled.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(popen.pid, signal.SIGKILL)

    def _write(self, data: memoryview) -> int:
        """Return how much was written; all of it, if nobody reads on: an answer may yet come."""
        try:
            return os.write(self._in, data[:CHUNK])
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def _receive(self) -> bool:
        """Read of stdout what is there; `Fault` at its end."""
        data = _available(self._out)
        if data == b"":
            raise self._ended()
        self._read += data or b""
        return True

    def _hear(self) -> bool:
        """Read of stderr what is there; whether there was something."""
        data = _available(self._err)
        self._stderr += data or b""
        del self._stderr[:-STDERR_KEPT]
        return bool(data)

    def _told(self, fault: Fault) -> Fault:
        """Return a fault with the end of what stood on stderr during the call."""
        for _ in range(64):  # who never stops writing is not waited for
            if not self._hear():
                break
        said = tail(self._stderr.decode(errors="replace"))
        return Fault(fault.kind, f"{fault}\nstderr: {said}") if said else fault

    def _late(self, seconds: float, unread: int) -> Fault:
        if self._popen.poll() is not None:  # and something else holds its stdout
            return self._ended()
        half = f" after the half line {shortened(self._read)}" if self._read else ""
        rest = f"; it has not read {unread} bytes of the case" if unread else ""
        ending = "end every line with a newline, and flush stdout after it"
        return Fault("hang", f"no reply within {seconds:g} s{half}{rest} ({ending}).")

    def _ended(self) -> Fault:
        try:
            code = self._popen.wait(GRACE)
        except subprocess.TimeoutExpired:
            how = "it closed its stdout, and runs on"
        else:
            how = f"it exited with code {code}" if code >= 0 else f"{_signal(-code)} ended it"
        half = f", after the half line {shortened(self._read)}" if self._read else ""
        return Fault("crash", f"{how}{half}.")


def _split(command: str) -> list[str]:
    if os.name != "posix":
        raise EngineError(
            f"{command}: engines as processes need POSIX (Linux, macOS, WSL); here, write "
            "`manualnn vectors OUT/` and judge the answers by `manualnn check --answers DIR`."
        )
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise EngineError(f"{command!r} is no command line: {error}.") from error
    if not arguments:
        raise EngineError(
            "the target is empty; it has to be module:attribute, file.py:attribute or a command."
        )
    return arguments


def _available(pipe: int) -> bytes | None:
    """Return what can be read at once: None if nothing, b"" at the end."""
    try:
        return os.read(pipe, CHUNK)
    except BlockingIOError:
        return None


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
