"""Engines in other processes, in any language, which follow PROTOCOL.md on stdin and stdout.

Process("node engine.mjs", time_limit, start_limit)
"""

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from manualnn.oracle.engines import messages
from manualnn.oracle.engines.connection import Connection
from manualnn.oracle.engines.conventions import (
    accept,
    accept_weight,
    complete,
    copied,
    in_layout,
    read_claims,
)
from manualnn.oracle.engines.faults import Fault
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case


class Process:
    """An engine in a process of its own."""

    def __init__(self, command: str, time_limit: float, start_limit: float) -> None:
        self.name = command
        self._connection = Connection(command, time_limit, start_limit)

    def capabilities(self) -> Capabilities:
        """Return the claims in the engine's answer to the first message; raises EngineError."""
        claims = self._connection.open()
        if claims.get("arrays") == "safetensors":
            messages.load_safetensors()
        return read_claims(self.name, claims)

    def run(self, case: Case, claims: Capabilities) -> Outcome:
        """Return the outcome of a case."""
        seen = in_layout(case, claims)
        return copied(accept(self._step(complete(seen), claims.arrays), seen, claims))

    def _step(self, case: Case, form: str) -> Outcome:
        """Return the outcome of a case, the result as the engine returned it."""
        folder = tempfile.TemporaryDirectory(prefix="manualnn-") if form == "safetensors" else None
        with folder or nullcontext() as directory:
            try:
                return self._connection.ask(
                    lambda seq: messages.write_request(seq, case, form, directory),
                    messages.read_reply,
                )
            except Fault as fault:
                return Outcome(fault=fault.kind, message=str(fault))

    def init(
        self, spec: Mapping[str, Any], shape: tuple[int, int], seed: int, claims: Capabilities
    ) -> Outcome:
        """Return the outcome of drawing a weight of shape (out, in)."""
        turned = shape[::-1] if claims.weight_layout == "in,out" else shape
        try:
            outcome = self._connection.ask(
                lambda seq: messages.write_init(seq, spec, turned, seed), messages.read_weight
            )
        except Fault as fault:
            return Outcome(fault=fault.kind, message=str(fault))
        return accept_weight(outcome, shape, claims)

    def fresh(self) -> None:
        """End the process; the next case starts a new one."""
        self._connection.end()

    restart = fresh

    def another(self) -> "Process":
        """Return another process of the same command."""
        connection = self._connection
        return Process(self.name, connection.time_limit, connection.start_limit)

    def close(self) -> None:
        """End the process."""
        self._connection.close()
