"""Bugs of memory: data of one call that an engine uses in the next."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.behaviour.aliasing import HasMemory
from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import after_load, all_gradients, each_gradient
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("memory")
steps_bug = partial(bug, killed_by="steps:*")
history_bug = partial(bug, killed_by="*:history")

BUGS["gradient-buffer-by-shape"] = bug(
    "Layers of the same shape share one buffer for their gradients, which keeps only one of them.",
    lines=("one buffer per shape", "one buffer per parameter"),
    killed_by="square:*",
    base=HasMemory,
    linear_grads=each_gradient(lambda e, o, g: e.store(g)),
)

_add_to_earlier = all_gradients(lambda e, grads: {key: e.add(g, key) for key, g in grads.items()})
BUGS["gradients-accumulate"] = steps_bug(
    "Gradients are added to those of the last step, because they are never set to zero.",
    lines=("g ← g_before + ∂L/∂θ", "g = ∂L/∂θ"),
    source="micrograd #53",
    base=HasMemory,
    backward=_add_to_earlier,
)
BUGS["gradients-accumulate-over-steps"] = steps_bug(
    "Gradients are added to those of the earlier steps of the same call.",
    lines=("gₜ ← gₜ₋₁ + ∂L/∂θ", "gₜ = ∂L/∂θ"),
    base=HasMemory,
    load=after_load(lambda e: e.memory.clear()),
    backward=_add_to_earlier,
)


class KeepsRows(HasMemory):
    """Has buffers for the largest batch so far, and sums all of their rows."""

    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        label = (o.i, x.shape[1], dz.shape[1], x.dtype)
        before = self.memory.get(label)
        if before is not None and len(before[0]) > len(x):
            x = np.concatenate([x, before[0][len(x) :]])
            dz = np.concatenate([dz, before[1][len(dz) :]])
        self.memory[label] = (x, dz)
        return super().linear_grads(o, x, dz)


BUGS["stale-rows"] = history_bug(
    "A batch smaller than an earlier one leaves old rows in the buffers, which are summed too.",
    lines=("dW sums the rows of the largest batch so far", "dW sums the rows of this batch"),
    base=KeepsRows,
)


class CountsOn(Textbook):
    """Counts the updates of all calls, for Adam's corrections and Adagrad's learning rate."""

    count = 0

    def update(self, rule: Options) -> None:
        self.count += 1
        super().update(rule)


BUGS["steps-counted-over-calls"] = history_bug(
    "The step count is never reset: it includes the updates of earlier calls.",
    lines=("t = all updates so far, of any parameters", "t = updates of these parameters"),
    base=CountsOn,
    adam_correction1=lambda e, o, t: Textbook.adam_correction1(e, o, e.count),
    adam_correction2=lambda e, o, t: Textbook.adam_correction2(e, o, e.count),
    adagrad_rate=lambda e, o, t: Textbook.adagrad_rate(e, o, e.count),
)


class KeepsInputs(HasMemory):
    """Replaces its stored inputs only if the batch is not smaller than the last one."""

    def linear_dW(self, o: Options, x: Array, dz: Array) -> Array:
        label = (o.i, x.shape[1], x.dtype)
        if label not in self.memory or len(self.memory[label]) <= len(x):
            self.memory[label] = x.copy()
        return super().linear_dW(o, self.memory[label][: len(x)], dz)


BUGS["stale-inputs"] = history_bug(
    "A batch smaller than an earlier one is not stored: the weight gradient uses old inputs.",
    lines=("dW = dzᵀ x, x of a larger batch before", "dW = dzᵀ x, x of this batch"),
    base=KeepsInputs,
)
BUGS["forward-cached-by-shape"] = history_bug(
    "The outputs of a layer are cached, and used for every input of the same shape.",
    lines=("z cached by the shapes of x and W", "z = x Wᵀ + b"),
    base=HasMemory,
    linear=lambda e, o, x: e.recall(
        o.i, x.shape, e.weight(o).shape, value=Textbook.linear(e, o, x)
    ).copy(),
)
BUGS["targets-cached-by-shape"] = bug(
    "Targets are cached, and used for every batch of the same shape.",
    lines=("t of the first batch of that shape", "t"),
    killed_by="loss.MSELoss*:*",
    base=HasMemory,
    load=after_load(
        lambda e: setattr(e, "t", e.recall(e.loss.type, e.t.shape, e.case.widths[-1], value=e.t))
    ),
)
BUGS["weights-cached-by-shape"] = history_bug(
    "The error is propagated through the weights of an earlier call with the same shape.",
    lines=("W of the first call", "W"),
    base=HasMemory,
    linear_backward=lambda e, o, x, z, dz: (
        dz @ e.recall(o.i, e.weight(o).shape, value=e.weight(o).copy())
    ),
)
BUGS["weight-gradient-of-last-batch"] = history_bug(
    "The gradient of the weights uses the layer's input of the previous call.",
    lines=("dW = dzᵀ x_before", "dW = dzᵀ x"),
    base=HasMemory,
    linear_dW=lambda e, o, x, dz: dz.T @ e.exchange(x, o.i, x.shape, x.dtype),
)


class KeepsOptimizer(HasMemory):
    """Stores the optimizer's state in each engine, or in `shared` for all engines of a process."""

    shared: dict[Any, Any] | None

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(dtype)
        if self.shared is not None:
            self.memory = self.shared

    def label(self) -> Any:
        shapes = tuple((key, a.shape) for key, a in self.params.items())
        return (self.rule and self.rule.type, tuple(self.state), shapes, self.kind)

    def load(self, case: Case) -> None:
        super().load(case)
        self.now, self.state = self.memory.get(self.label(), (self.now, self.state))

    def step(self, case: Case) -> Mapping[str, Any]:
        result = super().step(case)
        own = {name: dict(group) for name, group in self.state.items()}
        self.memory[self.label()] = (self.now, own)
        return result


BUGS["optimizer-kept-between-calls"] = history_bug(
    "The optimizer's state of an earlier call is used instead of the given one.",
    lines=("m, v, t of the last call, of this engine or of any engine", "m, v, t as given"),
    base=KeepsOptimizer,
    shared=[None, {}],
)


class DrawsItsOwnMask(Textbook):
    def mask(self, o: Options) -> Array | None:
        mask = super().mask(o)
        if mask is None or not mask.size:
            return mask
        if not hasattr(self, "rng"):
            self.rng = np.random.default_rng()
        return mask.max() * self.array(self.rng.integers(0, 2, mask.shape))


BUGS["dropout-draws-again"] = bug(
    "Dropout draws its own masks, different ones forward and backward.",
    lines=("a new mask in each pass", "the given mask in both passes"),
    exact=False,
    base=DrawsItsOwnMask,
)


class LosesSamples(Textbook):
    """Loses a sample in some calls, as a race between threads does."""

    calls = 0

    def linear_dW(self, o: Options, x: Array, dz: Array) -> Array:
        self.calls += 1
        order = np.random.default_rng(self.calls).permutation(len(x))
        g = self.matmul(dz[order].T, x[order])
        if len(x) > 1 and self.calls % 3 == 0:
            g = self.matmul(dz[order[1:]].T, x[order[1:]])
        return g


BUGS["sample-lost-now-and-then"] = steps_bug(
    "Some calls lose one sample of the gradient, as when threads add without a lock.",
    lines=("dW += … by two threads at once", "dW = Σₙ dz[n]ᵀ x[n]"),
    exact=False,
    base=LosesSamples,
)
