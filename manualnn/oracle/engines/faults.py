"""Exceptions for engine failures: `EngineError` (cannot start) and `Fault` (a call went wrong)."""

import re
import signal
import traceback
from types import TracebackType

from manualnn.errors import OracleError

TAIL, HEAD = 2000, 400
"""Largest number of characters shown of a traceback or of stderr, and how many from its start."""
SHOWN = 120
"""Largest number of bytes shown of a line."""


class EngineError(OracleError, ValueError):
    """The engine cannot be loaded or started, or its capabilities cannot be understood."""


class Fault(OracleError):  # noqa: N818 - the engine's error, not ours
    """A call to an engine failed; `kind` is one of `FAULTS`, the message is for the outcome."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def format_traceback(error: BaseException) -> str:
    """Return the traceback from the engine's own code on; only its end if it is long."""
    lines = traceback.format_exception(type(error), error, _engine_trace(error))
    return shorten("".join(lines))


def format_position(error: BaseException) -> str:
    """Return the position in the engine's code at which a signal raised an error."""
    return shorten("".join(traceback.format_tb(_engine_trace(error))[:-1]))


def _engine_trace(error: BaseException) -> TracebackType | None:
    """Return the traceback without the calls that lead to the engine's own code."""
    trace = error.__traceback__
    while trace is not None and _MACHINERY.search(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def describe_exit(code: int) -> str:
    """Return the way in which a process ended, from the code that it returned."""
    if code >= 0:
        return f"it exited with code {code}"
    try:
        return f"{signal.Signals(-code).name} ended it"
    except ValueError:
        return f"signal {-code} ended it"


def quote_start(line: bytes | bytearray) -> str:
    """Return the start of a line, quoted."""
    text = line[:SHOWN].decode(errors="backslashreplace")
    return repr(text) + ("…" if len(line) > SHOWN else "")


def shorten(text: str) -> str:
    """Return the start and end of a long text: some languages name the error at the start."""
    text = text.strip()
    return text if len(text) <= TAIL else f"{text[:HEAD]} …\n… {text[HEAD - TAIL :]}"


_MACHINERY = re.compile(
    r"importlib|engines.(in_process|examination|server)\.py$"
    r"|gradcheck.functions.\w+\.py$|[\\/](torch|jax)[\\/](autograd|_functorch|nn.utils|_src)[\\/]"
)
"""Files whose frames lead to the engine's code."""
