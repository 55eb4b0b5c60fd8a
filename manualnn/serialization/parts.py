"""The parts of a model file, and the checks that saving and loading share."""

import os

from manualnn.errors import ModelFileError
from manualnn.parameters import Parameters
from manualnn.validation import first_nonfinite

DTYPES = ("float32", "float64")
"""Data types of the parameters that a file can hold."""

OPTIMIZER = "optimizer."
"""Prefix of the keys of the optimizer's vectors. The keys of a layer begin with its number."""
NOTES = "notes."
"""Prefix of the keys of further arrays."""

GENERATORS = ("PCG64", "PCG64DXSM")
"""NumPy's default bit generator and its successor. NumPy does not check the states of others."""


def require_finite(path: str | os.PathLike[str], params: Parameters) -> None:
    """Raise ModelFileError if a parameter is NaN or infinite."""
    for key, array in {**params, **params.buffers}.items():
        if where := first_nonfinite(array):
            message = (
                f"{path}: the parameters must be finite, got {array[where]} in {key} at {where}; "
                f"a model that diverged cannot be saved or loaded; train it again."
            )
            raise ModelFileError(message)
