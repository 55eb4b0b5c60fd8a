"""Known bugs of the Linear layer and of the backward pass."""

from manualnn.oracle.bugs.backward import constants, forward, linear, loops, products, sizes

TABLES = (linear, forward, constants, loops, products, sizes)
