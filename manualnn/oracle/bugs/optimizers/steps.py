"""Bugs of update rules in some steps: the first, late ones, the first after a given state."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Method, Table, bug
from manualnn.oracle.bugs.edits import (
    KnowsKey,
    after_load,
    clip_common_norm,
    is_square,
    roots,
    with_options,
    with_result,
)
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
CORRECTIONS = ("adam_correction1", "adam_correction2")
params_bug = partial(bug, killed_by="*:params")

BUGS["adam-correction-a-step-late"] = bug(
    "Adam's bias corrections use the previous step: t − 1 from the second step on.",
    lines=("c = 1 − β^max(t − 1, 1)", "c = 1 − βᵗ"),
    adam_correction1=lambda e, o, t: Textbook.adam_correction1(e, o, max(t - 1, 1)),
    adam_correction2=lambda e, o, t: Textbook.adam_correction2(e, o, max(t - 1, 1)),
)
BUGS["adam-correction-default-beta"] = bug(
    "Adam's bias corrections use the default betas instead of the given ones.",
    lines=("c₁ = 1 − 0.9ᵗ, or c₂ = 1 − 0.999ᵗ", "cᵢ = 1 − βᵢᵗ"),
    killed_by="optimizer.Adam*betas*:*",
    default=[(0.9, 0.999), (0.9, None), (None, 0.999)],
    **with_options(
        *CORRECTIONS,
        betas=lambda e, o: tuple(new or old for new, old in zip(e.default, o.betas, strict=True)),
    ),
)
BUGS["eps-squared-inside-root"] = bug(
    "ε² is inside the root.",
    lines=("√(v̂ + ε²)", "√v̂ + ε"),
    **roots(lambda v, eps: np.sqrt(v + eps**2)),
)
BUGS["nesterov-of-old-buffer"] = bug(
    "Nesterov's look-ahead uses the previous momentum buffer.",
    lines=("θ ← θ − α (g + μ bₜ₋₁)", "θ ← θ − α (g + μ bₜ)"),
    base=KnowsKey,
    sgd_direction=lambda e, o, g, b: Textbook.sgd_direction(
        e, o, g, e.old("momentum_buffer") if o.nesterov and e.now > 1 else b
    ),
)
BUGS["nesterov-not-in-first-step"] = bug(
    "The first step uses classical momentum, although nesterov is set.",
    lines=("θ₁ = θ₀ − α b", "θ₁ = θ₀ − α (g + μ b)"),
    **with_options("sgd_direction", nesterov=lambda e, o: o.nesterov and e.now > 1),
)
BUGS["nesterov-gradient-dampened"] = bug(
    "Nesterov's step multiplies the gradient by 1 − μ.",
    lines=("θ ← θ − α ((1 − μ) g + μ b)", "θ ← θ − α (g + μ b)"),
    sgd_direction=lambda e, o, g, b: (
        (1 - e.num(o.momentum)) * g + e.num(o.momentum) * b if o.nesterov else b
    ),
)
BUGS["momentum-grows"] = bug(
    "The buffer is multiplied by another power of μ in later steps.",
    lines=("b ← μ² b + g, or μᵗ b + g", "b ← μ b + g"),
    power=[lambda e: 2 if e.now > 2 else 1, lambda e: e.now],
    **with_options("sgd_buffer", momentum=lambda e, o: o.momentum ** e.power()),
)
BUGS["decay-in-first-step-only"] = bug(
    "The weight decay is applied only in the first step.",
    lines=("g ← g + λ θ for t = 1", "g ← g + λ θ in every step"),
    killed_by="optimizer.*weight_decay*:*",
    **with_options("gradient", weight_decay=lambda e, o: o.weight_decay if e.now == 1 else 0.0),
)
BUGS["centered-by-old-mean"] = bug(
    "The variance uses the mean without the current gradient.",
    lines=("v̂ = v − mₜ₋₁²", "v̂ = v − mₜ²"),
    base=KnowsKey,
    rmsprop_variance=lambda e, o, v, m: v - e.old("grad_avg") ** 2,
)
BUGS["centered-step"] = bug(
    "The mean is subtracted from the gradient as well.",
    lines=("θ ← θ − α (g − m) / (√(v − m²) + ε)", "θ ← θ − α g / (√(v − m²) + ε)"),
    killed_by="optimizer.RMSprop.centered:*",
    base=KnowsKey,
    where=lambda e, o, *given: getattr(o, "centered", False),
    quotient=lambda e, o, d, root: Textbook.quotient(
        e, o, d - e.rmsprop_mean(o, e.old("grad_avg"), d), root
    ),
)
BUGS["clipped-before-update"] = bug(
    "The update clips the norm of the gradients; the returned gradients are not clipped.",
    lines=("θ ← θ − α g / max(1, ‖g‖/c)", "θ ← θ − α g"),
    most=[1.0, 5.0, 10.0, 0.5],
    updated=lambda e, o, key, p, g, s: Textbook.updated(
        e, o, key, p, clip_common_norm(e.grads, e.num(e.most))[key], s
    ),
)
BUGS["small-update-skipped"] = params_bug(
    "A parameter is not updated if all entries of its gradient are small.",
    lines=("θ ← θ where max |g| < ε", "θ ← θ − α g"),
    least=[1e-6, 1e-8, 1e-10, 1e-12],
    where=lambda e, o, key, p, g, s: not np.any(np.abs(g) >= e.least),
    updated=lambda e, o, key, p, g, s: p,
)


def _next_key(e: Textbook, key: str) -> str:
    """Return the next key of a parameter with the same shape, cyclically."""
    same_shape = [k for k, a in e.params.items() if a.shape == e.params[key].shape]
    return same_shape[(same_shape.index(key) + 1) % len(same_shape)]


BUGS["parameters-swapped"] = params_bug(
    "Updated parameters of the same shape are swapped.",
    lines=("θ′ᵢ under the key of θ′ⱼ", "every θ′ under its own key"),
    result=with_result(
        "params", lambda e, params: {key: params[_next_key(e, key)] for key in params}
    ),
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


BUGS["state-swapped-on-reload"] = bug(
    "A given state is assigned to other parameters of the same shape.",
    lines=("mᵢ is updated with gⱼ", "mᵢ is updated with gᵢ"),
    killed_by="o*:*",
    load=_reload(lambda e, name, key, group: group[_next_key(e, key)].copy()),
)
BUGS["state-transposed-on-reload"] = bug(
    "A given state is transposed if the layer is square.",
    lines=("mᵀ", "m"),
    killed_by="square:*",
    load=_reload(
        lambda e, name, key, group: (
            group[key].T.copy() if group[key].ndim == 2 and is_square(group[key]) else group[key]
        )
    ),
)
BUGS["accumulator-added-on-reload"] = bug(
    "The initial value is added to the sum of a given state.",
    lines=("s + s₀", "s as given"),
    killed_by="optimizer.Adagrad*accumulator*:*",
    load=_reload(
        lambda e, name, key, group: (
            group[key] + e.num(e.rule.initial_accumulator_value) if name == "sum" else group[key]
        )
    ),
)
BUGS["last-step-missing"] = bug(
    "The last step is missing if there are many steps.",
    lines=("T − 1 steps", "T steps"),
    killed_by="trajectory:*",
    most=[1, 2, 10],
    step=lambda e, case: Textbook.step(e, case.but(steps=case.steps - (case.steps > e.most))),
)


def _update_from_float32(
    e: Textbook, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]
) -> Array:
    for name, a in s.items():
        s[name] = a.astype(np.float32).astype(e.kind)
    return Textbook.updated(e, o, key, p, g, s)


BUGS["state-in-float32"] = bug(
    "The optimizer's state is stored in float32 between steps.",
    lines=("float32(m), float32(v)", "m, v in the dtype of the case"),
    exact=False,
    updated=_update_from_float32,
)
