"""Sequential: layers one after another, forwards and backwards.

With y₀ = x and yᵢ₊₁ = fᵢ(yᵢ; θᵢ), the loss is L(y_last, t). Backpropagation is the chain rule from
the end to the beginning:

    δ = ∂L/∂y_last;    for each layer from the last:    ∂L/∂θᵢ from δ,    then δ ← ∂L/∂yᵢ
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np

from manualnn.elementary import Array, is_symbolic
from manualnn.errors import ShapeError, SpecError
from manualnn.errstate import run_quietly, run_with_errstate
from manualnn.layers import LAYERS, Layer
from manualnn.losses import Loss
from manualnn.parameters import Parameters
from manualnn.spec import from_spec, to_spec
from manualnn.tracing import Call, is_from_manualnn
from manualnn.validation import as_batch, as_dtype, as_floats
from manualnn.workspace import Buffers, Workspace

__all__ = ["Sequential"]

Initializer = Callable[["np.random.Generator", tuple[int, ...]], Array]
Noise = Mapping[str, Array]
LayersArrays = tuple[Mapping[str, Array], ...]


class Sequential:
    """Layers, each taking the output of the one before; without any state, so threads may share it.

    Examples
    --------
    >>> net = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2))
    >>> params = net.init(seed=0)
    >>> net.forward(params, np.zeros((1, 3))).shape
    (1, 2)

    Raises
    ------
    SpecError
        If something is no layer, or the width of one does not fit the next.

    """

    __slots__ = ("_first", "_ours", "in_features", "layers", "out_features", "shapes")

    layers: tuple[Layer, ...]
    """The layers, first to last."""
    in_features: int | None
    """Width of the input; None where no layer fixes it."""
    out_features: int | None
    """Width of the output; None where no layer fixes it."""
    shapes: dict[str, tuple[int, ...]]
    """Key and shape of every parameter; the keys are torch's ("0.weight", …)."""

    def __init__(self, *layers: Layer) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                message = (
                    f"layer {i} must be a Layer, got {layer!r}; write Sequential(Linear(3, 2), "
                    f"Sigmoid(), Linear(2, 2)), without a list."
                )
                raise SpecError(message)
        self.layers = layers
        self.shapes = {
            f"{i}.{name}": shape
            for i, layer in enumerate(layers)
            for name, shape in layer.shapes().items()
        }
        self.in_features = next(
            (layer.in_features for layer in layers if hasattr(layer, "in_features")),
            None,
        )
        self.out_features = None
        if self.in_features is not None:
            self.out_features = self.widths(self.in_features)[-1]
        self._ours = all(map(is_from_manualnn, layers))
        # Below the first layer with parameters no derivative is needed, unless it is asked for.
        self._first = next((i for i, layer in enumerate(layers) if layer.shapes()), len(layers))

    def __repr__(self) -> str:
        """Return the expression that builds it."""
        return f"Sequential({', '.join(map(repr, self.layers))})"

    def __eq__(self, other: object) -> bool:
        """Whether the layers are the same."""
        return self.layers == other.layers if isinstance(other, Sequential) else NotImplemented

    def __hash__(self) -> int:
        """Hash by the layers."""
        return hash(self.layers)

    def spec(self) -> dict[str, Any]:
        """Return the JSON form, {"layers": [{"type": "Linear", …}, …]}."""
        return {"layers": [to_spec(layer) for layer in self.layers]}

    @classmethod
    def from_spec(cls, spec: Any) -> "Sequential":
        """Build the network from its JSON form; the other parts of a run's form are not read.

        Raises SpecError where a layer is unknown or described wrongly.
        """
        if not isinstance(spec, Mapping) or not isinstance(spec.get("layers"), list | tuple):
            message = f'expected {{"layers": [{{"type": "Linear", …}}, …]}}, got {spec!r}.'
            raise SpecError(message)
        return cls(*(from_spec(s, LAYERS, f"layers[{i}]") for i, s in enumerate(spec["layers"])))

    # ------------------------------------------------------------------ parameters

    def init(
        self,
        seed: "int | np.random.Generator | None" = None,
        dtype: Any = np.float64,
        **initializers: Initializer,
    ) -> Parameters:
        """Return random initial parameters.

        Parameters
        ----------
        seed : int, Generator or None
            The same seed gives the same values (rounded to dtype); None gives others every time.
        dtype : data type
            float32, float64 or longdouble.
        **initializers : callable (generator, shape) → array
            By the parameter's name (`weight=xavier_uniform, bias=zeros`), instead of what the
            layer does by default, which is what torch does.

        """
        rng = np.random.default_rng(seed)
        params = Parameters(self.shapes, dtype=dtype)
        unknown = set(initializers) - {key.partition(".")[2] for key in self.shapes}
        if unknown:
            message = (
                f"no layer has a parameter {' or '.join(sorted(unknown))}; "
                f"there are {', '.join(self.shapes) or 'none'}."
            )
            raise SpecError(message)
        for layer, views in zip(self.layers, params.layers, strict=False):
            drawn = layer.init(rng)
            for name, view in views.items():
                make = initializers.get(name)
                values = make(rng, view.shape) if make else drawn[name]
                if np.shape(values) != view.shape:
                    message = (
                        f"the initializer of {name} must return an array of shape {view.shape}, "
                        f"as it is asked to, got {np.shape(values)}."
                    )
                    raise ShapeError(message)
                view[...] = values
        return params

    def load_state_dict(self, state_dict: Mapping[str, Any], dtype: Any = None) -> Parameters:
        """Return parameters with the values of a state_dict, torch's or `Parameters.state_dict`'s.

        dtype is that of the arrays, unless another is asked for. Nothing is shared with them.
        Raises ShapeError where a key is missing or not known, or a shape differs.
        """
        arrays = {key: _as_numpy(value) for key, value in state_dict.items()}
        missing, unknown = self.shapes.keys() - arrays.keys(), arrays.keys() - self.shapes.keys()
        if missing or unknown:
            message = (
                f"the state_dict does not fit {self!r}: "
                f"missing {_listed(missing)}; not known {_listed(unknown)}."
            )
            raise ShapeError(message)
        if dtype is None:
            dtype = np.result_type(*arrays.values()) if arrays else np.dtype(np.float64)
            if dtype.kind in "biu":  # plain numbers, as a JSON file has them
                dtype = np.float64
        params = Parameters(self.shapes, dtype=dtype)
        for key, view in params.items():
            if arrays[key].shape != view.shape:
                message = f"{key} must have shape {view.shape}, got {arrays[key].shape}."
                raise ShapeError(message)
            view[...] = arrays[key]
        return params

    def layer_arrays(self, params: Parameters) -> LayersArrays:
        """Return the arrays of each layer, after making sure that they are this network's."""
        shapes = getattr(params, "shapes", type(params).__name__)
        if shapes != self.shapes:
            message = (
                f"{self!r} expects Parameters of shapes {self.shapes}, got {shapes}; make them "
                f"with init, or with load_state_dict from named arrays."
            )
            raise ShapeError(message)
        return params.layers + ({},) * (len(self.layers) - len(params.layers))

    # ------------------------------------------------------------------ forwards

    def forward(self, params: Parameters, x: Any, *, noise: Noise | None = None) -> Array:
        """Return the outputs y of shape (N, out) for the inputs x of shape (N, in).

        Pure and thread-safe. With noise (see `sample`) it is the output of a training step, without
        it the prediction. Raises ShapeError or DTypeError where x does not fit.
        """
        views = self.layer_arrays(params)
        x = as_batch(x, params.dtype, self.in_features, self)
        run = run_quietly if self._ours and not is_symbolic(x) else run_with_errstate
        y = run(self._outputs, self._with_noise(views, x, noise), x)
        return y if self.layers else x.copy()

    def _outputs(self, arrays: LayersArrays, y: Array) -> Array:
        for layer, params in zip(self.layers, arrays, strict=True):
            y = layer.forward(params, y)
        return y

    def sample(self, seed: "int | np.random.Generator | None", x: Any, dtype: Any = None) -> Noise:
        """Draw what is random in one training step over the inputs x (dropout masks).

        Returns a mapping such as {"1.mask": array}, empty for a network without random layers. The
        dtype is x's, unless another is given.
        """
        x = np.asarray(x)
        x = as_batch(x, x.dtype, self.in_features, self)
        rng = np.random.default_rng(seed)
        buffers = Workspace(self, as_dtype(dtype or x.dtype), *x.shape).first(len(x))
        self.draw(rng, buffers.drawn)
        return {
            f"{i}.{name}": array
            for i, drawn in enumerate(buffers.drawn)
            for name, array in drawn.items()
        }

    # ------------------------------------------------------------------ backwards

    @overload
    def value_and_grad(
        self,
        params: Parameters,
        loss: Loss,
        x: Any,
        t: Any,
        *,
        noise: Noise | None = None,
        input_grad: Literal[False] = False,
    ) -> tuple[Any, Parameters]: ...

    @overload
    def value_and_grad(
        self,
        params: Parameters,
        loss: Loss,
        x: Any,
        t: Any,
        *,
        noise: Noise | None = None,
        input_grad: Literal[True],
    ) -> tuple[Any, Parameters, Array]: ...

    def value_and_grad(
        self,
        params: Parameters,
        loss: Loss,
        x: Any,
        t: Any,
        *,
        noise: Noise | None = None,
        input_grad: bool = False,
    ) -> tuple[Any, Parameters] | tuple[Any, Parameters, Array]:
        """Return the loss L and its gradient with respect to every parameter, ∂L/∂θ.

        Parameters
        ----------
        params : Parameters
            θ; its dtype is the dtype of everything.
        loss : Loss
            Which L.
        x : array (N, in)
            Inputs.
        t : array
            Targets, as the loss takes them.
        noise : mapping, optional
            What is random in a training step, from `sample`; None for the prediction's loss.
        input_grad : bool
            Whether to return ∂L/∂x, shape (N, in), as well.

        Returns
        -------
        L : scalar of the parameters' dtype
        grads : Parameters
        dx : array (N, in), only with input_grad

        Raises
        ------
        ShapeError, DTypeError
            Where x, t, noise or params do not fit.

        """
        views = self.layer_arrays(params)
        x = as_batch(x, params.dtype, self.in_features, self)
        arrays = self._with_noise(views, x, noise)
        grads = params.zeros_like()
        buffers = Workspace(self, params.dtype, *x.shape).first(len(x))
        with np.errstate(all="ignore"):
            for call in self.forward_calls(arrays, x, buffers):
                call()
            y = buffers.y[-1] if self.layers else x
            loss.require_outputs(y)
            value, dy = loss.forward_and_backward(y, loss.targets(t, y), out=buffers.dy[-1])
            if dy is not buffers.dy[-1]:
                buffers.dy[-1][...] = dy
            for call in self.backward_calls(arrays, x, buffers, grads, input_grad=input_grad):
                call()
        return (value, grads, buffers.dy[0]) if input_grad else (value, grads)

    def draw(self, rng: "np.random.Generator", drawn: Sequence[Mapping[str, Array]]) -> None:
        """Draw what is random in a step into each layer's arrays."""
        for layer, arrays in zip(self.layers, drawn, strict=True):
            layer.sample(arrays, rng)

    def forward_calls(self, arrays: LayersArrays, x: Array, buffers: Buffers) -> Iterator[Call]:
        """Yield the calls of kernels that write every layer's output into the buffers."""
        y = x
        for layer, params, out in zip(self.layers, arrays, buffers.y, strict=True):
            yield Call(layer.forward, (params, y), {"out": out})
            y = out

    def backward_calls(
        self,
        arrays: LayersArrays,
        x: Array,
        buffers: Buffers,
        grads: Parameters,
        *,
        input_grad: bool = False,
    ) -> Iterator[Call]:
        """Yield the calls of kernels that, from ∂L/∂y in the last buffer, write ∂L/∂θ into grads.

        With input_grad, ∂L/∂x into the first buffer as well.
        """
        dy = buffers.dy[-1]
        for i in reversed(range(0 if input_grad else self._first, len(self.layers))):
            layer, y_in, y_out = self.layers[i], buffers.y[i - 1] if i else x, buffers.y[i]
            if i < len(grads.layers) and grads.layers[i]:
                yield Call(layer.backward_params, (arrays[i], y_in, y_out, dy, grads.layers[i]))
            if input_grad or i > self._first:
                yield Call(layer.backward, (arrays[i], y_in, y_out, dy), {"out": buffers.dy[i]})
                dy = buffers.dy[i]

    # ------------------------------------------------------------------ helpers

    def widths(self, in_features: int) -> list[int]:
        """Return the width of the input and of every layer's output."""
        widths = [in_features]
        giver = "the input"
        for i, layer in enumerate(self.layers):
            try:
                widths.append(layer.width(widths[-1]))
            except SpecError as error:
                message = f"layer {i}: {error} from {giver}."
                raise SpecError(message) from None
            if hasattr(layer, "out_features"):
                giver = f"layer {i}, {layer!r}"
        return widths

    def _with_noise(self, views: LayersArrays, x: Array, noise: Noise | None) -> LayersArrays:
        """Return for each layer its parameters and its share of the noise."""
        if not noise:
            return views
        widths = self.widths(x.shape[1])
        expected = {
            f"{i}.{name}": shape
            for i, layer in enumerate(self.layers)
            for name, shape in layer.sample_shapes((len(x), widths[i])).items()
        }
        given = {key: np.shape(array) for key, array in noise.items()}
        if given != expected:
            message = f"noise must have {expected}, got {given}; draw it with sample(seed, x)."
            raise ShapeError(message)
        arrays = [dict(own) for own in views]
        for key, array in noise.items():
            layer, _, name = key.partition(".")
            arrays[int(layer)][name] = as_floats(array, x.dtype, f"noise[{key!r}]")
        return tuple(arrays)


def _as_numpy(value: Any) -> Array:
    """Return an array of what may be a torch tensor that still wants a gradient."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _listed(keys: set[str]) -> str:
    return ", ".join(sorted(keys)) or "none"
