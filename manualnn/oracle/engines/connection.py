"""Connections to programs in any language: one line of JSON to stdin, one line back from stdout.

    connection = Connection("node engine.mjs", time_limit, start_limit)
    connection.ask(write, read)      read(the line that answers write(seq), seq); raises Fault

A process starts at its first call, and again after it crashed, timed out or wrote garbage. Ending a
process also ends the processes that it started.

An event loop of asyncio runs while a call waits, and only then. It writes the question, reads
stdout and stderr, and checks the time limit, all at once. This is necessary because a program may
fill stderr, answer before it has read the whole question, or read nothing at all.
"""

import asyncio
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from manualnn.oracle.engines import messages
from manualnn.oracle.engines.faults import EngineError, Fault, describe_exit, quote_start, shorten
from manualnn.oracle.engines.work import WORK

T = TypeVar("T")

LONGEST_LINE = 2**28
"""Largest length of a line, in bytes."""
GRACE = 0.5
"""Seconds that a process has to end without being killed."""
STDERR_KEPT = 2**13
"""Number of bytes kept from the end of stderr."""


class Connection:
    """A connection to a program in a process of its own."""

    def __init__(self, command: str, time_limit: float, start_limit: float) -> None:
        self.command, self.time_limit, self.start_limit = command, time_limit, start_limit
        self._arguments = _split(command)
        self._loop = asyncio.new_event_loop()
        self._child: _Child | None = None
        self._seq = 0

    def open(self) -> dict[str, Any]:
        """Start the process, and return its answer to the first message; raises EngineError."""
        try:
            return self._start()[1]
        except Fault as fault:
            file = self._arguments[0]
            hint = (
                f"\n{file} is a file in this folder: write ./{file}, or before it what runs it."
                if Path(file).name == file and Path(file).is_file()
                else ""
            )
            hello = messages.encode(messages.HELLO).decode().strip()
            raise EngineError(
                f"{self.command} gave no answer to {hello}: {fault}\n"
                "Its first line has to say what it claims: `manualnn check --protocol` shows one. "
                f"(For an engine in Python, write module:attribute or file.py:attribute.){hint}"
            ) from fault

    def ask(self, write: Callable[[int], bytes], read: Callable[[bytes, int], T]) -> T:
        """Return what `read` makes of the answer to a question; both get the question's number.

        Raises Fault. Without a whole answer the process is ended, because a late answer would
        count for the next question.
        """
        try:
            child = self._child or self._start()[0]
            self._seq += 1
            seq = self._seq
            return self._ask(child, write(seq), self.time_limit, lambda line: read(line, seq))
        except Fault as fault:
            if fault.kind not in {"error", "malformed"}:
                self.end(0)
            raise
        except BaseException:
            self.end(0)
            raise

    def end(self, grace: float = GRACE) -> None:
        """End the process; the next question starts a new one."""
        child, self._child = self._child, None
        if child is not None:
            self._wait(child.end(grace))

    def close(self) -> None:
        """End the process for good."""
        self.end()
        self._loop.close()

    def _start(self) -> tuple["_Child", dict[str, Any]]:
        """Start the process and return it with what it claims."""
        if self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        start = self._loop.subprocess_exec(_Child, *self._arguments, start_new_session=True)
        try:
            _, child = self._wait(start)
        except OSError as error:
            raise Fault("crash", f"it cannot be started: {error}") from error
        self._child = child
        hello = messages.encode(messages.HELLO)
        return child, self._ask(child, hello, self.start_limit, messages.read_hello)

    def _ask(self, child: "_Child", line: bytes, seconds: float, read: Callable[[bytes], T]) -> T:
        """Return the answer to a question; the message of a Fault ends with the end of stderr."""
        began = time.monotonic()
        try:
            return read(self._wait(child.ask(line, seconds)))
        except Fault as fault:
            said = self._wait(child.read_stderr())
            raise Fault(fault.kind, f"{fault}\nstderr: {said}" if said else str(fault)) from fault
        finally:
            WORK.seconds += (time.monotonic() - began) / 2  # its CPU time is not known
            child.stderr.clear()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the event loop until the work is done, and return its result."""
        task = self._loop.create_task(work)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:  # as in a notebook, where this thread already runs another loop
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(self._loop.run_until_complete, task).result()
        try:
            return self._loop.run_until_complete(task)
        finally:
            if task.cancel():  # Ctrl-C left the task unfinished
                with suppress(asyncio.CancelledError):
                    self._loop.run_until_complete(task)


class _Child(asyncio.SubprocessProtocol):
    """A running process and its three pipes."""

    def __init__(self) -> None:
        self._stdout = bytearray()
        self.stderr = bytearray()
        self._lines = 0
        self._stdout_closed = self._ended = False
        self._changed = asyncio.Event()

    async def ask(self, question: bytes, seconds: float) -> bytes:
        """Return the line that answers a question; raise Fault if there is none in time."""
        self._stdin.write(question)
        try:
            async with asyncio.timeout(seconds):
                answer = await self._read_line()
        except TimeoutError:
            answer = None
            if self._transport.get_returncode() is None:
                half, unread = self._describe_half_line(), self._stdin.get_write_buffer_size()
                rest = f"; it has not read {unread} bytes of the case" if unread else ""
                ending = "end every line with a newline, and flush stdout after it"
                message = f"no reply within {seconds:g} s{half}{rest} ({ending})."
                raise Fault("hang", message) from None
        if answer is None:  # the process has ended, or closed its stdout
            raise await self._describe_end()
        return answer

    async def read_stderr(self) -> str:
        """Return the end of what the process wrote to stderr since the last answer."""
        for _ in range(8):  # rounds of the event loop, which read what has arrived
            await asyncio.sleep(0)
        return shorten(self.stderr.decode(errors="replace"))

    async def end(self, grace: float) -> None:
        """End the process and all that it has started; if there is time, ask it first."""
        if grace:
            self._stdin.write(messages.encode(messages.STOP))
            self._stdin.close()
            await self._wait_for_exit(grace)
        _kill(self._transport)
        await self._wait_until(lambda: self._transport.get_returncode() is not None)
        self._transport.close()
        await self._wait_until(lambda: self._ended)

    async def _read_line(self) -> bytes | None:
        """Wait until the whole question is written; return a line of stdout, or None at its end."""
        await self._wait_until(
            lambda: self._lines or self._stdout_closed or len(self._stdout) > LONGEST_LINE
        )
        if not self._lines and not self._stdout_closed:
            raise Fault("garbage", f"a line on stdout is longer than {LONGEST_LINE} bytes.")
        if not self._lines:
            return None
        await self._wait_until(lambda: not self._stdin.get_write_buffer_size())
        line, _, self._stdout = self._stdout.partition(b"\n")
        self._lines -= 1
        return bytes(line)

    async def _describe_end(self) -> Fault:
        """Return the Fault of a process that has ended, or at least closed its stdout."""
        await self._wait_for_exit(GRACE)
        code = self._transport.get_returncode()
        how = "it closed its stdout, and runs on" if code is None else describe_exit(code)
        return Fault("crash", f"{how}{self._describe_half_line(',')}.")

    def _describe_half_line(self, comma: str = "") -> str:
        return f"{comma} after the half line {quote_start(self._stdout)}" if self._stdout else ""

    async def _wait_for_exit(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wait_until(lambda: self._transport.get_returncode() is not None)

    async def _wait_until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    # The event loop calls the methods below.

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.SubprocessTransport = transport
        self._stdin: asyncio.WriteTransport = transport.get_pipe_transport(0)
        self._stdin.set_write_buffer_limits(0)  # `resume_writing` then means that all is written

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.stderr += data
            del self.stderr[:-STDERR_KEPT]
        else:
            self._stdout += data
            self._lines += data.count(b"\n")
            self._changed.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        self._stdout_closed |= fd == 1
        self._changed.set()

    def resume_writing(self) -> None:
        self._changed.set()

    def process_exited(self) -> None:
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._ended = True
        self._changed.set()


def _kill(process: asyncio.SubprocessTransport) -> None:
    """End a process and the processes that it started."""
    pid = str(process.get_pid())
    if os.name != "posix":
        command = ["taskkill", "/F", "/T", "/PID", pid]
        subprocess.run(command, check=False, capture_output=True)  # noqa: S603
        return
    # The group outlives its leader as long as it has members. macOS raises PermissionError if none
    # are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(int(pid), signal.SIGKILL)


def _split(command: str) -> list[str]:
    try:
        arguments = shlex.split(command, posix=os.name == "posix")
    except ValueError as error:
        raise EngineError(f"{command!r} is not a command line: {error}.") from error
    if not arguments:
        raise EngineError(
            "the target is empty; it has to be module:attribute, file.py:attribute or a command."
        )
    return [argument.strip('"') for argument in arguments] if os.name == "nt" else arguments
