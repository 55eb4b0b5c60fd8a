"""Checkpoints: files from which a training that was cut short continues bit for bit.

    path = Path("run.checkpoint")
    trainer.fit(x, t, epochs=500, callbacks=[Checkpoint(path)])
    trainer.fit(x, t, epochs=500, callbacks=[Checkpoint(path)], resume=path)

To start the same program again after any end, pass `resume=path if path.exists() else None`.

A checkpoint is a model file (see `manualnn.serialization`), which `load` reads as a trainer. Beside
that, it has the position in the epoch, the sums of the epoch's loss, the state of the generator
before it drew the epoch's order, the history, and the state of every callback that has one. The
samples are not in the file; a SHA-256 of all their numbers is, so that other samples are refused.
"""

import os
import time
from typing import Any

import numpy as np

from manualnn.errors import ModelFileError, SpecError
from manualnn.optimizers.groups import with_rates
from manualnn.output.files import require_writable
from manualnn.serialization import load_with_notes, require_safetensors, save
from manualnn.serialization.container import as_path
from manualnn.training.history import History
from manualnn.training.run import Callback, Run
from manualnn.training.trainer import Trainer
from manualnn.validation import require_count, require_number

__all__ = ["Checkpoint", "count_epochs", "resume"]

KEY = "checkpoint"
CURVES = ("loss", "validation_loss", "lr")


