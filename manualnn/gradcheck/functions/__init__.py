"""Functions of NumPy, torch, JAX and other programs, called the same way."""
