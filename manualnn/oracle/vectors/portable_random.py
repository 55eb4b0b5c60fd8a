"""Portable random numbers: the same on every machine, with every version of NumPy.

    rng = PortableRandom(0, 7)              one stream for every key of integers
    rng.normal(size=(3, 2)), rng.integers(5), rng.choice(["a", "b"]), …

NumPy guarantees the bits of PCG64 for every version, but not the numbers that `Generator` makes of
them. This class makes its numbers by exact operations (integers, division by powers of two) and by
single operations of IEEE arithmetic. The methods have the names and signatures of `Generator`, as
far as the recipes use them. `normal` adds twelve uniform numbers, so its tails end at ±6.
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
        return _shaped((self._raw(_count(size)) >> np.uint64(11)) * 2.0**-53, size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Size = None) -> Any:
        """Return uniform numbers in [low, high)."""
        return low + (high - low) * self.random(size)

    def standard_normal(self, size: Size = None) -> Any:
        """Return nearly normal numbers of mean 0 and variance 1, multiples of 2⁻²⁴."""
        terms = (self._raw(12 * _count(size)) >> np.uint64(40)).astype(np.int64).reshape(-1, 12)
        return _shaped((terms.sum(axis=1) - 6 * 2**24) * 2.0**-24, size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Size = None) -> Any:
        """Return nearly normal numbers of mean `loc` and standard deviation `scale`."""
        return loc + scale * self.standard_normal(size)

    def integers(
        self, low: int, high: int | None = None, size: Size = None, *, endpoint: bool = False
    ) -> Any:
        """Return integers of [low, high), or of [0, low) if high is not given."""
        first, last = (0, low) if high is None else (low, high)
        span = int(last) - int(first) + endpoint
        drawn = (self._raw(_count(size)) % np.uint64(span)).astype(np.int64) + int(first)
        return _shaped(drawn, size)

    def permutation(self, x: Any) -> Array:
        """Return a copy of a sequence, or of range(x), in random order."""
        entries = np.arange(x) if isinstance(x, (int, np.integer)) else np.array(x)
        # A stable sort, because two equal 64-bit numbers must keep their order everywhere.
        return entries[np.argsort(self._raw(len(entries)), kind="stable")]

    def shuffle(self, x: Any) -> None:
        """Shuffle a sequence in place."""
        order = self.permutation(len(x)).tolist()
        x[:] = [x[i] for i in order]

    def choice(
        self, a: Any, size: Size = None, *, replace: bool = True, p: Sequence[float] | None = None
    ) -> Any:
        """Return random entries of a sequence, or of range(a)."""
        entries = np.arange(a) if isinstance(a, (int, np.integer)) else np.asarray(a)
        if not replace:
            return _shaped(self.permutation(entries)[: _count(size)], size)
        if p is None:
            return entries[self.integers(len(entries), size=size)]
        ends = np.cumsum(p)
        return entries[np.searchsorted(ends[:-1], self.random(size), side="right")]

    def _raw(self, count: int) -> NDArray[np.uint64]:
        return np.asarray(self._bits.random_raw(count))


def _count(size: Size) -> int:
    return 1 if size is None else size if isinstance(size, int) else prod(size)


def _shaped(array: Array, size: Size) -> Any:
    return array[0] if size is None else array.reshape(size)
