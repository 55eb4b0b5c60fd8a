"""Exception classes of manualnn, in one hierarchy.

A message says what failed, what was given, what was expected and what to do. Each class is also a
subclass of the built-in exception that a Python programmer would catch.
"""

import math

__all__ = [
    "DTypeError",
    "DivergedError",
    "DomainError",
    "GradcheckError",
    "ManualNNError",
    "MissingExtraError",
    "ModelFileError",
    "OracleError",
    "ShapeError",
    "SpecError",
    "TableError",
    "UnknownAttributeError",
]


class ManualNNError(Exception):
    """Base of every error that manualnn raises on purpose."""


class ShapeError(ManualNNError, ValueError):
    """An array has a wrong shape for the network, the loss or the parameters."""


class DTypeError(ManualNNError, TypeError):
    """An array has another dtype than the parameters; arrays are never converted silently."""


class DomainError(ManualNNError, ValueError):
    """A number is outside the domain of a loss, or cannot be trained on."""


class SpecError(ManualNNError, ValueError):
    """The description of a layer, loss, optimizer, case or run is invalid."""


class UnknownAttributeError(ManualNNError, AttributeError):
    """An attribute does not exist, or cannot be set."""


class DivergedError(ManualNNError, ArithmeticError):
    """Training produced a loss or a parameter that is not finite.

    Attributes
    ----------
    epoch : int or None
        The epoch of the failure, counted from 1; None in a single `Trainer.step`.
    last_loss : float
        The last finite loss, or NaN.
    history : History
        The completed epochs.

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


class GradcheckError(ManualNNError, ValueError):
    """A function cannot be checked: an input, an option or the function's call is invalid."""


class MissingExtraError(ManualNNError, ImportError):
    """An optional package is not installed; the message names the extra to install."""


class NotFiniteError(Exception):
    """The loss, or a parameter after the update, is not finite. The parameters are restored."""
