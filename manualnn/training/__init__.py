"""Training of a network: the loop, one step and its plan, the batches, and the progress bar."""
