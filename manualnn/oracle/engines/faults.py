"""What goes wrong with engines, in words: the error of connecting, and a call's faults."""

import re
import traceback

from manualnn.errors import OracleError

TAIL, HEAD = 2000, 400
"""How many characters of a traceback, or of what stood on stderr, are shown; of its beginning."""


SHOWN = 120
"""How many bytes of a line are shown."""


class EngineError(OracleError, ValueError):
    """There is no engine to ask: it cannot be loaded or started, or claims nothing sensible."""


class Fault(OracleError):  # noqa: N818 - the engine's error, not ours
    """One of `FAULTS`, which ends a call; the message is for the outcome."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def traced(error: BaseException) -> str:
    """Return the traceback from the engine's own code on, its end if it is long."""
    trace = error.__traceback__
    while trace is not None and _MACHINERY.search(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    lines = traceback.format_exception(type(error), error, trace)
    return tail("".join(lines))


def stood(error: BaseException) -> str:
    """Return where in the engine's code a signal raised an error."""
    return tail("".join(traceback.format_tb(error.__traceback__)[1:-1]))


def shortened(line: bytes | bytearray) -> str:
    """Return the beginning of a line, quoted."""
    text = line[:SHOWN].decode(errors="backslashreplace")
    return repr(text) + ("…" if len(line) > SHOWN else "")


def tail(text: str) -> str:
    """Return the end of a long text, and its beginning, where some languages say what is wrong."""
    text = text.strip()
    return text if len(text) <= TAIL else f"{text[:HEAD]} …\n… {text[HEAD - TAIL :]}"


_MACHINERY = re.compile(r"importlib|engines.in_process\.py$")
"""Files whose lines lead to the engine's code, but are not its own."""
