"""Right functions that are one expression of torch or JAX: the library gives the derivative."""

from collections.abc import Iterable, Iterator
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
        from gradcheck.functions import written_torch, written_torch_layers

        short = {"F": torch.nn.functional, "S": torch.special, "L": torch.linalg}
        return vars(written_torch) | vars(written_torch_layers) | short
    import jax
    from gradcheck.functions import written_jax
    from jax import lax, nn
    from jax import numpy as jnp
    from jax.scipy import special

    short = {"jnp": jnp, "nn": nn, "S": special, "L": jnp.linalg, "lax": lax}
    return {"jax": jax} | vars(written_jax) | short


def build(framework: str, code: str) -> Any:
    return eval(code, scope(framework))  # noqa: S307 - the expressions stand in this folder


def functions(framework: str, rows: Iterable[tuple[Any, ...]]) -> list[Function]:
    """Return a function for each row: an expression in x, y …, then an Array for each of these.

    The name is the expression, and the dtypes where they are not all float64 or integers.
    """
    return list(_functions(framework, rows, call=True))


def objects(framework: str, rows: Iterable[tuple[Any, ...]]) -> list[Function]:
    """Return a function for each row: the value of an expression, and an Array for each input."""
    return list(_functions(framework, rows, call=False))


def _functions(
    framework: str, rows: Iterable[tuple[Any, ...]], *, call: bool
) -> Iterator[Function]:
    for expression, *inputs in rows:
        name = f"{framework}: {expression}" + "".join(
            f" in {dtype}" for dtype in ("float32", "bfloat16") if _has(inputs, dtype)
        )
        head = f"lambda {', '.join(NAMES[: len(inputs)])}: " if call else ""
        yield Function(name, framework, partial(build, framework, head + expression), inputs)


def _has(inputs: Iterable[Array], dtype: str) -> bool:
    return any(array.dtype == dtype for array in inputs)
