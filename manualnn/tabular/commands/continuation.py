"""What is saved of a training that ended early or in an error, and the command that continues."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from manualnn.errors import ModelFileError
from manualnn.output.console import print_text

if TYPE_CHECKING:
    from manualnn.checkpoints import Checkpoint
    from manualnn.training.trainer import Trainer

__all__ = ["Continuation", "count_held", "print_end"]


def count_held(resume: str | None, epochs: int) -> int:
    """Return the epochs that a checkpoint holds. Raise an error if they are more than allowed."""
    from manualnn.checkpoints import count_epochs

    held = count_epochs(resume) if resume else 0
    if held > epochs:
        message = f"{resume} holds {held} epochs already; --epochs must be more than {held}."
        raise click.UsageError(message)
    return held


@dataclass
class Continuation:
    """The way to go on with a training: its command, its checkpoint, or that it resumed from."""

    words: str
    keeper: "Checkpoint"
    resumed: str | None
    trainer: "Trainer"

    @property
    def path(self) -> str | None:
        """The checkpoint to continue from; None if nothing has been trained."""
        if not self.trainer.steps:
            return None
        return str(self.keeper.path) if self.keeper.saved else self.resumed

    @property
    def command(self) -> str:
        """The command that continues."""
        return f"{self.words} --resume {shlex.quote(str(self.path or self.keeper.path))}"

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Let an error about a file say what is saved, and how to continue."""
        from manualnn.checkpoints import count_epochs
        from manualnn.tabular.table import count_noun

        try:
            yield
        except ModelFileError as error:
            if not self.path:
                raise
            epochs = count_noun(count_epochs(self.path), "epoch")
            message = (
                f"{error}\n{self.path} holds the training after {epochs}. Mend the cause, such as "
                f"a full disk, then continue:\n  {self.command}"
            )
            raise click.ClickException(message) from error


def print_end(text: str, saved: str) -> None:
    """Print the last text. If that fails, raise an error that says what is saved."""
    try:
        print_text(text)
    except OSError as error:
        message = f"{error} {saved}"
        raise click.ClickException(message) from error
