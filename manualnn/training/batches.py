"""Batches of the samples, in a new random order in every epoch."""

from collections.abc import Iterator

import numpy as np

from manualnn.elementary import Array
from manualnn.validation import require_count


class Batches:
    """The batches of an epoch, in a new order on each pass. The next batch overwrites the last.

    Parameters
    ----------
    x, t : array (N, …)
        Inputs and targets.
    batch_size : int, optional
        Samples in a batch; all of them if None.
    rng : Generator, optional
        Draws the order. Without it the samples stay in their order.

    """

    def __init__(
        self, x: Array, t: Array, batch_size: int | None, rng: "np.random.Generator | None"
    ) -> None:
        if batch_size is not None:
            require_count("batch_size", batch_size, 1)
        self._size = min(batch_size or len(x), len(x))
        self._x, self._t = x, t
        # A step on all samples does not depend on their order.
        self._rng = rng if self._size < len(x) else None
        if self._rng:
            full = [np.empty((self._size, *a.shape[1:]), a.dtype) for a in (x, t)]
            sizes = {self._size, len(x) % self._size} - {0}
            # The same two arrays for every batch of a size, because the step is planned for them.
            self._buffers = {n: [a[:n] for a in full] for n in sizes}

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        n, size = len(self._x), self._size
        order = self._rng.permutation(n) if self._rng else None
        for start in range(0, n, size):
            part = slice(start, min(start + size, n))
            if order is None:
                yield self._x[part], self._t[part]
            else:
                chosen = order[part]
                x, t = self._buffers[len(chosen)]
                # mode="clip" lets NumPy write directly to out; all indices are in range.
                np.take(self._x, chosen, axis=0, out=x, mode="clip")
                np.take(self._t, chosen, axis=0, out=t, mode="clip")
                yield x, t
