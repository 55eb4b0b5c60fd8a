"""Oracle: property-based checks of an engine's backpropagation, with a diagnosis of each error.

    check_engine(target, profile="quick")              a report on everything the engine claims
    parametrize_with_checks(target, profile="quick")   the same checks as tests of a pytest suite

`target` is an engine's class, factory or instance, "module:attribute", "file.py:attribute", or a
command line. PROTOCOL.md in this folder describes the protocol for engines on one page.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manualnn.oracle.pytest_checks import parametrize_with_checks
    from manualnn.oracle.runner import check_engine

__all__ = ["check_engine", "parametrize_with_checks"]


def __getattr__(name: str) -> Any:
    """Load a function on first use, because `manualnn --help` must not load the checks."""
    if name == "check_engine":
        from manualnn.oracle.runner import check_engine as found
    elif name == "parametrize_with_checks":
        from manualnn.oracle.pytest_checks import parametrize_with_checks as found
    else:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = found
    return found
