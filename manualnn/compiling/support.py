"""What compiled code calls: addresses as pointers, and the test for finite numbers.

A compiled function gets the addresses of its arrays in one array, because Numba takes 0.1 µs for
each array that it gets as an argument, and a step works on dozens.
"""

from typing import Any

from numba import njit, types
from numba.extending import intrinsic


@intrinsic
def pointer(_: Any, address: Any, dtype: Any) -> Any:
    """Return a pointer to the numbers of a dtype at an address."""
    kind: Any = types.CPointer(dtype.instance_type)  # type: ignore[no-untyped-call]

    def generate(context: Any, builder: Any, _: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(address, dtype), generate


@njit(fastmath={"reassoc"})  # in any order, so in vectors
def is_finite(x: Any, n: int, zero: Any) -> Any:
    """Return True if none of n numbers is infinite or NaN: each times 0 is 0."""
    total = zero
    for i in range(n):
        total += x[i] * zero
    return total == zero
