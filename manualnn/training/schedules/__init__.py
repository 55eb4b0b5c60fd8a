"""Schedules of the learning rate: callbacks with torch's names, options and numbers.

    trainer.fit(x, t, epochs=30, callbacks=[StepLR(step_size=10)])

A schedule sets `trainer.lr` after every epoch, for the next epoch. The learning rates are torch's
bit for bit, if `scheduler.step()` follows every epoch there. A second `fit` of the same trainer
continues the schedule; another trainer starts it anew. `History.lr` has the rate of every epoch.
"""

from manualnn.training.schedules.base import Schedule
from manualnn.training.schedules.cosine import CosineAnnealingLR
from manualnn.training.schedules.decay import StepLR
from manualnn.training.schedules.plateau import ReduceLROnPlateau

__all__ = ["CosineAnnealingLR", "ReduceLROnPlateau", "Schedule", "StepLR"]
