"""Trainer: forward, loss, backward, update, over and over until it is good enough."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DivergedError, ShapeError, SpecError
from manualnn.errstate import quiet_context
from manualnn.losses import LOSSES, Loss, MSELoss
from manualnn.network import Sequential
from manualnn.optimizers import OPTIMIZERS, SGD, Optimizer
from manualnn.parameters import Parameters
from manualnn.spec import from_spec, refuse_misspelt, to_spec
from manualnn.training.batches import Batches
from manualnn.training.step_plan import StepPlan
from manualnn.training.terminal import interrupt_noted, progress_bar
from manualnn.validation import as_batch, as_dtype, require_count, require_finite
from manualnn.workspace import MAX_SIZES, Workspace

__all__ = ["History", "Trainer"]


@dataclass
class History:
    """What happened in a `Trainer.fit`."""

    loss: list[float] = field(default_factory=list)
    """For each epoch the loss over its samples, each measured before the step that used it."""
    seconds: float = 0.0
    """Duration."""
    stopped: str = ""
    """Why it ended: "epochs", "target_loss", "callback", "interrupted" or "diverged"."""

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.loss)


Callback = Callable[["Trainer", History], bool | None]


_NOT_FINITE = "a parameter is not finite"
_PREPARED = {
    *(
        "_arrays",
        "_grads",
        "_workspace",
        "_plans",
        "_ready",
        "_outputs",
        "_quiet",
        "_descent",
    )
}
"""What `Trainer._forget` makes anew."""


class _NotFiniteError(Exception):
    """The loss, or a parameter after the update, is not finite; the parameters are restored."""


class Trainer:
    """A network, a loss and an update rule, with the parameters and the state that they change.

    Parameters
    ----------
    net : Sequential
        The network; trained as it is, with Dropout active in training.
    loss : Loss
        What to make small.
    rule : Optimizer
        How.
    seed : int, Generator or None
        Of the initial parameters (those of net.init(seed)), the shuffling and the dropout.
    dtype : data type
        float32, float64 or longdouble; that of `params` where those are given.
    params : Parameters, optional
        Where to start from; they are copied.

    Attributes
    ----------
    params : Parameters
        The current parameters: always the same object, changed in place by every step.
    rng : Generator
        Draws the order of the samples and the dropout.
    last_loss : float
        The last loss that was finite; NaN before the first step.
    state : dict
        The optimizer's state.
    steps : int
        Steps done so far.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.02), seed=0)
    >>> history = trainer.fit(x, t, epochs=1000, batch_size=32, target_loss=1e-3)
    >>> y = trainer.predict(x)

    """

    def __init__(
        self,
        net: Sequential,
        loss: Loss,
        rule: Optimizer,
        *,
        seed: "int | np.random.Generator | None" = 0,
        dtype: Any = np.float64,
        params: Parameters | None = None,
    ) -> None:
        for argument, kind, example in (
            (net, Sequential, "Sequential(Linear(3, 2))"),
            (loss, Loss, "MSELoss()"),
            (rule, Optimizer, "SGD(lr=0.02)"),
        ):
            if not isinstance(argument, kind):
                message = f"Trainer expects {example} or the like, got {argument!r}."
                raise SpecError(message)
        self.net = net
        self.loss = loss
        self.rule = rule
        root = np.random.default_rng(seed)
        self._params = net.init(root, as_dtype(dtype)) if params is None else params.copy()
        self.rng = root.spawn(1)[0]
        self.state = rule.init(self.params)
        self.steps = 0
        self.last_loss = math.nan
        self._forget()

    def __repr__(self) -> str:
        """Return what is trained, and for how long it has been."""
        return f"Trainer({self.net!r}, {self.loss!r}, {self.rule!r}) after {self.steps} steps"

    def _forget(self) -> None:
        """Begin without anything that a step prepares for the next ones."""
        self._arrays = self.net.layer_arrays(self.params)
        self._grads = self.params.zeros_like()
        self._workspace: Workspace | None = None
        self._plans: dict[int, StepPlan] = {}
        self._ready: tuple[Any, Any, StepPlan | None] = (None, None, None)
        self._outputs = np.zeros((1, 1), self.params.dtype)
        self._quiet = quiet_context()
        self._descent = self._params.vector, self._grads.vector

    def __getstate__(self) -> dict[str, Any]:
        """Pickle and copy what lasts."""
        return {name: value for name, value in vars(self).items() if name not in _PREPARED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Prepare the copy's own steps."""
        vars(self).update(state)
        self._forget()

    @property
    def params(self) -> Parameters:
        """The current parameters; to set them, write to `params.vector` or to a named array."""
        return self._params

    @property
    def lr(self) -> float:
        """The learning rate; may be set at any time."""
        return self.rule.lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self.rule = replace(self.rule, lr=lr)

    def spec(self) -> dict[str, Any]:
        """Return the JSON form of the run: layers, loss, optimizer and dtype."""
        return {
            **self.net.spec(),
            "loss": to_spec(self.loss),
            "optimizer": to_spec(self.rule),
            "dtype": str(self.params.dtype),
        }

    @classmethod
    def from_spec(
        cls,
        spec: Mapping[str, Any],
        *,
        seed: "int | np.random.Generator | None" = 0,
        params: Parameters | None = None,
    ) -> "Trainer":
        """Build a trainer from the JSON form; MSELoss, SGD and float64 where it says nothing."""
        net = Sequential.from_spec(spec)
        refuse_misspelt(spec, ("loss", "optimizer", "dtype"))
        loss = from_spec(spec["loss"], LOSSES, "loss") if "loss" in spec else MSELoss()
        rule = SGD()
        if "optimizer" in spec:
            rule = from_spec(spec["optimizer"], OPTIMIZERS, "optimizer")  # type: ignore[assignment]
        dtype = spec.get("dtype", "float64")
        return cls(net, loss, rule, seed=seed, dtype=dtype, params=params)

    # ------------------------------------------------------------------ prediction

    def predict(self, x: Any) -> Array:
        """Return the outputs for x of shape (N, in): shape (N, out). Thread-safe."""
        return self.net.forward(self.params, x)

    def classify(self, x: Any) -> tuple[Array, Array]:
        """Return for x of shape (N, in) the class and its probability, as the loss defines them.

        Raises SpecError where the loss is one for regression.
        """
        with np.errstate(all="ignore"):
            return self.loss.classify(self.predict(x))

    # ------------------------------------------------------------------ training

    def step(self, x: Any, t: Any) -> float:
        """Do one step on the batch x (N, in), t; return the loss before it.

        Raises ShapeError or DTypeError where x or t does not fit, and DivergedError where the loss
        or a parameter would no longer be finite; then the parameters stay as they were.
        """
        known_x, known_t, plan = self._ready
        if plan is None or x is not known_x or t is not known_t or plan.loss is not self.loss:
            batch = as_batch(x, self.params.dtype, self.net.in_features, self.net)
            targets = self._targets(t, batch)
            plan = self._planned(batch, targets)
            # Of arrays that are used as they are nothing but numbers changes before the next step.
            if batch is x and targets is t and type(self.loss).targets is Loss.targets:
                self._ready = x, t, plan
        try:
            return self._step(plan)
        except _NotFiniteError as reason:
            raise self._diverged(reason, None, History()) from None

    def fit(
        self,
        x: Any,
        t: Any,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        shuffle: bool = True,
        target_loss: float | None = None,
        callbacks: Callback | Iterable[Callback] = (),
        progress: bool | None = None,
    ) -> History:
        """Train until the number of epochs, or the target loss, is reached.

        Parameters
        ----------
        x : array (N, in)
            Inputs.
        t : array
            Targets, as the loss takes them.
        epochs : int
            How often to go through all samples, at most.
        batch_size : int, optional
            Samples a step; all of them if None. The last batch of an epoch may be smaller.
        shuffle : bool
            Whether to go through the samples in another order in every epoch, drawn from the seed.
        target_loss : float, optional
            Stop after the first epoch whose loss is at most this.
        callbacks : callable (trainer, history), or several
            Called after every epoch; a true result ends the training.
        progress : bool, optional
            Whether to show a progress bar; if None, where standard error is a terminal and tqdm is
            installed.

        Returns
        -------
        History
            Also after Ctrl-C, then with the parameters of the last finished step.

        Raises
        ------
        ShapeError, DTypeError, DomainError
            Where x or t does not fit, is empty or is not finite, or where an output is outside of
            what the loss is defined for.
        DivergedError
            Where the loss or a parameter is no longer finite; the parameters are then those of the
            last step after which they were.

        """
        x = as_batch(x, self.params.dtype, self.net.in_features, self.net)
        t = self._targets(t, x)
        require_finite(x, "x")
        require_finite(t, "t")
        batches = Batches(x, t, batch_size, self.rng if shuffle else None)
        require_count("epochs", epochs, 0)
        if not (target_loss is None or (isinstance(target_loss, Real) and target_loss > -math.inf)):
            message = f"target_loss must be a number or None, got {target_loss!r}."
            raise SpecError(message)
        history = History(stopped="epochs")
        callbacks = [callbacks] if callable(callbacks) else list(callbacks)
        started = time.perf_counter()
        with progress_bar(epochs, progress) as bar, interrupt_noted() as interrupted:
            try:
                for _ in range(epochs):
                    loss = self._epoch(batches, interrupted, history)
                    history.loss.append(loss)
                    history.seconds = time.perf_counter() - started
                    bar(loss)
                    if sum(bool(callback(self, history)) for callback in callbacks):
                        history.stopped = "callback"
                        break
                    if target_loss is not None and loss <= target_loss:
                        history.stopped = "target_loss"
                        break
            except KeyboardInterrupt:
                history.stopped = "interrupted"
            if interrupted():  # also in the last epoch, so that no Ctrl-C is lost
                history.stopped = "interrupted"
        history.seconds = time.perf_counter() - started
        return history

    def _epoch(self, batches: Batches, interrupted: Callable[[], bool], history: History) -> float:
        """Go through the samples once; return their loss."""
        total = weight = 0.0
        for x, t in batches:
            if interrupted():
                raise KeyboardInterrupt
            try:
                plan = self._planned(x, t)
                loss = self._step(plan)
            except _NotFiniteError as reason:
                history.stopped = "diverged"
                raise self._diverged(reason, history.epochs + 1, history) from None
            share = float(self.loss.divisor(plan.y, t))
            total += loss * share
            weight += share
        return total if self.loss.reduction == "sum" else total / (weight or 1)

    def _planned(self, x: Array, t: Array) -> StepPlan:
        """Return what a step on this batch is."""
        self._ready = None, None, None
        n, features = x.shape
        work = self._workspace
        if work is None or n > work.capacity or features != work.in_features:
            work = self._workspace = Workspace(self.net, self.params.dtype, n, features)
            self._plans.clear()
        plan = self._plans.get(n)
        if plan is None or plan.loss is not self.loss or plan.targets_ndim != t.ndim:
            if len(self._plans) >= MAX_SIZES:
                self._plans.clear()
            buffers = work.first(n)
            arrays = tuple(
                {**own, **drawn} for own, drawn in zip(self._arrays, buffers.drawn, strict=True)
            )
            with np.errstate(all="ignore"):
                plan = StepPlan(
                    self.net, self.loss, x, t, arrays=arrays, grads=self._grads, buffers=buffers
                )
            self._plans[n] = plan
        elif x is not plan.x or t is not plan.t:
            plan.bind(x, t)
        return plan

    def _step(self, plan: StepPlan) -> float:
        """Forward, loss, backward, update; checks nothing but that the numbers stay finite.

        Returns the loss before the step.
        """
        if plan.rule is not self.rule:
            with np.errstate(all="ignore"):
                plan.follow(self.rule)
        if plan.quiet:
            return self._quiet.run(self._quiet_step, plan)
        with np.errstate(all="ignore"):  # others' code may read a context of the caller's
            return self._quiet_step(plan)

    def _quiet_step(self, plan: StepPlan) -> float:
        if plan.drawn:
            self.net.draw(self.rng, plan.drawn)
        loss = plan.run()
        if not math.isfinite(loss):
            message = f"the loss is {loss}"
            raise _NotFiniteError(message)
        self.last_loss = loss
        if plan.descends:
            self._descend()
            self.state["step"] += 1
        else:
            self._update()
        self.steps += 1
        return loss

    def _descend(self) -> None:
        """Let θ ← θ − g, where g is the gradient times the rule's factor, or the rule's change."""
        theta, g = self._descent
        # If the dot product is finite, no entry is above the root of the dtype's largest number:
        # added to a finite number it rounds to a finite one.
        if math.isfinite(g.dot(g)):
            np.subtract(theta, g, theta)
        else:
            moved = theta - g
            if not np.isfinite(moved).all():
                raise _NotFiniteError(_NOT_FINITE)
            np.copyto(theta, moved)

    def _update(self) -> None:
        """Change the parameters by the rule, or leave them as they were."""
        try:
            self.rule.change(self._params, self._grads, self.state)
            self._descend()
        except (KeyboardInterrupt, _NotFiniteError):  # what is remembered is another step's
            self.state = self.rule.init(self.params)
            raise

    def _targets(self, t: Any, x: Array) -> Array:
        """Return t, checked against outputs of the shape that x will give."""
        if not len(x):
            message = f"training needs at least one sample, got x of shape {x.shape}."
            raise ShapeError(message)
        shape = (len(x), self.net.out_features or x.shape[1])
        if self._outputs.shape != shape:  # kept, for making it costs a fifth of a small step
            self._outputs = np.broadcast_to(self._outputs[:1, :1], shape)
        return self.loss.targets(t, self._outputs)

    def _diverged(self, reason: Exception, epoch: int | None, history: History) -> DivergedError:
        where = f"step {self.steps + 1}" if epoch is None else f"epoch {epoch}"
        last = self.last_loss
        known = "no loss was finite" if math.isnan(last) else f"the last finite loss: {last:.6g}"
        message = (
            f"training diverged in {where}: {reason}; {known}. The parameters are those of the "
            f"last step with finite values, step {self.steps}. Try a smaller learning rate than "
            f"{self.lr:g}, inputs standardised to mean 0 and deviation 1, or smaller initial "
            f"weights."
        )
        return DivergedError(message, epoch=epoch, last_loss=last, history=history)
