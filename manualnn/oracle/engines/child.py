"""Engines in Python, each in a process of its own: a crash is an outcome, and costs one case.

    Child("mytoy:Engine", time_limit, start_limit)

The process is a `server`, started by the same Python with the same sys.path in the same folder. It
stops a call after the time limit by itself. If that fails, because compiled code does not return,
it is killed. What the engine prints goes to a file, and the end of it is shown with a crash.
"""

from collections.abc import Mapping
from typing import Any, cast

from manualnn.oracle.engines.examination import Examination
from manualnn.oracle.engines.faults import EngineError, Fault
from manualnn.oracle.engines.host import Call, Host
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case


class Child:
    """An engine in a process of its own, which several instances may share."""

    def __init__(
        self, target: str, time_limit: float, start_limit: float, host: "Host | None" = None
    ) -> None:
        self.name = target
        self._host = host or Host(target, time_limit, start_limit)
        self._key = next(self._host.keys)
        self._is_fresh = False
        self._fault: Fault | None = None

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

    def begin(self, case: Case) -> None:
        """Send a case, which the engine answers while this process goes on; `run` is next."""
        try:
            self._host.begin(self._call("run", case))
        except Fault as fault:
            self._fault = fault

    def run(self, case: Case, _: Capabilities) -> Outcome:
        """Return the outcome of a copy of a case."""
        try:
            return cast("Outcome", self._ask("run", self._host.time_limit, case))
        except Fault as fault:
            return Outcome(fault=fault.kind, message=str(fault))

    def init(
        self, spec: Mapping[str, Any], shape: tuple[int, int], seed: int, _: Capabilities
    ) -> Outcome:
        """Return the outcome of drawing a weight of shape (out, in)."""
        try:
            answer = self._ask("init", self._host.time_limit, dict(spec), shape, seed)
        except Fault as fault:
            return Outcome(fault=fault.kind, message=str(fault))
        return cast("Outcome", answer)

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
        fault, self._fault = self._fault, None
        if fault:
            raise fault
        return self._host.ask(self._call(method, *arguments), seconds)

    def _call(self, method: str, *arguments: Any) -> "Call":
        is_fresh, self._is_fresh = self._is_fresh, False
        return Call(self._key, is_fresh, method, arguments)
