"""Short ways to write the wrong functions of the benchmark."""

from collections.abc import Callable
from typing import Any

from gradcheck.functions.entry import Function, Wrong


def wrong_functions(rows: list[Function], framework: str) -> Callable[..., Any]:
    """Return a decorator that adds a row to `rows`.

    The decorated function builds the row's function; its name is the row's name, its docstring the
    mistake. The decorator takes the inputs, and the fields of `Wrong` by name.
    """

    def wrong(*inputs: Any, **fields: Any) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        def add(build: Callable[[], Any]) -> Callable[[], Any]:
            fields.setdefault("region", "everywhere")
            fields.setdefault("source", "construction")
            mistake = (build.__doc__ or "").strip()
            name = f"{framework}_{build.__name__}"
            rows.append(Wrong(name, framework, build, inputs, mistake=mistake, **fields))
            return build

        return add

    return wrong


def unary(f: Callable[[Any], Any], slope: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return the NumPy pair of an elementwise function and its slope."""
    return f, lambda arrays, dy: dy * slope(arrays[0])


def torch_function(forward: Callable[..., Any], backward: Callable[..., Any]) -> Any:
    """Return a function of tensors with the gradients `backward(dy, *inputs)`."""
    import torch

    class Written(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*tensors)
            return forward(*tensors)

        @staticmethod
        def backward(ctx, *dy):
            return backward(*dy, *ctx.saved_tensors)

    return Written.apply


def jax_function(forward: Callable[..., Any], backward: Callable[..., Any]) -> Any:
    """Return a function of JAX arrays with the gradients `backward(dy, *inputs)`."""
    import jax

    def plain(*arrays):  # without the options of forward
        return forward(*arrays)

    f = jax.custom_vjp(plain)
    f.defvjp(lambda *arrays: (forward(*arrays), arrays), lambda arrays, dy: backward(dy, *arrays))
    return f
