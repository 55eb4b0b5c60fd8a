"""The exception classes of the oracle form one hierarchy under `manualnn.OracleError`."""

import importlib
import inspect
import pkgutil

import pytest

import manualnn.oracle
from manualnn.errors import ManualNNError, OracleError

MODULES = [
    module.name
    for module in pkgutil.walk_packages(manualnn.oracle.__path__, prefix="manualnn.oracle.")
]
EXEMPT = {
    "_UnusableError",  # the form of click in which the command prints an error
    "_TimeUp",  # raised into an engine's code, which may catch Exception; no caller ever sees it
}
BUILTINS = (ValueError, LookupError, OSError, AssertionError)
INTERNAL = {
    "Declined",  # tells the runner that a check does not apply to a case
    "Follows",  # tells the runner that a quantity follows from a wrong one
    "Skipped",  # tells the runner that the engine skipped a case
    "Faulty",  # tells the runner that a call has no result
    "Impossible",  # tells a recipe that no case fits the capabilities
    "Fault",  # becomes the fault of an `Outcome`
}


def exception_classes():
    for name in MODULES:
        for label, value in vars(importlib.import_module(name)).items():
            own = inspect.isclass(value) and value.__module__ == name
            if own and issubclass(value, BaseException) and label not in EXEMPT:
                yield value


@pytest.mark.parametrize("error", list(exception_classes()), ids=lambda error: error.__name__)
def test_an_exception_class_belongs_to_the_hierarchy(error):
    assert issubclass(error, OracleError)
    assert issubclass(error, ManualNNError)
    assert error.__name__ in INTERNAL or issubclass(error, BUILTINS)


def test_no_bare_builtin_is_raised_on_purpose():
    builtins = ("ValueError", "TypeError", "KeyError", "RuntimeError", "OSError", "Exception")
    for name in MODULES:
        source = inspect.getsource(importlib.import_module(name))
        assert [b for b in builtins if f"raise {b}(" in source] == [], name
