"""Update rules: how parameters follow from a gradient.

A rule is a frozen description; what it remembers between steps is a state that it is handed. Names,
defaults and conventions are torch.optim's. Every rule works on flat vectors, in blocks small enough
to stay in the cache:

    rule = SGD(lr=0.02)
    state = rule.init(params)
    rule.update(params, grads, state)       # params and state change in place

The learning rate may change between steps: take `dataclasses.replace(rule, lr=0.01)` with the same
state.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array, is_symbolic, maximum, quietly, sqrt, sqrt_of_number
from manualnn.errors import ShapeError
from manualnn.parameters import Parameters
from manualnn.spec import Description, require

__all__ = ["OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]

BLOCK = 32_768
"""Entries that a rule works on at a time: few enough to stay in the cache from one of its lines to
the next, and many enough for what a call costs to vanish."""
THREADED = 8 * BLOCK
"""Parameters from which on more than one thread is worth its start."""

Number = Callable[[Any], Any]
State = dict[str, Any]
"""{"step": updates done, name: vector of shape (P,), …}; the names are torch's."""


@dataclass(frozen=True, repr=False, eq=False)
class Optimizer(Description):
    """Base of every rule.

    Before the rule, in this order: g ← −g if maximize; g ← g + weight_decay θ.
    """

    lr: float = 1e-3

    scratch: ClassVar[int] = 2
    """How many vectors of scratch memory the rule needs, of BLOCK entries each."""

    def __post_init__(self) -> None:
        Description.__post_init__(self)
        for option in ("lr", "weight_decay", "eps"):
            if hasattr(self, option):
                require(self, option, "at least 0", getattr(self, option) >= 0)

    @property
    def factor(self) -> float | None:
        """The number c if the rule is θ ← θ + c g and remembers nothing, else None."""
        return None

    def vectors(self) -> tuple[str, ...]:
        """Return the names of the vectors that the rule remembers."""
        return ()

    def init(self, params: Parameters) -> State:
        """Return the state before the first step: every vector zero."""
        return {"step": 0} | {name: np.zeros_like(params.vector) for name in self.vectors()}

    def update(self, params: Parameters, grads: Parameters, state: State) -> None:
        """Do one step: θ and the state change in place, the gradient does not.

        Raises ShapeError if the three do not belong together.
        """
        theta = params.vector
        vectors: list[Any] = [theta, grads.vector, *map(state.get, self.vectors())]
        for v in vectors:
            if v is None or v.shape != theta.shape or v.dtype != theta.dtype or "step" not in state:
                raise ShapeError(self._misfit(theta, grads.vector, state))
        state["step"] += 1
        rule = self._in_longdouble() if theta.dtype.char == "g" else self
        threads = usable_threads() if theta.size >= THREADED else 1
        if is_symbolic(theta):  # which may have contexts of their own
            with np.errstate(all="ignore"):
                rule.pass_over(vectors, state["step"])
            return
        if threads == 1:
            quietly(rule.pass_over, vectors, state["step"])
            return
        from concurrent.futures import ThreadPoolExecutor

        share = -(-theta.size // threads)
        parts = [slice(start, start + share) for start in range(0, theta.size, share)]
        with ThreadPoolExecutor(threads) as pool:  # which waits for all, whatever happens
            done = [
                pool.submit(quietly, rule.pass_over, [v[part] for v in vectors], state["step"])
                for part in parts
            ]
        for part_done in done:
            part_done.result()

    def pass_over(self, vectors: list[Array], t: int) -> None:
        """Go through θ, the gradient and what is kept, block by block, in step t."""
        size = vectors[0].size
        free = _scratch(self.scratch, min(size, BLOCK), vectors[0])
        for start in range(0, size, BLOCK):
            if size > BLOCK:
                p, g, *kept = [v[start : start + BLOCK] for v in vectors]
            else:
                p, g, *kept = vectors
            temporary = free if p.size == free[0].size else [f[: p.size] for f in free]
            g = self.gradient(p, g, temporary)
            self.rule(p, g, kept, t, temporary)

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: list[Array], /) -> None:
        """Change p and what is kept, in step t = 1, 2, …; free[0] may hold g, the rest is free."""
        raise NotImplementedError

    def _misfit(self, theta: Array, g: Array, state: State) -> str:
        return (
            f"{type(self).__name__} expects gradients of shape {theta.shape} and {theta.dtype} "
            f"and a state with step and {self.vectors()} of the same, got {g.shape} and "
            f"{g.dtype}, and {list(state)}; make the state with init(params)."
        )

    def _in_longdouble(self) -> "Optimizer":
        """Return the rule with options in longdouble, which would see that 1 − β is rounded."""
        options = {option.name: getattr(self, option.name) for option in fields(self)}
        wide: dict[str, Any] = {
            name: tuple(map(np.longdouble, value)) if isinstance(value, tuple) else value
            for name, value in options.items()
        } | {n: np.longdouble(v) for n, v in options.items() if isinstance(v, float)}
        return replace(self, **wide)

    def gradient(self, p: Array, g: Array, free: list[Array]) -> Array:
        """Return the gradient that the rule goes by, which may stand in free[0]."""
        if getattr(self, "maximize", False):
            g = np.negative(g, free[0])
        if decay := getattr(self, "weight_decay", 0):
            decay = numbers_of(p.dtype.char)(decay)
            g = np.add(g, np.multiply(p, decay, free[1]), free[0])
        return g


