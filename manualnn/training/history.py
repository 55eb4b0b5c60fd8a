"""History: the record of a training, epoch by epoch."""

from dataclasses import dataclass, field

__all__ = ["History"]


@dataclass
class History:
    """The record of one `Trainer.fit`.

    >>> history = Trainer(net, MSELoss(), SGD(lr=0.1)).fit(x, t, epochs=2, validation_data=(x, t))
    >>> len(history.loss), len(history.validation_loss), history.lr, history.stopped
    (2, 2, [0.1, 0.1], 'epochs')
    """

    loss: list[float] = field(default_factory=list)
    """The loss of each epoch over its samples, each measured before the step that used it."""
    seconds: float = 0.0
    """Duration in seconds."""
    stopped: str = ""
    """Reason: "epochs", "target_loss", "early_stopping", "callback", "interrupted" (Ctrl-C),
    "terminated" (SIGTERM), "diverged" or "error", which is any other error that ended `fit`."""
    validation_loss: list[float] = field(default_factory=list)
    """The loss over the validation samples after each epoch; empty without validation data."""
    lr: list[float] = field(default_factory=list)
    """The learning rate of each epoch: that of its last step, if it changes with every step."""

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.loss)

    def _repr_html_(self) -> str:
        """Return the curves of the losses and their last and lowest values, for a notebook."""
        # Here, because a training needs no HTML.
        from manualnn.page.notebook import chart, heading, table

        curves = {"training": self.loss, "validation": self.validation_loss}
        found = {name: curve for name, curve in curves.items() if curve}
        ended = f"{self.seconds:.3g} s, stopped: {self.stopped}" if self.stopped else "running"
        epochs = f"{self.epochs} epoch{'s' * (self.epochs != 1)}"
        head = heading("History", f"{epochs}, {ended}")
        if not found:
            return head
        rows = [
            (name, f"{curve[-1]:.6g}", f"{min(curve):.6g}", curve.index(min(curve)) + 1)
            for name, curve in found.items()
        ]
        header = ("loss", "last", "lowest", "in epoch")
        return f"{head}{chart(found, x_name='epoch', y_name='loss')}" + table(
            rows, header, alignment="lr"
        )
