"""Mistakes of update rules in some steps: the first, late ones, those that go on from a state."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "optimizers")

bug(
    "adam-correction-a-step-late",
    "Adam's bias corrections take the step before: t − 1 from the second step on.",
    wrong="c = 1 − β^max(t − 1, 1)",
    right="c = 1 − βᵗ",
    killed_by="optimizer.Adam*:*",
    adam_correction1=lambda e, o, t: Textbook.adam_correction1(e, o, max(t - 1, 1)),
    adam_correction2=lambda e, o, t: Textbook.adam_correction2(e, o, max(t - 1, 1)),
)
bug(
    "adam-correction-default-beta",
    "Adam's bias corrections take the default betas, whatever is asked for.",
    wrong="c₁ = 1 − 0.9ᵗ, or c₂ = 1 − 0.999ᵗ",
    right="cᵢ = 1 − βᵢᵗ",
    killed_by="optimizer.Adam*betas*:*",
    variants=[
        {"first_too": first, "second": second}
        for first, second in ((True, True), (True, False), (False, True))
    ],
    adam_correction1=lambda e, o, t: Textbook.adam_correction1(
        e, but(o, betas=(0.9, 0.999)) if e.first_too else o, t
    ),
    adam_correction2=lambda e, o, t: Textbook.adam_correction2(
        e, but(o, betas=(0.9, 0.999)) if e.second else o, t
    ),
)
bug(
    "eps-squared-inside-root",
    "ε² stands inside the root.",
    wrong="√(v̂ + ε²)",
    right="√v̂ + ε",
    killed_by="optimizer.*:*",
    adam_root=lambda e, o, v, t: e.sqrt(v / e.adam_correction2(o, t) + e.num(o.eps) ** 2),
    rmsprop_root=lambda e, o, v: e.sqrt(v + e.num(o.eps) ** 2),
    adagrad_root=lambda e, o, s: e.sqrt(s + e.num(o.eps) ** 2),
)


class KeepsOldBuffer(Textbook):
    """Remembers the momentum buffer of before."""

    old: Array

    def sgd_buffer(self, o: Options, b: Array, g: Array, t: int) -> Array:
        now = super().sgd_buffer(o, b, g, t)
        self.old = now if t == 1 else b
        return now


bug(
    "nesterov-of-old-buffer",
    "Nesterov looks ahead by the momentum of before.",
    wrong="θ ← θ − α (g + μ bₜ₋₁)",
    right="θ ← θ − α (g + μ bₜ)",
    killed_by="optimizer.SGD.nesterov:*",
    base=KeepsOldBuffer,
    sgd_direction=lambda e, o, g, b: Textbook.sgd_direction(e, o, g, e.old if o.nesterov else b),
)
bug(
    "nesterov-not-in-first-step",
    "The first step is one of classical momentum, whatever nesterov says.",
    wrong="θ₁ = θ₀ − α b",
    right="θ₁ = θ₀ − α (g + μ b)",
    killed_by="optimizer.SGD.nesterov:*",
    sgd_direction=lambda e, o, g, b: Textbook.sgd_direction(
        e, but(o, nesterov=o.nesterov and e.now > 1), g, b
    ),
)
bug(
    "nesterov-gradient-dampened",
    "The gradient that Nesterov looks ahead from is dampened, too: (1 − μ) g.",
    wrong="θ ← θ − α ((1 − μ) g + μ b)",
    right="θ ← θ − α (g + μ b)",
    killed_by="optimizer.SGD.nesterov:*",
    sgd_direction=lambda e, o, g, b: (
        (1 - e.num(o.momentum)) * g + e.num(o.momentum) * b if o.nesterov else b
    ),
)
bug(
    "momentum-grows",
    "The buffer decays by another power of μ in later steps.",
    wrong="b ← μ² b + g, or μᵗ b + g",
    right="b ← μ b + g",
    killed_by="optimizer.SGD.momentum:*",
    variants=[{"power": lambda t: 2 if t > 2 else 1}, {"power": lambda t: t}],
    sgd_buffer=lambda e, o, b, g, t: Textbook.sgd_buffer(
        e, but(o, momentum=o.momentum ** type(e).power(t)), b, g, t
    ),
)
bug(
    "decay-in-first-step-only",
    "Weights decay in the first step only.",
    wrong="g ← g + λ θ for t = 1",
    right="g ← g + λ θ in every step",
    killed_by="optimizer.*weight_decay*:*",
    gradient=lambda e, o, p, g: Textbook.gradient(
        e, o if e.now == 1 else but(o, weight_decay=0.0), p, g
    ),
)


class RemembersBefore(Textbook):
    """Knows what RMSprop remembered before the step."""

    before: dict[str, Array]

    def rmsprop(self, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
        self.before = dict(s)
        return super().rmsprop(o, p, g, s, t)


bug(
    "centered-by-old-mean",
    "The variance takes the mean of before this step's gradient.",
    wrong="v̂ = v − mₜ₋₁²",
    right="v̂ = v − mₜ²",
    killed_by="optimizer.RMSprop.centered:*",
    base=RemembersBefore,
    rmsprop_variance=lambda e, o, v, m: v - e.before["grad_avg"] ** 2,
)


class CentersStep(Textbook):
    """Takes the mean away from the gradient."""

    def rmsprop(self, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
        g = self.gradient(o, p, g)
        s["square_avg"] = v = self.rmsprop_square(o, s["square_avg"], g)
        if o.centered:
            s["grad_avg"] = m = self.rmsprop_mean(o, s["grad_avg"], g)
            v, g = self.rmsprop_variance(o, v, m), g - m
        d = g / self.rmsprop_root(o, v)
        if o.momentum:
            s["momentum_buffer"] = d = self.rmsprop_buffer(o, s["momentum_buffer"], d)
        return self.moved(o, p, d, self.num(o.lr))


bug(
    "centered-step",
    "The gradient is centered as well as its squares.",
    wrong="θ ← θ − α (g − m) / (√(v − m²) + ε)",
    right="θ ← θ − α g / (√(v − m²) + ε)",
    killed_by="optimizer.RMSprop.centered:*",
    base=CentersStep,
)


def _norm(grads: dict[str, Array]) -> Any:
    return np.sqrt(sum(np.sum(g * g) for g in grads.values()))


class ClipsBeforeUpdate(Textbook):
    """Makes gradients smaller for the update, and returns them as they are."""

    most = 1.0

    def update(self, rule: Options) -> None:
        grads, norm = self.grads, _norm(self.grads)
        if norm > self.most:
            self.grads = {key: g * (self.num(self.most) / norm) for key, g in grads.items()}
        super().update(rule)
        self.grads = grads


bug(
    "clipped-before-update",
    "The update takes gradients of norm 1 at most; those that are returned are not clipped.",
    wrong="θ ← θ − α g / max(1, ‖g‖/c)",
    right="θ ← θ − α g",
    killed_by="optimizer.*:*",
    base=ClipsBeforeUpdate,
    variants=[{"most": most} for most in (1.0, 5.0, 10.0, 0.5)],
)
bug(
    "small-update-skipped",
    "Where no entry of the gradient is large, there is no update.",
    wrong="θ ← θ where max |g| < ε",
    right="θ ← θ − α g",
    killed_by="*:params",
    variants=[{"least": least} for least in (1e-6, 1e-8, 1e-10, 1e-12)],
    updated=lambda e, o, key, p, g, s: (
        p if not np.any(np.abs(g) >= e.least) else Textbook.updated(e, o, key, p, g, s)
    ),
)


def _others(e: Textbook, key: str) -> str:
    """Return the next key of a parameter of the same shape, the last one's being the first."""
    alike = [k for k, a in e.params.items() if a.shape == e.params[key].shape]
    return alike[(alike.index(key) + 1) % len(alike)]


