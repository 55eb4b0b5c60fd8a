"""LBFGS: a quasi-Newton method, whose step evaluates the loss several times."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.groups import add_penalties
from manualnn.optimizers.line_search import Point, StrongWolfe
from manualnn.optimizers.planned import State
from manualnn.parameters import Parameters
from manualnn.spec import require

__all__ = ["LBFGS"]

LEAST_CURVATURE = 1e-10
"""A pair with yᵀs at most this is not stored, because it would not keep the Hessian positive."""


@dataclass(frozen=True, repr=False, eq=False)
class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal & Wright 2006, Algorithms 7.4 and 7.5), for full batches.

    A step does up to max_iter iterations, each with the loss f and its gradient g:

    d ← −H g            H from the last history_size pairs s = t d and y = g − g of before
    H₀ = sᵀy / yᵀy      of the last pair; 1 before the first
    θ ← θ + t d         t = lr; in the first iteration lr min(1, 1 / Σ|g|)

    With line_search_fn "strong_wolfe", t is a step length that satisfies the strong Wolfe
    conditions, and lr is the first that is tried. A step ends after max_eval evaluations (max_iter
    · 5/4 by default), where max|g| ≤ tolerance_grad, or where t d or f change by no more than
    tolerance_change. Dropout keeps its mask within a step.

    `Trainer.step` returns the loss before the step. l1 and l2 belong to f; groups and clipping
    are refused. Equal to torch.optim.LBFGS. It is no rule of one gradient: call `minimise` instead
    of `update`. State: torch's d, t, old_dirs, old_stps, ro, H_diag, prev_flat_grad, prev_loss,
    n_iter and func_evals, and stored, the number of pairs.
    """

    lr: float = 1.0
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None

    needs_closure = True

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        for name in ("max_iter", "history_size"):
            require(self, name, "at least 1", getattr(self, name) >= 1)
        require(self, "max_eval", "at least 1", self.max_eval is None or self.max_eval >= 1)
        for name in ("tolerance_grad", "tolerance_change"):
            require(self, name, "at least 0", getattr(self, name) >= 0)
        is_known = self.line_search_fn in {None, "strong_wolfe"}
        require(self, "line_search_fn", "None or 'strong_wolfe'", is_known)
        for name in ("groups", "max_norm", "clip_value"):
            require(self, name, "left out, as LBFGS has none", not getattr(self, name))

    def vectors(self) -> tuple[str, ...]:
        return ("d", "prev_flat_grad")

    def init_vectors(self, state: State) -> None:
        d = state["d"]
        for name in ("old_dirs", "old_stps"):
            state[name] = np.zeros((self.history_size, d.size), d.dtype)
        state["ro"] = np.zeros(self.history_size, d.dtype)
        wide = np.result_type(d.dtype, np.float64)
        for name in ("t", "H_diag", "prev_loss", "n_iter", "func_evals", "stored"):
            state[name] = np.zeros((), wide)

    def rates(self, t: Any) -> NoReturn:
        message = (
            "LBFGS needs the loss at several places in a step, so it has no update(params, grads, "
            "state); call Trainer.step(x, t), Trainer.fit, or minimise(evaluate, params, grads, "
            "state)."
        )
        raise SpecError(message)

    def minimise(
        self,
        evaluate: Callable[[], Any],
        params: Parameters,
        grads: Parameters,
        state: dict[str, Any],
    ) -> Any:
        """Do one step: θ and the state change in place. Return the objective before it.

        evaluate() returns the loss at the current θ, and writes its gradient to `grads`. NumPy's
        warnings have to be off.
        """
        theta = params.vector

        def closure() -> tuple[Any, Array]:
            loss = evaluate()
            add_penalties(self, params, grads)
            return loss + self.penalty(params), grads.vector.copy()

        state["step"] += 1
        first, g = closure()
        state["func_evals"] += 1
        if _largest(g) <= self.tolerance_grad:
            return first
        loss, d, t = first, state["d"], _number(state, "t", theta)
        evaluations, most = 1, self.max_eval or self.max_iter * 5 // 4
        for i in range(1, self.max_iter + 1):
            state["n_iter"] += 1
            is_first = state["n_iter"] == 1
            if not is_first:
                _store(state, g - state["prev_flat_grad"], d * t)
            d[...] = _direction(state, g)
            state["prev_flat_grad"][...] = g
            before = loss
            t = min(1.0, 1.0 / np.add.reduce(np.abs(g))) * self.lr if is_first else self.lr
            slope = g.dot(d)
            if slope > -self.tolerance_change:
                break
            count = 0
            if self.line_search_fn:
                search = self._search(closure, theta, Point(0, loss, g, slope), d)
                t, loss, g, _ = search.run(t, most - evaluations)
                count = search.evaluations
                theta += t * d
            else:
                theta += t * d
                if i < self.max_iter:  # the loss after the last iteration is not needed
                    loss, g = closure()
                    count = 1
            evaluations += count
            state["func_evals"] += count
            is_still = _largest(d * t) <= self.tolerance_change
            is_flat = abs(loss - before) < self.tolerance_change
            is_over = i == self.max_iter or evaluations >= most
            if is_over or _largest(g) <= self.tolerance_grad or is_still or is_flat:
                break
        state["t"][...], state["prev_loss"][...] = t, before
        return first

    def _search(
        self, closure: Callable[[], tuple[Any, Array]], theta: Array, start: Point, d: Array
    ) -> StrongWolfe:
        """Return the line search from θ along d."""
        origin = theta.copy()

        def evaluate(t: Any) -> Point:
            theta[...] = origin + t * d
            loss, g = closure()
            theta[...] = origin
            return Point(t, loss, g, g.dot(d))

        return StrongWolfe(
            evaluate, start, size=_largest(d), tolerance_change=self.tolerance_change
        )


def _largest(v: Array) -> Any:
    return np.maximum.reduce(np.abs(v), initial=0)


def _number(state: dict[str, Any], name: str, like: Array) -> Any:
    """Return a number of the state, which has at least the digits of the parameters."""
    return like.dtype.type(state[name])


def _store(state: dict[str, Any], y: Array, s: Array) -> None:
    """Store a pair, the oldest one of a full history goes; and the scale H₀."""
    ys = y.dot(s)
    if not ys > LEAST_CURVATURE:
        return
    ys_of_all, pairs = state["ro"], (state["old_dirs"], state["old_stps"])
    count = int(state["stored"])
    if count == len(ys_of_all):
        for rows in (*pairs, ys_of_all):
            rows[:-1] = rows[1:]
        count -= 1
    for rows, row in zip((*pairs, ys_of_all), (y, s, 1 / ys), strict=True):
        rows[count] = row
    state["stored"][...] = count + 1
    state["H_diag"][...] = ys / y.dot(y)


def _direction(state: dict[str, Any], g: Array) -> Array:
    """Return −H g by the two loops over the stored pairs."""
    count, q = int(state["stored"]), -g
    shares: list[Any] = [None] * count
    dirs, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
    for i in reversed(range(count)):
        shares[i] = steps[i].dot(q) * ro[i]
        q -= shares[i] * dirs[i]
    r = q * (_number(state, "H_diag", g) if count else 1)
    for i in range(count):
        r += (shares[i] - dirs[i].dot(r) * ro[i]) * steps[i]
    return r
