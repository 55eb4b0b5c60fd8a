"""Compiled steps without Numba: the same source code, run by Python.

Numba takes a second for each kernel, so that thousands of random networks are out of reach. What it
is given is judged here, and a few networks are compiled in test_compiled.py.
"""

import ctypes
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from manualnn.compiling import compiled, update

Array = np.ndarray[Any, Any]


MOST = 10_000
"""Entries that a pointer can reach; no array of these tests is as long."""


def _pointer(address: int, dtype: Any) -> Array:
    memory = (ctypes.c_char * (MOST * np.dtype(dtype).itemsize)).from_address(int(address))
    return np.frombuffer(memory, dtype)


def _njit(*args: Any, **_: Any) -> Any:
    return args[0] if args else lambda function: function


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(names)
    return module


STAND_INS = {
    "numba": _module("numba", njit=_njit),
    "manualnn.compiling.support": _module(
        "support", pointer=_pointer, is_finite=lambda x, n, _: bool(np.isfinite(x[:n]).all())
    ),
}


@cache
def _interpreted(source: str) -> Any:
    real = {name: sys.modules.get(name) for name in STAND_INS}
    sys.modules.update(STAND_INS)
    namespace: dict[str, Any] = {}
    try:
        exec(source, namespace)  # noqa: S102 - it is what Numba would compile
    finally:
        for name, module in real.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return namespace["run"]


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let trainers run the source of their compiled steps by Python, without Numba."""
    monkeypatch.setattr(compiled, "compiled", _interpreted)
    monkeypatch.setattr(update, "compiled", _interpreted)
    monkeypatch.setattr(compiled, "require_numba", lambda: None)
    with np.errstate(all="ignore"):
        yield
