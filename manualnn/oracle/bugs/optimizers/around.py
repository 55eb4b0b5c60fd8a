"""Bugs around a rule: of penalties, clipping and groups."""

from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.optimizers.around import Around
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
NORM = "g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)), ‖g‖ of all parameters' gradients together"
norm_bug = partial(bug, killed_by="optimizer.*.max_norm:*")
value_bug = partial(bug, killed_by="optimizer.*.clip_value:*")
l1_bug = partial(bug, killed_by="optimizer.*.l1:*")
groups_bug = partial(bug, killed_by="optimizer.*.groups:*")
l2_bug = partial(bug, killed_by="optimizer.*.l2:*")


def _factor_without_eps(e: Textbook, o: Options, norm: Any) -> Any:
    return e.smaller(e.num(1), e.num(o.max_norm) / norm)


BUGS["clip-norm-of-each-parameter"] = norm_bug(
    "Each parameter's gradient is clipped by its own norm, as Keras does with clipnorm.",
    lines=("dW ← dW · min(1, max_norm / ‖dW‖)", NORM),
    source="Keras; numpy-ml, without 10⁻⁶",
    clip_factor=[Around.clip_factor, _factor_without_eps],
    clipped_norm=lambda e, o, grads: {
        key: e.scaled(g, e.clip_factor(o, e.norm_of([g]))) for key, g in grads.items()
    },
)
BUGS["clip-norm-without-eps"] = norm_bug(
    "The norm is not increased by 10⁻⁶, as in TensorFlow's clip_by_global_norm.",
    lines=("g ← g · min(1, max_norm / ‖g‖)", NORM),
    source="tensorflow",
    clip_factor=_factor_without_eps,
)
BUGS["clip-norm-to-1"] = norm_bug(
    "Gradients with a norm above max_norm get the norm 1.",
    lines=("g ← g / ‖g‖ where ‖g‖ > max_norm", NORM),
    source="attractivechaos/kann",
    clip_factor=lambda e, o, norm: e.array(1 / norm if norm > o.max_norm else 1),
)
BUGS["clip-norm-scales-up"] = norm_bug(
    "Gradients with a norm below max_norm are scaled up to it.",
    lines=("g ← g · max_norm / (‖g‖ + 10⁻⁶)", NORM),
    clip_factor=lambda e, o, norm: e.num(o.max_norm) / (norm + e.num(1e-6)),
)
BUGS["clip-norm-squared"] = norm_bug(
    "The gradients are divided by the square of their norm.",
    lines=("g ← g · min(1, max_norm / (‖g‖² + 10⁻⁶))", NORM),
    norm_of=lambda e, arrays: sum(np.sum(a * a) for a in arrays),
)
BUGS["clip-norm-of-absolute-values"] = norm_bug(
    "The norm is the sum of absolute values.",
    lines=("g ← g · min(1, max_norm / (Σ|g| + 10⁻⁶))", NORM),
    norm_of=lambda e, arrays: sum(np.sum(np.abs(a)) for a in arrays),
)
BUGS["clip-norm-ignored"] = norm_bug(
    "The option max_norm is ignored.",
    lines=("g ← g", NORM),
    clipped_norm=lambda e, o, grads: grads,
)
BUGS["clip-value-from-above-only"] = value_bug(
    "Gradients below −clip_value are not clipped.",
    lines=("g ← min(g, c)", "g ← min(max(g, −c), c)"),
    clamp=lambda e, g, c: np.minimum(g, c),
)
BUGS["clip-value-to-zero"] = value_bug(
    "Gradients beyond clip_value become 0.",
    lines=("g ← 0 where |g| > c", "g ← min(max(g, −c), c)"),
    clamp=lambda e, g, c: np.where(np.abs(g) > c, 0, g),
)
BUGS["clip-value-ignored"] = value_bug(
    "The option clip_value is ignored.",
    lines=("g ← g", "g ← min(max(g, −c), c)"),
    clipped_value=lambda e, o, g: g,
)
BUGS["l2-slope-without-2"] = l2_bug(
    "The slope of the penalty λ₂ W² lacks the factor 2.",
    lines=("g ← g + λ₂ W", "g ← g + 2 λ₂ W"),
    l2_slope=lambda e, o, p: e.num(o.l2) * p,
)
BUGS["l2-slope-over-n"] = l2_bug(
    "The slope of the penalty λ₂ W² is divided by the number of samples.",
    lines=("g ← g + 2 λ₂ W / N", "g ← g + 2 λ₂ W"),
    l2_slope=lambda e, o, p: e.num(2 * o.l2) * p / len(e.x),
)
BUGS["l2-ignored"] = l2_bug(
    "The option l2 is ignored.",
    lines=("g ← g", "g ← g + 2 λ₂ W"),
    l2_slope=lambda e, o, p: np.zeros_like(p),
)
BUGS["l1-ignored"] = l1_bug(
    "The option l1 is ignored.",
    lines=("g ← g", "g ← g + λ₁ sign(W)"),
    source="karpathy/convnetjs, whose layers multiply it by 0 unless told otherwise",
    l1_slope=lambda e, o, p: np.zeros_like(p),
)
BUGS["l1-slope-without-sign"] = l1_bug(
    "The slope of the penalty λ₁ |W| is λ₁ also where W is negative.",
    lines=("g ← g + λ₁", "g ← g + λ₁ sign(W)"),
    l1_slope=lambda e, o, p: e.num(o.l1) * np.ones_like(p),
)
BUGS["l1-slope-is-the-value"] = l1_bug(
    "The slope of the penalty λ₁ |W| is its value.",
    lines=("g ← g + λ₁ |W|", "g ← g + λ₁ sign(W)"),
    l1_slope=lambda e, o, p: e.num(o.l1) * np.abs(p),
)
BUGS["penalty-slope-at-zero"] = l1_bug(
    "The slope of the penalty λ₁ |W| at W = 0 is λ₁ or −λ₁, because the sign is 1 or −1 there.",
    lines=("sign(0) = −1, or 1", "sign(0) = 0"),
    source="karpathy/convnetjs",
    l1_slope=[
        lambda e, o, p: e.num(o.l1) * np.where(p > 0, e.array(1), e.array(-1)),
        lambda e, o, p: e.num(o.l1) * np.where(p >= 0, e.array(1), e.array(-1)),
    ],
)
BUGS["penalty-slope-over-n"] = l1_bug(
    "The slope of the penalty λ₁ |W| is divided by the number of samples.",
    lines=("g ← g + λ₁ sign(W) / N", "g ← g + λ₁ sign(W)"),
    l1_slope=lambda e, o, p: e.num(o.l1) * np.sign(p) / len(e.x),
)
BUGS["penalty-of-biases"] = bug(
    "Biases have penalties as well.",
    lines=("g ← g + λ₁ sign(θ) + 2 λ₂ θ for all θ", "g ← g + λ₁ sign(W) + 2 λ₂ W"),
    killed_by="optimizer.*.l?:*",
    is_penalized=lambda e, key: True,
)


