"""Arguments of a call: which of them are arrays, their names, and the rest, which stays fixed.

    arguments = Arguments(inputs, f)
    arguments.entries                  the inputs that are arrays, one after the other
    arguments.fill(arrays)             the positional arguments of a call

An entry of `inputs` may be a nest of lists, tuples and mappings, such as the parameters of a JAX
function. Its arrays are inputs of their own. What is no array, such as None, a flag or a string,
is passed as it is. A Python number is so as well, unless there is no array among the inputs.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Fill = Callable[[list[Any]], Any]


def list_entries(inputs: Any) -> list[Any]:
    """Return the entries of the inputs that are arrays: those that have a slot."""
    return Arguments(inputs).entries


class Arguments:
    """The positional arguments of a function."""

    def __init__(self, inputs: Any, f: Any = None) -> None:
        self.entries: list[Any] = []
        self.names: list[str] = []
        inputs = inputs if isinstance(inputs, list | tuple) else [inputs]
        names = _parameter_names(f, len(inputs))
        if not any(_holds_array(entry) for entry in inputs):
            inputs = [np.float64(e) if isinstance(e, float) else e for e in inputs]
        self._fills = [self._read(e, n) for e, n in zip(inputs, names, strict=True)]

    def fill(self, arrays: Sequence[Any]) -> list[Any]:
        """Return the arguments with the arrays in their places."""
        rest = list(arrays)
        return [fill(rest) for fill in self._fills]

    def _read(self, entry: Any, name: str) -> Fill:
        if not _holds_array(entry):
            return lambda _: entry
        if isinstance(entry, Mapping):
            parts = {key: self._read(part, f"{name}.{key}") for key, part in entry.items()}
            return lambda rest: {key: fill(rest) for key, fill in parts.items()}
        if isinstance(entry, list | tuple):
            fills = [self._read(part, f"{name}[{i}]") for i, part in enumerate(entry)]
            make = type(entry)._make if hasattr(entry, "_make") else type(entry)
            return lambda rest: make([fill(rest) for fill in fills])
        self.entries.append(entry)
        self.names.append(getattr(entry, "name", None) or name)
        return lambda rest: rest.pop(0)


def _holds_array(entry: Any) -> bool:
    if isinstance(entry, Mapping):
        return any(_holds_array(part) for part in entry.values())
    if isinstance(entry, list | tuple):
        return any(_holds_array(part) for part in entry)
    # An Array, an example of NumPy, torch or JAX, or a strategy of Hypothesis.
    marks = ("dtype", "is_differentiable", "flatmap")
    is_random_key = str(getattr(entry, "dtype", "")).startswith("key<")  # of JAX
    has_mark = any(hasattr(entry, mark) for mark in marks)
    return has_mark and not is_random_key and not isinstance(entry, type)


def _parameter_names(f: Any, count: int) -> list[str]:
    """Return the names of the first parameters, with a number where one takes several."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    start = "input" if count == 1 else "input {}"
    return [*names, *(start.format(i + 1) for i in range(len(names), count))][:count]
