"""Pictures of training and of predictions, with Matplotlib (`pip install 'manualnn[plot]'`).

    ax = plot.loss(history)                                   # or the file of train --log
    plot.confusion_matrix(y_true, y_pred, ax=axes[0])
    plot.activations(trainer.net, trainer.params, x, ax=axes[1])

Each function draws in the axes `ax` and returns them; without ax it makes a figure of pyplot. No
function shows a figure or changes a setting of Matplotlib. Pictures are readable without colours.
"""

from manualnn.plot.curves import loss
from manualnn.plot.diagram import network
from manualnn.plot.histograms import activations, gradients
from manualnn.plot.predictions import (
    confusion_matrix,
    decision_boundary,
    prediction_error,
    residuals,
)
from manualnn.plot.range_test import RangeTest, learning_rate_range, range_test

__all__ = [
    "RangeTest",
    "activations",
    "confusion_matrix",
    "decision_boundary",
    "gradients",
    "learning_rate_range",
    "loss",
    "network",
    "prediction_error",
    "range_test",
    "residuals",
]
