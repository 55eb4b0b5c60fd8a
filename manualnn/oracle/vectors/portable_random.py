"""Random numbers that are the same everywhere: for what is compared byte by byte.

    rng = Steady(0, 7)                      a stream of its own for every key of integers
    rng.normal(size=(3, 2)), rng.integers(5), rng.choice(["a", "b"]), …

NumPy promises the bits of its PCG64 for every version, but not what its `Generator` makes of them.
Here that is integers and divisions by powers of two, which are exact, and single operations of
IEEE arithmetic. The methods have `Generator`'s names and signatures; one that is not here has not
been needed. `normal` adds twelve uniform numbers: its tails end at ±6.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Size = int | Sequence[int] | None


class Steady:
    """A stand-in for `numpy.random.Generator`."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def random(self, size: Size = None) -> Any:
        """Return uniform numbers in [0, 1), multiples of 2⁻⁵³."""
        return _shaped((self._raw(_count(size)) >> np.uint64(11)) * 2.0**-53, size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Size = None) -> Any:
        """Return uniform numbers in [low, high)."""
        return low + (high - low) * self.random(size)

    def standard_normal(self, size: Size = None) -> Any:
        """Return numbers of mean 0 and variance 1, multiples of 2⁻²⁴."""
        terms = (self._raw(12 * _count(size)) >> np.uint64(40)).astype(np.int64).reshape(-1, 12)
        return _shaped((terms.sum(axis=1) - 6 * 2**24) * 2.0**-24, size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Size = None) -> Any:
        """Return numbers of that mean and standard deviation."""
        return loc + scale * self.standard_normal(size)

    def integers(
        self, low: int, high: int | None = None, size: Size = None, *, endpoint: bool = False
    ) -> Any:
        """Return integers of [low, high), of [0, low) without high."""
        first, last = (0, low) if high is None else (low, high)
        span = int(last) - int(first) + endpoint
        drawn = (self._raw(_count(size)) % np.uint64(span)).astype(np.int64) + int(first)
        return _shaped(drawn, size)

    def permutation(self, x: Any) -> Array:
        """Return a sequence, or range(x), in another order."""
        entries = np.arange(x) if isinstance(x, (int, np.integer)) else np.array(x)
        # Ties among 64 bits keep their order: argsort is stable.
        return entries[np.argsort(self._raw(len(entries)), kind="stable")]

    def shuffle(self, x: Any) -> None:
        """Bring a sequence into another order."""
        order = self.permutation(len(x)).tolist()
        x[:] = [x[i] for i in order]

    def choice(
        self, a: Any, size: Size = None, *, replace: bool = True, p: Sequence[float] | None = None
    ) -> Any:
        """Return entries of a sequence, or of range(a)."""
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
