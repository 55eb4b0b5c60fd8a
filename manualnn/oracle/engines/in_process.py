"""Engines that are Python objects: loaded, asked, and kept from ending the run.

    InProcess("module:attribute", time_limit)      or a file, a class, a factory, an instance

An exception of the engine's is an "error", with the traceback from its own code on; so is
SystemExit, but not KeyboardInterrupt, which is the user's. Warnings of the engine's are its own
business and are not shown. A call that takes too long is ended by a signal, and a new instance
takes over: this needs the main thread of a POSIX system, and reaches an engine only between two of
its bytecodes. Elsewhere there is no limit.
"""

import copy
import importlib
import importlib.util
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from manualnn.oracle.engines.faults import EngineError, format_position, format_traceback
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case


class InProcess:
    """An engine in this process."""

    def __init__(self, target: Any, time_limit: float) -> None:
        self.name = target if isinstance(target, str) else _name(target)
        self._time_limit = time_limit
        found = _load(target) if isinstance(target, str) else target
        self._make = _factory(self.name, found)
        self._engine: Any = None

    def capabilities(self) -> Any:
        """Return what the engine claims."""
        try:
            with _quiet():
                self._engine = self._make()
                for method in ("capabilities", "step"):
                    _require_method(self.name, self._engine, method)
                return self._engine.capabilities()
        except (KeyboardInterrupt, EngineError):
            raise
        except BaseException as error:
            raise EngineError(
                f"{self.name} raised an error before its first case:\n{format_traceback(error)}\n"
                "See that it can be made without arguments, and that its capabilities() returns."
            ) from error

    def step(self, case: Case, _: Capabilities) -> Outcome:
        """Return what becomes of a case."""
        try:
            with _quiet(), _limited(self._time_limit):
                if self._engine is None:
                    self._engine = self._make()
                result = self._engine.step(case)
        except KeyboardInterrupt:
            raise
        except _TimeUp as error:
            self.fresh()
            place = format_position(error)
            message = f"no result within {self._time_limit:g} s; stopped at\n{place}"
            return Outcome(fault="hang", message=message)
        except BaseException as error:  # noqa: BLE001 - whatever an engine raises is its outcome
            return Outcome(fault="error", message=format_traceback(error))
        if isinstance(result, Mapping) and "skipped" in result:
            return Outcome(skipped=str(result["skipped"]))
        if result is None:
            return Outcome(fault="malformed", message="step returned None: is a return missing?")
        return Outcome(result=result)

    def fresh(self) -> None:
        """Let the next case find a new instance."""
        self._engine = None

    def another(self) -> "InProcess":
        """Return another instance of the engine; the same one, if the target is an instance."""
        other = copy.copy(self)
        other.fresh()
        return other

    def close(self) -> None:
        """Let go of the instance."""
        self._engine = None


class _TimeUp(BaseException):
    """Raised in the engine's code; no Exception, so that it does not catch it by accident."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(_: int, __: FrameType | None) -> None:
        raise _TimeUp

    handler = signal.signal(signal.SIGALRM, ring)
    begin = time.monotonic()
    other, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # even if it rings at this moment
            signal.signal(signal.SIGALRM, handler)
            if other:  # somebody else's alarm, such as a test's time limit
                left = max(other - (time.monotonic() - begin), 1e-6)
                signal.setitimer(signal.ITIMER_REAL, left, interval)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _name(target: Any) -> str:
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}:{named.__qualname__}"


def _factory(name: str, found: Any) -> Callable[[], Any]:
    if not isinstance(found, type) and hasattr(found, "step"):
        return lambda: found
    if not callable(found):
        raise EngineError(
            f"{name} is {found!r}, which is no engine; it has to be an object with capabilities() "
            "and step(case), or a class or function of no arguments that makes one."
        )
    return found


def _require_method(name: str, engine: Any, method: str) -> None:
    if not callable(getattr(engine, method, None)):
        raise EngineError(
            f"{name} makes {type(engine).__qualname__!r} objects, which have no {method}(); an "
            "engine has capabilities() and step(case): `manualnn check --protocol` shows one."
        )


def _load(target: str) -> Any:
    where, _, attribute = target.partition(":")
    module = _file(target, Path(where)) if where.endswith(".py") else _module(target, where)
    found: Any = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            public = [known for known in vars(module) if not known.startswith("_")]
            raise EngineError(
                f"{where} has no {attribute!r}; it has {', '.join(public) or 'nothing public'}."
            )
        found = getattr(found, name)
    return found


def _module(target: str, name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` has it
    with _loading(target):
        return importlib.import_module(name)


def _file(target: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise EngineError(f"{target}: there is no file {path} in {Path.cwd()}.")
    path = path.resolve()
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # for what it imports from beside it
    name = re.sub(r"\W", "_", str(path))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise EngineError(f"{target}: {path} cannot be loaded as a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _loading(target):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _loading(target: str) -> Iterator[None]:
    try:
        with _quiet():
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None
        step = (
            f"Install {error.name}, or run from the directory that holds it."
            if isinstance(error, ModuleNotFoundError) and missing
            else "Import it by itself to see why."
        )
        raise EngineError(
            f"{target} cannot be imported:\n{format_traceback(error)}\n{step}"
        ) from error
