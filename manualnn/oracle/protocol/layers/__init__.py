"""The row of every layer: its options, its properties, and the formula of an elementwise one.

An elementwise layer is complete with its row: the textbook engine, the truth and its error bound,
the exact values, the proofs and the check of paths follow from its statement. Any other layer has
entries in textbook/layers.py, truth/layers.py, tests/oracle/exactly.py and tests/proofs.py as well.
"""

from manualnn.oracle.protocol.layers import (
    exponential,
    gated,
    hard,
    normalization,
    partners,
    rows,
    shrinks,
    smooth,
    structure,
)

ROWS = (
    *partners.ROWS,
    *smooth.ROWS,
    *exponential.ROWS,
    *structure.ROWS,
    *gated.ROWS,
    *normalization.ROWS,
    *rows.ROWS,
    *hard.ROWS,
    *shrinks.ROWS,
)
