"""Base class of the update rules, which compute new parameters from a gradient.

A rule is a frozen description. Its state is an argument of every call. Names, defaults and
conventions are those of torch.optim. Every rule works on flat vectors, in blocks that fit into the
cache:

    rule = SGD(lr=0.02)
    state = rule.init(params)
    rule.update(params, grads, state)       # params and state change in place

The learning rate may change between steps: use `dataclasses.replace(rule, lr=0.01)` with the same
state.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np

from manualnn.elementary import Array, is_symbolic
from manualnn.errors import ShapeError, SpecError
from manualnn.errstate import run_quietly, run_with_errstate
from manualnn.optimizers.arithmetic import numbers_of, return_scratch_vectors, scratch_vectors
from manualnn.optimizers.clipping import require_kind, require_norm_type
from manualnn.optimizers.groups import (
    Group,
    parts_of,
    penalty_of,
    plain_rules,
    require_groups,
    step_in_parts,
)
from manualnn.optimizers.planned import BLOCK, Arrays, PlannedUpdate, Rates, Shapes, State
from manualnn.parameters import Parameters
from manualnn.spec import QUIET, Description, require
from manualnn.tracing import is_from_manualnn

NONNEGATIVE_OPTIONS = (
    "lr",
    "weight_decay",
    "eps",
    "momentum",
    "alpha",
    "lr_decay",
    "initial_accumulator_value",
    "l1",
    "l2",
    "clip_value",
    "max_norm",
)


def around(default: Any) -> Any:
    """Return a field for an option of every rule: a keyword, and shown only where it is set."""
    return field(default=default, kw_only=True, metadata=QUIET)


@dataclass(frozen=True, repr=False, eq=False)
class Optimizer(Description):
    """Base of every rule. A subclass defines `rates`, `rule` and, if it has a state, `vectors`.

    Before the rule, in this order: g ← −g if maximize; g ← g + weight_decay θ. A rule with
    `decoupled_weight_decay` adds weight_decay θ, times its rate, to its step instead.

    Before that, with the options of every rule that are keywords:

    g ← g + l1 sign(θ) + 2 l2 θ                     of the loss L + l1 Σ|θ| + l2 Σ θ², weights only
    g ← min(max(g, −clip_value), clip_value)
    g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶))         ‖g‖ of all gradients; norm_type is its p

    Weights are the parameters whose name ends in "weight"; sign(0) is 0. `groups` gives parameters
    other options by a pattern of their names, and the first pattern that fits a name holds:

        SGD(lr=0.1, l2=1e-4, groups=[{"params": "*.bias", "lr": 0.2}, {"params": "0.*", "l2": 0}])

    A group may have every option of the rule except the clipping, and its l1 and l2 hold for all of
    its parameters. With "type": "AdamW" it has another rule, with defaults of its own, and with
    this rule's lr if it has none. Sources: torch.optim's param_groups,
    torch.nn.utils.clip_grad_norm_ and clip_grad_value_.
    """

    lr: float = 1e-3
    l1: float = around(0.0)
    l2: float = around(0.0)
    clip_value: float | None = around(None)
    max_norm: float | None = around(None)
    norm_type: float = around(2.0)
    groups: tuple[dict, ...] = around(())  # type: ignore[type-arg]  # checked at run time

    scratch_count: ClassVar[int] = 2
    """Number of scratch vectors that the rule needs, with BLOCK entries each."""
    needs_closure: ClassVar[bool] = False
    """True if a step evaluates the loss several times, as LBFGS does in place of `update`."""
    is_entrywise: ClassVar[bool] = True
    """False if the step of an entry depends on the gradients of others, as Muon's does."""

    def __post_init__(self) -> None:
        if isinstance(self.groups, list | tuple):
            object.__setattr__(self, "groups", tuple(map(Group.read, self.groups)))
        Description.__post_init__(self)
        for option in NONNEGATIVE_OPTIONS:
            if (value := getattr(self, option, None)) is not None:
                require(self, option, "at least 0", value >= 0)
        require_norm_type(self.norm_type)
        require_groups(self)
        if hasattr(self, "betas"):
            are_inside = all(0 <= beta < 1 for beta in self.betas)
            require(self, "betas", "two numbers from 0 to below 1", are_inside)

    @property
    def factor(self) -> float | None:
        """The number c if the rule is θ ← θ − c g without a state, or None."""
        return None

    def vectors(self) -> tuple[str, ...]:
        """Return the names of the vectors in the rule's state."""
        return ()

    def init_vectors(self, state: State) -> None:
        """Fill the vectors of a new state that do not start from zero."""

    def require_shapes(self, shapes: Shapes) -> None:
        """Raise SpecError if the rule cannot update parameters of these names and shapes."""

    @property
    def is_plain(self) -> bool:
        """True if the rule has neither groups nor penalties nor clipping."""
        is_clipped = self.clip_value is not None or self.max_norm is not None
        return not (self.groups or self.l1 or self.l2 or is_clipped)

    @final
    def state_names(self) -> tuple[str, ...]:
        """Return the names of the vectors in the state, those of all groups included."""
        if not self.groups:
            return self.vectors()
        return tuple(dict.fromkeys(n for rule in plain_rules(self) for n in rule.vectors()))

    @final
    def penalty(self, params: Parameters) -> float:
        """Return l1 Σ|w| + l2 Σ w² over the weights, and over groups with l1 and l2 of their own.

        The rule minimises the sum of it and the loss.
        """
        return 0.0 if self.is_plain else penalty_of(self, params)

    @final
    def init(self, params: Parameters) -> State:
        """Return the state before the first step."""
        require_kind(params, Parameters, "Sequential.init(seed)")
        zeros = {name: np.zeros_like(params.vector) for name in self.state_names()}
        state = State({"step": 0} | zeros)
        if not self.groups:
            self.require_shapes(params.shapes)
            self.init_vectors(state)
        else:
            for part in parts_of(self, params, params, state):
                part.share.rule.require_shapes(part.params.shapes)
                part.share.rule.init_vectors(part.state)
        return state

    @final
    def update(self, params: Parameters, grads: Parameters, state: dict[str, Any]) -> None:
        """Do one step: θ and the state change in place, the gradient does not.

        Raises ShapeError if the shapes or dtypes of the three differ, and SpecError for something
        else in their places.
        """
        require_kind(params, Parameters, "Sequential.init(seed)")
        require_kind(grads, Parameters, "Sequential.value_and_grad(params, …)")
        require_kind(state, dict, "rule.init(params)")
        is_quiet = is_from_manualnn(self) and not is_symbolic(params.vector)
        run = run_quietly if is_quiet else run_with_errstate
        run(self._step, params, grads, state, True)  # noqa: FBT003

    @final
    def write_step(self, params: Parameters, grads: Parameters, state: dict[str, Any]) -> None:
        """Update the state, write the step Δ into `grads`, and leave θ unchanged; θ − Δ is next.

        NumPy's warnings have to be off.
        """
        self._step(params, grads, state, False)  # noqa: FBT003

    def _step(
        self,
        params: Parameters,
        grads: Parameters,
        state: dict[str, Any],
        moves: bool,  # noqa: FBT001
    ) -> None:
        theta, g = params.vector, grads.vector
        planned = state.planned.get(moves) if type(state) is State else None
        if planned is not None and planned.fits(self, theta, g, state):
            planned.run(state)
            return
        vectors: list[Any] = [theta, g, *map(state.get, self.state_names())]
        for v in vectors:
            if v is None or v.shape != theta.shape or v.dtype != theta.dtype or "step" not in state:
                raise ShapeError(self._mismatch(theta, g, state))
        if not self.is_plain:
            step_in_parts(self, params, grads, state, moves=moves)
            return
        state["step"] += 1
        rule = self._in_longdouble() if theta.dtype.char == "g" else self
        rates = rule.rates(state["step"])
        if not is_symbolic(theta):
            rates = tuple(np.array(rate, theta.dtype) for rate in rates)
        scratch = scratch_vectors(rule.scratch_count, min(theta.size, BLOCK), theta)
        rule.pass_over(vectors, rates, scratch, params.shapes, moves=moves)
        return_scratch_vectors(scratch)
        if type(state) is State and theta.dtype.char in "fd" and is_from_manualnn(self):
            state.planned[moves] = PlannedUpdate(self, vectors, params.shapes, moves=moves)

    def pass_over(
        self, vectors: Arrays, rates: Rates, scratch: Arrays, shapes: Shapes, *, moves: bool
    ) -> None:
        """Apply the rule block by block to θ, the gradient and the vectors of the state.

        If `moves`, subtract the step Δ from θ, otherwise write Δ into the gradient.
        """
        size, is_ours = vectors[0].size, is_from_manualnn(self)
        for start in range(0, size, BLOCK):
            if size > BLOCK:
                p, g, *arrays = [v[start : start + BLOCK] for v in vectors]
            else:
                p, g, *arrays = vectors
            own = scratch if p.size == scratch[0].size else [s[: p.size] for s in scratch]
            if not is_ours:
                # NaN shows that a user's rule left entries unwritten, or read g too late.
                own[0].fill(np.nan)
            elif not moves:
                own = [g, *own[1:]]
            self.rule(p, self.gradient(p, g, own), arrays, rates, own)
            if moves:
                np.subtract(p, own[0], p)
            elif own[0] is not g:
                np.copyto(g, own[0])

    def minimise(
        self,
        evaluate: Callable[[], Any],
        params: Parameters,
        grads: Parameters,
        state: dict[str, Any],
    ) -> Any:
        """Do one step of an optimizer that needs a closure; see LBFGS."""
        message = f"{type(self).__name__} has no minimise; call update(params, grads, state)."
        raise SpecError(message)

    def rates(self, t: Any) -> Rates:
        """Return the numbers for `rule` that depend on lr or on the step t = 1, 2, …."""
        raise NotImplementedError

    def rule(self, p: Array, g: Array, arrays: Arrays, rates: Rates, scratch: Arrays, /) -> None:
        """Write the step Δ to every entry of scratch[0], and update the state's `arrays` in place.

        scratch[0] may be the memory of g. The other scratch vectors are free to use. A rule of
        your own:

            @dataclass(frozen=True)
            class SignSGD(Optimizer):
                def rates(self, t):
                    return (self.lr,)

                def rule(self, p, g, arrays, rates, scratch):
                    scratch[0][...] = rates[0] * np.sign(g)
        """
        raise NotImplementedError

    def _mismatch(self, theta: Array, g: Array, state: dict[str, Any]) -> str:
        return (
            f"{type(self).__name__} expects gradients of shape {theta.shape} and {theta.dtype} "
            f"and a state with step and {self.state_names()} of the same, got {g.shape} and "
            f"{g.dtype}, and {list(state)}; make the state with init(params)."
        )

    def _in_longdouble(self) -> "Optimizer":
        """Return the rule with options in longdouble, so that 1 − β is not rounded to float64."""

        def widen(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(widen, value))
            return np.longdouble(value) if isinstance(value, float) else value

        return replace(self, **{name: widen(value) for name, value in vars(self).items()})

    def gradient(self, p: Array, g: Array, scratch: Arrays) -> Array:
        """Return the gradient for the rule, with its sign and the decay; it may be scratch[0]."""
        if getattr(self, "maximize", False):
            g = np.negative(g, scratch[0])
        is_coupled = not getattr(self, "decoupled_weight_decay", False)
        if is_coupled and (decay := getattr(self, "weight_decay", 0)):
            decay = numbers_of(p.dtype.char)(decay)
            g = np.add(g, np.multiply(p, decay, scratch[1]), scratch[0])
        return g
