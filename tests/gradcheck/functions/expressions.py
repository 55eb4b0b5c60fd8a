"""Right functions that are one expression of torch or JAX: the library gives the derivative."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from gradcheck.functions.entry import Function

from manualnn.gradcheck import Array

NAMES = "xyzwvu"
"""The inputs of an expression, in order."""


def scope(framework: str) -> dict[str, Any]:
    """Return the names that an expression may use."""
    if framework == "torch":
        import torch

        functional = torch.nn.functional
        return {"torch": torch, "F": functional, "S": torch.special, "L": torch.linalg}
    import jax
    from jax import lax, nn
    from jax import numpy as jnp
    from jax.scipy import special

    return {"jax": jax, "jnp": jnp, "nn": nn, "S": special, "L": jnp.linalg, "lax": lax}


def build(framework: str, expression: str, count: int) -> Any:
    code = f"lambda {', '.join(NAMES[:count])}: {expression}"
    return eval(code, scope(framework))  # noqa: S307 - the expressions stand in this folder


def functions(framework: str, rows: Iterable[tuple[Any, ...]]) -> list[Function]:
    """Return a function for each row: an expression, then an Array for each of its inputs.

    The name is the expression, and the dtypes where they are not all float64 or integers.
    """
    found = []
    for expression, *inputs in rows:
        name = f"{framework}: {expression}" + "".join(
            f" in {dtype}" for dtype in ("float32", "bfloat16") if _has(inputs, dtype)
        )
        make = partial(build, framework, expression, len(inputs))
        found.append(Function(name, framework, make, inputs))
    return found


def _has(inputs: Iterable[Array], dtype: str) -> bool:
    return any(array.dtype == dtype for array in inputs)
