"""Mistakes of memory: inputs that are written to, results that share memory, what is remembered."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.catalogue import Bug, plant
from manualnn.oracle.case import Array, Case
from manualnn.oracle.options import Options
from manualnn.oracle.plain import Plain

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "memory")


def _loads_and(change: Callable[[Any, Case], None]) -> Callable[[Plain, Case], None]:
    def load(e: Plain, case: Case) -> None:
        Plain.load(e, case)
        change(e, case)

    return load


def _writes(take: Callable[[Case], Mapping[str, Array]], value: float) -> Any:
    """Return a step that leaves the first entry of arrays of the case changed."""

    def step(e: Plain, case: Case) -> Mapping[str, Any]:
        result = Plain.step(e, case)
        for array in take(case).values():
            if array.size:
                array.flat[0] = value
        return result

    return step


class UpdatesInPlace(Plain):
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


class WritesState(Plain):
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
    sgd_buffer=lambda e, o, b, g, t: g if t == 1 else Plain.sgd_buffer(e, o, b, g, t),
)
bug(
    "results-are-inputs",
    "The outputs of a network that starts with an identity are the input array itself.",
    wrong="y is x",
    right="y = copy of x",
    killed_by="*:memory.*",
    load=_loads_and(lambda e, case: setattr(e, "x", np.asarray(case.x, e.kind))),
    result=lambda e, value, dx: {**Plain.result(e, value, dx), "outputs": e.ys[-1]},
)
bug(
    "untouched-params-are-inputs",
    "Parameters come back as the arrays that were handed in where there is nothing to update.",
    wrong="p_new is p",
    right="p_new = copy of p",
    killed_by="*:memory.*",
    result=lambda e, value, dx: {
        **Plain.result(e, value, dx),
        "params": {
            key: e.case.params[key] if e.rule is None or e.rule.lr == 0 else p
            for key, p in e.params.items()
        },
    },
)


class ReusesGradients(Plain):
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


class BuffersByShape(ReusesGradients):
    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        grads = Plain.linear_grads(self, o, x, dz)
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
    killed_by="*",
    base=BuffersByShape,
)


class Accumulates(ReusesGradients):
    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        grads = Plain.linear_grads(self, o, x, dz)
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
    killed_by="*",
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
    killed_by="*",
    base=AccumulatesOverSteps,
)


class KeepsRows(Plain):
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
    killed_by="*",
    base=KeepsRows,
)


class Remembers(Plain):
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
    killed_by="*",
    base=Remembers,
    linear=lambda e, o, x: e.recalled(
        o.i, x.shape, e.weight(o).shape, value=Plain.linear(e, o, x)
    ).copy(),
)
bug(
    "targets-cached-by-shape",
    "Targets are kept, and used again for any batch of the same shape.",
    wrong="t of the first batch of that shape",
    right="t",
    killed_by="*",
    base=Remembers,
    load=_loads_and(
        lambda e, case: setattr(
            e, "t", e.recalled(e.loss.type, e.t.shape, case.widths[-1], value=e.t)
        )
    ),
)
bug(
    "weights-cached-by-shape",
    "The error goes back through the weights of an earlier call of the same shape.",
    wrong="W of the first call",
    right="W",
    killed_by="*",
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
    killed_by="*",
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
    killed_by="*",
    base=KeepsOptimizer,
    variants=[{"shared": None}, {"shared": {}}],
)


class DrawsItsOwnMask(Plain):
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
    killed_by="*",
    exact=False,
    base=DrawsItsOwnMask,
)


class Wavers(Plain):
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
    killed_by="*",
    exact=False,
    base=Wavers,
)
