"""Known bugs of the Linear layer and of the backward pass."""

from manualnn.oracle.bugs.backward import linear, loops, products, sizes

TABLES = (linear, loops, products, sizes)
