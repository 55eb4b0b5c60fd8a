"""The layer contract.

A layer is a frozen description of a function y = f(x; θ) of a batch. Its arrays are always passed
in, so a layer has no state and any number of threads may share it. Its methods are kernels. They
check nothing and never write to an argument, except to the arrays of `scratch_shapes`. They return
a new array, or `out` if the caller passed it.

    x       (N, in)     the batch; n is the sample
    params  a mapping from names to arrays: the parameters of `shapes`, and the arrays of `buffers`,
            `sample` and `scratch_shapes`
    y       (N, out)    the output, y = forward(params, x)
    dy      (N, out)    ∂L/∂y
    dx      (N, in)     ∂L/∂x

`out` and the arrays for gradients are C-contiguous, because np.dot accepts no others.

`out` shares no memory with an argument, with one exception: if `reads_input` is False, forward may
get out=x. The workspace does so if the layer before has `reads_output` False, because then no
backward pass reads the array that is overwritten.

The docstring of a layer is the only source of its equations. Each line under *Forward* and
*Backward* is one equation. There is one for each input and for each parameter.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from manualnn.elementary import Array
from manualnn.spec import Description

if TYPE_CHECKING:
    import numpy as np

LayerArrays = Mapping[str, Array]


class Layer(Description):
    """Base of every layer: no parameters, no random arrays, outputs as many as inputs."""

    __slots__ = ()

    reads_input: ClassVar[bool] = True
    """True if `backward` or `backward_params` reads x."""
    reads_output: ClassVar[bool] = True
    """True if `backward` or `backward_params` reads y."""
    takes_indices: ClassVar[bool] = False
    """True if x holds indices, so that no layer may stand before it, and ∂L/∂x is 0."""
    bias_gradient_is_dy: ClassVar[bool] = False
    """True if, for a batch of one sample, the gradient of the parameter `bias` is dy itself."""

    def width(self, in_features: int) -> int:
        """Return the number of outputs. Raises SpecError if the number of inputs does not fit."""
        return in_features

    def inputs(self, out_features: int) -> int:
        """Return the number of inputs that gives that many outputs."""
        return out_features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each parameter."""
        return {}

    def draw_parameters(self, rng: "np.random.Generator") -> dict[str, Array]:
        """Draw initial values for the parameters in float64, with the defaults of torch's layer."""
        return {}

    def sample_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each array that `sample` draws for an input of `shape`."""
        return {}

    def sample(self, drawn: LayerArrays, rng: "np.random.Generator") -> None:
        """Draw the random numbers of a training step into the arrays of `sample_shapes`."""

    def buffers(self) -> dict[str, Array]:
        """Return the initial arrays that training changes without a gradient, by torch's names."""
        return {}

    def scratch_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each array that a step of training keeps for an input.

        The forward pass writes them, for the backward pass and for `track`. Their presence tells a
        kernel that it trains. Without them, a kernel computes anew what it needs.
        """
        return {}

    def track(self, params: LayerArrays, n: int, /) -> None:
        """Change the buffers in params by the scratch arrays of a step on n samples."""

    def require_inputs(self, x: Array, /) -> None:
        """Raise DomainError if the first layer of a network is undefined for these inputs."""

    def refuses(self, n: int, /, *, is_training: bool) -> bool:
        """Return True if the layer is undefined for a batch of n samples."""
        return False

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
        """Write ∂L/∂θ to the arrays in grads, one for each parameter."""
