"""Mistakes of memory: what an engine remembers of one call, and takes for the next."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.behaviour.aliasing import ReusesGradients
from manualnn.oracle.bugs.bug import Bug, plant
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "memory")


class BuffersByShape(ReusesGradients):
    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        grads = Textbook.linear_grads(self, o, x, dz)
        for key, g in grads.items():
            buffer = self.buffers.setdefault((g.shape, g.dtype), np.empty_like(g))
            buffer[...] = g
            grads[key] = buffer
        return grads


bug(
    "gradient-buffer-by-shape",
    "Layers of the same shape write their gradients into one buffer: the first layer's remain.",
    wrong="one buffer per shape",
    right="one buffer per parameter",
    killed_by="square:*",
    base=BuffersByShape,
)


class Accumulates(ReusesGradients):
    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        grads = Textbook.linear_grads(self, o, x, dz)
        for key, g in grads.items():
            before = self.buffers.get((key, g.shape, g.dtype))
            grads[key] = self.buffers[key, g.shape, g.dtype] = g if before is None else before + g
        return grads


bug(
    "gradients-accumulate",
    "Gradients are added to those of the last step: they are never set to zero.",
    wrong="g ← g_before + ∂L/∂θ",
    right="g = ∂L/∂θ",
    source="micrograd #53",
    killed_by="steps:*",
    base=Accumulates,
)


class AccumulatesOverSteps(Accumulates):
    def load(self, case: Case) -> None:
        super().load(case)
        self.buffers = {}


bug(
    "gradients-accumulate-over-steps",
    "Of several updates in a call, each adds its gradient to those before.",
    wrong="gₜ ← gₜ₋₁ + ∂L/∂θ",
    right="gₜ = ∂L/∂θ",
    killed_by="steps:*",
    base=AccumulatesOverSteps,
)


class KeepsRows(Textbook):
    """Its buffers have room for the largest batch so far, and are summed whole."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(dtype)
        self.rows: dict[Any, tuple[Array, Array]] = {}

    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        label = (o.i, x.shape[1], dz.shape[1], x.dtype)
        before = self.rows.get(label)
        if before is not None and len(before[0]) > len(x):
            x = np.concatenate([x, before[0][len(x) :]])
            dz = np.concatenate([dz, before[1][len(dz) :]])
        self.rows[label] = (x, dz)
        return super().linear_grads(o, x, dz)


bug(
    "stale-rows",
    "A batch smaller than one before it leaves the old rows in the buffers: they are summed too.",
    wrong="dW sums the rows of the largest batch so far",
    right="dW sums the rows of this batch",
    killed_by="*:history",
    base=KeepsRows,
)


class CountsOn(Textbook):
    """Counts the updates of all calls, for Adam's corrections and Adagrad's rate."""

    count = 0

    def update(self, rule: Options) -> None:
        self.count += 1
        super().update(rule)


bug(
    "steps-counted-over-calls",
    "The step count is never set back: what the optimizer did before counts on in the next run.",
    wrong="t = all updates so far, of whatever parameters",
    right="t = updates of these parameters",
    killed_by="*:history",
    base=CountsOn,
    adam_correction1=lambda e, o, t: Textbook.adam_correction1(e, o, e.count),
    adam_correction2=lambda e, o, t: Textbook.adam_correction2(e, o, e.count),
    adagrad_rate=lambda e, o, t: Textbook.adagrad_rate(e, o, e.count),
)


class KeepsInputs(Textbook):
    """Its inputs of before are replaced where the batch is no smaller than the last."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(dtype)
        self.rows: dict[Any, Array] = {}

    def linear_dW(self, o: Options, x: Array, dz: Array) -> Array:
        label = (o.i, x.shape[1], x.dtype)
        if label not in self.rows or len(self.rows[label]) <= len(x):
            self.rows[label] = x.copy()
        return super().linear_dW(o, self.rows[label][: len(x)], dz)


bug(
    "stale-inputs",
    "A batch smaller than one before it is not stored: the weights' gradient takes the old inputs.",
    wrong="dW = dzᵀ x, x of a larger batch before",
    right="dW = dzᵀ x, x of this batch",
    killed_by="*:history",
    base=KeepsInputs,
)


class Remembers(Textbook):
    """Computes something once for every label, and takes it for the same ever after."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(dtype)
        self.memory: dict[Any, Any] = {}

    def recalled(self, *label: Any, value: Any) -> Any:
        return self.memory.setdefault((*label, self.kind), value)


