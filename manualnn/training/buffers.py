"""What a step of training does to buffers, such as running averages: a base class of `Stepper`."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from manualnn.network.buffers import track
from manualnn.network.sequential import Sequential
from manualnn.parameters import Parameters
from manualnn.training.step_plan import StepPlan


class BufferKeeper:
    """Changes the buffers after each pass on a batch, and restores them if the step fails."""

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
