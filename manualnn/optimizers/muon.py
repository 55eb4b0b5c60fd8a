"""Muon, which steps along a matrix whose singular values are near 1."""

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array, is_symbolic, maximum, ratio, sqrt, sqrt_of_number
from manualnn.errors import SpecError
from manualnn.optimizers.arithmetic import Number, numbers_of
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.planned import Arrays, Rates, Shapes
from manualnn.spec import require

__all__ = ["Muon"]

ADJUSTMENTS = (None, "original", "match_rms_adamw")
LIMIT_OF_STEPS = 100


@dataclass(frozen=True, repr=False, eq=False)
class Muon(Optimizer):
    """Momentum made orthogonal by the iteration of Newton and Schulz (Jordan 2024), of matrices.

    B ← μ B + (1 − μ) g
    U = μ B + (1 − μ) g                 with nesterov, otherwise U = B
    X = U / max(‖U‖, ε);  ns_steps times X ← a X + (b A + c A²) X with A = X Xᵀ
    θ ← (1 − lr λ) θ − lr r X

    μ is momentum, ε eps, λ weight_decay, (a, b, c) are ns_coefficients, and ‖U‖ is the root of the
    sum of squares. For a matrix of m rows and n columns, r = √max(1, m/n), or with adjust_lr_fn
    "match_rms_adamw" (Liu et al. 2025) r = 0.2 √max(m, n). State: momentum_buffer B.

    It updates matrices alone. Other parameters need a group with another rule:

        Muon(lr=0.02, groups=[{"params": "*.bias", "type": "AdamW", "lr": 3e-4}])

    `init` raises SpecError without such a group. The iteration computes in the parameters' data
    type. torch.optim.Muon rounds U to bfloat16 before it, and X after every product. The iteration
    enlarges small singular values up to a⁵ = 485 times, and with them these errors, so that torch's
    X may have errors as large as X. torch's docstring has B ← μ B + g, its program the line above.
    """

    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315)
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None

    scratch_count: ClassVar[int] = 1
    decoupled_weight_decay: ClassVar[bool] = True
    is_entrywise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        is_in_range = 0 <= self.ns_steps < LIMIT_OF_STEPS
        require(self, "ns_steps", f"from 0 to {LIMIT_OF_STEPS - 1}", is_in_range)
        is_known = self.adjust_lr_fn in ADJUSTMENTS
        require(self, "adjust_lr_fn", 'None, "original" or "match_rms_adamw"', is_known)

    def vectors(self) -> tuple[str, ...]:
        return ("momentum_buffer",)

    def require_shapes(self, shapes: Shapes) -> None:
        for name, shape in shapes.items():
            if len(shape) != 2:
                pattern = "*.bias" if name.endswith(".bias") else name
                group = f'{{"params": "{pattern}", "type": "AdamW", "lr": 0.0003}}'
                message = (
                    f"Muon updates matrices alone, and {name} has the shape {shape}; give it "
                    f"another rule by a group: groups=[{group}]."
                )
                raise SpecError(message)

    def rates(self, t: Any) -> Rates:
        """Return the factors of X and of θ."""
        return self.lr, self.lr * self.weight_decay

    def pass_over(
        self, vectors: Arrays, rates: Rates, scratch: Arrays, shapes: Shapes, *, moves: bool
    ) -> None:
        """Apply the rule matrix by matrix."""
        start = 0
        for shape in shapes.values():
            stop = start + prod(shape)
            if stop > start:
                p, g, average = (v[start:stop].reshape(shape) for v in vectors)
                step = self._step_of(p, g, average, rates)
                if moves:
                    np.subtract(p, step, p)
                else:
                    np.add(step, 0, g)
            start = stop

    def _step_of(self, p: Array, g: Array, average: Array, rates: Rates) -> Array:
        """Return the step Δ of a matrix, and update the average of its gradients."""
        number = numbers_of(p.dtype.char)
        new = np.multiply(g, number(1 - self.momentum))
        np.add(np.multiply(average, number(self.momentum), average), new, average)
        direction = average
        if self.nesterov:
            direction = np.add(np.multiply(average, number(self.momentum)), new, new)
        step = self._orthogonal(direction, number)
        np.multiply(step, rates[0], step)
        np.multiply(step, number(self._adjustment(p)), step)
        return np.add(step, np.multiply(p, rates[1], new), step)

    def _adjustment(self, p: Array) -> Any:
        """Return r."""
        rows, columns = p.shape
        if self.adjust_lr_fn == "match_rms_adamw":
            return sqrt_of_number(ratio(max(rows, columns), 25, p))
        return sqrt_of_number(ratio(max(rows, columns), columns, p))

    def _orthogonal(self, u: Array, number: Number) -> Array:
        """Return X after the iterations, in an array of its own.

        A matrix of more rows than columns is multiplied from the other side, which is the same for
        the smaller A = Xᵀ X.
        """
        x = _normalised(u, number(self.eps), number)
        a, b, c = map(number, self.ns_coefficients)
        rows, columns = x.shape
        gram = square = product = None
        for _ in range(self.ns_steps):
            gram = np.dot(x, x.T, gram) if rows <= columns else np.dot(x.T, x, gram)
            square = np.dot(gram, gram, square)
            np.add(np.multiply(gram, b, gram), np.multiply(square, c, square), gram)
            product = np.dot(gram, x, product) if rows <= columns else np.dot(x, gram, product)
            np.add(np.multiply(x, a, x), product, x)
        return x


def _normalised(u: Array, eps: Any, number: Number) -> Array:
    """Return U / max(‖U‖, ε), or 0 for 0.

    U is divided by its largest entry first, so that its squares cannot overflow.
    """
    if is_symbolic(u):
        flat = u.reshape(-1)
        return np.divide(u, maximum(sqrt(np.array([np.dot(flat, flat)])), eps))
    least = number(np.finfo(u.dtype).tiny)
    largest = np.maximum.reduce(np.abs(u), axis=None)
    size = np.maximum(np.maximum(largest, eps), least)
    x = np.divide(u, size)
    flat = x.reshape(-1)
    limit = np.maximum(np.divide(eps, size), least)
    return np.divide(x, np.maximum(np.sqrt(np.dot(flat, flat)), limit), x)
