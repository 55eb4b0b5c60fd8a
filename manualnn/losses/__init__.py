"""Losses, and the table `LOSSES` in which all other modules find them."""

from manualnn.losses import classification, indices, likelihood, margin, regression
from manualnn.losses.base import Loss
from manualnn.losses.classification import *
from manualnn.losses.indices import *
from manualnn.losses.likelihood import *
from manualnn.losses.margin import *
from manualnn.losses.regression import *

__all__ = ["LOSSES", "Loss"]
__all__ += classification.__all__
__all__ += indices.__all__
__all__ += likelihood.__all__
__all__ += margin.__all__
__all__ += regression.__all__

LOSSES: dict[str, type[Loss]] = {
    name: vars(module)[name]
    for module in (regression, classification, indices, likelihood, margin)
    for name in module.__all__
}
"""The class of each loss, by its name."""
