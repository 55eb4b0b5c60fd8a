"""Portable random numbers: the same on every machine, with every version of NumPy.

    rng = PortableRandom(0, 7)              one stream for every key of integers
    rng.standard_normal((3, 2)), rng.integers(5), rng.choice(["a", "b"], 4), …

NumPy guarantees the bits of PCG64 for every version, but not the numbers that `Generator` makes of
them. This class makes its numbers by exact operations (integers, division by powers of two) and by
single operations of IEEE arithmetic. It has the methods of `Generator` that the recipes use.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Size = int | Sequence[int] | None


class PortableRandom:
    """Portable replacement of `numpy.random.Generator`."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def random(self, size: Size = None) -> Any:
        """Return uniform numbers in [0, 1), multiples of 2⁻⁵³."""
        return _shaped((self._raw(size) >> np.uint64(11)) * 2.0**-53, size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Size = None) -> Any:
        """Return uniform numbers in [low, high)."""
        return low + (high - low) * self.random(size)

    def standard_normal(self, size: Size = None) -> Any:
        """Return sums of twelve uniform numbers, less 6: multiples of 2⁻²⁴ with tails to ±6."""
        terms = (self._raw(size, 12) >> np.uint64(40)).astype(np.int64).reshape(-1, 12)
        return _shaped((terms.sum(axis=1) - 6 * 2**24) * 2.0**-24, size)

    def integers(self, low: int, high: int | None = None, size: Size = None) -> Any:
        """Return integers of [low, high), or of [0, low) if high is not given."""
        first, last = (0, low) if high is None else (low, high)
        drawn = (self._raw(size) % np.uint64(last - first)).astype(np.int64) + int(first)
        return _shaped(drawn, size)

    def permutation(self, n: int) -> Array:
        """Return the integers below n in random order."""
        # A stable sort, because two equal 64-bit numbers must keep their order everywhere.
        return np.argsort(self._raw(n), kind="stable")

    def choice(self, values: Sequence[Any], size: Size = None) -> Any:
        """Return random entries of a sequence."""
        return np.asarray(values)[self.integers(len(values), size=size)]

    def _raw(self, size: Size, each: int = 1) -> NDArray[np.uint64]:
        count = 1 if size is None else size if isinstance(size, int) else prod(size)
        return np.asarray(self._bits.random_raw(each * count))


def _shaped(array: Array, size: Size) -> Any:
    return array[0] if size is None else array.reshape(size)
