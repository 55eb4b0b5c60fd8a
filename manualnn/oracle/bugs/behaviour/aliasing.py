"""Bugs of aliasing: inputs that are overwritten, results that share memory."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, Method, add_bug, after_load
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(add_bug, BUGS, "memory", killed_by="*:memory.*")


def _overwrite(name: str) -> Method:
    """Return a step that sets the first entry of one array of the case to 0."""

    def step(e: Textbook, case: Case) -> Mapping[str, Any]:
        result = Textbook.step(e, case)
        getattr(case, name).flat[:1] = 0
        return result

    return step


class UpdatesInPlace(Textbook):
    """Uses the parameter arrays of the case as its own."""

    def load(self, case: Case) -> None:
        super().load(case)
        if self.kind == case.dtype:
            self.params = dict(case.params)

    def updated(self, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]) -> Array:
        p[...] = super().updated(o, key, p, g, s)
        return p


bug(
    "params-updated-in-place",
    "The given parameters are updated in place.",
    lines=("p −= lr d", "p_new = p − lr d"),
    base=UpdatesInPlace,
)
bug(
    "input-clobbered",
    "The input array is overwritten, as by an activation in place.",
    lines=("x ← f(x), in place", "a = f(x)"),
    step=_overwrite("x"),
)
bug(
    "targets-clobbered",
    "The array of targets is overwritten, as by t −= y.",
    lines=("t ← t − y, in place", "e = y − t"),
    step=_overwrite("t"),
)


def _update_given_state(e: Textbook, case: Case) -> Mapping[str, Any]:
    result = Textbook.step(e, case)
    for name, group in (case.state or {}).items():
        if name != "step":
            for key, a in group.items():
                a[...] = e.state[name][key]
    return result


bug(
    "state-updated-in-place",
    "The given optimizer state is updated in place.",
    lines=("m *= β₁, m += (1 − β₁) g", "m_new = β₁ m + (1 − β₁) g"),
    step=_update_given_state,
)


def _update_without_copies(e: Textbook, rule: Options) -> None:
    for key, p in e.params.items():
        s = {name: group[key] for name, group in e.state.items()}
        e.params[key] = e.updated(rule, key, p, e.grads[key], s)
        for name, a in s.items():
            e.state[name][key] = a


bug(
    "results-share-memory",
    "Two results are the same array: the gradient and the momentum buffer of the first step.",
    lines=("b is g", "b = copy of g"),
    source="MyGrad",
    update=_update_without_copies,
)
bug(
    "results-are-inputs",
    "The outputs of a network of identities are the input array itself.",
    lines=("y is x", "y = copy of x"),
    load=after_load(lambda e: setattr(e, "x", np.asarray(e.case.x, e.kind))),
    result=lambda e, value, dx: {**Textbook.result(e, value, dx), "outputs": e.ys[-1]},
)


class HasMemory(Textbook):
    """Has a dictionary that stays from call to call."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(dtype)
        self.memory: dict[Any, Any] = {}

    def store(self, value: Array, *label: Any) -> Array:
        """Write a value into the array of its label, shape and dtype, and return that array."""
        array = self.memory.setdefault((*label, value.shape, value.dtype), value)
        array[...] = value
        return np.asarray(array)


class ReusesGradients(HasMemory):
    """Returns the gradients of equal shapes in the same arrays in every call."""

    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        return {key: self.store(g, key) for key, g in super().linear_grads(o, x, dz).items()}


bug(
    "results-reused",
    "Every call returns the same arrays, so that the next call changes earlier results.",
    lines=("grads are the engine's own buffers", "grads are copies"),
    base=ReusesGradients,
)


class ReusesOneResult(HasMemory):
    """Returns one result in the array of the previous call with the same shapes."""

    reused = ""

    def result(self, value: Any, dx: Array) -> dict[str, Any]:
        result = super().result(value, dx)
        return {**result, self.reused: self.store(result[self.reused])}


bug(
    "one-result-reused",
    "Every call returns the outputs or the input gradient in the same array.",
    lines=("outputs are the engine's own buffer", "outputs are a copy"),
    base=ReusesOneResult,
    variants=[{"reused": "outputs"}, {"reused": "input_grad"}],
)
