"""Known bugs of the Linear layer and of the backward pass."""

from manualnn.oracle.bugs.backward import (
    constants,
    forward,
    last_layer,
    linear,
    loops,
    products,
    sizes,
)

TABLES = (linear, last_layer, forward, constants, loops, products, sizes)
