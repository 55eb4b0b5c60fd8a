"""Functions compiled by Numba, which caches them on disk for later processes.

run = CompiledKernel(kernel)
run()                               the kernel, on its arrays
run = run.on(arrays)                the same on other arrays, of the same shapes and layouts
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from manualnn.compiling.source import Kernel, compile_calls
from manualnn.elementary import Array
from manualnn.errors import MissingExtraError
from manualnn.output.files import write_whole
from manualnn.tracing import Call

Function = Callable[..., Any]

HEAD = '''"""A part of a training step, written by manualnn from its NumPy calls."""

import numpy as np
from numba import njit

from manualnn.compiling.support import is_finite, pointer

T = np.{dtype}
ZERO, ONE, INFINITY = T(0), T(1), T(np.inf)


@njit(error_model="numpy", cache=True)
'''
"""The beginning of a compiled module. A division by zero gives an infinity, as in NumPy."""

RUN = """

@njit(error_model="numpy", cache=True)
def run(addresses, sizes):
    kernel({arguments})
"""


def module_of(kernel: Kernel) -> str:
    """Return the source of a module with a kernel, and with `run`, which finds its memory."""
    arrays = [f"pointer(addresses[{i}], T)" for i in range(len(kernel.arrays))]
    sizes = [f"sizes[{i}]" for i in range(len(kernel.sizes))]
    arguments = ", ".join(arrays + sizes)
    return HEAD.format(dtype=kernel.dtype.name) + kernel.source + RUN.format(arguments=arguments)


def cache_folder() -> Path:
    """Return the folder of compiled code: MANUALNN_CACHE, or one in the user's cache folder."""
    if folder := os.environ.get("MANUALNN_CACHE"):
        return Path(folder)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "manualnn"


def require_numba() -> None:
    """Raise MissingExtraError if Numba is not installed."""
    if importlib.util.find_spec("numba") is None:
        message = (
            "compile=True needs Numba, which is not installed; pip install 'manualnn[fast]', or "
            "leave compile out."
        )
        raise MissingExtraError(message)


@cache
def compiled(source: str) -> Function:
    """Return the function `run` of a module, which is kept on disk with what Numba makes of it.

    Where the folder cannot be written, the code is compiled for this process alone.
    """
    require_numba()
    name = "step_" + hashlib.sha256(source.encode()).hexdigest()[:20]
    path, content = cache_folder() / f"{name}.py", source.encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Numba compares the time of the file, so an equal one is left alone.
        if not path.exists() or path.read_bytes() != content:
            write_whole(path, content)
    except OSError:
        namespace: dict[str, Any] = {"__name__": name}
        exec(compile(source.replace(", cache=True", ""), name, "exec"), namespace)  # noqa: S102
        return cast("Function", namespace["run"])
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Numba looks for it there
    spec.loader.exec_module(module)
    return cast("Function", module.run)


class CompiledKernel:
    """A kernel, compiled, on its arrays, which are its `args`."""

    def __init__(self, kernel: Kernel) -> None:
        self.source = kernel.source
        self.args = kernel.arrays
        self._sizes = np.array(kernel.sizes, np.intp)
        self._addresses = np.array([array.ctypes.data for array in self.args], np.uintp)
        self._run = compiled(module_of(kernel))

    def on(self, args: Sequence[Array]) -> "CompiledKernel":
        """Work on other arrays of the same shapes and layouts from now on; return self."""
        self.args = list(args)
        self._addresses[:] = [array.ctypes.data for array in args]
        return self

    def prepare(self) -> "CompiledKernel":
        """Return the callable to repeat, as a `Call` does."""
        return self

    def __call__(self) -> None:
        """Run the kernel."""
        self._run(self._addresses, self._sizes)


def compile_step(calls: Sequence[Call], kept: Sequence[Array]) -> list[Call | CompiledKernel]:
    """Return calls and compiled kernels that do the same as the calls; see `compile_calls`."""
    parts = compile_calls(calls, kept[0].dtype, kept)
    return [CompiledKernel(part) if isinstance(part, Kernel) else part for part in parts]
