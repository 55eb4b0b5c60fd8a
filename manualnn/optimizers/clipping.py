"""Clipping of gradients by their norm or by their values, as torch.nn.utils has it."""

import math
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DomainError, SpecError
from manualnn.errstate import run_quietly
from manualnn.parameters import Parameters
from manualnn.validation import require_flag, require_number, shown

__all__ = ["clip_grad_norm_", "clip_grad_value_"]

EPSILON = 1e-6
"""The number that torch adds to the norm, so that a gradient of 0 is not divided by 0."""


def clip_grad_norm_(
    grads: Parameters, max_norm: float, norm_type: float = 2.0, *, error_if_nonfinite: bool = False
) -> float:
    """Scale all gradients together so that their norm is at most max_norm; return the norm before.

    g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)), with the norm of all entries as one vector

    torch squares the entries as they are: in float32 the norm of entries above 10¹⁹ is infinite
    there, and such gradients become 0. This function divides by the largest entry first. NaN in one
    entry makes all gradients NaN in both, an infinite entry makes itself NaN and the others 0.

    Raises SpecError for another argument. Source: torch.nn.utils.clip_grad_norm_.

    Parameters
    ----------
    grads : Parameters
        Gradients, which change in place.
    max_norm : float
        Bound of the norm, at least 0.
    norm_type : float
        p of the norm (Σ |g|ᵖ)^(1/p), greater than 0; infinity for the largest absolute value.
    error_if_nonfinite : bool
        If True, raise DomainError for a norm that is not finite, and change nothing.

    Examples
    --------
    >>> _, grads = net.value_and_grad(net.init(seed=0), MSELoss(), x, t)
    >>> before = clip_grad_norm_(grads, max_norm=0.01)
    >>> before > 0.01, round(float(np.linalg.norm(grads.vector)), 4)
    (True, 0.01)

    """
    _require_gradients(grads)
    require_number("max_norm", max_norm, 0)
    require_norm_type(norm_type)
    require_flag("error_if_nonfinite", error_if_nonfinite)
    norm, factor = run_quietly(norm_and_factor, grads.vector, max_norm, norm_type)
    if error_if_nonfinite and not math.isfinite(norm):
        message = f"the norm of the gradients is {norm}, so they cannot be clipped by it."
        raise DomainError(message)
    run_quietly(_scale, grads.vector, factor)
    return float(norm)


def clip_grad_value_(grads: Parameters, clip_value: float) -> None:
    """Move every entry of the gradients into the range from −clip_value to clip_value.

    g ← min(max(g, −clip_value), clip_value); NaN stays NaN

    Raises SpecError for another argument. Source: torch.nn.utils.clip_grad_value_.
    """
    _require_gradients(grads)
    require_number("clip_value", clip_value, 0)
    clip_values(grads.vector, clip_value)


def clip_norm(g: Array, max_norm: float, norm_type: float) -> None:
    """Scale a vector in place so that its norm is at most max_norm."""
    _scale(g, norm_and_factor(g, max_norm, norm_type)[1])


def clip_values(g: Array, clip_value: float) -> None:
    """Move the entries of a vector into the range from −clip_value to clip_value, in place."""
    np.clip(g, -clip_value, clip_value, out=g)


def norm_and_factor(g: Array, max_norm: float, norm_type: float) -> tuple[Any, Any]:
    """Return ‖g‖ and the factor min(1, max_norm / (‖g‖ + 10⁻⁶)), both of g's dtype."""
    number = g.dtype.type
    norm, unit = _norm(g, norm_type), number(1)
    if norm_type not in {1, 2, math.inf} or not norm < math.inf:
        # Powers of the entries may leave the range of the dtype, so the largest one is the unit.
        largest = np.maximum.reduce(np.abs(g), initial=0)
        if 0 < largest < math.inf:
            norm, unit = _norm(g / largest, norm_type), largest
    factor = (number(max_norm) / unit) / (norm + number(EPSILON) / unit)
    return norm * unit, np.minimum(factor, number(1))


def _norm(g: Array, norm_type: float) -> Any:
    if norm_type == 2:
        return np.sqrt(np.dot(g, g))
    sizes = np.abs(g)
    if norm_type == math.inf:
        return np.maximum.reduce(sizes, initial=0)
    return np.add.reduce(sizes**norm_type) ** g.dtype.type(1 / norm_type)


def _scale(g: Array, factor: Any) -> None:
    if factor != 1:
        np.multiply(g, factor, g)


def require_norm_type(norm_type: Any) -> None:
    """Raise SpecError if a norm's p is neither a number greater than 0 nor infinity."""
    if norm_type == math.inf:
        return
    require_number("norm_type", norm_type, 0)
    if not norm_type:
        message = "norm_type must be greater than 0, got 0; infinity is the largest entry."
        raise SpecError(message)


def _require_gradients(grads: Any) -> None:
    if not isinstance(grads, Parameters):
        message = f"clipping expects the gradients of value_and_grad, got {shown(grads)}."
        raise SpecError(message)


def require_kind(value: Any, kind: type, source: str) -> None:
    """Raise SpecError for an argument of another type; `source` is the call that returns one."""
    if not isinstance(value, kind):
        got = type(value).__name__
        message = f"an update rule expects the {kind.__name__} of {source}, got {got}."
        raise SpecError(message)
