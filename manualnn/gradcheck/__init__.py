"""Check the gradient of any function, without a tolerance to set.

    gradcheck(f, inputs)                     a report on the gradient that f returns
    Array((5, 7), low=0)                     an input: its shape and its domain
    parametrize_with_gradchecks(f, inputs)   the same checks as tests of a pytest suite

`f` is a NumPy function with its vjp, a torch.autograd.Function, an nn.Module, a function of
tensors, a function of JAX arrays, or the command of a program in any language.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manualnn.gradcheck.check import gradcheck
    from manualnn.gradcheck.inputs.array import Array
    from manualnn.gradcheck.pytest_helper import parametrize_with_gradchecks

__all__ = ["Array", "gradcheck", "parametrize_with_gradchecks"]

_MODULES = {
    "Array": "manualnn.gradcheck.inputs.array",
    "gradcheck": "manualnn.gradcheck.check",
    "parametrize_with_gradchecks": "manualnn.gradcheck.pytest_helper",
}


def __getattr__(name: str) -> Any:
    """Load a name on first use, because `manualnn --help` must not load the checks."""
    from importlib import import_module

    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found
