"""The layer contract.

A layer is a frozen description of a function y = f(x; θ) of a batch. Its arrays are always passed
in, so a layer holds no state and any number of threads may share it. Its methods are kernels: they
check nothing, they never write to an argument, and they return a new array unless they are handed
`out=`, which then is what they return.

    x       (N, in)     the batch; n is the sample
    params  a mapping from names to arrays: what `shapes` lists, and what `sample` drew
    y       (N, out)    the output, y = forward(params, x)
    dy      (N, out)    ∂L/∂y
    dx      (N, in)     ∂L/∂x

`out` shares no memory with an argument, with one exception: where `reads_input` is False, forward
may be handed out=x. That is done where the layer before has `reads_output` False: then nobody
misses what is overwritten.

The docstring of a layer is the one source of its equations. Under *Forward* and *Backward* each
line is one equation; there is one for each input and for each parameter.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from manualnn.elementary import Array
from manualnn.spec import Description

if TYPE_CHECKING:
    import numpy as np

LayerArrays = Mapping[str, Array]


class Layer(Description):
    """Base of every layer: no parameters, nothing random, as wide as its input."""

    __slots__ = ()

    reads_input: ClassVar[bool] = True
    """Whether `backward` or `backward_params` reads x."""
    reads_output: ClassVar[bool] = True
    """Whether `backward` or `backward_params` reads y."""
    bias_gradient_is_dy: ClassVar[bool] = False
    """Whether the gradient of the parameter `bias` for one sample is dy itself."""

    def width(self, in_features: int) -> int:
        """Return the number of outputs for that many inputs; raise SpecError if they don't fit."""
        return in_features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each parameter."""
        return {}

    def init(self, rng: "np.random.Generator") -> dict[str, Array]:
        """Draw initial values for the parameters, in float64, as torch's layer does by default."""
        return {}

    def sample_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each array that `sample` draws for an input of `shape`."""
        return {}

    def sample(self, drawn: LayerArrays, rng: "np.random.Generator") -> None:
        """Draw what is random in a training step into the arrays that `sample_shapes` lists."""

    def forward(self, params: LayerArrays, x: Array, /, *, out: Array | None = None) -> Array:
        """Return y."""
        raise NotImplementedError

    def backward(
        self, params: LayerArrays, x: Array, y: Array, dy: Array, /, *, out: Array | None = None
    ) -> Array:
        """Return dx = ∂L/∂x."""
        raise NotImplementedError

    def backward_params(
        self, params: LayerArrays, x: Array, y: Array, dy: Array, grads: LayerArrays, /
    ) -> None:
        """Write ∂L/∂θ over the arrays in grads, one for each parameter."""
