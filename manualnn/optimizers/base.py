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

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache
from typing import Any, ClassVar, final

import numpy as np

from manualnn.elementary import (
    Array,
    is_symbolic,
    maximum,
    sqrt,
    sqrt_of_number,
    with_errstate,
    without_warnings,
)
from manualnn.errors import ShapeError
from manualnn.parameters import Parameters
from manualnn.spec import Description, require
from manualnn.tracing import Call, Notes, ours

__all__ = ["OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]

BLOCK = 32_768
"""Entries that a rule works on at a time: few enough to stay in the cache from one of its lines to
the next, and many enough for what a call costs to vanish.

Always in one thread: the BLAS's own threads go on spinning for a while after each matrix product,
and with one of ours on the same core an update takes no less time, or more."""

Number = Callable[[Any], Any]
Arrays = list[Array]
Rates = tuple[Any, ...]
"""Numbers, or arrays of one without dimensions."""


class State(dict[str, Any]):
    """{"step": updates done, name: vector of shape (P,), …}; the names are torch's.

    It also knows how the last update was done, to do the next one like it.
    """

    __slots__ = ("planned",)

    def __init__(self, *items: Any) -> None:
        dict.__init__(self, *items)
        self.planned: dict[bool, _Planned] = {}

    def __reduce__(self) -> tuple[type["State"], tuple[dict[str, Any]]]:
        """Pickle and copy what is in it."""
        return State, (dict(self),)


@dataclass(frozen=True, repr=False, eq=False)
class Optimizer(Description):
    """Base of every rule; one of your own has `rates`, `rule` and, if it remembers any, `vectors`.

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
        """The number c if the rule is θ ← θ − c g and remembers nothing, else None."""
        return None

    def vectors(self) -> tuple[str, ...]:
        """Return the names of the vectors that the rule remembers."""
        return ()

    def init(self, params: Parameters) -> State:
        """Return the state before the first step: every vector zero."""
        zeros = {name: np.zeros_like(params.vector) for name in self.vectors()}
        return State({"step": 0} | zeros)

    @final
    def update(self, params: Parameters, grads: Parameters, state: dict[str, Any]) -> None:
        """Do one step: θ and the state change in place, the gradient does not.

        Raises ShapeError if the three do not belong together.
        """
        theta = params.vector
        quiet = without_warnings if ours(self) else with_errstate
        quiet(theta, self._go, theta, grads.vector, state, True)  # noqa: FBT003

    @final
    def change(self, params: Parameters, grads: Parameters, state: dict[str, Any]) -> None:
        """Do one step of the state; what it takes from θ takes the gradient's place, θ stays.

        To be called where NumPy does not warn.
        """
        self._go(params.vector, grads.vector, state, False)  # noqa: FBT003

    def _go(self, theta: Array, g: Array, state: dict[str, Any], moves: bool) -> None:  # noqa: FBT001
        planned = state.planned.get(moves) if type(state) is State else None
        if planned is not None and planned.fits(self, theta, g, state):
            planned.run(state)
            return
        vectors: list[Any] = [theta, g, *map(state.get, self.vectors())]
        for v in vectors:
            if v is None or v.shape != theta.shape or v.dtype != theta.dtype or "step" not in state:
                raise ShapeError(self._misfit(theta, g, state))
        state["step"] += 1
        rule = self._in_longdouble() if theta.dtype.char == "g" else self
        rates = rule.rates(state["step"])
        if not is_symbolic(theta):
            rates = tuple(np.array(rate, theta.dtype) for rate in rates)
        free = _take_scratch(rule.scratch, min(theta.size, BLOCK), theta)
        rule.pass_over(vectors, rates, free, moves=moves)
        _kept.free = free
        if type(state) is State and theta.dtype.char in "fd" and ours(self):
            state.planned[moves] = _Planned(self, vectors, moves=moves)

    def pass_over(self, vectors: Arrays, rates: Rates, free: Arrays, *, moves: bool) -> None:
        """Go through θ, the gradient and what is kept, block by block.

        What is taken from θ is taken, or takes the gradient's place.
        """
        size, known = vectors[0].size, ours(self)
        for start in range(0, size, BLOCK):
            if size > BLOCK:
                p, g, *kept = [v[start : start + BLOCK] for v in vectors]
            else:
                p, g, *kept = vectors
            own = free if p.size == free[0].size else [f[: p.size] for f in free]
            if not known:  # what it leaves out, and what it reads of g to the end, shall be seen
                own[0].fill(np.nan)
            elif not moves:
                own = [g, *own[1:]]
            self.rule(p, self.gradient(p, g, own), kept, rates, own)
            if moves:
                np.subtract(p, own[0], p)
            elif own[0] is not g:
                np.copyto(g, own[0])

    def rates(self, t: Any) -> Rates:
        """Return what depends on lr or on the step, t = 1, 2, …, as numbers that `rule` takes."""
        raise NotImplementedError

    def rule(self, p: Array, g: Array, kept: Arrays, rates: Rates, free: Arrays, /) -> None:
        """Write to all of free[0], which may be g, what is taken from p; change what is kept.

        The others of `free` are for anything. A rule of your own:

            @dataclass(frozen=True)
            class SignSGD(Optimizer):
                def rates(self, t):
                    return (self.lr,)

                def rule(self, p, g, kept, rates, free):
                    free[0][...] = rates[0] * np.sign(g)
        """
        raise NotImplementedError

    def _misfit(self, theta: Array, g: Array, state: dict[str, Any]) -> str:
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

    def gradient(self, p: Array, g: Array, free: Arrays) -> Array:
        """Return the gradient that the rule goes by, which may stand in free[0]."""
        if getattr(self, "maximize", False):
            g = np.negative(g, free[0])
        if decay := getattr(self, "weight_decay", 0):
            decay = numbers_of(p.dtype.char)(decay)
            g = np.add(g, np.multiply(p, decay, free[1]), free[0])
        return g


class _Planned:
    """An update between arrays that stay the same: its calls to NumPy, noted once (see calls)."""

    def __init__(self, rule: Optimizer, vectors: Arrays, *, moves: bool) -> None:
        self._rule = rule
        self._moves = moves
        self._names = rule.vectors()
        self._last = [weakref.ref(v) for v in vectors]  # which may well be gone by the next step
        self._vectors: list[Any] = []
        self._rates: Arrays = []
        self._ready: list[Callable[[], Any]] = []

    def fits(self, rule: Optimizer, theta: Array, g: Array, state: dict[str, Any]) -> bool:
        """Whether the rule is the same, but for its learning rate, and so is every array."""
        known = self._vectors or [last() for last in self._last]
        if known[0] is not theta or known[1] is not g:
            return False
        i = 2
        for name in self._names:
            if known[i] is None or state.get(name) is not known[i]:
                return False
            i += 1
        if rule is not self._rule:
            if type(rule) is not type(self._rule):
                return False
            if vars(rule) | {"lr": 0} != vars(self._rule) | {"lr": 0}:
                return False
            self._rule = rule
        return True

    def run(self, state: dict[str, Any]) -> None:
        """Do one step."""
        state["step"] += 1
        rates = self._rule.rates(state["step"])
        if not self._ready:
            self._ready = [call.ready() for call in self.noted(rates)]
            return
        for array, rate in zip(self._rates, rates):  # noqa: B905 - strict takes time
            array[()] = rate
        for call in self._ready:
            call()

    def noted(self, rates: Rates) -> list[Call]:
        """Do it with these rates, and return the calls to NumPy that it took."""
        notes = Notes()
        self._vectors = [last() for last in self._last]
        theta = self._vectors[0]
        self._rates = [np.array(rate, theta.dtype) for rate in rates]
        free = np.empty((self._rule.scratch, min(theta.size, BLOCK)), theta.dtype)
        vectors, watched, own = (
            [notes.watch(array) for array in arrays]
            for arrays in (self._vectors, self._rates, free)
        )
        self._rule.pass_over(vectors, tuple(watched), own, moves=self._moves)
        return notes.done()


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


_kept = threading.local()


def _take_scratch(vectors: int, size: int, like: Array) -> Arrays:
    """Return so many vectors to write to: those of this thread's last update, or new ones.

    Until they are put back they are nobody else's: a rule may ask another one for an update.
    """
    last: Arrays = vars(_kept).pop("free", [])
    if len(last) == vectors and last[0].size == size and last[0].dtype == like.dtype:
        return last
    return list(np.empty((vectors, size), like.dtype))


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
        return -self.lr if self.maximize else self.lr

    def vectors(self) -> tuple[str, ...]:
        return ("momentum_buffer",) if self.momentum else ()

    def rates(self, t: Any) -> Rates:
        if not self.momentum:
            return (self.lr,)
        return self.lr, *((0, 1) if t == 1 else (self.momentum, 1 - self.dampening))

    def rule(self, p: Array, g: Array, kept: Arrays, rates: Rates, free: Arrays, /) -> None:
        rate, *of_buffer = rates
        if self.momentum:
            (b,), (memory, share) = kept, of_buffer
            np.multiply(b, memory, b)
            np.add(b, np.multiply(g, share, free[1]), b)
            if self.nesterov:
                momentum = numbers_of(p.dtype.char)(self.momentum)
                g = np.add(g, np.multiply(b, momentum, free[1]), free[1])
            else:
                g = b
        np.multiply(g, rate, free[0])


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

    def rates(self, t: Any) -> Rates:
        return (self.lr,)

    def rule(self, p: Array, g: Array, kept: Arrays, rates: Rates, free: Arrays, /) -> None:
        (rate,) = rates
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
        np.multiply(step, rate, free[0])


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

    def rates(self, t: Any) -> Rates:
        return (self.lr / (1 + (t - 1) * self.lr_decay),)

    def rule(self, p: Array, g: Array, kept: Arrays, rates: Rates, free: Arrays, /) -> None:
        (s,), (rate,) = kept, rates
        number = numbers_of(p.dtype.char)
        root = free[1]
        np.add(s, np.multiply(g, g, root), s)
        sqrt(s, out=root)
        np.add(root, number(self.eps), root)
        np.divide(g, root, root)
        np.multiply(root, rate, free[0])


@dataclass(frozen=True, repr=False, eq=False)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, Algorithm 1).

    m ← β₁ m + (1 − β₁) g               m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²              v̂ = v / (1 − β₂ᵗ)
    u ← max(u, v);  v̂ = u / (1 − β₂ᵗ)   amsgrad (Reddi et al. 2018), corrected after the maximum
    θ ← θ − lr m̂ / (√v̂ + ε)             computed as (lr √c₂ / c₁) m / (√v + ε √c₂), cᵢ = 1 − βᵢᵗ

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

    def rates(self, t: Any) -> Rates:
        """Return lr √c₂ / c₁ and ε √c₂, where cᵢ = 1 − βᵢᵗ."""
        beta1, beta2 = self.betas
        root = sqrt_of_number(1 - beta2**t)
        return self.lr * root / (1 - beta1**t), self.eps * root

    def rule(self, p: Array, g: Array, kept: Arrays, rates: Rates, free: Arrays, /) -> None:
        m, v = kept[:2]
        rate, eps = rates[:2]
        number = numbers_of(p.dtype.char)
        beta1, beta2 = self.betas
        _average(m, g, beta1, free[1], number)
        _average_square(v, g, beta2, free[1], number)
        if self.amsgrad:
            v = maximum(kept[2], v, out=kept[2])
        root = sqrt(v, out=free[1])
        np.add(root, eps, root)
        np.divide(m, root, root)
        np.multiply(root, rate, free[0])


@dataclass(frozen=True, repr=False, eq=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).

    θ ← θ − lr λ θ                      λ = weight_decay, with the θ before the step of Adam

    The decay is multiplied by lr, as in torch.optim.AdamW; the paper's own factor η is not there.
    State: as Adam.
    """

    weight_decay: float = 1e-2

    def gradient(self, p: Array, g: Array, free: Arrays) -> Array:
        return np.negative(g, free[0]) if self.maximize else g

    def rates(self, t: Any) -> Rates:
        return *Adam.rates(self, t), self.lr * self.weight_decay

    def rule(self, p: Array, g: Array, kept: Arrays, rates: Rates, free: Arrays, /) -> None:
        Adam.rule(self, p, g, kept, rates, free)
        np.add(free[0], np.multiply(p, rates[2], free[1]), free[0])


OPTIMIZERS: dict[str, type[Optimizer]] = {
    rule.__name__: rule for rule in (SGD, RMSprop, Adagrad, Adam, AdamW)
}
