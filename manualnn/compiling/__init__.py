"""Training steps compiled by Numba: the recorded NumPy calls of a step, as loops."""
