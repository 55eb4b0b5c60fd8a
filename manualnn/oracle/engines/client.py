"""Client of an engine: it sends cases to an engine in this process or in another one.

    connect("mytoy:Engine")                  an attribute of a module: a class, factory or instance
    connect("path/to/mytoy.py:Engine")       the same of a file
    connect("node engine.mjs")               a command line: a process that speaks PROTOCOL.md
    connect(Engine)                          the class, factory or instance itself

    with connect(target) as client:
        outcome = client.run(case)           raises nothing, whatever the engine does
        client.fresh()                       a new instance or process, without history

Every failure of an engine becomes the outcome of the case, and the next case finds a running
engine. A result is validated and converted: arrays have the case's dtype and are copies, weights
have the layout (out, in), and the loss is a 0-d array. Numbers of another dtype are rounded to the
case's dtype, which hides at most half a unit in the last place.
"""

import copy
import math
import os
import re
from dataclasses import replace
from typing import Any, Self

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
"""Form of the targets "module:attribute" and "path/to/file.py:attribute"."""

Transport = InProcess | Process


def connect(target: Any, *, time_limit: float = 10.0) -> "EngineClient":
    """Return the client of an engine; raises EngineError if the engine cannot be used.

    `time_limit` is the timeout of a call in seconds. A call beyond it is a hang.
    """
    if not 0 < time_limit < math.inf:  # NaN as well
        raise EngineError(f"the time limit is {time_limit}; give a positive number of seconds.")
    is_command = isinstance(target, str) and not ATTRIBUTE.fullmatch(target)
    is_file = is_command and target.endswith(".py") and " " not in target
    if is_file and not os.access(target, os.X_OK):
        raise EngineError(
            f"{target} is a Python file, and no program that can be started; add a colon and the "
            f"name of the engine's class, such as {target}:Engine."
        )
    transport: Transport = (Process if is_command else InProcess)(target, time_limit)
    try:
        content = transport.capabilities()
        try:
            capabilities = Capabilities.read(content)
        except (ClaimError, TypeError, ValueError) as error:
            message = f"{transport.name} claims what cannot be understood: {error}"
            raise EngineError(message) from error
        return EngineClient(transport, capabilities, time_limit)
    except BaseException:
        transport.close()
        raise


class EngineClient:
    """A client of one engine; a context manager that closes it."""

    def __init__(self, transport: Transport, capabilities: Capabilities, time_limit: float) -> None:
        self._transport = transport
        self.target = transport.name
        self.capabilities = capabilities
        self.time_limit = time_limit
        self.in_process = isinstance(transport, InProcess)

    def run(self, case: Case) -> Outcome:
        """Return the outcome of a case; the engine gets a copy of the case."""
        seen = self._in_layout(case)
        outcome = self._step(seen, _complete(seen.copy()))
        if outcome.result is None:
            return outcome
        return Outcome(result=map_result(outcome.result, lambda _, a: np.array(a, order="C")))

    def run_raw(self, case: Case) -> Outcome:
        """Return the outcome of a case without copies, to see which memory the engine uses.

        Only for engines in this process. The engine gets the case's own arrays, and the result
        holds the engine's own arrays if they fit. Weights of the layout (in, out) are views.
        """
        if not self.in_process:
            raise EngineError(
                f"{self.target} runs in a process of its own, which shares no memory; "
                "ask in_process before run_raw."
            )
        seen = self._in_layout(case)
        return self._step(seen, _complete(seen))

    def fresh(self) -> None:
        """Remove all history: the next case finds a new instance or a new process.

        An engine that was given as an instance stays the same.
        """
        self._transport.fresh()

    def another(self) -> "EngineClient":
        """Return the client of a second engine, made in the same way."""
        return EngineClient(self._transport.another(), self.capabilities, self.time_limit)

    def close(self) -> None:
        """Release the engine; a process is ended."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _in_layout(self, case: Case) -> Case:
        """Return the case with weights in the engine's layout."""
        if self.capabilities.weight_layout == "out,in":
            return case
        stored = ("params.", "state.")
        return case.map(lambda name, a: a.T if name.startswith(stored) else a)

    def _step(self, seen: Case, given: Case) -> Outcome:
        """Return the outcome of `given`, a case like `seen`, with the result validated."""
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
        return Outcome(result=result)


def _complete(case: Case) -> Case:
    """Return the case with every option, in dictionaries that the engine may change."""
    return replace(
        case.map(lambda _, array: array),
        layers=tuple(_all_options(spec) for spec in case.layers),
        loss=_all_options(case.loss),
        optimizer=case.optimizer and _all_options(case.optimizer),
    )


def _all_options(spec: Spec) -> Spec:
    return copy.deepcopy(vars(options_of(spec)))
