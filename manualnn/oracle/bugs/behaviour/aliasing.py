"""Bugs of aliasing: inputs that are overwritten, results that share memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Method, Table, bug
from manualnn.oracle.bugs.edits import after_load, all_gradients, with_result
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("memory")


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


BUGS["params-updated-in-place"] = bug(
    "The given parameters are updated in place.",
    lines=("p −= lr d", "p_new = p − lr d"),
    base=UpdatesInPlace,
)
BUGS["input-clobbered"] = bug(
    "The input array is overwritten, as by an activation in place.",
    lines=("x ← f(x), in place", "a = f(x)"),
    step=_overwrite("x"),
)
BUGS["targets-clobbered"] = bug(
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


BUGS["state-updated-in-place"] = bug(
    "The given optimizer state is updated in place.",
    lines=("m *= β₁, m += (1 − β₁) g", "m_new = β₁ m + (1 − β₁) g"),
    step=_update_given_state,
)


def _update_without_copies(e: Textbook, rule: Options) -> None:
    learned = e.learned()
    grads = e.gradients_of_step(rule, learned, e.grads)
    for key, p in learned.items():
        s = {name: group[key] for name, group in e.state.items()}
        e.params[key] = e.updated(rule, key, p, grads[key], s)
        for name, a in s.items():
            e.state[name][key] = a


BUGS["results-share-memory"] = bug(
    "Two results are the same array: the gradient and the momentum buffer of the first step.",
    lines=("b is g", "b = copy of g"),
    source="MyGrad",
    update=_update_without_copies,
)
BUGS["results-are-inputs"] = bug(
    "The outputs of a network of identities are the input array itself.",
    lines=("y is x", "y = copy of x"),
    load=after_load(lambda e: setattr(e, "x", np.asarray(e.case.x, e.kind))),
    result=with_result("outputs", lambda e, y: e.ys[-1]),
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

    def add(self, value: Array, *label: Any) -> Array:
        """Add a value to the sum of its label, shape and dtype, and return the sum."""
        label = (*label, value.shape, value.dtype)
        self.memory[label] = self.memory[label] + value if label in self.memory else value
        return np.asarray(self.memory[label])

    def recall(self, *label: Any, value: Any) -> Any:
        """Return the first value of this label and dtype."""
        return self.memory.setdefault((*label, self.kind), value)

    def exchange(self, value: Any, *label: Any) -> Any:
        """Store a value, and return the previous one, or the value itself if there is none."""
        before = self.memory.get(label, value)
        self.memory[label] = value
        return before


BUGS["results-reused"] = bug(
    "Every call returns the same arrays, so that the next call changes earlier results.",
    lines=("grads are the engine's own buffers", "grads are copies"),
    base=HasMemory,
    backward=all_gradients(lambda e, grads: {key: e.store(g, key) for key, g in grads.items()}),
)
BUGS["one-result-reused"] = bug(
    "Every call returns the outputs or the input gradient in the same array.",
    lines=("outputs are the engine's own buffer", "outputs are a copy"),
    base=HasMemory,
    result=[with_result(name, lambda e, a: e.store(a)) for name in ("outputs", "input_grad")],
)
