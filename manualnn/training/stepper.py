"""One training step, and the state that it changes: the base class of `Trainer`."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DivergedError, NotFiniteError
from manualnn.errstate import quiet_context
from manualnn.losses import Loss
from manualnn.network.buffers import attach_buffers
from manualnn.network.noise import draw_noise
from manualnn.network.sequential import Sequential
from manualnn.optimizers import Optimizer
from manualnn.optimizers.groups import rates_of, with_rates
from manualnn.parameters import Parameters
from manualnn.spec import Constructor
from manualnn.tracing import is_from_manualnn
from manualnn.training.attributes import check_attribute
from manualnn.training.history import History
from manualnn.training.progress import BufferKeeper, Progress
from manualnn.training.step_plan import StepPlan, StepPlans
from manualnn.validation import as_dtype, as_generator, as_weights, require_count


class Stepper(BufferKeeper, metaclass=Constructor):
    """A network, a loss and an update rule, with the parameters and the state that steps change.

    `Trainer` documents the arguments and attributes.
    """

    net: Sequential
    loss: Loss
    rule: Optimizer
    rng: "np.random.Generator"
    state: dict[str, Any]
    _compiles = False  # also of a pickled trainer that knows no compiled steps

    def __init__(
        self,
        net: Sequential,
        loss: Loss,
        rule: Optimizer,
        *,
        seed: "int | np.random.Generator | None" = 0,
        dtype: Any = np.float64,
        params: Parameters | None = None,
        compile: bool = False,  # noqa: A002 - torch's name
    ) -> None:
        self.net = net
        self.loss = loss
        self.rule = rule
        root = as_generator(seed)
        if params is not None:
            net.layer_arrays(params)  # which refuses parameters of another network
        self._params = net.init(root, as_dtype(dtype)) if params is None else params.copy()
        attach_buffers(net.layers, self._params, net)
        self.rng = root.spawn(1)[0]
        self.state = rule.init(self.params)
        self._progress = Progress()
        self._compiles = bool(compile)
        if self._compiles:
            import_module("manualnn.compiling.compiled").require_numba()
        self._prepare()

    def __repr__(self) -> str:
        """Return network, loss, rule and number of steps."""
        return f"Trainer({self.net!r}, {self.loss!r}, {self.rule!r}) after {self.steps} steps"

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Raises AttributeError for a name that the class does not declare."""
        if not name.startswith("_"):
            check_attribute(self, name, value)
        object.__setattr__(self, name, value)

    def _prepare(self) -> None:
        """Make the objects that speed up the steps: plans, buffers and contexts."""
        self._plans = StepPlans(self.net, self.params, compiles=self._compiles)
        self._compiled_update: Any = None
        self._outputs = np.zeros((1, 1), self.params.dtype)
        self._context = quiet_context()
        theta, g = self._params.vector, self._plans.grads.vector
        self._descent = theta, g, g.dot

    def __getstate__(self) -> dict[str, Any]:
        """Pickle and copy all attributes except those that `_prepare` makes."""
        prepared = {"_plans", "_outputs", "_context", "_descent", "_compiled_update"}
        return {name: value for name, value in vars(self).items() if name not in prepared}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state and prepare the steps of the copy."""
        vars(self).update(state)
        self._prepare()

    @property
    def params(self) -> Parameters:
        """The current parameters. To change them, write to `params.vector` or to a named array."""
        return self._params

    @property
    def lr(self) -> float:
        """The learning rate; may be set at any time."""
        return self.rule.lr

    @lr.setter
    def lr(self, lr: float) -> None:
        if not self.rule.groups:
            self.rule = replace(self.rule, lr=lr)
            return
        before, *rates = self.lrs
        scale = lr / before if before else 1.0
        self.lrs = lr, *(rate * scale for rate in rates)

    @property
    def lrs(self) -> tuple[float, ...]:
        """The learning rates of the rule and of its groups, in this order; may be set at any time.

        Setting `lr` multiplies the rates of the groups by the same factor.
        """
        return rates_of(self.rule)

    @lrs.setter
    def lrs(self, lrs: tuple[float, ...]) -> None:
        self.rule = with_rates(self.rule, lrs)

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return self._progress.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        require_count("steps", steps, 0)
        self._progress.steps = steps

    @property
    def last_loss(self) -> float:
        """The last loss that was finite; NaN before the first step."""
        return self._progress.last_loss

    @last_loss.setter
    def last_loss(self, last_loss: float) -> None:
        self._progress.last_loss = last_loss

    def step(self, x: Any, t: Any, *, sample_weight: Any = None) -> float:
        """Do one step on the batch x (N, in), t; return the loss before it.

        The weights of the samples, shape (N,), are those of `fit`.

        Raises ShapeError, DTypeError or DomainError if x, t or a weight does not fit. Raises
        DivergedError if the loss or a parameter would no longer be finite; then the parameters stay
        as they were.
        """
        known_x, known_t, plan = self._plans.last_step
        is_other = x is not known_x or t is not known_t or sample_weight is not None
        if plan is None or plan.loss is not self.loss or is_other:
            batch = self.net.as_inputs(x, self.params.dtype)
            targets, w = self._targets(t, batch), None
            if sample_weight is not None:
                w = as_weights(sample_weight, len(batch), batch.dtype)
            plan = self._plans.find(self.loss, batch, targets, w)
            # The plan reads these very arrays, so the next step may skip the checks.
            is_plain = type(self.loss).targets is Loss.targets and sample_weight is None
            is_plain = is_plain and not self.net.takes_indices
            if plan.x is x and plan.t is t and is_plain:
                self._plans.last_step = x, t, plan
        try:
            return self._step(plan)
        except NotFiniteError as reason:
            raise self._diverged(reason) from None

    def _step(self, plan: StepPlan) -> float:
        """Do forward pass, loss, backward pass and update; return the loss before the update.

        Raises NotFiniteError if a number is not finite. Nothing else is checked.
        """
        loss: float = self._in_context(self._run, plan)
        return loss

    def _in_context(self, action: Callable[[StepPlan], Any], plan: StepPlan) -> Any:
        """Return action(plan), without NumPy's warnings, for the plan with the current rule."""
        if plan.rule is not self.rule:
            with np.errstate(all="ignore"):
                plan.set_rule(self.rule)
        if plan.is_quiet:
            return self._context.run(action, plan)
        with np.errstate(all="ignore"):  # a user's code may need the caller's context
            return action(plan)

    def _run(self, plan: StepPlan) -> float:
        if self.rule.needs_closure:
            return self._minimise(plan)
        loss = self._measure(plan)
        loss = loss if plan.is_plain else self._with_penalty(loss)
        self._move(plan)
        self._track(plan)
        return loss

    def _minimise(self, plan: StepPlan) -> float:
        """Do a step of LBFGS, with the same random arrays in each evaluation."""
        self._draw_noise(plan)
        theta, evaluate = self._params.vector, partial(self._evaluate_and_track, plan)
        before, loss = self._params.copy(), math.nan
        try:
            loss = self.rule.minimise(evaluate, self._params, self._plans.grads, self.state)
        finally:
            is_whole = math.isfinite(loss) and bool(np.isfinite(theta).all())
            if not is_whole:  # also after Ctrl-C
                self._restore(before)
                self.state = self.rule.init(self._params)
        if not is_whole:
            message = "a parameter is not finite" if math.isfinite(loss) else f"the loss is {loss}"
            raise NotFiniteError(message)
        self._progress.last_loss = loss
        self._progress.steps += 1
        return loss

    def _measure(self, plan: StepPlan) -> float:
        """Compute the gradient and the loss, and return the loss."""
        self._draw_noise(plan)
        loss = self._evaluate(plan)
        if not math.isfinite(loss):
            message = f"the loss is {loss}"
            raise NotFiniteError(message)
        self._progress.last_loss = loss
        return loss

    def _draw_noise(self, plan: StepPlan) -> None:
        if plan.noise:
            draw_noise(self.net.layers, self.rng, plan.noise)

    def _with_penalty(self, loss: float) -> float:
        """Return a loss and the rule's penalty."""
        self._progress.last_loss = loss = loss + self.rule.penalty(self._params)
        return loss

    def _move(self, plan: StepPlan) -> None:
        """Update the parameters by the gradient."""
        if plan.is_descent:
            self._descend()
            self.state["step"] += 1
        else:
            self._update()
        self._progress.steps += 1

    def _evaluate(self, plan: StepPlan) -> float:
        """Run forward and backward pass; return the loss. A subclass may add terms to both."""
        return plan.run()

    def _evaluate_and_track(self, plan: StepPlan) -> float:
        loss = self._evaluate(plan)
        self._track(plan)
        return loss

    def _descend(self) -> None:
        """Let θ ← θ − g, where g is the gradient times the rule's factor, or the rule's step."""
        theta, g, dot = self._descent
        # If the dot product is finite, no entry exceeds the root of the dtype's largest number.
        # A finite number minus such an entry rounds to a finite number.
        if math.isfinite(dot(g)):
            np.subtract(theta, g, theta)
        else:
            moved = theta - g
            if not np.isfinite(moved).all():
                message = "a parameter is not finite"
                raise NotFiniteError(message)
            np.copyto(theta, moved)

    def _update(self) -> None:
        """Update the parameters by the rule. If that fails, the state starts anew."""
        try:
            if self._compiles and (update := self._compile_update()):
                update.run(self.state)
            else:
                self.rule.write_step(self._params, self._plans.grads, self.state)
                self._descend()
        except (KeyboardInterrupt, NotFiniteError):  # the rule has changed the state
            self.state = self.rule.init(self.params)
            raise

    def _compile_update(self) -> Any:
        """Return the compiled update of the rule and the state, or None if NumPy does it."""
        vectors = [self._params.vector, self._plans.grads.vector]
        update = self._compiled_update
        if update is not None and update.fits(self.rule, *vectors, self.state):
            return update
        rule = self.rule
        if not (rule.is_plain and rule.is_entrywise and is_from_manualnn(rule)):
            return None
        if vectors[0].dtype.char not in "fd" or not vectors[0].size:
            return None
        vectors += [self.state[name] for name in rule.vectors() if name in self.state]
        if len(vectors) < 2 + len(rule.vectors()) or any(
            type(v) is not np.ndarray or v.shape != vectors[0].shape for v in vectors
        ):
            return None  # write_step raises the error
        make = import_module("manualnn.compiling.update").CompiledUpdate
        self._compiled_update = make(rule, vectors)
        return self._compiled_update

    def _targets(self, t: Any, x: Array) -> Array:
        """Return t, checked against outputs of the shape that the network gives for x."""
        shape = (len(x), self.net.out_features or self.net.widths(x.shape[1])[-1])
        if self._outputs.shape != shape:  # cached: making it costs a fifth of a small step
            self._outputs = np.broadcast_to(self._outputs[:1, :1], shape)
        return self.loss.targets(t, self._outputs)

    def _diverged(self, reason: Exception, history: History | None = None) -> DivergedError:
        """Return the error with the reason, the place, and the advice; `fit` has a history."""
        epoch = None if history is None else history.epochs + 1
        where = f"step {self.steps + 1}" if epoch is None else f"epoch {epoch}"
        last = self.last_loss
        known = "no loss was finite" if math.isnan(last) else f"the last finite loss: {last:.6g}"
        message = (
            f"training diverged in {where}: {reason}; {known}. The parameters are those of the "
            f"last step with finite values, step {self.steps}. Try a smaller learning rate than "
            f"{self.lr:g}, inputs standardised to mean 0 and deviation 1, or smaller initial "
            f"weights."
        )
        history = history or History()
        history.stopped = "diverged"
        return DivergedError(message, epoch=epoch, last_loss=last, history=history)
