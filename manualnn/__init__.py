"""manualnn: neural networks whose every derivative is written by hand on NumPy.

    net = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2))
    trainer = Trainer(net, MSELoss(), SGD(lr=0.02), seed=0)
    history = trainer.fit(x, t, epochs=1000)
    y = trainer.predict(x)

Names, options and conventions are torch's.
"""

from typing import TYPE_CHECKING, Any

from manualnn import errors, layers, losses, optimizers
from manualnn import initializers as initializers  # a name of the package, like the others
from manualnn.errors import *
from manualnn.initializers import (
    calculate_gain,
    kaiming_normal,
    kaiming_uniform,
    xavier_normal,
    xavier_uniform,
)
from manualnn.layers import *
from manualnn.losses import *
from manualnn.network import Sequential
from manualnn.optimizers import *
from manualnn.parameters import Parameters
from manualnn.training.trainer import History, Trainer

if TYPE_CHECKING:
    from manualnn.serialization import load, save

__all__ = [
    "History",
    "Parameters",
    "Sequential",
    "Trainer",
    "calculate_gain",
    "kaiming_normal",
    "kaiming_uniform",
    "load",
    "save",
    "xavier_normal",
    "xavier_uniform",
]
__all__ += errors.__all__
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += optimizers.__all__

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the module of model files, which takes half as long as all others, where it is used."""
    if name in {"load", "save"}:
        from manualnn import serialization

        globals()[name] = function = getattr(serialization, name)
        return function
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
