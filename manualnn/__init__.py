"""manualnn: neural networks whose every derivative is written by hand on NumPy.

    net = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2))
    trainer = Trainer(net, MSELoss(), SGD(lr=0.02), seed=0)
    history = trainer.fit(x, t, epochs=1000)
    y = trainer.predict(x)

Names, options and conventions are torch's.
"""

from manualnn import errors, initializers, layers, losses, optimizers
from manualnn.errors import *
from manualnn.initializers import *
from manualnn.layers import *
from manualnn.losses import *
from manualnn.network import Sequential
from manualnn.optimizers import *
from manualnn.parameters import Parameters
from manualnn.serialization import load, save
from manualnn.training import History, Trainer

__all__ = ["History", "Parameters", "Sequential", "Trainer", "load", "save"]
__all__ += errors.__all__
__all__ += initializers.__all__
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += optimizers.__all__

__version__ = "0.1.0"
