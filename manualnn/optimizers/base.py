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

from manualnn.elementary import Array, is_symbolic
from manualnn.errors import ShapeError
from manualnn.errstate import run_quietly, run_with_errstate
from manualnn.parameters import Parameters
from manualnn.spec import Description, require
from manualnn.tracing import Call, Trace, is_from_manualnn

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
        quiet = is_from_manualnn(self) and not is_symbolic(theta)
        run = run_quietly if quiet else run_with_errstate
        run(self._go, theta, grads.vector, state, True)  # noqa: FBT003

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
        if type(state) is State and theta.dtype.char in "fd" and is_from_manualnn(self):
            state.planned[moves] = _Planned(self, vectors, moves=moves)

    def pass_over(self, vectors: Arrays, rates: Rates, free: Arrays, *, moves: bool) -> None:
        """Go through θ, the gradient and what is kept, block by block.

        What is taken from θ is taken, or takes the gradient's place.
        """
        size, known = vectors[0].size, is_from_manualnn(self)
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
    """An update between arrays that stay the same: its calls to NumPy, recorded once."""

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
            self._ready = [call.prepare() for call in self.noted(rates)]
            return
        for array, rate in zip(self._rates, rates):  # noqa: B905 - strict takes time
            array[()] = rate
        for call in self._ready:
            call()

    def noted(self, rates: Rates) -> list[Call]:
        """Do it with these rates, and return the calls to NumPy that it took."""
        trace = Trace()
        self._vectors = [last() for last in self._last]
        theta = self._vectors[0]
        self._rates = [np.array(rate, theta.dtype) for rate in rates]
        free = np.empty((self._rule.scratch, min(theta.size, BLOCK)), theta.dtype)
        vectors, watched, own = (
            [trace.wrap(array) for array in arrays] for arrays in (self._vectors, self._rates, free)
        )
        self._rule.pass_over(vectors, tuple(watched), own, moves=self._moves)
        return trace.finish()


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


def update_average(average: Array, g: Array, beta: Any, free: Array, number: Number) -> None:
    """Let average ← β average + (1 − β) g."""
    np.multiply(average, number(beta), average)
    np.multiply(g, number(1 - beta), free)
    np.add(average, free, average)


def update_average_square(average: Array, g: Array, beta: Any, free: Array, number: Number) -> None:
    """Let average ← β average + (1 − β) g²."""
    np.multiply(average, number(beta), average)
    np.multiply(g, number(1 - beta), free)
    np.multiply(free, g, free)  # g² by itself would overflow earlier
    np.add(average, free, average)
