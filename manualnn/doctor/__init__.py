"""What speed and accuracy depend on here, measured; it tells, and changes nothing.

processor     its name, cores and vector instructions, and the kernels that it can run
blas          NumPy's BLAS, and what its products reach, in processes of their own
extras        which optional packages are installed
report        all of it, as text and as JSON
command       `manualnn doctor`
"""

__all__: list[str] = []  # its modules have the names
