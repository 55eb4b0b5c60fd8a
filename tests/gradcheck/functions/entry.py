"""What a function of the benchmark says of itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Function:
    """A function with its backward pass, right or wrong, and the inputs it is for.

    `build()` imports the framework and returns the function: for torch something callable with
    tensors, for JAX with arrays, for NumPy a pair (f, vjp).
    """

    name: str
    framework: str
    """"numpy", "torch" or "jax"."""
    build: Callable[[], Any]
    inputs: Sequence[Any]
    """Arrays of manualnn.gradcheck."""
    options: dict[str, Any] = field(default_factory=dict)
    """More keyword arguments of `gradcheck`."""


@dataclass(frozen=True)
class Wrong(Function):
    """A function whose backward pass has a mistake."""

    mistake: str = ""
    """What is wrong, as a sentence."""
    region: str = ""
    """Where it is wrong: "everywhere", "x > 4", "only entry 17" …"""
    size: str = ""
    """How wrong: "relative 5e-4", "absolute 1e-6" …"""
    source: str = ""
    """The public report that it follows, such as "pytorch/pytorch#12345"; or "construction"."""
    fails: str = "gradient"
    """What is wrong: "gradient"; "second" (derivatives), "jvp"; "memory" (overwritten or shared);
    "again" (a second call, or two graphs alive); "layout" (strided arrays); "pattern" (of inputs
    that need a gradient); "shape" (or dtype); "vmap".
    """
    witness: Any = None
    """Arrays at which it is seen; None: ordinary numbers, zeros or ties show it."""
