"""The record of a training: the loss of each epoch, the duration, and why it ended."""

from dataclasses import dataclass, field

__all__ = ["History"]


@dataclass
class History:
    """The record of one `Trainer.fit`."""

    loss: list[float] = field(default_factory=list)
    """The loss of each epoch over its samples, each measured before the step that used it."""
    seconds: float = 0.0
    """Duration."""
    stopped: str = ""
    """Reason: "epochs", "target_loss", "callback", "interrupted" or "diverged"."""

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.loss)
