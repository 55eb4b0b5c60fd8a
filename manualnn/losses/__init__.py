"""Losses, and the table `LOSSES` in which all other modules find them."""

from manualnn.losses import classification, regression
from manualnn.losses.base import Loss
from manualnn.losses.classification import *
from manualnn.losses.regression import *

__all__ = ["LOSSES", "Loss"]
__all__ += classification.__all__
__all__ += regression.__all__

LOSSES: dict[str, type[Loss]] = {
    name: vars(module)[name] for module in (regression, classification) for name in module.__all__
}
