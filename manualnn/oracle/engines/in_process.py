"""Engines that are Python objects in this process: loading, calling, and a timeout.

    InProcess("module:attribute", time_limit)      or a file, class, factory or instance

`server` uses it in a process that only the engine has.

An exception of the engine is an "error" outcome with the traceback from the engine's own code on.
That includes SystemExit but not KeyboardInterrupt, which comes from the user. Warnings of the
engine are not shown. A signal ends a call that takes too long, and the next case finds a new
instance. The signal needs the main thread of a POSIX system and reaches an engine only between two
of its bytecodes. Without it, there is no timeout.
"""

import copy
import importlib
import importlib.util
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any
from warnings import catch_warnings

from manualnn.oracle.engines.conventions import (
    accept,
    accept_weight,
    complete,
    copied,
    in_layout,
    read_claims,
)
from manualnn.oracle.engines.examination import Examination, examine
from manualnn.oracle.engines.faults import EngineError, format_position, format_traceback
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case


class InProcess:
    """An engine in this process."""

    def __init__(self, target: Any, time_limit: float) -> None:
        self._time_limit = time_limit
        if isinstance(target, str):
            self.name, found = target, load_target(target)
        else:
            self.name, found = _name_of(target), target
        self._make = _find_factory(self.name, found)
        self._engine: Any = None

    def capabilities(self) -> Capabilities:
        """Return the engine's claims; raises EngineError."""
        return read_claims(self.name, self._claims())

    def _claims(self) -> Any:
        try:
            with catch_warnings(action="ignore"):
                self._engine = engine = self._make()
                _require_methods(self.name, engine)
                return engine.capabilities()
        except (KeyboardInterrupt, EngineError):
            raise
        except BaseException as error:
            raise EngineError(
                f"{self.name} raised an error before its first case:\n{format_traceback(error)}\n"
                "See that it can be made without arguments, and that its capabilities() returns."
            ) from error

    def run(self, case: Case, claims: Capabilities) -> Outcome:
        """Return the outcome of a copy of a case; the result holds copies."""
        seen = in_layout(case, claims)
        return copied(accept(self._step(complete(seen.copy())), seen, claims))

    def init(
        self, spec: Mapping[str, Any], shape: tuple[int, int], seed: int, claims: Capabilities
    ) -> Outcome:
        """Return the outcome of drawing a weight of shape (out, in)."""
        turned = shape[::-1] if claims.weight_layout == "in,out" else shape
        outcome = self._call(lambda engine: engine.init(dict(spec), turned, seed), "init")
        return accept_weight(outcome, shape, claims)

    def examine(
        self, case: Case, claims: Capabilities, layout: str, then: Case | None
    ) -> Examination:
        """Return the examination of a call, and of the next call if there is one."""
        return examine(self._step, case, claims, layout, then)

    def _step(self, case: Case) -> Outcome:
        """Return the outcome of a case, the result as the engine returned it."""
        return self._call(lambda engine: engine.step(case), "step")

    def _call(self, method: Callable[[Any], Any], name: str) -> Outcome:
        """Return the outcome of a method, the result as the engine returned it."""
        try:
            with catch_warnings(action="ignore"), _timeout(self._time_limit):
                if self._engine is None:
                    self._engine = self._make()
                result = method(self._engine)
        except KeyboardInterrupt:
            raise
        except _TimeUp as error:
            self.fresh()
            place = format_position(error)
            message = f"no result within {self._time_limit:g} s; stopped at\n{place}"
            return Outcome(fault="hang", message=message)
        except BaseException as error:  # noqa: BLE001 - every exception of an engine is its outcome
            return Outcome(fault="error", message=format_traceback(error))
        if isinstance(result, Mapping) and "skipped" in result:
            return Outcome(skipped=str(result["skipped"]))
        if result is None:
            return Outcome(fault="malformed", message=f"{name} returned None: is a return missing?")
        return Outcome(result=result)

    def fresh(self) -> None:
        """Forget the instance; the next case makes a new one."""
        self._engine = None

    restart = fresh

    def another(self) -> "InProcess":
        """Return another instance of the engine; the same one, if the target is an instance."""
        other = copy.copy(self)
        other.fresh()
        return other

    def close(self) -> None:
        """Forget the instance."""
        self._engine = None


class _TimeUp(BaseException):
    """A timeout, raised in the engine's code.

    It is not a subclass of Exception, so that `except Exception` in the engine does not catch it.
    """


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or not hasattr(signal, "setitimer"):
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
        finally:  # even if the signal comes at this moment
            signal.signal(signal.SIGALRM, handler)
            if other:  # the alarm of another program, such as a test's time limit
                left = max(other - (time.monotonic() - begin), 1e-6)
                signal.setitimer(signal.ITIMER_REAL, left, interval)


def _name_of(target: Any) -> str:
    """Return the text with which `manualnn check` finds the class of an engine from here.

    It is a module's name or a file. A test runner may have imported the module `bugs` from the
    folder tests; from the current folder, it is the file tests/bugs.py.
    """
    named = target if hasattr(target, "__qualname__") else type(target)
    where = named.__module__
    file = Path(getattr(sys.modules.get(where), "__file__", None) or where).resolve()
    is_found_by_name = "." in where or file == Path.cwd() / f"{where}.py"
    if not is_found_by_name and file.is_relative_to(Path.cwd()) and file.suffix == ".py":
        where = file.relative_to(Path.cwd()).as_posix()
    return f"{where}:{named.__qualname__}"


def _find_factory(name: str, found: Any) -> Callable[[], Any]:
    if not isinstance(found, type) and hasattr(found, "step"):
        return lambda: found
    if not callable(found):
        raise EngineError(
            f"{name} is {found!r}, which is not an engine; it has to be an object with "
            "capabilities() and step(case), or a class or function of no arguments that makes one."
        )
    return found


def _require_methods(name: str, engine: Any) -> None:
    for method in ("capabilities", "step"):
        if not callable(getattr(engine, method, None)):
            raise EngineError(
                f"{name} makes {type(engine).__qualname__!r} objects, which have no {method}(); an "
                "engine has capabilities() and step(case): `manualnn check --protocol` shows one."
            )


def load_target(target: str) -> Any:
    """Return the object of "module:attribute" or "file.py:attribute"; raises EngineError."""
    where, _, attribute = target.partition(":")
    try:
        with catch_warnings(action="ignore"):
            module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where)
    except (KeyboardInterrupt, EngineError):
        raise
    except BaseException as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        step = (
            f"Install {missing}, or run from the directory that holds it."
            if missing
            else "Import it alone to see the reason."
        )
        trace = format_traceback(error)
        raise EngineError(f"{target} cannot be imported:\n{trace}\n{step}") from error
    found: Any = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            public = [known for known in vars(module) if not known.startswith("_")]
            raise EngineError(
                f"{where} has no {attribute!r}; it has {', '.join(public) or 'nothing public'}."
            )
        found = getattr(found, name)
    return found


def _load_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does
    return importlib.import_module(name)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise EngineError(f"there is no file {path} in {Path.cwd()}.")
    path = path.resolve()
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # for imports of modules beside it
    name = re.sub(r"\W", "_", str(path))
    loader = _SourceLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise EngineError(f"{path} cannot be loaded as a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


class _SourceLoader(SourceFileLoader):
    """Compiles the file at each load.

    Python takes cached bytecode of a source of equal size and second for the bytecode of this one,
    so that a sign that was corrected within a second would not be seen.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file as it is now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)
