"""Doctor: a report on the machine's facts that speed and accuracy depend on. It changes no setting.

processor     name, cores and vector instructions of the processor, and the kernels that it can run
blas          NumPy's BLAS and the speed of its products, measured in separate processes
processes     the environment and the command of such a process
extras        optional packages, and the versions that are installed
report        everything, as text and as JSON
command       `manualnn doctor`
"""

__all__: list[str] = []  # import public names from the modules
