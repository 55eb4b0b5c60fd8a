"""Bugs of a weight decay outside of the gradient, and of ε outside of the root."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Methods, Table, bug
from manualnn.oracle.bugs.edits import DECOUPLED, roots
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.optimizers.lines import decay_of
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
RIGHT = "g ← g + λ p, then the rule for g"
decay_bug = partial(
    bug,
    killed_by="optimizer.*.weight_decay:*",
    where=lambda e, o, *given: o.type not in DECOUPLED,
)


def _outside(
    share: Callable[[Any, Options], Any], is_decayed: Callable[[Any, Array], bool]
) -> Methods:
    """Return methods that multiply p by 1 − share(e, o) before the rule, if is_decayed(e, p)."""
    return {
        "gradient": lambda e, o, p, g: e.uphill(o, g),
        "updated": lambda e, o, key, p, g, s: Textbook.updated(
            e, o, key, p * (1 - share(e, o)) if is_decayed(e, p) else p, g, s
        ),
    }


def _without_lr(is_decayed: Callable[[Any, Array], bool]) -> Methods:
    """Return engines whose decay lacks lr, outside of the rule and in the buffer of a momentum."""
    right = _outside(lambda e, o: e.num(decay_of(o)), is_decayed)

    def is_in_buffer(e: Any, o: Options) -> bool:
        return bool(e.buffer == "with decay" and getattr(o, "momentum", 0) and o.lr)

    def gradient(e: Any, o: Options, p: Array, g: Array) -> Any:
        if is_in_buffer(e, o) and is_decayed(e, p):
            return e.uphill(o, g) + e.num(decay_of(o)) / e.num(o.lr) * p
        return e.uphill(o, g)

    def updated(e: Any, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]) -> Any:
        return (Textbook.updated if is_in_buffer(e, o) else right["updated"])(e, o, key, p, g, s)

    return {"buffer": ["of gradients", "with decay"], "gradient": gradient, "updated": updated}


BUGS["decay-without-lr"] = decay_bug(
    "The weight decay is not multiplied by the learning rate.",
    lines=("p ← (1 − λ) p, then the rule for g; or b ← μ b + lr g + λ p, p ← p − b", RIGHT),
    **_without_lr(lambda e, p: True),
)
BUGS["decay-without-lr-skips-bias"] = decay_bug(
    "The weight decay is not multiplied by the learning rate, and not applied to biases.",
    lines=("W ← (1 − λ) W, then the rule for g; or b ← μ b + lr g + λ W, W ← W − b", RIGHT),
    source="Cranium",
    **_without_lr(lambda e, p: p.ndim == 2),
)
BUGS["decay-decoupled-skips-bias"] = decay_bug(
    "The weight decay is that of AdamW, not part of the gradient, and not applied to biases.",
    lines=("W ← (1 − lr λ) W, then the rule for g", RIGHT),
    **_outside(lambda e, o: e.num(o.lr) * e.num(decay_of(o)), lambda e, p: p.ndim == 2),
)
BUGS["eps-added-to-step"] = bug(
    "ε is added to the step instead of the root.",
    lines=("p ← p − (lr m / √v + ε), or p − lr (m / √v + ε)", "p ← p − lr m / (√v + ε)"),
    killed_by="optimizer.*.eps:*",
    source="smolgrad",
    of=[lambda e, o, lr: e.num(o.eps), lambda e, o, lr: lr * e.num(o.eps)],
    moved=lambda e, o, p, d, lr: (
        Textbook.moved(e, o, p, d, lr)
        - (e.of(o, lr) if o.type in {"RMSprop", "Adagrad", "Adam", "AdamW"} else 0)
    ),
    **roots(lambda v, eps: np.sqrt(v)),
)