def _group_without(option: str) -> Any:
    """Return `group_of` as it is in an engine whose groups lack an option."""
    return lambda e, o, key: {k: v for k, v in Textbook.group_of(e, o, key).items() if k != option}


BUGS["group-rate-ignored"] = groups_bug(
    "The learning rate of a group is ignored.",
    lines=("θ ← θ − lr …", "θ ← θ − lr of its group …"),
    group_of=_group_without("lr"),
)
BUGS["group-decay-ignored"] = groups_bug(
    "The weight decay of a group is ignored: biases decay although their group has none.",
    lines=("λ is that of the rule", "λ is that of the group"),
    group_of=_group_without("weight_decay"),
)
BUGS["last-group-holds"] = groups_bug(
    "The last group that fits a name holds, not the first.",
    lines=("the last group", "the first group"),
    group_of=lambda e, o, key: Textbook.group_of(
        e, Options(groups=getattr(o, "groups", ())[::-1]), key
    ),
)
BUGS["groups-merged"] = groups_bug(
    "A parameter has the options of all groups that fit its name.",
    lines=("all groups", "the first group"),
    group_of=lambda e, o, key: {
        name: value
        for group in getattr(o, "groups", ())[::-1]
        if fnmatchcase(key, group["params"])
        for name, value in group.items()
    },
)
