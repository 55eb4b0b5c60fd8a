"""Update rules, and the table `OPTIMIZERS` in which all other modules find them."""

from manualnn.optimizers import adadelta, adagrad, adam, clipping, rmsprop, sgd, variants
from manualnn.optimizers.adadelta import *
from manualnn.optimizers.adagrad import *
from manualnn.optimizers.adam import *
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.clipping import *
from manualnn.optimizers.rmsprop import *
from manualnn.optimizers.sgd import *
from manualnn.optimizers.variants import *

__all__ = ["OPTIMIZERS", "Optimizer"]
__all__ += adadelta.__all__
__all__ += adagrad.__all__
__all__ += adam.__all__
__all__ += clipping.__all__
__all__ += rmsprop.__all__
__all__ += sgd.__all__
__all__ += variants.__all__

OPTIMIZERS: dict[str, type[Optimizer]] = {
    name: vars(module)[name]
    for module in (sgd, rmsprop, adagrad, adam, adadelta, variants)
    for name in module.__all__
}
