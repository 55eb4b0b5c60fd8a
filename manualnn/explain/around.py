"""Gradients before a rule: penalties of the parameters, clipping, and groups with other options.

    around = Around(rule, shapes, constant)
    gradients = around.gradients(names, theta, slopes)      after penalties and clip_value
    around.factor([g.value for g in gradients])             what clipping by the norm multiplies by
    around.shares["0.weight"].rule                          the rule of a parameter alone

They work on numbers of every kind. `constant(value, symbol)` makes an option such a number.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.explain.formula import Symbol, word
from manualnn.explain.numbers import ONE, ZERO, Arithmetic, Number
from manualnn.optimizers import SGD, Optimizer
from manualnn.optimizers.clipping import EPSILON, clip_values, norm_and_factor
from manualnn.optimizers.groups import add_penalties, plain_rules, shares_of
from manualnn.parameters import Parameters

CLIP = Symbol("clip", r"\mathrm{clip}")
"""The factor of clipping by the norm."""
LIMIT = word("clip_value")
NEGATIVE_LIMIT = Symbol(f"(-{LIMIT.text})", f"(-{LIMIT.latex})")
NORM_TYPES = (1, 2)


def require_entrywise(rule: Optimizer) -> None:
    """Raise SpecError unless a rule moves each parameter by its own gradient."""
    for own in plain_rules(rule):
        if own.needs_closure:
            message = (
                f"{type(own).__name__} evaluates the loss several times in a step, so its update "
                f"has no formula in one gradient; explain another rule, such as SGD."
            )
            raise SpecError(message)
        if not own.is_entrywise:
            message = (
                f"{type(own).__name__} updates a matrix as a whole, so no entry has a formula of "
                f"its own; explain another rule, such as AdamW."
            )
            raise SpecError(message)
    if rule.max_norm is not None and rule.norm_type not in NORM_TYPES:
        message = f"an explanation clips by a norm_type of 1 or 2, got {rule.norm_type!r}."
        raise SpecError(message)


def is_rounded(rule: Optimizer) -> bool:
    """Return True if the operations of a rule may be rounded to decimals.

    Other rules divide by roots of squared gradients. Rounding would turn these into 0 / 0.
    """
    return isinstance(rule, SGD)


class Around:
    """What a rule does before its update: see the module."""

    def __init__(
        self,
        rule: Optimizer,
        shapes: Mapping[str, Any],
        constant: Callable[[Any, Symbol], Number],
        arithmetic: Arithmetic,
    ) -> None:
        self.rule = rule
        self.constant = constant
        self.arithmetic = arithmetic
        self.shares = {name: s for s in shares_of(rule, tuple(shapes)) for name in s.names}
        self.names = [name for name, shape in shapes.items() for _ in range(int(np.prod(shape)))]
        """The name of the parameter of every entry of a vector."""

    def gradient(self, name: str, w: Number, g: Number) -> Number:
        """Return g + λ₁ sign(w) + 2 λ₂ w, moved into the range of clip_value."""
        share, limit = self.shares[name], self.rule.clip_value
        if share.l1 and w.value:
            l1 = self.constant(share.l1, word("l1"))
            g = g + l1 if w.value > 0 else g - l1
        if share.l2:
            g = g + w * (2 * self.constant(share.l2, word("l2")))
        if limit is not None and abs(g.value) > self.arithmetic.read_constant(limit):
            g = self.constant(*((limit, LIMIT) if g.value > 0 else (-limit, NEGATIVE_LIMIT)))
        return g

    def gradients(self, theta: Array, slopes: Array) -> Array:
        """Return the gradients that the rule takes, of all parameters."""
        found = np.empty(len(theta), dtype=object)
        for k, name in enumerate(self.names):
            found[k] = self.gradient(name, theta[k], slopes[k])
        factor = self.factor([g.value for g in found])
        return found if factor is None else found * self.constant(factor, CLIP)

    def read(self, theta: Array, slopes: Array) -> tuple[Array, Array]:
        """Return decimals as numbers; those of some rules are not rounded to decimals."""
        params, grads = np.empty((2, len(theta)), dtype=object)
        for k, name in enumerate(self.names):
            inner = self.arithmetic if is_rounded(self.shares[name].rule) else Arithmetic()
            params[k], grads[k] = Number(theta[k], inner), Number(slopes[k], inner)
        return params, grads

    def factor(self, gradients: Iterable[Decimal]) -> Decimal | None:
        """Return max_norm / (‖g‖ + 10⁻⁶), which is not rounded to decimals; None if above 1."""
        if self.rule.max_norm is None:
            return None
        sizes = [abs(g) for g in gradients]
        norm = sum(sizes, ZERO)
        if self.rule.norm_type == 2:
            norm = sum((size * size for size in sizes), ZERO).sqrt()
        read = self.arithmetic.read_constant
        factor = read(self.rule.max_norm) / (norm + read(EPSILON))
        return factor if factor < ONE else None


def clipping_notes(rule: Optimizer, params: Parameters, grads: Parameters) -> list[str]:
    """Return a sentence on clipping by the norm, if the rule has it."""
    if rule.max_norm is None:
        return []
    clipped = grads.copy()
    add_penalties(rule, params, clipped)
    if rule.clip_value is not None:
        clip_values(clipped.vector, rule.clip_value)
    norm, factor = norm_and_factor(clipped.vector, rule.max_norm, rule.norm_type)
    before = f"The gradients that max_norm = {rule.max_norm:g} clips have the norm {norm:.6g}"
    if factor < 1:
        return [f"{before}: clip = max_norm / (‖g‖ + 10⁻⁶) multiplies each of them."]
    return [f"{before}, so they stay as they are."]
