"""Update rules, and the table `OPTIMIZERS` in which all other modules find them."""

from manualnn.optimizers import (
    adadelta,
    adagrad,
    adam,
    clipping,
    lbfgs,
    muon,
    rmsprop,
    sgd,
    signs,
    variants,
)
from manualnn.optimizers.adadelta import *
from manualnn.optimizers.adagrad import *
from manualnn.optimizers.adam import *
from manualnn.optimizers.base import Optimizer
from manualnn.optimizers.clipping import *
from manualnn.optimizers.lbfgs import *
from manualnn.optimizers.muon import *
from manualnn.optimizers.rmsprop import *
from manualnn.optimizers.sgd import *
from manualnn.optimizers.signs import *
from manualnn.optimizers.variants import *

__all__ = ["MATRIX_RULES", "OPTIMIZERS", "SOLVERS", "Optimizer", "all_optimizers"]
__all__ += adadelta.__all__
__all__ += adagrad.__all__
__all__ += adam.__all__
__all__ += clipping.__all__
__all__ += lbfgs.__all__
__all__ += muon.__all__
__all__ += rmsprop.__all__
__all__ += sgd.__all__
__all__ += signs.__all__
__all__ += variants.__all__

OPTIMIZERS: dict[str, type[Optimizer]] = {
    name: vars(module)[name]
    for module in (sgd, rmsprop, adagrad, adam, adadelta, variants, signs)
    for name in module.__all__
}

MATRIX_RULES: dict[str, type[Optimizer]] = {name: vars(muon)[name] for name in muon.__all__}
"""Update rules of matrices alone; other parameters need a group with another rule."""

SOLVERS: dict[str, type[Optimizer]] = {name: vars(lbfgs)[name] for name in lbfgs.__all__}
"""Optimizers whose step evaluates the loss several times, so that they are no update rules."""


def all_optimizers() -> dict[str, type[Optimizer]]:
    """Return the update rules, those of the user and of matrices included, and the solvers."""
    return OPTIMIZERS | MATRIX_RULES | SOLVERS
