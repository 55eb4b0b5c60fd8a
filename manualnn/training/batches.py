"""Batches of the samples, in a new random order in every epoch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from manualnn.elementary import Array
from manualnn.validation import require_count, require_flag


class Samples(NamedTuple):
    """Inputs x, targets t and weights w of N samples, checked. w is None if all weights are 1."""

    x: Array
    t: Array
    w: Array | None = None

    def cut(self, part: slice) -> "Samples":
        """Return a part of the samples: views."""
        return Samples(self.x[part], self.t[part], self.w if self.w is None else self.w[part])


class Batches:
    """The batches of an epoch, in a new order on each pass. The next batch overwrites the last.

    Parameters
    ----------
    samples : Samples
        Inputs, targets and weights.
    batch_size : int, optional
        Samples in a batch; all of them if None.
    shuffle : bool
        If True, every epoch has a new order. Otherwise the samples stay in their order.

    """

    def __init__(self, samples: Samples, batch_size: int | None, *, shuffle: bool) -> None:
        if batch_size is not None:
            require_count("batch_size", batch_size, 1)
        require_flag("shuffle", shuffle)
        n = len(samples.x)
        self.size = min(batch_size or n, n) or 1  # no samples are no batches
        self.samples = samples
        self.sizes = {self.size, n % self.size} - {0}
        """Number of samples in a batch: of all batches, or of all except the last."""
        # A step on all samples does not depend on their order.
        self.shuffles = bool(shuffle) and self.size < n
        if self.shuffles:
            x, t, w = samples
            full = Samples(self._room(x), self._room(t), None if w is None else self._room(w))
            # The same arrays for every batch of a size, because the step is planned for them.
            self._buffers = {k: full.cut(slice(k)) for k in self.sizes}
            self._arrays = [a for a in samples if a is not None]

    def _room(self, array: Array) -> Array:
        return np.empty((self.size, *array.shape[1:]), array.dtype)

    def draw(self, rng: "np.random.Generator") -> Array | None:
        """Return the order of the samples in the next epoch, or None if they are not shuffled."""
        return rng.permutation(len(self.samples.x)) if self.shuffles else None

    def arrange(self, order: Array | None, first: int = 0) -> Iterator[Samples]:
        """Yield the batches of an epoch, from the batch with the number `first` on."""
        n, size = len(self.samples.x), self.size
        if size == n and first == 0:
            yield self.samples  # the same arrays in every epoch, for which the step is planned
            return
        for start in range(first * size, n, size):
            part = slice(start, min(start + size, n))
            if order is None:
                yield self.samples.cut(part)
            else:
                chosen = order[part]
                batch = self._buffers[len(chosen)]
                for source, target in zip(self._arrays, batch):  # noqa: B905 - w may be None
                    # "clip" lets NumPy write directly to the target; all indices are in range.
                    source.take(chosen, 0, target, "clip")
                yield batch