@cache
def numbers_of(dtype: str) -> Number:
    """Return what makes an array without dimensions of a number, and keeps the last ones.

    NumPy multiplies by such an array in half the time that it takes with a number of Python's.
    """
    if dtype == "O":
        return lambda value: value

    @lru_cache(maxsize=32)
    def number(value: Any) -> Array:
        array = np.array(value, dtype)
        array.flags.writeable = False
        return array

    return number


@cache
def usable_threads() -> int:
    """Return how many threads an update may use: as many as NumPy's BLAS does."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        if (wanted := os.environ.get(variable, "")).isdecimal() and int(wanted):
            return min(int(wanted), cores or 1)
    return cores or 1


_kept = threading.local()


def _scratch(vectors: int, size: int, like: Array) -> list[Array]:
    """Return so many vectors to write to, which this thread keeps for its next update."""
    if is_symbolic(like):
        return list(np.empty((vectors, size), object))
    rooms: dict[Any, list[Array]] = vars(_kept).setdefault("rooms", {})
    room = rooms.get((vectors, size, like.dtype))
    if room is None:
        rooms.clear()
        room = rooms[vectors, size, like.dtype] = list(np.empty((vectors, size), like.dtype))
    return room


@dataclass(frozen=True, repr=False, eq=False)
class SGD(Optimizer):
    """Gradient descent, with momentum or without.

    θ ← θ − α g                                 without momentum: W′ = W − α ∂L/∂W

    b ← g in the first step, then b ← μ b + (1 − τ) g
    θ ← θ − α b                                 with momentum μ, dampening τ
    θ ← θ − α (g + μ b)                         with nesterov

    The learning rate α = lr stands outside b, and dampening is skipped in the first step, as in
    torch.optim.SGD; Sutskever et al. 2013 have α inside. State: momentum_buffer, b.
    """

    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        require(self, "momentum", "at least 0", self.momentum >= 0)
        plain = not self.nesterov or (self.momentum > 0 and self.dampening == 0)
        require(self, "nesterov", "used with momentum above 0 and dampening 0", plain)

    @property
    def factor(self) -> float | None:
        if self.momentum or self.weight_decay or type(self) is not SGD:
            return None
        return self.lr if self.maximize else -self.lr

    def vectors(self) -> tuple[str, ...]:
        return ("momentum_buffer",) if self.momentum else ()

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: list[Array], /) -> None:
        number = numbers_of(p.dtype.char)
        if self.momentum:
            (b,) = kept
            if t == 1:
                b[...] = g
            else:
                np.multiply(b, number(self.momentum), b)
                np.add(b, np.multiply(g, number(1 - self.dampening), free[1]), b)
            if self.nesterov:
                g = np.add(g, np.multiply(b, number(self.momentum), free[1]), free[1])
            else:
                g = b
        np.subtract(p, np.multiply(g, number(self.lr), free[1]), p)


def _average(average: Array, g: Array, beta: Any, free: Array, number: Number) -> None:
    """Let average ← β average + (1 − β) g."""
    np.multiply(average, number(beta), average)
    np.multiply(g, number(1 - beta), free)
    np.add(average, free, average)


def _average_square(average: Array, g: Array, beta: Any, free: Array, number: Number) -> None:
    """Let average ← β average + (1 − β) g²."""
    np.multiply(average, number(beta), average)
    np.multiply(g, number(1 - beta), free)
    np.multiply(free, g, free)  # g² by itself would overflow earlier
    np.add(average, free, average)


@dataclass(frozen=True, repr=False, eq=False)
class RMSprop(Optimizer):
    """Gradient descent with each entry divided by a running root mean square (Hinton 2012).

    v ← α v + (1 − α) g²
    m ← α m + (1 − α) g;  v̂ = max(v − m², 0)            centered; else v̂ = v
    θ ← θ − lr g / (√v̂ + ε)                             without momentum
    b ← μ b + g / (√v̂ + ε);  θ ← θ − lr b               with momentum μ

    α is alpha, ε eps, μ momentum. ε stands outside the root, as in torch.optim.RMSprop; TensorFlow
    has it inside. Where rounding makes v − m² negative, torch gives NaN; here it counts as 0.
    State: square_avg v, grad_avg m, momentum_buffer b.
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    maximize: bool = False

    scratch: ClassVar[int] = 3

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        require(self, "momentum", "at least 0", self.momentum >= 0)
        require(self, "alpha", "at least 0", self.alpha >= 0)

    def vectors(self) -> tuple[str, ...]:
        names = ["square_avg"]
        if self.centered:
            names.append("grad_avg")
        if self.momentum:
            names.append("momentum_buffer")
        return tuple(names)

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: list[Array], /) -> None:
        number = numbers_of(p.dtype.char)
        average = dict(zip(self.vectors(), kept, strict=True))
        v = average["square_avg"]
        _average_square(v, g, self.alpha, free[1], number)
        root = free[2]
        if self.centered:
            m = average["grad_avg"]
            _average(m, g, self.alpha, free[1], number)
            np.subtract(v, np.multiply(m, m, root), root)
            v = maximum(root, 0, out=root)
        sqrt(v, out=root)
        np.add(root, number(self.eps), root)
        step = np.divide(g, root, root)
        if self.momentum:
            b = average["momentum_buffer"]
            np.multiply(b, number(self.momentum), b)
            step = np.add(b, step, b)
        np.subtract(p, np.multiply(step, number(self.lr), free[1]), p)


