"""The numbers of a training that every step changes, and the error of a step that fails."""

import math


class NotFiniteError(Exception):
    """The loss, or a parameter after the update, is not finite. The parameters are restored."""


class Progress:
    """The numbers that every step changes.

    They are not attributes of the trainer itself, because its `__setattr__` takes longer than a
    small kernel.
    """

    __slots__ = ("last_loss", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.last_loss = math.nan
