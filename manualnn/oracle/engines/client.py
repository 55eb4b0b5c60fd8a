"""Client of an engine: it sends cases to an engine in this process or in another one.

    connect("mytoy:Engine")                  an attribute of a module: a class, factory or instance
    connect("path/to/mytoy.py:Engine")       the same of a file
    connect("mytoy:Engine", in_process=True) the same in this process
    connect("node engine.mjs")               a command line: a process that speaks PROTOCOL.md
    connect(Engine)                          the class, factory or instance itself

    with connect(target) as client:
        outcome = client.run(case)           raises nothing, whatever the engine does
        client.fresh()                       a new instance or process, without history
        client.restart()                     a new process, without any history

A module is imported in a process of its own, so that a crash is an outcome. A class, factory or
instance exists only in this process, so it stays here: its crash ends this process, and nothing
removes the history in its module's globals.

Every failure of an engine becomes the outcome of the case, and the next case finds a running
engine. A result is validated and converted: arrays have the case's dtype and are copies, weights
have the layout (out, in), and the loss is a 0-d array. Numbers of another dtype are rounded to the
case's dtype, which hides at most half a unit in the last place.
"""

import copy
import math
import os
import re
from collections.abc import Mapping
from typing import Any, Self

from manualnn.oracle.engines.child import Child
from manualnn.oracle.engines.examination import Examination
from manualnn.oracle.engines.faults import EngineError
from manualnn.oracle.engines.in_process import InProcess
from manualnn.oracle.engines.process import Process
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import buffer_of

__all__ = ["EngineClient", "EngineError", "connect"]

ATTRIBUTE = re.compile(r"(?P<module>[\w./-]+):[\w.]+")
"""Form of the targets "module:attribute" and "path/to/file.py:attribute"."""
TIME_LIMIT = 10.0
"""Default timeout of a call, in seconds."""
START_LIMIT = 60.0
"""Default timeout of the first answer, in seconds: an engine may load large libraries."""

Transport = Child | InProcess | Process


def connect(
    target: Any, *, time_limit: float | None = None, in_process: bool = False
) -> "EngineClient":
    """Return the client of an engine; raises EngineError if the engine cannot be used.

    `time_limit` is the timeout of a call and of the first answer in seconds, by default 10 and 60.
    A call beyond it is a hang. With `in_process`, a module is imported in this process.
    """
    if time_limit is not None and not 0 < time_limit < math.inf:  # NaN as well
        raise EngineError(f"the time limit is {time_limit}; give a positive number of seconds.")
    limits = time_limit or TIME_LIMIT, time_limit or START_LIMIT
    transport = _transport(target, *limits, in_process=in_process)
    try:
        return EngineClient(transport, transport.capabilities(), limits[0])
    except BaseException:
        transport.close()
        raise


def _transport(target: Any, call: float, start: float, *, in_process: bool) -> Transport:
    named = ATTRIBUTE.fullmatch(target) if isinstance(target, str) else None
    if isinstance(target, str) and not named:
        is_file = target.endswith(".py") and " " not in target
        if is_file and not os.access(target, os.X_OK):
            raise EngineError(
                f"{target} is a Python file, and no program that can be started; add a colon and "
                f"the name of the engine's class, such as {target}:Engine."
            )
        return Process(target, call, start)
    if not named or in_process or named["module"] == "__main__":
        return InProcess(target, call)
    return Child(target, call, start)


class EngineClient:
    """A client of one engine; a context manager that closes it."""

    def __init__(self, transport: Transport, capabilities: Capabilities, time_limit: float) -> None:
        self._transport = transport
        self.target = transport.name
        self.capabilities = capabilities
        self.time_limit = time_limit
        self.is_python = not isinstance(transport, Process)
        """True if the engine is a Python object: it can be examined, and `fresh` is cheap."""
        self._omitted: frozenset[str] = frozenset()

    def omitting(self, *names: str) -> "EngineClient":
        """Return a client of the same engine whose results lack some parts, such as "params".

        Buffers in "params" stay, because they do not follow from an update.
        """
        other = copy.copy(self)
        other._omitted = frozenset(names)  # noqa: SLF001 - a copy of this object
        return other

    @property
    def restarts_cheaply(self) -> bool:
        """True if a new process costs little more than a new instance."""
        return isinstance(self._transport, Child) and self._transport.restarts_cheaply

    def begin(self, case: Case) -> None:
        """Send a case ahead, if the engine can work beside this process; `run` is the next call."""
        if isinstance(self._transport, Child):
            self._transport.begin(case)

    def run(self, case: Case) -> Outcome:
        """Return the outcome of a case; the engine gets a copy of the case."""
        outcome = self._transport.run(case, self.capabilities)
        if outcome.result is None or self._omitted.isdisjoint(outcome.result):
            return outcome
        kept = {name: part for name, part in outcome.result.items() if name not in self._omitted}
        buffers = {k: a for k, a in outcome.result.get("params", {}).items() if buffer_of(k)}
        if buffers:
            kept.setdefault("params", buffers)
        return Outcome(result=kept)

    def init(self, spec: Mapping[str, Any], shape: tuple[int, int], seed: int) -> Outcome:
        """Return the outcome of drawing a weight of shape (out, in): {"weight": array}."""
        return self._transport.init(spec, shape, seed, self.capabilities)

    def examine(self, case: Case, *, layout: str = "", then: Case | None = None) -> Examination:
        """Return the outcome of a case with facts about the memory that the engine uses.

        Only for engines in Python. The arrays of the case are in a layout of LAYOUTS. `then` is
        the case of a next call.
        """
        if isinstance(self._transport, Process):
            raise EngineError(
                f"{self.target} is a process that shares no memory; ask is_python before examine."
            )
        return self._transport.examine(case, self.capabilities, layout, then)

    def fresh(self) -> None:
        """Remove the history of the engine: the next case finds a new instance or a new process.

        An engine that was given as an instance stays the same. History in a module's globals stays.
        """
        self._transport.fresh()

    def restart(self) -> None:
        """Remove all history: the next case finds a new process.

        An engine in this process can only be made anew, as by `fresh`.
        """
        self._transport.restart()

    def another(self) -> "EngineClient":
        """Return the client of a second engine, made in the same way beside the first one."""
        return EngineClient(self._transport.another(), self.capabilities, self.time_limit)

    def close(self) -> None:
        """Release the engine; a process is ended."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
