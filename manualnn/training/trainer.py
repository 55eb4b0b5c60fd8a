"""Trainer: the training loop, from a network, a loss and an update rule."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.losses import LOSSES
from manualnn.network.sequential import Sequential
from manualnn.optimizers import OPTIMIZERS
from manualnn.parameters import Parameters
from manualnn.spec import from_spec, refuse_misspelt, to_spec
from manualnn.training.batches import Batches
from manualnn.training.stepper import History, NotFiniteError, Stepper
from manualnn.training.terminal import note_interrupt, progress_bar
from manualnn.validation import as_batch, require_count, require_finite

__all__ = ["History", "Trainer"]

Callback = Callable[["Trainer", History], bool | None]


class Trainer(Stepper):
    """A network, a loss and an update rule, with the parameters and the state that they change.

    Parameters
    ----------
    net : Sequential
        The network to train. Dropout is active in training only.
    loss : Loss
        The function to minimise.
    rule : Optimizer
        The update rule.
    seed : int, Generator or None
        Seed of the initial parameters (those of net.init(seed)), the shuffling and the dropout.
    dtype : data type
        float32, float64 or longdouble. Ignored if `params` are given.
    params : Parameters, optional
        The initial parameters. They are copied.

    Attributes
    ----------
    params : Parameters
        The current parameters: always the same object, which every step changes in place.
    lr : float
        The learning rate; may be set at any time.
    rng : Generator
        Draws the order of the samples and the dropout.
    last_loss : float
        The last loss that was finite; NaN before the first step.
    state : dict
        The state of the optimizer.
    steps : int
        Number of steps done.

    Raises
    ------
    AttributeError
        If an attribute that does not exist is set. The message names the right one.

    Examples
    --------
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.02), seed=0)
    >>> history = trainer.fit(x, t, epochs=1000, batch_size=32, target_loss=1e-3)
    >>> y = trainer.predict(x)

    """

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
        """Build a trainer from the JSON form. The defaults are MSELoss, SGD and float64."""
        net = Sequential.from_spec(spec)
        refuse_misspelt(spec, ("loss", "optimizer", "dtype"))
        loss = from_spec(spec.get("loss", {"type": "MSELoss"}), LOSSES, "loss")
        rule = from_spec(spec.get("optimizer", {"type": "SGD"}), OPTIMIZERS, "optimizer")
        dtype = spec.get("dtype", "float64")
        return cls(net, loss, rule, seed=seed, dtype=dtype, params=params)

    def predict(self, x: Any) -> Array:
        """Return the outputs for x of shape (N, in): shape (N, out). Thread-safe."""
        return self.net.forward(self.params, x)

    def classify(self, x: Any) -> tuple[Array, Array]:
        """Return for x of shape (N, in) the class and its probability, as the loss defines them.

        Raises SpecError for a loss for regression.
        """
        with np.errstate(all="ignore"):
            return self.loss.classify(self.predict(x))

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
            Targets, in the form that the loss expects.
        epochs : int
            Maximum number of passes over all samples.
        batch_size : int, optional
            Samples in a step; all of them if None. The last batch of an epoch may be smaller.
        shuffle : bool
            If True, every epoch visits the samples in a new order, drawn from the seed.
        target_loss : float, optional
            Stop after the first epoch whose loss is at most this.
        callbacks : callable (trainer, history), or several
            Called after every epoch. If one returns a true value, the training ends.
        progress : bool, optional
            If True, show a progress bar. If None, show it if standard error is a terminal and tqdm
            is installed.

        Returns
        -------
        History
            Also after Ctrl-C. The parameters are then those of the last finished step.

        Raises
        ------
        ShapeError, DTypeError, DomainError
            If x or t does not fit, is empty or is not finite, or if an output is outside the domain
            of the loss.
        DivergedError
            If the loss or a parameter is no longer finite. The parameters are then those of the
            last step with finite values.

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
        with progress_bar(epochs, progress) as advance, note_interrupt() as is_interrupted:
            try:
                for _ in range(epochs):
                    loss = self._epoch(batches, is_interrupted, history)
                    history.loss.append(loss)
                    history.seconds = time.perf_counter() - started
                    advance(loss)
                    if sum(bool(callback(self, history)) for callback in callbacks):
                        history.stopped = "callback"
                        break
                    if target_loss is not None and loss <= target_loss:
                        history.stopped = "target_loss"
                        break
            except KeyboardInterrupt:
                history.stopped = "interrupted"
            if is_interrupted():  # checked again, because Ctrl-C may come in the last epoch
                history.stopped = "interrupted"
        history.seconds = time.perf_counter() - started
        return history

    def _epoch(
        self, batches: Batches, is_interrupted: Callable[[], bool], history: History
    ) -> float:
        """Do a step on every batch; return the loss over all samples."""
        total = weight = 0.0
        for x, t in batches:
            if is_interrupted():
                raise KeyboardInterrupt
            try:
                plan = self._plans.find(self.loss, x, t)
                loss = self._step(plan)
            except NotFiniteError as reason:
                history.stopped = "diverged"
                raise self._diverged(reason, history.epochs + 1, history) from None
            share = float(self.loss.divisor(plan.y, t))
            total += loss * share
            weight += share
        return total if self.loss.reduction == "sum" else total / (weight or 1)
