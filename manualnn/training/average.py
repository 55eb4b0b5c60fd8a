"""AveragedModel: an exponential moving average of the parameters, with which to predict."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.parameters import Parameters
from manualnn.training.history import History
from manualnn.training.run import Callback, Run
from manualnn.validation import require_flag, require_number

if TYPE_CHECKING:
    from manualnn.training.trainer import Trainer

__all__ = ["AveragedModel"]


@dataclass(eq=False)
class AveragedModel(Callback):
    """Average the parameters over the steps, with weights that fall by the factor `decay`.

    After the first step of a training, θ̄ ← θ. After each later one

        θ̄ ← θ̄ + (1 − decay) (θ − θ̄)

    A new training of the same trainer goes on with the average, that of another trainer starts
    anew. A `Checkpoint` saves it, and a resumed training continues it bit for bit.

    Parameters
    ----------
    decay : float
        From 0, the parameters themselves, to 1, the parameters after the first step.
    replaces : bool
        If True, the average replaces the trainer's parameters when `fit` ends, so that the trainer
        predicts with it and `save` writes it.

    Attributes
    ----------
    n_averaged : int
        Number of steps so far.
    params : Parameters
        The average, a copy. Predict with `trainer.net.forward(average.params, x)`.

    Source: torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(decay).

    Examples
    --------
    >>> average = AveragedModel(decay=0.9)
    >>> trainer = Trainer(net, MSELoss(), SGD(lr=0.1))
    >>> history = trainer.fit(x, t, epochs=30, batch_size=8, callbacks=average)
    >>> net.forward(average.params, x).shape == t.shape
    True

    """

    decay: float = 0.999
    replaces: bool = False

    state: ClassVar[tuple[str, ...]] = ("n_averaged", "vector")
    watches_steps = True

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_number("decay", self.decay, 0)
        if self.decay > 1:
            message = f"decay must be from 0 to 1, got {self.decay!r}."
            raise SpecError(message)
        require_flag("replaces", self.replaces)
        self.n_averaged = 0
        self.vector: Array | None = None
        self._of: Parameters | None = None

    @property
    def params(self) -> Parameters:
        """The average. Raises SpecError before the first step."""
        if self._of is None or self.vector is None:
            message = "there is no average before the first step; fit with callbacks=[average]."
            raise SpecError(message)
        return self._of.with_vector(self.vector.copy())

    def begin(self, run: Run) -> None:
        """Start anew if the last training was another trainer's."""
        if self._of is not run.trainer.params and not run.is_resumed:
            self.n_averaged, self.vector = 0, None
        self._of = run.trainer.params
        if self.vector is not None and self.vector.shape != self._of.vector.shape:
            message = f"the average has {self.vector.size} parameters, expected {self._of!r}."
            raise SpecError(message)

    def after_step(self, run: Run) -> None:
        """Let the average follow the parameters."""
        theta = run.trainer.params.vector
        if self.vector is None:
            self.vector, self._scratch = theta.copy(), np.empty_like(theta)
        else:
            _move_towards(self.vector, theta, 1 - self.decay, self._scratch)
        self.n_averaged += 1

    def __call__(self, trainer: "Trainer", history: History) -> None:
        """Do nothing: the average changes after each step."""

    def end(self, run: Run) -> None:
        """Copy the average to the trainer, if it replaces the parameters."""
        if self.replaces and self.vector is not None:
            np.copyto(run.trainer.params.vector, self.vector)

    def load_state_dict(self, state: Any) -> None:
        """Restore the state that `state_dict` returned."""
        super().load_state_dict(state)
        if self.vector is not None:
            self.vector, self._scratch = self.vector.copy(), np.empty_like(self.vector)


def _move_towards(average: Array, theta: Array, share: float, scratch: Any) -> None:
    """Let θ̄ ← θ̄ + share (θ − θ̄), from the nearer end as torch does."""
    number = average.dtype.type
    np.subtract(theta, average, scratch)
    if share < 0.5:
        np.add(average, np.multiply(scratch, number(share), scratch), average)
    else:
        np.subtract(theta, np.multiply(scratch, number(1 - share), scratch), average)
