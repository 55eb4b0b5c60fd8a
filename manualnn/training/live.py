"""LiveCurve: the curve of the loss in a notebook, while the training runs."""

import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from manualnn.errors import MissingExtraError
from manualnn.training.history import History
from manualnn.training.run import Callback, Run
from manualnn.validation import require_number

__all__ = ["LiveCurve"]


@dataclass(eq=False)
class LiveCurve(Callback):
    """Show the history below the cell of a notebook, and renew it as the training goes on.

    The display is the History's own; no Matplotlib is needed. It is renewed in place after the
    epochs that end at least `every_seconds` after the last time, and when the training ends, also
    by a divergence.

    Parameters
    ----------
    every_seconds : float
        Shortest time between two renewals, in seconds; 0 for every epoch.

    Raises
    ------
    MissingExtraError
        If a training begins and IPython is not installed.

    Examples
    --------
    >>> live = LiveCurve(every_seconds=0.5)  # trainer.fit(x, t, epochs=1000, callbacks=[live])

    """

    every_seconds: float = 0.5

    def __post_init__(self) -> None:
        """Raise SpecError for an option that is out of range."""
        require_number("every_seconds", self.every_seconds, 0)

    def begin(self, run: Run) -> None:
        """Make the display. Raises MissingExtraError without IPython."""
        try:
            self._display: Any = import_module("IPython.display")
        except ImportError as error:
            message = "LiveCurve needs IPython, as notebooks have it; pip install ipython."
            raise MissingExtraError(message) from error
        self._handle: Any = self._display.display(self._view(run.history), display_id=True)
        self._shown = time.monotonic()

    def __call__(self, trainer: Any, history: History) -> None:  # noqa: ARG002
        """Renew the display, unless that was done a moment ago."""
        if time.monotonic() - self._shown >= self.every_seconds:
            self._renew(history)

    def end(self, run: Run) -> None:
        """Show the whole history."""
        self._renew(run.history)

    def fail(self, run: Run) -> None:
        """Show how far the training came, and that it diverged."""
        self._renew(run.history)

    def _renew(self, history: History) -> None:
        if self._handle is not None:  # display returns None outside of IPython
            self._handle.update(self._view(history))
        self._shown = time.monotonic()

    def _view(self, history: History) -> Any:
        """Return the HTML alone, because a notebook would send the text with all losses as well."""
        return self._display.HTML(history._repr_html_())
