"""Bugs of update rules in some steps: the first, late ones, the first after a given state."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import (
    Bug,
    Method,
    add_bug,
    after_load,
    clip_common_norm,
    is_square,
    roots,
    with_options,
)
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
CORRECTIONS = ("adam_correction1", "adam_correction2")
bug = partial(add_bug, BUGS, "optimizers")
any_bug = partial(bug, killed_by="optimizer.*:*")
nesterov_bug = partial(bug, killed_by="optimizer.SGD.nesterov:*")
centered_bug = partial(bug, killed_by="optimizer.RMSprop.centered:*")
params_bug = partial(bug, killed_by="*:params")

bug(
    "adam-correction-a-step-late",
    "Adam's bias corrections use the previous step: t − 1 from the second step on.",
    lines=("c = 1 − β^max(t − 1, 1)", "c = 1 − βᵗ"),
    killed_by="optimizer.Adam*:*",
    adam_correction1=lambda e, o, t: Textbook.adam_correction1(e, o, max(t - 1, 1)),
    adam_correction2=lambda e, o, t: Textbook.adam_correction2(e, o, max(t - 1, 1)),
)
bug(
    "adam-correction-default-beta",
    "Adam's bias corrections use the default betas instead of the given ones.",
    lines=("c₁ = 1 − 0.9ᵗ, or c₂ = 1 − 0.999ᵗ", "cᵢ = 1 − βᵢᵗ"),
    killed_by="optimizer.Adam*betas*:*",
    variants=[
        with_options(*methods, betas=(0.9, 0.999))
        for methods in (CORRECTIONS, CORRECTIONS[:1], CORRECTIONS[1:])
    ],
)
any_bug(
    "eps-squared-inside-root",
    "ε² is inside the root.",
    lines=("√(v̂ + ε²)", "√v̂ + ε"),
    **roots(lambda v, eps: np.sqrt(v + eps**2)),
)


class KeepsOldBuffer(Textbook):
    """Remembers the previous momentum buffer."""

    old: Array

    def sgd_buffer(self, o: Options, b: Array, g: Array, t: int) -> Array:
        now = super().sgd_buffer(o, b, g, t)
        self.old = now if t == 1 else b
        return now


nesterov_bug(
    "nesterov-of-old-buffer",
    "Nesterov's look-ahead uses the previous momentum buffer.",
    lines=("θ ← θ − α (g + μ bₜ₋₁)", "θ ← θ − α (g + μ bₜ)"),
    base=KeepsOldBuffer,
    sgd_direction=lambda e, o, g, b: Textbook.sgd_direction(e, o, g, e.old if o.nesterov else b),
)
nesterov_bug(
    "nesterov-not-in-first-step",
    "The first step uses classical momentum, although nesterov is set.",
    lines=("θ₁ = θ₀ − α b", "θ₁ = θ₀ − α (g + μ b)"),
    **with_options("sgd_direction", nesterov=lambda e, o: o.nesterov and e.now > 1),
)
nesterov_bug(
    "nesterov-gradient-dampened",
    "Nesterov's step multiplies the gradient by 1 − μ.",
    lines=("θ ← θ − α ((1 − μ) g + μ b)", "θ ← θ − α (g + μ b)"),
    sgd_direction=lambda e, o, g, b: (
        (1 - e.num(o.momentum)) * g + e.num(o.momentum) * b if o.nesterov else b
    ),
)
bug(
    "momentum-grows",
    "The buffer is multiplied by another power of μ in later steps.",
    lines=("b ← μ² b + g, or μᵗ b + g", "b ← μ b + g"),
    killed_by="optimizer.SGD.momentum:*",
    variants=[
        with_options("sgd_buffer", momentum=lambda e, o: o.momentum ** (2 if e.now > 2 else 1)),
        with_options("sgd_buffer", momentum=lambda e, o: o.momentum**e.now),
    ],
)
bug(
    "decay-in-first-step-only",
    "The weight decay is applied only in the first step.",
    lines=("g ← g + λ θ for t = 1", "g ← g + λ θ in every step"),
    killed_by="optimizer.*weight_decay*:*",
    **with_options("gradient", weight_decay=lambda e, o: o.weight_decay if e.now == 1 else 0.0),
)


class RemembersOldMean(Textbook):
    """Remembers the mean of RMSprop before the step."""

    old: Array

    def rmsprop_mean(self, o: Options, m: Array, g: Array) -> Array:
        self.old = m
        return super().rmsprop_mean(o, m, g)


centered_bug(
    "centered-by-old-mean",
    "The variance uses the mean without the current gradient.",
    lines=("v̂ = v − mₜ₋₁²", "v̂ = v − mₜ²"),
    base=RemembersOldMean,
    rmsprop_variance=lambda e, o, v, m: v - e.old**2,
)


class CentersStep(Textbook):
    """Subtracts the new mean from the gradient."""

    mean: Any = 0

    def rmsprop_mean(self, o: Options, m: Array, g: Array) -> Array:
        self.mean = super().rmsprop_mean(o, m, g)
        return np.asarray(self.mean)

    def quotient(self, o: Options, d: Array, root: Array) -> Array:
        return super().quotient(o, d - self.mean if getattr(o, "centered", False) else d, root)


centered_bug(
    "centered-step",
    "The mean is subtracted from the gradient as well.",
    lines=("θ ← θ − α (g − m) / (√(v − m²) + ε)", "θ ← θ − α g / (√(v − m²) + ε)"),
    base=CentersStep,
)


class ClipsBeforeUpdate(Textbook):
    """Clips the gradients for the update, and returns the right ones."""

    most = 1.0

    def update(self, rule: Options) -> None:
        grads, self.grads = self.grads, clip_common_norm(self.grads, self.num(self.most))
        super().update(rule)
        self.grads = grads


any_bug(
    "clipped-before-update",
    "The update clips the norm of the gradients; the returned gradients are not clipped.",
    lines=("θ ← θ − α g / max(1, ‖g‖/c)", "θ ← θ − α g"),
    base=ClipsBeforeUpdate,
    variants=[{"most": most} for most in (1.0, 5.0, 10.0, 0.5)],
)
params_bug(
    "small-update-skipped",
    "A parameter is not updated if all entries of its gradient are small.",
    lines=("θ ← θ where max |g| < ε", "θ ← θ − α g"),
    variants=[{"least": least} for least in (1e-6, 1e-8, 1e-10, 1e-12)],
    updated=lambda e, o, key, p, g, s: (
        p if not np.any(np.abs(g) >= e.least) else Textbook.updated(e, o, key, p, g, s)
    ),
)


def _next_key(e: Textbook, key: str) -> str:
    """Return the next key of a parameter with the same shape, cyclically."""
    same_shape = [k for k, a in e.params.items() if a.shape == e.params[key].shape]
    return same_shape[(same_shape.index(key) + 1) % len(same_shape)]


params_bug(
    "parameters-swapped",
    "Updated parameters of the same shape are swapped.",
    lines=("θ′ᵢ under the key of θ′ⱼ", "every θ′ under its own key"),
    result=lambda e, value, dx: {
        **(found := Textbook.result(e, value, dx)),
        "params": {key: found["params"][_next_key(e, key)] for key in found["params"]},
    },
)


def _reload(compute: Callable[[Any, str, str, dict[str, Array]], Array]) -> Method:
    """Return `load` that changes a given state to compute(e, name, key, group)."""

    def change_state(e: Textbook) -> None:
        if e.case.state:
            e.state = {
                name: {key: compute(e, name, key, group) for key in group}
                for name, group in e.state.items()
            }

    return after_load(change_state)


bug(
    "state-swapped-on-reload",
    "A given state is assigned to other parameters of the same shape.",
    lines=("mᵢ is updated with gⱼ", "mᵢ is updated with gᵢ"),
    killed_by="o*:*",
    load=_reload(lambda e, name, key, group: group[_next_key(e, key)].copy()),
)
bug(
    "state-transposed-on-reload",
    "A given state is transposed if the layer is square.",
    lines=("mᵀ", "m"),
    killed_by="square:*",
    load=_reload(
        lambda e, name, key, group: (
            group[key].T.copy() if group[key].ndim == 2 and is_square(group[key]) else group[key]
        )
    ),
)
bug(
    "accumulator-added-on-reload",
    "The initial value is added to the sum of a given state.",
    lines=("s + s₀", "s as given"),
    killed_by="optimizer.Adagrad*accumulator*:*",
    load=_reload(
        lambda e, name, key, group: (
            group[key] + e.num(e.rule.initial_accumulator_value) if name == "sum" else group[key]
        )
    ),
)
bug(
    "last-step-missing",
    "The last step is missing if there are many steps.",
    lines=("T − 1 steps", "T steps"),
    killed_by="trajectory:*",
    variants=[{"most": most} for most in (1, 2, 10)],
    step=lambda e, case: Textbook.step(e, case.but(steps=case.steps - (case.steps > e.most))),
)


def _update_from_float32(
    e: Textbook, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]
) -> Array:
    for name, a in s.items():
        s[name] = a.astype(np.float32).astype(e.kind)
    return Textbook.updated(e, o, key, p, g, s)


any_bug(
    "state-in-float32",
    "The optimizer's state is stored in float32 between steps.",
    lines=("float32(m), float32(v)", "m, v in the dtype of the case"),
    exact=False,
    updated=_update_from_float32,
)
