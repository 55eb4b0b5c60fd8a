"""Composites: one engine that has several known bugs at once.

    compose(first, second)        an engine class with the bugs of both
    compose(first, second)()      an engine; dtype as for every Textbook
    restrict(engine, specs)       the engine, with its bug in parts of these descriptions alone

The classes of the first engine are made again on top of the second one. In their functions, each
use of Textbook becomes a use of the second engine: as a global name, in a closure, as a default, or
as a method that was taken from Textbook. So `Textbook.linear(e, o, x)` of the first bug computes
the second bug's line. If both bugs replace the same line and the first one ignores the other, the
first one wins; therefore compose(first, second) and compose(second, first) may differ.

Two bugs may have constants of the same name, such as `eps`. Then each method finds those of its own
bug: they are attributes of the instance while the method runs.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from types import CellType, CodeType, FunctionType
from typing import Any

from manualnn.oracle.protocol.case import Case, Spec
from manualnn.oracle.protocol.features import Options, options_of
from manualnn.oracle.textbook.engine import Textbook

Engine = type[Textbook]

HERE = "manualnn.oracle.bugs"
"""Functions of these modules may use Textbook."""
_METHODS = {
    id(value): name
    for name in dir(Textbook)
    if isinstance(value := getattr(Textbook, name), FunctionType)
}


def compose(first: Engine, second: Engine) -> Engine:
    """Return an engine with the bugs of both."""
    both: tuple[Any, Any] = (first, second)
    return first if second is Textbook else _composite(*both)


@functools.lru_cache(maxsize=4096)
def _composite(first: Any, second: Any) -> Engine:
    shared = _constants(first).keys() & _constants(second).keys()
    if shared:
        second = _rebuilt(second, Textbook, frozenset(shared))
    return _rebuilt(first, second, frozenset(shared))


def restrict(engine: Engine, specs: Sequence[Spec]) -> Engine:
    """Return an engine with a bug only in layers, losses or optimizers that have these options.

    A method that gets no options has the bug if the case has such a part.
    """

    def is_meant(o: Options) -> bool:
        return any(all(vars(o).get(k) == v for k, v in spec.items()) for spec in specs)

    def applies(e: Textbook, given: tuple[Any, ...]) -> bool:
        if given and hasattr(given[0], "type"):
            return is_meant(given[0])
        case = given[0] if given and isinstance(given[0], Case) else e.case
        return any(is_meant(options_of(spec)) for _, spec in case.parts())

    def chosen(name: str) -> Callable[..., Any]:
        wrong, right = getattr(engine, name), getattr(Textbook, name)
        return lambda e, *given, **named: (wrong if applies(e, given) else right)(
            e, *given, **named
        )

    methods = {name for cls in _own_classes(engine) for name in vars(cls)}
    replaced = {
        name: chosen(name)
        for name in methods - {"__init__"}
        if isinstance(getattr(Textbook, name, None), FunctionType)
    }
    return type(engine.__name__, (engine,), replaced)


def _own_classes(engine: Engine) -> list[type]:
    """Return the classes of an engine that are not those of Textbook."""
    return [cls for cls in engine.__mro__ if cls not in Textbook.__mro__]


def _constants(engine: Engine) -> dict[str, Any]:
    """Return the attributes that are neither methods nor those of Textbook."""
    found: dict[str, Any] = {}
    for cls in reversed(_own_classes(engine)):
        found |= {
            name: value
            for name, value in vars(cls).items()
            if not (name.startswith("__") or name == "constants")
            and not (_is_method(value) or hasattr(Textbook, name))
        }
    return found


def _is_method(value: Any) -> bool:
    return callable(value) or isinstance(value, classmethod | staticmethod | property)


def _rebuilt(engine: Engine, base: Engine, private: frozenset[str]) -> Engine:
    """Return the classes of an engine on top of another one; `private` are names of constants."""
    own = {name: value for name, value in _constants(engine).items() if name in private}
    rebinding = _Rebinding(base)
    for cls in reversed(_own_classes(engine)):
        base = type(cls.__name__, (base,), {"__module__": cls.__module__})
        rebinding.classes[cls] = base
        for name, value in vars(cls).items():
            if name in {"__module__", "__dict__", "__weakref__", "__doc__"} or name in private:
                continue
            changed = rebinding.of(value)
            if own and isinstance(changed, FunctionType):
                changed = _with_constants(changed, own)
            setattr(base, name, changed)
    return base


def _with_constants(method: Callable[..., Any], constants: dict[str, Any]) -> Callable[..., Any]:
    """Return a method during which the instance has these attributes."""

    @functools.wraps(method)
    def call(e: Any, *given: Any, **named: Any) -> Any:
        before = {name: vars(e)[name] for name in constants if name in vars(e)}
        vars(e).update(constants)
        try:
            return method(e, *given, **named)
        finally:
            for name in constants:
                vars(e).pop(name, None)
            vars(e).update(before)

    return call


class _Rebinding:
    """Copies functions so that they use another engine in place of Textbook."""

    def __init__(self, base: Engine) -> None:
        self.base = base
        self.classes: dict[Any, type] = {Textbook: base}
        self.known: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        """Return a value that uses the other engine; the same value if it uses none."""
        if isinstance(value, type):
            return self.classes.get(value, value)
        if isinstance(value, classmethod | staticmethod):
            return type(value)(self.of(value.__func__))
        if isinstance(value, functools.partial):
            return functools.partial(self.of(value.func), *value.args, **value.keywords)
        if id(value) in _METHODS:
            return getattr(self.base, _METHODS[id(value)])
        if not isinstance(value, FunctionType) or not value.__module__.startswith(HERE):
            return value
        if id(value) not in self.known:
            self.known[id(value)] = value  # A function that calls itself finds itself here.
            self.known[id(value)] = self._copy(value)
        return self.known[id(value)]

    def _copy(self, function: FunctionType) -> FunctionType:
        space = function.__globals__
        used = {name: space[name] for name in _names(function.__code__) if name in space}
        changed = {name: new for name, old in used.items() if (new := self.of(old)) is not old}
        cells = function.__closure__ or ()
        contents = [self.of(cell.cell_contents) for cell in cells]
        defaults = tuple(map(self.of, function.__defaults__ or ()))
        copied = FunctionType(
            function.__code__,
            {**space, **changed} if changed else space,
            function.__name__,
            defaults or None,
            tuple(map(CellType, contents)) or None,
        )
        copied.__kwdefaults__ = {k: self.of(v) for k, v in (function.__kwdefaults__ or {}).items()}
        copied.__module__ = function.__module__
        return copied


def _names(code: CodeType) -> Iterator[str]:
    """Yield the global names and attributes that a code uses, also in the functions inside."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
