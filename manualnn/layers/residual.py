"""Residual: a chain of layers whose input is added to its output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.layers.base import Layer, LayerArrays
from manualnn.layers.widths import find_in_features, widths_of

__all__ = ["Residual"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Residual(Layer):
    """The input plus the output of a chain of layers: Residual(Sequential(Linear(3, 3), Tanh())).

    Forward, f the chain of layers
        a = z + f(z)

    Backward, given da = ∂L/∂a
        dz = da + (∂f/∂z)ᵀ da       by backpropagation through the chain

    The chain has as many outputs as inputs. Its parameters have the keys "0.weight", …, so that
    those of a Residual at position k of a network are "k.0.weight", as in torch for a
    `class Residual(nn.Sequential)` with `forward(self, x): return x + super().forward(x)`. The
    parameters' gradients are those of the layers. A Residual may contain others.

    Both kernels of the backward pass compute the chain's outputs again, because a layer stores
    nothing.

    Shapes: z, a, dz, da (N, width). Source: He et al. 2016, equation 1, without a last activation.
    """

    layers: tuple[Layer, ...]

    reads_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        given = getattr(self.layers, "layers", self.layers)  # those of a Sequential
        object.__setattr__(self, "layers", tuple(given) if isinstance(given, list) else given)
        Layer.__post_init__(self)
        if not self.layers:
            message = "Residual: layers must hold at least one layer, got none."
            raise SpecError(message)
        indexed = [layer for layer in self.layers if layer.takes_indices]
        if indexed:
            message = f"Residual: {indexed[0]!r} takes indices, to which nothing can be added."
            raise SpecError(message)
        if self.in_features is not None:
            self.width(self.in_features)

    @property
    def in_features(self) -> int | None:
        """The width, or None if no layer determines it."""
        return find_in_features(self.layers)

    def width(self, in_features: int) -> int:
        if self.in_features not in {None, in_features}:
            message = f"{self!r} expects {self.in_features} inputs, got {in_features}"
            raise SpecError(message)
        out = widths_of(self.layers, in_features)[-1]
        if out != in_features:
            message = f"{self!r} adds {out} outputs to {in_features} inputs; make them as many"
            raise SpecError(message)
        return in_features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return _named({i: layer.shapes() for i, layer in enumerate(self.layers)})

    def draw_parameters(self, rng: "np.random.Generator") -> dict[str, Array]:
        return _named({i: layer.draw_parameters(rng) for i, layer in enumerate(self.layers)})

    def sample_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        shapes = enumerate(self._input_shapes(shape))
        return _named({i: self.layers[i].sample_shapes(own) for i, own in shapes})

    def sample(self, drawn: Mapping[str, Array], rng: "np.random.Generator") -> None:
        for i, layer in enumerate(self.layers):
            layer.sample(_own(drawn, i), rng)

    def buffers(self) -> dict[str, Array]:
        return _named({i: layer.buffers() for i, layer in enumerate(self.layers)})

    def scratch_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        shapes = enumerate(self._input_shapes(shape))
        return _named({i: self.layers[i].scratch_shapes(own) for i, own in shapes})

    def track(self, params: LayerArrays, n: int, /) -> None:
        for i, layer in enumerate(self.layers):
            layer.track(_own(params, i), n)

    def refuses(self, n: int, /, *, is_training: bool) -> bool:
        return any(layer.refuses(n, is_training=is_training) for layer in self.layers)

    def forward(self, params: LayerArrays, z: Array, /, *, out: Array | None = None) -> Array:
        return np.add(z, self._outputs(params, z)[-1], out=out)

    def backward(
        self, params: LayerArrays, z: Array, a: Array, da: Array, /, *, out: Array | None = None
    ) -> Array:
        outputs, dy = self._outputs(params, z), da
        for i, layer in reversed(list(enumerate(self.layers))):
            dy = layer.backward(_own(params, i), outputs[i], outputs[i + 1], dy)
        return np.add(dy, da, out=out)

    def backward_params(
        self, params: LayerArrays, z: Array, a: Array, da: Array, grads: LayerArrays, /
    ) -> None:
        outputs, dy = self._outputs(params, z), da
        learned = [i for i, layer in enumerate(self.layers) if layer.shapes()]
        for i, layer in reversed(list(enumerate(self.layers))):
            own, x, y = _own(params, i), outputs[i], outputs[i + 1]
            if i in learned:
                layer.backward_params(own, x, y, dy, _own(grads, i))
            if i > min(learned, default=len(self.layers)):
                dy = layer.backward(own, x, y, dy)

    def _input_shapes(self, shape: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the shape of the input of every layer of the chain."""
        n, width = shape
        return [(n, own) for own in widths_of(self.layers, width)[:-1]]

    def _outputs(self, params: LayerArrays, z: Array) -> list[Array]:
        """Return z and the output of every layer."""
        outputs = [z]
        for i, layer in enumerate(self.layers):
            outputs.append(layer.forward(_own(params, i), outputs[-1]))
        return outputs


def _named(parts: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values of all layers by their keys in the chain."""
    return {f"{i}.{name}": value for i, own in parts.items() for name, value in own.items()}


def _own(arrays: LayerArrays, i: int) -> dict[str, Array]:
    """Return the arrays of layer i by their names in it."""
    start = f"{i}."
    return {k.removeprefix(start): array for k, array in arrays.items() if k.startswith(start)}
