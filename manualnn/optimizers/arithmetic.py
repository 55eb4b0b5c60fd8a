"""Arithmetic of the update rules: options as NumPy numbers, moving averages, scratch vectors."""

import threading
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np

from manualnn.elementary import Array

Number = Callable[[Any], Any]


@cache
def numbers_of(dtype: str) -> Number:
    """Return a function that makes an array without dimensions of a number, and caches it.

    NumPy multiplies by such an array in half the time that a Python number takes.
    """
    if dtype == "O":
        return lambda value: value

    @lru_cache(maxsize=32)
    def number(value: Any) -> Array:
        array = np.array(value, dtype)
        array.flags.writeable = False
        return array

    return number


def update_average(
    average: Array, g: Array, beta: Any, scratch: Array, number: Number, *, of_square: bool = False
) -> None:
    """Compute average ← β average + (1 − β) g in place, or the same with g²."""
    np.multiply(average, number(beta), average)
    np.multiply(g, number(1 - beta), scratch)
    if of_square:
        np.multiply(scratch, g, scratch)  # g² alone would overflow sooner
    np.add(average, scratch, average)


_cache = threading.local()


def scratch_vectors(count: int, size: int, like: Array) -> list[Array]:
    """Return vectors to write to: those that this thread returned last, or new ones.

    Until `return_scratch_vectors` they belong to the caller, because a rule may call another rule.
    """
    last: list[Array] = vars(_cache).pop("scratch", [])
    if len(last) == count and last[0].size == size and last[0].dtype == like.dtype:
        return last
    return list(np.empty((count, size), like.dtype))


def return_scratch_vectors(vectors: list[Array]) -> None:
    """Let the next update of this thread use these vectors."""
    _cache.scratch = vectors
