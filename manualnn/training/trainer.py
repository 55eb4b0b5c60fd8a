"""Trainer: the training loop, from a network, a loss and an update rule."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ManualNNError, SpecError
from manualnn.losses import LOSSES
from manualnn.network.buffers import require_samples
from manualnn.network.sequential import Sequential
from manualnn.optimizers import all_optimizers
from manualnn.parameters import Parameters
from manualnn.spec import from_spec, refuse_misspelt, to_spec
from manualnn.training.batches import Batches, Samples
from manualnn.training.history import History
from manualnn.training.loop import TrainingLoop
from manualnn.training.run import Run, as_callbacks, loss_over
from manualnn.training.terminal import note_signals, progress_bar
from manualnn.validation import (
    as_weights,
    require_count,
    require_finite,
    require_number,
)

__all__ = ["History", "Trainer"]

Callback = Callable[["Trainer", History], bool | None]


class Trainer(TrainingLoop):
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
    compile : bool
        If True, Numba compiles the steps at first, which takes seconds, and keeps the code on disk
        (in the folder MANUALNN_CACHE, or in the user's cache). Steps of small networks, and the
        updates of all rules without groups, penalties and clipping, then take a fraction of the
        time. Needs the extra fast.

    Attributes
    ----------
    params : Parameters
        The current parameters: always the same object, which every step changes in place.
    lr, lrs : float, tuple of float
        The learning rate, and those of the rule and of its groups; may be set at any time.
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
        compile: bool = False,  # noqa: A002 - torch's name
    ) -> "Trainer":
        """Build a trainer from the JSON form. The defaults are MSELoss, SGD and float64."""
        net = Sequential.from_spec(spec)
        refuse_misspelt(spec, ("loss", "optimizer", "dtype"))
        loss = from_spec(spec.get("loss", {"type": "MSELoss"}), LOSSES, "loss")
        rule = from_spec(spec.get("optimizer", {"type": "SGD"}), all_optimizers(), "optimizer")
        dtype = spec.get("dtype", "float64")
        return cls(net, loss, rule, seed=seed, dtype=dtype, params=params, compile=compile)

    def compiled_source(self) -> str:
        """Return the functions that the steps so far were compiled to, as Python.

        Raises SpecError if the trainer does not compile.
        """
        if not self._compiles:
            message = f"{self!r} does not compile; pass compile=True to Trainer."
            raise SpecError(message)
        update = self._compiled_update
        return "\n".join([*self._plans.sources, *([update.source] if update else [])])

    def predict(self, x: Any) -> Array:
        """Return the outputs for x of shape (N, in): shape (N, out). Thread-safe."""
        return self.net.forward(self.params, x)

    def classify(self, x: Any) -> tuple[Array, Array]:
        """Return for x of shape (N, in) the class and its probability, as the loss defines them.

        Raises SpecError for a loss for regression.
        """
        with np.errstate(all="ignore"):
            return self.loss.classify(self.predict(x))

    def evaluate(self, x: Any, t: Any, *, sample_weight: Any = None) -> float:
        """Return the loss over all samples, without dropout; the arguments are those of `fit`.

        The samples are predicted in batches, so that the memory for it is bounded.
        """
        return loss_over(self, self._samples(x, t, sample_weight))

    def fit(
        self,
        x: Any,
        t: Any,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        accumulation_steps: int = 1,
        shuffle: bool = True,
        target_loss: float | None = None,
        sample_weight: Any = None,
        validation_data: Any = None,
        callbacks: Callback | Iterable[Callback] = (),
        progress: bool | None = None,
        resume: Any = None,
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
            Samples in a batch; all of them if None. The last batch of an epoch may be smaller.
        accumulation_steps : int
            Batches in a step. It is the step on one batch of all their samples, up to rounding,
            in the memory that one of them needs. The last step of an epoch may have fewer.
        shuffle : bool
            If True, every epoch visits the samples in a new order, drawn from the seed.
        target_loss : float, optional
            Stop after the first epoch whose loss is at most this.
        sample_weight : array (N,), optional
            Weights wₙ of at least 0. Sample n counts as if it came wₙ times: the loss is
            Σₙ wₙ lₙ / Σₙ wₙ over the samples of a batch, with the loss lₙ of sample n alone, or
            Σₙ wₙ lₙ for reduction sum (see `manualnn.losses.base`). A sample with weight 0 is left
            out.
        validation_data : tuple (x, t) or (x, t, sample_weight), optional
            Samples whose loss is measured after every epoch, without dropout.
        callbacks : callable (trainer, history), or several
            Called after every epoch. If one returns a true value, the training ends.
            `EarlyStopping` and the schedules of the learning rate are callbacks. A `Checkpoint`
            saves the state of each callback that has `state_dict()` and `load_state_dict(state)`.
        progress : bool, optional
            If True, show a progress bar. If None, show it if standard error is a terminal and tqdm
            is installed.
        resume : path, optional
            A file that `Checkpoint` wrote in a training with the same arguments. The training
            continues there and ends bit for bit as if it had never been cut short; `epochs` and
            the history include the epochs before.

        Returns
        -------
        History
            Its `loss` includes the rule's penalties l1 and l2, `validation_loss` does not. `fit`
            returns it also after Ctrl-C, and after SIGTERM where the program does not handle it.
            The parameters are then those of the last finished step.

        Raises
        ------
        ShapeError, DTypeError, DomainError
            If x, t or a weight does not fit, is empty or is not finite, or if an output is outside
            the domain of the loss.
        ModelFileError, SpecError
            If `resume` is no checkpoint, or one of another training.
        DivergedError
            If a loss or a parameter is no longer finite. The parameters are then those of the last
            step with finite values.

        Examples
        --------
        >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.1), seed=0)
        >>> history = trainer.fit(
        ...     x[:50], t[:50], epochs=9, batch_size=8, sample_weight=np.linspace(1, 2, 50),
        ...     validation_data=(x[50:], t[50:]), callbacks=[StepLR(4), EarlyStopping(5)],
        ... )
        >>> len(history.validation_loss), history.lr[0], history.lr[4]
        (9, 0.1, 0.010000000000000002)

        """
        samples = self._samples(x, t, sample_weight)
        validation = None if validation_data is None else self._validation(validation_data)
        batches = Batches(samples, batch_size, shuffle=shuffle)
        require_count("epochs", epochs, 0)
        require_count("accumulation_steps", accumulation_steps, 1)
        for n in batches.sizes:
            require_samples(self.net.layers, n, is_training=True)
        if self.rule.needs_closure and accumulation_steps > 1:
            message = f"{self.rule!r} evaluates a step several times; leave accumulation_steps out."
            raise SpecError(message)
        if target_loss is not None:
            require_number("target_loss", target_loss)
        run = Run(self, batches, validation, as_callbacks(callbacks), accumulation_steps)
        with note_signals() as asked:
            if resume is not None:
                # Imports go down, and files are above training.
                import_module("manualnn.checkpoints").resume(resume, run)
            run.begin()
            history = run.history
            try:
                with progress_bar(max(epochs - history.epochs, 0), progress) as advance:
                    self._train(run, epochs, target_loss, asked, advance)
            except KeyboardInterrupt:
                run.is_whole = False
                history.stopped = "interrupted"
            except Exception:
                run.fail()
                raise
            # Asked again, because Ctrl-C may come in the last epoch.
            history.stopped = asked() or history.stopped or "epochs"
        run.end()
        return history

    def _samples(self, x: Any, t: Any, sample_weight: Any) -> Samples:
        """Return the samples, checked; those with a weight of 0 are left out."""
        x = self.net.as_inputs(x, self.params.dtype)
        t = self._targets(t, x)
        require_finite(x, "x")
        require_finite(t, "t")
        w = None if sample_weight is None else as_weights(sample_weight, len(x), x.dtype)
        if w is not None and not w.all():
            counts = w > 0
            return self._samples(x[counts], t[counts], w[counts])
        return Samples(x, t, w)

    def _validation(self, data: Any) -> Samples:
        """Return the validation samples, checked."""
        if not isinstance(data, tuple | list) or len(data) not in {2, 3}:
            message = (
                f"validation_data must be a tuple (x, t) or (x, t, sample_weight), got "
                f"{type(data).__name__}; pass validation_data=(x, t)."
            )
            raise SpecError(message)
        try:
            return self._samples(data[0], data[1], data[2] if len(data) == 3 else None)
        except ManualNNError as error:
            message = f"validation_data: {error}"
            raise type(error)(message) from error
