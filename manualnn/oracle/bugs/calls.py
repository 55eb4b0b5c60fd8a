"""Methods of the textbook engine: those that a bug replaces, and those that a feature calls.

    replaced_methods(bug.engines)       {"adam_square"}
    called_methods("radam")             {"radam", "adam_square", "average", …}

An engine's author may copy a bug with the lines of Adam into RAdam, which calls them.
"""

from collections.abc import Iterable
from functools import cache
from types import CodeType, FunctionType

from manualnn.oracle.textbook.engine import Textbook


def replaced_methods(engines: Iterable[type[Textbook]]) -> set[str]:
    """Return the names of the methods of Textbook that some engine replaces."""
    return {
        name
        for engine in engines
        for ancestor in engine.__mro__[: engine.__mro__.index(Textbook)]
        for name in vars(ancestor)
        if callable(getattr(Textbook, name, None)) and not name.startswith("__")
    }


@cache
def called_methods(method: str) -> frozenset[str]:
    """Return the methods of Textbook that a feature may call, by the first part of its methods.

    A feature has the methods of another one if its own code names them, as RAdam's names Adam's.
    """
    calls, found = _calls(), set[str]()
    waiting = [name for name in calls if f"{name}_".startswith(f"{method}_")]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += calls[name]
    return frozenset(found)


@cache
def _calls() -> dict[str, set[str]]:
    """Return the names of methods that the code of each method of Textbook holds."""
    every = [
        (name, method.__code__)
        for ancestor in Textbook.__mro__
        for name, method in vars(ancestor).items()
        if isinstance(method, FunctionType)
    ]
    methods = {name for name, _ in every}
    calls: dict[str, set[str]] = {name: set() for name in methods}
    for name, code in every:
        calls[name] |= methods & _names(code)
    return calls


def _names(code: CodeType) -> set[str]:
    inside = [part for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*map(_names, inside))