@dataclass(frozen=True, repr=False, eq=False)
class Adagrad(Optimizer):
    """Gradient descent with each entry divided by the root of its squares so far (Duchi 2011).

    s ← s + g²
    θ ← θ − lr / (1 + (t − 1) lr_decay) · g / (√s + ε)

    t = 1 in the first step; s starts at initial_accumulator_value; ε stands outside the root, as
    in torch.optim.Adagrad. State: sum, s.
    """

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    maximize: bool = False

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        require(self, "lr_decay", "at least 0", self.lr_decay >= 0)
        start = self.initial_accumulator_value
        require(self, "initial_accumulator_value", "at least 0", start >= 0)

    def vectors(self) -> tuple[str, ...]:
        return ("sum",)

    def init(self, params: Parameters) -> State:
        state = Optimizer.init(self, params)
        state["sum"][...] = self.initial_accumulator_value
        return state

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: list[Array], /) -> None:
        (s,) = kept
        number = numbers_of(p.dtype.char)
        root = free[1]
        np.add(s, np.multiply(g, g, root), s)
        sqrt(s, out=root)
        np.add(root, number(self.eps), root)
        np.divide(g, root, root)
        rate = self.lr / (1 + (t - 1) * self.lr_decay)
        np.multiply(root, np.asarray(rate, p.dtype), root)
        np.subtract(p, root, p)


@dataclass(frozen=True, repr=False, eq=False)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, Algorithm 1).

    m ← β₁ m + (1 − β₁) g               m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²              v̂ = v / (1 − β₂ᵗ)
    u ← max(u, v);  v̂ = u / (1 − β₂ᵗ)   amsgrad (Reddi et al. 2018), corrected after the maximum
    θ ← θ − lr m̂ / (√v̂ + ε)

    β₁, β₂ are betas, ε is eps. ε stands outside the root, as in torch.optim.Adam; Keras and optax
    offer it inside.
    State: exp_avg m, exp_avg_sq v, max_exp_avg_sq u.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        inside = all(0 <= beta < 1 for beta in self.betas)
        require(self, "betas", "two numbers from 0 to below 1", inside)

    def vectors(self) -> tuple[str, ...]:
        names = ("exp_avg", "exp_avg_sq")
        return (*names, "max_exp_avg_sq") if self.amsgrad else names

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: list[Array], /) -> None:
        m, v = kept[:2]
        number = numbers_of(p.dtype.char)
        beta1, beta2 = self.betas
        _average(m, g, beta1, free[1], number)
        _average_square(v, g, beta2, free[1], number)
        if self.amsgrad:
            v = maximum(kept[2], v, out=kept[2])
        root = sqrt(v, out=free[1])
        np.divide(root, np.asarray(sqrt_of_number(1 - beta2**t), p.dtype), root)
        np.add(root, number(self.eps), root)
        np.divide(m, root, root)
        np.multiply(root, np.asarray(self.lr / (1 - beta1**t), p.dtype), root)
        np.subtract(p, root, p)


@dataclass(frozen=True, repr=False, eq=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).

    θ ← θ − lr λ θ                      λ = weight_decay, before the step of Adam

    The decay is multiplied by lr, as in torch.optim.AdamW; the paper's own factor η is not there.
    State: as Adam.
    """

    weight_decay: float = 1e-2

    def gradient(self, p: Array, g: Array, free: list[Array]) -> Array:
        return np.negative(g, free[0]) if self.maximize else g

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: list[Array], /) -> None:
        number = numbers_of(p.dtype.char)
        np.multiply(p, number(1 - self.lr * self.weight_decay), p)
        Adam.rule(self, p, g, kept, t, free)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    rule.__name__: rule for rule in (SGD, RMSprop, Adagrad, Adam, AdamW)
}
