"""Engines behind one bench, wherever they run: asked with a case, they answer with an `Outcome`.

    connect("mytoy:Engine")                  a module's attribute: a class, a factory, an instance
    connect("path/to/mytoy.py:Engine")       the same of a file
    connect("node engine.mjs")               a command line: a process that speaks PROTOCOL.md
    connect(Engine)                          the class, factory or instance itself

    with connect(target) as bench:
        outcome = bench.run(case)            never raises for what the engine does
        bench.fresh()                        a new instance, a new process: no history

Whatever an engine does ends as an outcome of the case at hand, and the next case finds an engine
that runs. A result is validated and made plain: arrays of the case's dtype, copies of the
engine's, weights as (out, in), the loss a 0-d array. Numbers of another dtype are rounded to the
case's, which hides at most half a unit in the last place.
"""

import copy
import re
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from manualnn.oracle.engines.faults import EngineError
from manualnn.oracle.engines.in_process import InProcess
from manualnn.oracle.engines.process import Process
from manualnn.oracle.engines.validation import Malformed, map_result, normalize_result
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities, ClaimError
from manualnn.oracle.protocol.case import Case, Spec
from manualnn.oracle.protocol.features import options_of

__all__ = ["EngineClient", "EngineError", "connect"]

ATTRIBUTE = re.compile(r"[\w./-]+:[\w.]+")
"""What "module:attribute" and "path/to/file.py:attribute" look like."""


class Transport(Protocol):
    """How an engine is reached."""

    name: str

    def capabilities(self) -> Any:
        """Return what the engine claims, unread; EngineError if it cannot be started."""

    def step(self, case: Case, claims: Capabilities) -> Outcome:
        """Return what becomes of a case, the result as the engine gave it."""

    def fresh(self) -> None:
        """Let the next case find an engine without history."""

    def another(self) -> "Transport":
        """Return a way to another engine of the same kind."""

    def close(self) -> None:
        """Let go of the engine."""


def connect(target: Any, *, time_limit: float = 10.0) -> "EngineClient":
    """Return the bench of an engine; EngineError, with a next step, if there is none.

    A call that takes longer than `time_limit` seconds is a hang.
    """
    transport: Transport
    if isinstance(target, str) and not ATTRIBUTE.fullmatch(target):
        transport = Process(target, time_limit)
    else:
        transport = InProcess(target, time_limit)
    try:
        return EngineClient(transport, _read(transport), time_limit)
    except BaseException:
        transport.close()
        raise


class EngineClient:
    """An engine that can be asked; a context manager, which closes it."""

    def __init__(self, transport: Transport, capabilities: Capabilities, time_limit: float) -> None:
        self._transport = transport
        self.target = transport.name
        self.capabilities = capabilities
        self.time_limit = time_limit
        self.in_process = isinstance(transport, InProcess)

    def run(self, case: Case) -> Outcome:
        """Return what becomes of a case, which the engine gets as a copy of its own."""
        seen = self._laid_out(case)
        return self._judged(seen, _own(seen.copy()), copied=True)

    def run_raw(self, case: Case) -> Outcome:
        """Return what becomes of the case's own arrays, and the engine's own where they fit.

        In process only: to see whether an engine writes to its inputs, and what its results share.
        Weights of the layout (in, out) are views of the case's.
        """
        if not self.in_process:
            raise EngineError(
                f"{self.target} runs in a process of its own, which shares no memory; "
                "ask in_process before run_raw."
            )
        seen = self._laid_out(case)
        return self._judged(seen, _own(seen), copied=False)

    def fresh(self) -> None:
        """Forget all history: a new instance, or a new process.

        An engine that was given as an instance stays the same.
        """
        self._transport.fresh()

    def another(self) -> "EngineClient":
        """Return the bench of a second engine, made in the same way as this one."""
        return EngineClient(self._transport.another(), self.capabilities, self.time_limit)

    def close(self) -> None:
        """Let go of the engine; a process is ended."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _laid_out(self, case: Case) -> Case:
        if self.capabilities.weight_layout == "out,in":
            return case
        stored = ("params.", "state.")
        return case.map(lambda name, a: a.T if name.startswith(stored) else a)

    def _judged(self, seen: Case, given: Case, *, copied: bool) -> Outcome:
        outcome = self._transport.step(given, self.capabilities)
        if outcome.result is None:
            return outcome
        try:
            result = normalize_result(outcome.result, seen, self.capabilities)
        except Malformed as error:
            return Outcome(fault="malformed", message=str(error))
        if self.capabilities.weight_layout == "in,out":
            turned = ("grads.", "params.", "state.")
            result = map_result(result, lambda name, a: a.T if name.startswith(turned) else a)
        if copied:
            result = map_result(result, lambda _, a: np.array(a, order="C"))
        return Outcome(result=result)


def _read(transport: Transport) -> Capabilities:
    content = transport.capabilities()
    try:
        return Capabilities.read(content)
    except (ClaimError, TypeError, ValueError) as error:
        raise EngineError(f"{transport.name} claims what cannot be understood: {error}") from error


def _own(case: Case) -> Case:
    """Return the case with every option, in mappings that an engine may take apart."""
    return replace(
        case.map(lambda _, array: array),
        layers=tuple(_whole(spec) for spec in case.layers),
        loss=_whole(case.loss),
        optimizer=case.optimizer and _whole(case.optimizer),
    )


def _whole(spec: Spec) -> Spec:
    return copy.deepcopy(vars(options_of(spec)))