bug(
    "parameters-swapped",
    "Updated parameters of the same shape change places.",
    wrong="θ′ᵢ in the place of θ′ⱼ",
    right="every θ′ in its own place",
    killed_by="*:params",
    result=lambda e, value, dx: {
        **(found := Textbook.result(e, value, dx)),
        "params": {key: found["params"][_others(e, key)] for key in found["params"]},
    },
)


def _load_swapped(e: Textbook, case: Case) -> None:
    Textbook.load(e, case)
    if case.state:
        e.state = {
            name: {key: group[_others(e, key)].copy() for key in group}
            for name, group in e.state.items()
        }


bug(
    "state-swapped-on-reload",
    "A state that is handed in is given to other parameters of the same shape.",
    wrong="mᵢ goes on with gⱼ",
    right="mᵢ goes on with gᵢ",
    killed_by="o*:*",
    load=_load_swapped,
)


def _load_transposed(e: Textbook, case: Case) -> None:
    Textbook.load(e, case)
    if case.state:
        e.state = {
            name: {
                key: a.T.copy() if a.ndim == 2 and a.shape[0] == a.shape[1] else a
                for key, a in group.items()
            }
            for name, group in e.state.items()
        }


bug(
    "state-transposed-on-reload",
    "A state that is handed in is transposed where a layer is square.",
    wrong="mᵀ",
    right="m",
    killed_by="square:*",
    load=_load_transposed,
)


def _load_with_accumulator(e: Textbook, case: Case) -> None:
    Textbook.load(e, case)
    if case.state and "sum" in e.state and e.rule is not None:
        start = e.num(e.rule.initial_accumulator_value)
        e.state["sum"] = {key: a + start for key, a in e.state["sum"].items()}


bug(
    "accumulator-added-on-reload",
    "The sum that is handed in gets the initial value once more.",
    wrong="s + s₀",
    right="s as handed in",
    killed_by="optimizer.Adagrad*accumulator*:*",
    load=_load_with_accumulator,
)


class OneStepLess(Textbook):
    """Ends a step early, where there are many."""

    most = 10

    def step(self, case: Case) -> Any:
        return super().step(case.but(steps=case.steps - (case.steps > self.most)))


bug(
    "last-step-missing",
    "Where there are many steps, the last one is not done.",
    wrong="T − 1 steps",
    right="T steps",
    killed_by="trajectory:*",
    base=OneStepLess,
    variants=[{"most": most} for most in (1, 2, 10)],
)


class KeepsFloat32(Textbook):
    """Rounds what it remembers to float32."""

    def updated(self, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]) -> Array:
        for name, a in s.items():
            s[name] = a.astype(np.float32).astype(self.kind)
        return super().updated(o, key, p, g, s)


bug(
    "state-in-float32",
    "The optimizer's state is kept in float32 between steps.",
    wrong="float32(m), float32(v)",
    right="m, v in the dtype of the case",
    killed_by="optimizer.*:*",
    exact=False,
    base=KeepsFloat32,
)
