"""The oracle tells whether an engine's backpropagation is right, and if not, what is wrong with it.

    check_engine(target, profile="quick")              a report on everything the engine claims
    parametrize_with_checks(target, profile="quick")   the same checks as tests of a pytest suite

`target` is an engine's class, factory or instance, "module:attribute", "file.py:attribute", or a
command line. PROTOCOL.md beside this file states on one page what an engine has to do.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manualnn.oracle.pytest_checks import parametrize_with_checks
    from manualnn.oracle.runner import check_engine

__all__ = ["check_engine", "parametrize_with_checks"]


def __getattr__(name: str) -> Any:
    """Load what judges where it is used: the command line has to be quick without it."""
    if name == "check_engine":
        from manualnn.oracle.runner import check_engine as found
    elif name == "parametrize_with_checks":
        from manualnn.oracle.pytest_checks import parametrize_with_checks as found
    else:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = found
    return found