bug(
    "forward-cached-by-shape",
    "The outputs of a layer are kept, and used again for any input of the same shape.",
    wrong="z cached by the shapes of x and W",
    right="z = x Wᵀ + b",
    killed_by="*:history",
    base=Remembers,
    linear=lambda e, o, x: e.recalled(
        o.i, x.shape, e.weight(o).shape, value=Textbook.linear(e, o, x)
    ).copy(),
)


def _load_with_old_targets(e: Remembers, case: Case) -> None:
    Textbook.load(e, case)
    e.t = e.recalled(e.loss.type, e.t.shape, case.widths[-1], value=e.t)


bug(
    "targets-cached-by-shape",
    "Targets are kept, and used again for any batch of the same shape.",
    wrong="t of the first batch of that shape",
    right="t",
    killed_by="loss.MSELoss*:*",
    base=Remembers,
    load=_load_with_old_targets,
)
bug(
    "weights-cached-by-shape",
    "The error goes back through the weights of an earlier call of the same shape.",
    wrong="W of the first call",
    right="W",
    killed_by="*:history",
    base=Remembers,
    linear_backward=lambda e, o, x, z, dz: (
        dz @ e.recalled(o.i, e.weight(o).shape, value=e.weight(o).copy())
    ),
)
bug(
    "weight-gradient-of-last-batch",
    "The gradient of the weights takes the layer's input of the call before.",
    wrong="dW = dzᵀ x_before",
    right="dW = dzᵀ x",
    killed_by="*:history",
    base=Remembers,
    linear_dW=lambda e, o, x, dz: dz.T @ _swapped(e.memory, (o.i, x.shape, x.dtype), x),
)


def _swapped(memory: dict[Any, Any], label: Any, value: Any) -> Any:
    """Store a value, and return the one that it replaces, or itself."""
    before = memory.get(label, value)
    memory[label] = value
    return before


class KeepsOptimizer(Remembers):
    """Keeps the optimizer's state itself: in each engine, or in `shared` for all of a process."""

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


bug(
    "optimizer-kept-between-calls",
    "The optimizer's state of an earlier call is used in place of what is handed in.",
    wrong="m, v, t of the last call, of this engine or of any",
    right="m, v, t as handed in",
    killed_by="*:history",
    base=KeepsOptimizer,
    variants=[{"shared": None}, {"shared": {}}],
)


class DrawsItsOwnMask(Textbook):
    def mask(self, o: Options) -> Array | None:
        mask = super().mask(o)
        if mask is None or not mask.size:
            return mask
        if not hasattr(self, "rng"):
            self.rng = np.random.default_rng()
        return mask.max() * self.array(self.rng.integers(0, 2, mask.shape))


bug(
    "dropout-draws-again",
    "Dropout draws a mask of its own, another one forward and backward.",
    wrong="mask drawn anew",
    right="mask as handed in, the same in both passes",
    killed_by="layer.Dropout:*",
    exact=False,
    base=DrawsItsOwnMask,
)


class Wavers(Textbook):
    """Adds last digits that differ from call to call, as races do."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(dtype)
        self.calls = 0

    def linear_dW(self, o: Options, x: Array, dz: Array) -> Array:
        self.calls += 1
        order = np.random.default_rng(self.calls).permutation(len(x))
        g = self.matmul(dz[order].T, x[order])
        if len(x) > 1 and self.calls % 3 == 0:
            g = self.matmul(dz[order[1:]].T, x[order[1:]])
        return g


bug(
    "sample-lost-now-and-then",
    "Now and then a sample's share of the gradient is lost, as where threads add without a lock.",
    wrong="dW += … by two threads at once",
    right="dW = Σₙ dz[n]ᵀ x[n]",
    killed_by="steps:*",
    exact=False,
    base=Wavers,
)
