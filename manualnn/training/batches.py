"""Going through the samples in batches."""

from collections.abc import Iterator

import numpy as np

from manualnn.elementary import Array
from manualnn.validation import require_count


class Batches:
    """The batches of an epoch, in a new order on each pass. The next batch overwrites the last."""

    def __init__(
        self, x: Array, t: Array, batch_size: int | None, rng: "np.random.Generator | None"
    ) -> None:
        if batch_size is not None:
            require_count("batch_size", batch_size, 1)
        self._size = min(batch_size or len(x), len(x))
        self._x, self._t = x, t
        # The order means nothing to a step on all samples.
        self._rng = rng if self._size < len(x) else None
        if self._rng:
            room = [np.empty((self._size, *a.shape[1:]), a.dtype) for a in (x, t)]
            # The very same arrays each time: a step that is planned for them is soonest made.
            self._rooms = {n: [a[:n] for a in room] for n in (self._size, len(x) % self._size) if n}

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        n, size = len(self._x), self._size
        order = self._rng.permutation(n) if self._rng else None
        for start in range(0, n, size):
            part = slice(start, min(start + size, n))
            if order is None:
                yield self._x[part], self._t[part]
            else:
                chosen = order[part]
                x, t = self._rooms[len(chosen)]
                # mode="clip" lets take write straight into out; the indices are in range.
                np.take(self._x, chosen, axis=0, out=x, mode="clip")
                np.take(self._t, chosen, axis=0, out=t, mode="clip")
                yield x, t
