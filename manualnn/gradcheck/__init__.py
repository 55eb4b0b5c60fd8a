"""Check the gradient of any function, without a tolerance to set.

    gradcheck(f, inputs)                     a report on the gradient that f returns
    Array((5, 7), low=0)                     an input: its shape and its domain
    parametrize_with_gradchecks(f, inputs)   the same checks as tests of a pytest suite

`f` is a NumPy function with its vjp, a torch.autograd.Function, an nn.Module, a function of
tensors, a function of JAX arrays, or the command of a program in any language.
"""

from typing import TYPE_CHECKING

from manualnn.lazy import lazy_names

if TYPE_CHECKING:
    from manualnn.gradcheck.check import gradcheck
    from manualnn.gradcheck.inputs.array import Array
    from manualnn.gradcheck.pytest_helper import parametrize_with_gradchecks

__all__ = ["Array", "gradcheck", "parametrize_with_gradchecks"]

__getattr__ = lazy_names(
    __name__,
    {
        "Array": "inputs.array",
        "gradcheck": "check",
        "parametrize_with_gradchecks": "pytest_helper",
    },
)
