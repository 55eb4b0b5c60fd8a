"""The row of every loss: its options, its properties, and its formula if it is a sum of terms.

A loss whose terms are stated here is complete with its row, as an elementwise layer is. Any other
loss has entries in textbook/losses.py, truth/losses.py, tests/oracle/exactly.py and tests/proofs.py
as well.
"""

from manualnn.oracle.protocol.losses import classification, likelihood, margin, regression

ROWS = (*regression.ROWS, *classification.ROWS, *likelihood.ROWS, *margin.ROWS)
