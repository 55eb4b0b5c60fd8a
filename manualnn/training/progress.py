"""What a step changes besides parameters and state: its numbers, and buffers of layers."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from manualnn.network.buffers import track
from manualnn.network.sequential import Sequential
from manualnn.parameters import Parameters
from manualnn.training.step_plan import StepPlan


class Progress:
    """The numbers that every step changes.

    They are not attributes of the trainer itself, because its `__setattr__` takes longer than a
    small kernel.
    """

    __slots__ = ("last_loss", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.last_loss = math.nan


class BufferKeeper:
    """A base of `Stepper` that changes buffers after a pass, and restores them after a failure."""

    net: Sequential
    _params: Parameters

    def _track(self, plan: StepPlan) -> None:
        """Change the buffers by the batch of the plan's last run."""
        if plan.tracked:
            track(self.net.layers, plan.tracked, len(plan.y))

    @contextmanager
    def _keeping_buffers(self) -> Iterator[None]:
        """Restore the buffers if the block raises an error."""
        before = self._params.copy() if self._params.buffers else None
        try:
            yield
        except BaseException:
            if before is not None:
                self._restore(before)
            raise

    def _restore(self, before: Parameters) -> None:
        """Return to parameters and buffers that were copied before."""
        np.copyto(self._params.vector, before.vector)
        for key, array in before.buffers.items():
            self._params.buffers[key][...] = array
