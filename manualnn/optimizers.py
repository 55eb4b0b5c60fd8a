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

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array, maximum, sqrt, sqrt_of_number
from manualnn.errors import ShapeError
from manualnn.parameters import Parameters
from manualnn.spec import Description, require

__all__ = ["OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]

BLOCK = 8192
"""Entries of scratch memory that an update may use: with the parameters they stay in the cache."""

State = dict[str, Any]
"""{"step": updates done, name: vector of shape (P,), …}; the names are torch's."""


@dataclass(frozen=True)
class Optimizer(Description):
    """Base of every rule.

    Before the rule, in this order: g ← −g if maximize; g ← g + weight_decay θ.
    """

    lr: float = 1e-3

    scratch: ClassVar[int] = 2
    """How many vectors of scratch memory the rule needs."""

    def __post_init__(self) -> None:
        Description.__post_init__(self)
        for option in ("lr", "weight_decay", "eps"):
            if hasattr(self, option):
                require(self, option, "at least 0", getattr(self, option) >= 0)

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
        theta, gradient = params.vector, grads.vector
        kept = [state.get(name) for name in self.vectors()]
        if "step" not in state or not all(
            v is not None and v.shape == theta.shape and v.dtype == theta.dtype
            for v in [gradient, *kept]
        ):
            message = (
                f"{type(self).__name__} expects gradients of shape {theta.shape} and {theta.dtype} "
                f"and a state with step and {self.vectors()} of the same, got {gradient.shape} and "
                f"{gradient.dtype}, and {list(state)}; make the state with init(params)."
            )
            raise ShapeError(message)
        state["step"] += 1
        rule = self._in_longdouble() if theta.dtype == np.longdouble else self
        block = BLOCK // self.scratch
        free = np.empty((self.scratch, min(block, theta.size)), theta.dtype)
        with np.errstate(all="ignore"):
            for start in range(0, theta.size, block):
                part = slice(start, start + block)
                p, g = theta[part], gradient[part]
                temporary = free[:, : p.size]
                g = rule.gradient(p, g, temporary)
                rule.rule(p, g, [v[part] for v in kept], state["step"], temporary)  # type: ignore[index]

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: Array, /) -> None:
        """Change p and what is kept, in step t = 1, 2, …; free[0] may hold g, the rest is free."""
        raise NotImplementedError

    def _in_longdouble(self) -> "Optimizer":
        """Return the rule with options in longdouble, which would see that 1 − β is rounded."""
        options = {option.name: getattr(self, option.name) for option in fields(self)}
        wide: dict[str, Any] = {
            name: tuple(map(np.longdouble, value)) if isinstance(value, tuple) else value
            for name, value in options.items()
        } | {n: np.longdouble(v) for n, v in options.items() if isinstance(v, float)}
        return replace(self, **wide)

    def gradient(self, p: Array, g: Array, free: Array) -> Array:
        """Return the gradient that the rule goes by, which may stand in free[0]."""
        if getattr(self, "maximize", False):
            g = np.negative(g, out=free[0])
        if decay := getattr(self, "weight_decay", 0):
            g = np.add(g, np.multiply(p, decay, out=free[1]), out=free[0])
        return g


@dataclass(frozen=True)
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

    def vectors(self) -> tuple[str, ...]:
        return ("momentum_buffer",) if self.momentum else ()

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: Array, /) -> None:
        if self.momentum:
            (b,) = kept
            if t == 1:
                b[...] = g
            else:
                np.multiply(b, self.momentum, out=b)
                np.add(b, np.multiply(g, 1 - self.dampening, out=free[1]), out=b)
            if self.nesterov:
                g = np.add(g, np.multiply(b, self.momentum, out=free[1]), out=free[1])
            else:
                g = b
        np.subtract(p, np.multiply(g, self.lr, out=free[1]), out=p)


def _average(average: Array, g: Array, beta: Any, free: Array) -> None:
    """Let average ← β average + (1 − β) g."""
    np.multiply(average, beta, out=average)
    np.multiply(g, 1 - beta, out=free)
    np.add(average, free, out=average)


def _average_square(average: Array, g: Array, beta: Any, free: Array) -> None:
    """Let average ← β average + (1 − β) g²."""
    np.multiply(average, beta, out=average)
    np.multiply(g, 1 - beta, out=free)
    np.multiply(free, g, out=free)  # g² by itself would overflow earlier
    np.add(average, free, out=average)


@dataclass(frozen=True)
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

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: Array, /) -> None:
        average = dict(zip(self.vectors(), kept, strict=True))
        v = average["square_avg"]
        _average_square(v, g, self.alpha, free[1])
        root = free[2]
        if self.centered:
            m = average["grad_avg"]
            _average(m, g, self.alpha, free[1])
            np.subtract(v, np.multiply(m, m, out=root), out=root)
            v = maximum(root, 0, out=root)
        sqrt(v, out=root)
        np.add(root, self.eps, out=root)
        step = np.divide(g, root, out=root)
        if self.momentum:
            b = average["momentum_buffer"]
            np.multiply(b, self.momentum, out=b)
            step = np.add(b, step, out=b)
        np.subtract(p, np.multiply(step, self.lr, out=free[1]), out=p)


@dataclass(frozen=True)
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

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: Array, /) -> None:
        (s,) = kept
        root = free[1]
        np.add(s, np.multiply(g, g, out=root), out=s)
        sqrt(s, out=root)
        np.add(root, self.eps, out=root)
        np.divide(g, root, out=root)
        np.multiply(root, self.lr / (1 + (t - 1) * self.lr_decay), out=root)
        np.subtract(p, root, out=p)


@dataclass(frozen=True)
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
        return ("exp_avg", "exp_avg_sq") + ("max_exp_avg_sq",) * self.amsgrad

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: Array, /) -> None:
        m, v = kept[:2]
        beta1, beta2 = self.betas
        _average(m, g, beta1, free[1])
        _average_square(v, g, beta2, free[1])
        if self.amsgrad:
            v = maximum(kept[2], v, out=kept[2])
        root = sqrt(v, out=free[1])
        np.divide(root, sqrt_of_number(1 - beta2**t), out=root)
        np.add(root, self.eps, out=root)
        np.divide(m, root, out=root)
        np.multiply(root, self.lr / (1 - beta1**t), out=root)
        np.subtract(p, root, out=p)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).

    θ ← θ − lr λ θ                      λ = weight_decay, before the step of Adam

    The decay is multiplied by lr, as in torch.optim.AdamW; the paper's own factor η is not there.
    State: as Adam.
    """

    weight_decay: float = 1e-2

    def gradient(self, p: Array, g: Array, free: Array) -> Array:
        return np.negative(g, out=free[0]) if self.maximize else g

    def rule(self, p: Array, g: Array, kept: list[Array], t: int, free: Array, /) -> None:
        np.multiply(p, 1 - self.lr * self.weight_decay, out=p)
        Adam.rule(self, p, g, kept, t, free)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    rule.__name__: rule for rule in (SGD, RMSprop, Adagrad, Adam, AdamW)
}
