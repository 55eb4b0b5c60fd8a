"""The adapter for a function: which framework it belongs to, and what it takes.

    find_function(f, inputs, vjp=…)    a `Function`; raises GradcheckError

Nothing is imported that the function does not need.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import numpy as np

from manualnn.gradcheck.functions.arguments import Arguments
from manualnn.gradcheck.functions.base import Function, GradcheckError, Slot, name_of
from manualnn.gradcheck.functions.numpy_pair import NumpyPair
from manualnn.gradcheck.functions.program import Program
from manualnn.gradcheck.inputs.read import read_inputs
from manualnn.oracle.engines.client import ATTRIBUTE
from manualnn.oracle.engines.faults import EngineError
from manualnn.oracle.engines.in_process import load_target

_ROOTS = {"torch": "torch", "jax": "jax", "jaxlib": "jax", "flax": "jax", "triton": "torch"}
"""Packages, and the framework of a function that uses them."""
DEPTH = 4
"""How many functions, one called by the other, are searched for a framework."""


def find_function(
    f: Any,
    inputs: Sequence[Any],
    *,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
    framework: str | None = None,
) -> Function:
    """Return a function with the adapter of its framework.

    `f` is a callable, "module:attribute", "file.py:attribute", or a command line. Slots are in the
    order of `list_entries(inputs)`; the parameters of a module follow. Raises GradcheckError if f
    cannot be called, or if its framework is unknown or not installed.
    """
    f = _load(f)
    if framework is None:
        framework = _find_framework(f, inputs, vjp)
    if framework not in _ADAPTERS:
        raise GradcheckError(
            f"framework is {framework!r}; it has to be one of {', '.join(_ADAPTERS)}."
        )
    if isinstance(f, str) != (framework == "program"):
        raise GradcheckError(
            f"framework is {framework!r}, and the function is {f!r}; only a program is given by "
            "a command line."
        )
    if framework != "program" and not callable(f):
        raise GradcheckError(f"{f!r} cannot be called; give a function.")
    if framework != "numpy" and vjp is not None:
        raise GradcheckError(
            f"vjp is for NumPy; the gradient of a {framework} function is its own. Leave it out."
        )
    function = _ADAPTERS[framework](f, inputs, dict(options or {}), vjp, jvp)
    if not any(slot.is_differentiable for slot in function.inputs):
        raise GradcheckError(
            f"none of the inputs of {function.name} has a derivative; give an Array of real "
            "numbers, or an example that is an array of floating-point numbers."
        )
    return function


def _adapt_numpy(f: Any, inputs: Any, options: dict[str, Any], vjp: Any, jvp: Any) -> Function:
    if vjp is None:
        raise GradcheckError(
            f"{name_of(f)} does not show that it uses torch or JAX, and has no vjp. Give "
            'framework="torch" or framework="jax"; or, for NumPy, vjp=backward with '
            "backward(arrays, dy)."
        )
    arguments, slots = _read(inputs, f)
    return NumpyPair(f, arguments, slots, options, vjp=vjp, jvp=jvp)


def _adapt_torch(f: Any, inputs: Any, options: dict[str, Any], *_: Any) -> Function:
    torch_function = _require("torch")
    f = torch_function.resolve(f)
    arguments, slots = _read(inputs, torch_function.described(f))
    return cast("Function", torch_function.adapt(f, arguments, slots, options))


def _adapt_jax(f: Any, inputs: Any, options: dict[str, Any], *_: Any) -> Function:
    arguments, slots = _read(inputs, f)
    return cast("Function", _require("jax").adapt(f, arguments, slots, options))


def _adapt_program(f: str, inputs: Any, options: dict[str, Any], *_: Any) -> Function:
    return Program(f, _read(inputs, None)[1], options)


def _require(framework: str) -> Any:
    """Return the module of an adapter; raises GradcheckError if its framework is missing."""
    try:
        return import_module(f"manualnn.gradcheck.functions.{framework}_function")
    except ModuleNotFoundError as error:
        raise GradcheckError(
            f"the function needs {error.name}, which is not installed; pip install {framework}."
        ) from error


def _read(inputs: Sequence[Any], f: Any) -> tuple[Arguments, list[Slot]]:
    """Return the arguments of a call, and the slots of the arrays among them."""
    arguments = Arguments(inputs, f)
    specs = read_inputs(arguments.entries)
    slots = [
        Slot(name, spec.is_differentiable, spec.dtype)
        for name, spec in zip(arguments.names, specs, strict=True)
    ]
    return arguments, slots


def _load(f: Any) -> Any:
    """Return the attribute that a string names; a command line and other things as they are."""
    if not isinstance(f, str) or not ATTRIBUTE.fullmatch(f):
        return f
    try:
        return load_target(f)
    except EngineError as error:
        raise GradcheckError(str(error)) from error


def _find_framework(f: Any, inputs: Any, vjp: Any) -> str:
    if isinstance(f, str):
        return "program"
    if vjp is not None:
        return "numpy"
    entries = inputs if isinstance(inputs, list | tuple) else [inputs]
    found = (
        _frameworks_of(f, DEPTH, set())
        or {root for entry in entries for root in _frameworks_of(type(entry), 0, set())}
        or _frameworks_beside(f)
    )
    if len(found) > 1:
        raise GradcheckError(
            f"{name_of(f)} uses {' and '.join(sorted(found))}; say which one differentiates it by "
            "framework=."
        )
    return found.pop() if found else "numpy"


def _frameworks_of(f: Any, depth: int, seen: set[int]) -> set[str]:
    """Return the frameworks of an object: by its name, its class, or what its code uses."""
    if id(f) in seen:
        return set()
    seen.add(id(f))
    owners = f.__mro__ if isinstance(f, type) else type(f).__mro__
    home = getattr(f, "__globals__", {}).get("__name__")  # of a wrapper that takes another's name
    names = [getattr(f, "__module__", None), getattr(f, "__name__", None), home]
    found = _named([*names, *(owner.__module__ for owner in owners)])
    if found or not depth or isinstance(f, ModuleType):
        return found
    return {name for part in _parts_of(f) for name in _frameworks_of(part, depth - 1, seen)}


def _parts_of(f: Any) -> Iterator[Any]:
    """Yield what a callable is made of: its owner, its attributes, and what its code names."""
    for name in ("func", "__self__", "__objclass__", "__wrapped__"):
        yield getattr(f, name, None)
    if isinstance(f, FunctionType):
        yield from _used_by(f)
    elif not isinstance(f, type):
        yield from getattr(f, "__dict__", {}).values()
        yield getattr(f, "__func__", None) or vars(type(f)).get("__call__")


def _used_by(f: FunctionType) -> Iterator[Any]:
    """Yield annotations, and the globals and the closed-over variables that the code names."""
    yield from f.__annotations__.values()
    for cell in f.__closure__ or ():
        with suppress(ValueError):  # not assigned yet
            yield cell.cell_contents
    for name in set(_names_in(f.__code__)):
        if name in f.__globals__:
            yield f.__globals__[name]
        elif name in _ROOTS and name in sys.modules:  # imported within the function
            yield sys.modules[name]


def _frameworks_beside(f: Any) -> set[str]:
    """Return the framework that the module of a function has imported, if it is one alone."""
    code = inspect.unwrap(f)
    names = getattr(code, "__globals__", {}).values()
    found = _named([part.__name__ for part in names if isinstance(part, ModuleType)])
    is_numpy = isinstance(code, FunctionType) and any(part is np for part in _used_by(code))
    return set() if is_numpy or len(found) > 1 else found


def _named(names: Iterable[Any]) -> set[str]:
    roots = (name.partition(".")[0] for name in names if isinstance(name, str))
    return {_ROOTS[root] for root in roots if root in _ROOTS}


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


_ADAPTERS: dict[str, Callable[..., Function]] = {
    "numpy": _adapt_numpy,
    "torch": _adapt_torch,
    "jax": _adapt_jax,
    "program": _adapt_program,
}
