"""The training loop, its planned step, its batches and its progress bar."""
