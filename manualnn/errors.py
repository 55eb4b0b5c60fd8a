"""Every error that manualnn raises: one small hierarchy.

Each message says what was wrong, what it got, what it expected and what to do next. Each class is
also the builtin that a Python programmer would catch.
"""

import math

__all__ = [
    "DTypeError",
    "DivergedError",
    "DomainError",
    "ManualNNError",
    "MissingExtraError",
    "ModelFileError",
    "OracleError",
    "ShapeError",
    "SpecError",
    "TableError",
]


class ManualNNError(Exception):
    """Base of every error that manualnn raises on purpose."""


class ShapeError(ManualNNError, ValueError):
    """An array has a shape that the network, the loss or the parameters cannot take."""


class DTypeError(ManualNNError, TypeError):
    """An array's dtype is not that of the parameters; nothing is cast silently."""


class DomainError(ManualNNError, ValueError):
    """A number is outside of what a loss is defined for, or of what can be trained on."""


class SpecError(ManualNNError, ValueError):
    """A layer, loss, optimizer or run is described wrongly."""


class DivergedError(ManualNNError, ArithmeticError):
    """Training produced a loss or a parameter that is not finite.

    Attributes
    ----------
    epoch : int or None
        The epoch, counted from 1, in which it happened; None in a single `Trainer.step`.
    last_loss : float
        The last loss that was finite (NaN where there was none).
    history : History
        The epochs that were finished before it.

    """

    def __init__(
        self,
        message: str,
        *,
        epoch: int | None = None,
        last_loss: float = math.nan,
        history: object = None,
    ) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.last_loss = last_loss
        self.history = history


class TableError(ManualNNError, ValueError):
    """A table of data cannot be used: a column, a cell or the number of rows is wrong."""


class ModelFileError(ManualNNError, OSError):
    """A model file cannot be read or written."""


class OracleError(ManualNNError):
    """Base of every error of the oracle."""


class MissingExtraError(ManualNNError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""