class Checkpoint(Callback):
    """Save the training to a file, every so often and whenever `fit` ends without an error.

    `fit` ends so also after Ctrl-C, and after SIGTERM where the program does not handle it. A file
    replaces the one before when it is complete. If there is none at the beginning, one is written
    then, so that everything that prevents it is known before the training.

    Parameters
    ----------
    path : path
        Path of the file.
    every_epochs, every_steps : int, optional
        Save after every so many epochs or steps. Without any of the three: after every epoch.
    every_seconds : float, optional
        Save after the first step that ends so many seconds after the last checkpoint.

    Attributes
    ----------
    saved : tuple (steps, epochs) or None
        What the last file that this training wrote holds.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> path = f"{folder.name}/run"
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.1))
    >>> history = trainer.fit(x, t, epochs=3, callbacks=Checkpoint(path))
    >>> another = Trainer(net, MSELoss(), SGD(lr=0.1))
    >>> another.fit(x, t, epochs=5, callbacks=Checkpoint(path), resume=path).epochs
    5
    >>> folder.cleanup()

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every_epochs: int | None = None,
        every_steps: int | None = None,
        every_seconds: float | None = None,
    ) -> None:
        if every_epochs is every_steps is every_seconds is None:
            every_epochs = 1
        for name, count in (("every_epochs", every_epochs), ("every_steps", every_steps)):
            if count is not None:
                require_count(name, count, 1)
        if every_seconds is not None:
            require_number("every_seconds", every_seconds, 0)
        self.path = as_path(path)
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.every_seconds = every_seconds
        self.saved: tuple[int, int] | None = None
        self.watches_steps = not (every_steps is every_seconds is None)

    def __repr__(self) -> str:
        """Return the options that are set."""
        names = ("every_epochs", "every_steps", "every_seconds")
        given = [f", {n}={value}" for n in names if (value := getattr(self, n)) is not None]
        return f"Checkpoint({str(self.path)!r}{''.join(given)})"

    def begin(self, run: Run) -> None:
        """Raise an error if the training can be saved to no file, or not be loaded from it."""
        require_safetensors()
        try:
            require_writable(self.path)
        except OSError as error:
            raise ModelFileError(str(error)) from error
        # A layer, loss or rule that is in no table could be saved, but not loaded.
        Trainer.from_spec(run.trainer.spec(), params=run.trainer.params)
        self.saved = None
        self._time = time.monotonic()
        if not self.path.exists():
            self.save(run)

    def __call__(self, trainer: Any, history: History) -> None:
        """Do nothing: the state is complete only after all callbacks."""

    def after_step(self, run: Run) -> None:
        """Save after every so many steps and seconds."""
        steps, seconds = self.every_steps, self.every_seconds
        if (steps and run.trainer.steps % steps == 0) or (
            seconds is not None and time.monotonic() - self._time >= seconds
        ):
            self.save(run)

    def after_epoch(self, run: Run) -> None:
        """Save after every so many epochs."""
        if self.every_epochs and run.history.epochs % self.every_epochs == 0:
            self.save(run)

    def before_end(self, run: Run) -> None:
        """Save the last state. A step that was interrupted has none; the last file stays then."""
        if run.is_whole and self.saved != (run.trainer.steps, run.history.epochs):
            self.save(run)

    def save(self, run: Run) -> None:
        """Write the file."""
        states, arrays = [], {name: np.array(getattr(run.history, name)) for name in CURVES}
        for i, callback in enumerate(run.stateful):
            state = callback.state_dict()
            own = {name for name, value in state.items() if isinstance(value, np.ndarray)}
            arrays |= {f"{i}.{name}": state[name] for name in own}
            plain = {name: value for name, value in state.items() if name not in own}
            states.append(plain)
        about = {
            "batch": run.batch,
            "total": run.total,
            "weight": run.weight,
            "lr": float(run.lr),
            "random": run.random,
            "seconds": run.history.seconds,
            "states": states,
            "training": _describe(run),
        }
        save(self.path, run.trainer, notes={KEY: about}, arrays=arrays)
        self.saved = run.trainer.steps, run.history.epochs
        self._time = time.monotonic()


def count_epochs(path: str | os.PathLike[str]) -> int:
    """Return the number of finished epochs in a file; 0 in one that is no checkpoint.

    Raises ModelFileError if there is no such file, or if it is damaged.
    """
    _, _, arrays = load_with_notes(path)
    return len(arrays.get("loss", ()))


def resume(path: str | os.PathLike[str], run: Run) -> None:
    """Put a training, its trainer and its callbacks into the state that a checkpoint has.

    Raises
    ------
    ModelFileError
        If there is no such file, if it is damaged, or if it is no checkpoint.
    SpecError
        If the checkpoint is one of another network, loss, rule, dtype, batch size or shuffling, of
        other samples, or of other callbacks.

    """
    saved, notes, arrays = load_with_notes(path)
    if KEY not in notes:
        message = (
            f"{path} is a model and no checkpoint: it has no position to resume from. To train it "
            f"further, call fit of the trainer that load({str(path)!r}) returns."
        )
        raise ModelFileError(message)
    try:
        about = notes[KEY]
        curves: dict[str, Any] = {name: list(map(float, arrays.pop(name))) for name in CURVES}
        history = History(seconds=float(about["seconds"]), **curves)
        batch, total, weight = (
            max(int(about["batch"]), 0),
            float(about["total"]),
            float(about["weight"]),
        )
        lr = float(about.get("lr", saved.lr))
        random = dict(about["random"])
        if batch and run.batches.shuffles:
            type(saved.rng.bit_generator)().state = random  # which refuses what is no state
        states = [dict(state) for state in about["states"]]
        for name, array in arrays.items():
            i, _, key = name.partition(".")
            states[int(i)][key] = array
        trained = {name: str(about["training"][name]) for name in _describe(run)}
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        message = f"{path}: the checkpoint's description is damaged ({error!r}); train again."
        raise ModelFileError(message) from error
    for name, got in _describe(run).items():
        if got != trained[name]:
            message = (
                f"cannot resume from {path}, a checkpoint of another training: the {name} was "
                f"{trained[name]}, got {got}; pass the same arguments, or leave resume out."
            )
            raise SpecError(message)
    for callback, state in zip(run.stateful, states, strict=False):
        callback.load_state_dict(state)
    trainer = run.trainer
    trainer.params.vector = saved.params.vector
    for key, array in saved.params.buffers.items():
        trainer.params.buffers[key][...] = array
    trainer.state, trainer.rng, trainer.rule = saved.state, saved.rng, saved.rule
    trainer.steps, trainer.last_loss = saved.steps, saved.last_loss
    run.history, run.random, run.is_resumed = history, random, True
    run.batch, run.total, run.weight, run.lr = batch, total, weight, lr


def _describe(run: Run) -> dict[str, str]:
    """Return in words what must be the same for a training to continue exactly."""
    trainer, times = run.trainer, f" × {run.accumulation_steps}"
    # A schedule may have changed the rates, and the momenta.
    rule = with_rates(trainer.rule, [0] * len(trainer.lrs))
    for callback in run.hooked:
        rule = callback.without_changes(rule)
    return {
        "network": repr(trainer.net),
        "loss": repr(trainer.loss),
        "rule": repr(rule),
        "dtype": str(trainer.params.dtype),
        "batch size": str(run.batches.size) + times * (run.accumulation_steps > 1),
        "shuffling": str(run.batches.shuffles),
        "SHA-256 of all samples": run.digest,
        "list of callbacks with a state": repr([type(c).__name__ for c in run.stateful]),
    }
