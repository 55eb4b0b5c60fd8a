"""Mistakes of memory: inputs that are written to, and results that share it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, plant
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "memory")


def _loads_and(change: Callable[[Any, Case], None]) -> Callable[[Textbook, Case], None]:
    def load(e: Textbook, case: Case) -> None:
        Textbook.load(e, case)
        change(e, case)

    return load


def _writes(take: Callable[[Case], Mapping[str, Array]], value: float) -> Any:
    """Return a step that leaves the first entry of arrays of the case changed."""

    def step(e: Textbook, case: Case) -> Mapping[str, Any]:
        result = Textbook.step(e, case)
        for array in take(case).values():
            if array.size:
                array.flat[0] = value
        return result

    return step


class UpdatesInPlace(Textbook):
    """Its parameters are the case's own arrays."""

    def load(self, case: Case) -> None:
        super().load(case)
        if self.kind == case.dtype:
            self.params = dict(case.params)

    def updated(self, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]) -> Array:
        p[...] = super().updated(o, key, p, g, s)
        return p


bug(
    "params-updated-in-place",
    "The parameters that are handed in are themselves updated.",
    wrong="p −= lr d",
    right="p_new = p − lr d",
    killed_by="*:memory.*",
    base=UpdatesInPlace,
)
bug(
    "input-clobbered",
    "The input array is overwritten, as by an activation that works in place.",
    wrong="x ← f(x), in place",
    right="a = f(x)",
    killed_by="*:memory.*",
    step=_writes(lambda case: {"x": case.x}, 0),
)
bug(
    "targets-clobbered",
    "The array of targets is overwritten, as by t −= y.",
    wrong="t ← t − y, in place",
    right="e = y − t",
    killed_by="*:memory.*",
    step=_writes(lambda case: {"t": case.t}, 0),
)


class WritesState(Textbook):
    def step(self, case: Case) -> Mapping[str, Any]:
        result = super().step(case)
        for name, group in (case.state or {}).items():
            if name != "step":
                for key, a in group.items():
                    a[...] = self.state[name][key]
        return result


bug(
    "state-updated-in-place",
    "The optimizer's state that is handed in is itself updated.",
    wrong="m *= β₁, m += (1 − β₁) g",
    right="m_new = β₁ m + (1 − β₁) g",
    killed_by="*:memory.*",
    base=WritesState,
)
bug(
    "results-share-memory",
    "Two results are one array: the gradient, and the momentum buffer that starts as it.",
    wrong="b is g",
    right="b = copy of g",
    source="MyGrad",
    killed_by="*:memory.*",
    sgd_buffer=lambda e, o, b, g, t: g if t == 1 else Textbook.sgd_buffer(e, o, b, g, t),
)
bug(
    "results-are-inputs",
    "The outputs of a network that starts with an identity are the input array itself.",
    wrong="y is x",
    right="y = copy of x",
    killed_by="*:memory.*",
    load=_loads_and(lambda e, case: setattr(e, "x", np.asarray(case.x, e.kind))),
    result=lambda e, value, dx: {**Textbook.result(e, value, dx), "outputs": e.ys[-1]},
)


class ReusesGradients(Textbook):
    """Its gradients are the same arrays in every call of the same shapes."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(dtype)
        self.buffers: dict[Any, Array] = {}

    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        grads = super().linear_grads(o, x, dz)
        for key, g in grads.items():
            buffer = self.buffers.setdefault((key, g.shape, g.dtype), np.empty_like(g))
            buffer[...] = g
            grads[key] = buffer
        return grads


bug(
    "results-reused",
    "Every call returns the same arrays: an earlier result changes with the next call.",
    wrong="grads are the engine's own buffers",
    right="grads are copies",
    killed_by="*:memory.*",
    base=ReusesGradients,
)


class ReusesOneResult(Textbook):
    """Returns one of its results in the array of the last call of the same shapes."""

    reused = ""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(dtype)
        self.buffers: dict[Any, Array] = {}

    def result(self, value: Any, dx: Array) -> dict[str, Any]:
        result = super().result(value, dx)
        new = result[self.reused]
        result[self.reused] = buffer = self.buffers.setdefault((new.shape, new.dtype), new)
        buffer[...] = new
        return result


bug(
    "one-result-reused",
    "Every call returns the outputs, or the input gradient, in the same array.",
    wrong="outputs are the engine's own buffer",
    right="outputs are a copy",
    killed_by="*:memory.*",
    base=ReusesOneResult,
    variants=[{"reused": "outputs"}, {"reused": "input_grad"}],
)
