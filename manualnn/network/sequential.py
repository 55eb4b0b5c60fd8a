"""Sequential: a chain of layers, whose passes are in `manualnn.network.passes`."""

from collections.abc import Mapping
from typing import Any, Literal, overload

import numpy as np

from manualnn.elementary import Array, is_symbolic
from manualnn.errors import ShapeError, SpecError
from manualnn.errstate import run_quietly, run_with_errstate
from manualnn.initializers import Initializer, initialize
from manualnn.layers import Layer, all_layers
from manualnn.layers.widths import find_in_features, require_order, widths_of
from manualnn.losses.base import Loss, require_loss
from manualnn.network.buffers import attach_buffers, require_samples, track, with_buffers
from manualnn.network.noise import Noise, sample_noise, training_arrays
from manualnn.network.passes import ArraysByLayer, loss_and_gradients, outputs_of
from manualnn.network.state_dict import parameters_from
from manualnn.network.summary import as_html
from manualnn.network.workspace import Workspace
from manualnn.parameters import Parameters
from manualnn.spec import beyond_float32, from_spec, to_spec
from manualnn.tracing import is_from_manualnn
from manualnn.validation import as_array, as_batch, as_dtype, as_generator

__all__ = ["Sequential"]


class Sequential:
    """A chain of layers. Each layer gets the output of the layer before it.

    A network has no state, so threads may share it. Its parameters are passed to every method.

    Examples
    --------
    >>> net = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2))
    >>> params = net.init(seed=0)
    >>> net.forward(params, np.zeros((1, 3))).shape
    (1, 2)

    Raises
    ------
    SpecError
        If an argument is not a Layer, or if a layer does not fit the width of the one before it.

    """

    __slots__ = (
        "_has_modes",
        "_is_from_manualnn",
        "_too_large",
        "in_features",
        "layers",
        "out_features",
        "shapes",
    )

    layers: tuple[Layer, ...]
    """The layers, first to last."""
    in_features: int | None
    """Width of the input; None if no layer determines it."""
    out_features: int | None
    """Width of the output; None if no layer determines it."""
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
        require_order(layers)
        self.layers = layers
        self.shapes = {
            f"{i}.{name}": shape
            for i, layer in enumerate(layers)
            for name, shape in layer.shapes().items()
        }
        self.in_features = find_in_features(layers)
        width = self.in_features
        self.out_features = None if width is None else self.widths(width)[-1]
        self._is_from_manualnn = all(map(is_from_manualnn, layers))
        self._has_modes = any(a.buffers() or a.refuses(1, is_training=True) for a in layers)
        self._too_large = next(filter(None, map(beyond_float32, layers)), "")

    def __repr__(self) -> str:
        """Return the expression that builds the network."""
        return f"Sequential({', '.join(map(repr, self.layers))})"

    _repr_html_ = as_html  # what a notebook shows

    def __eq__(self, other: object) -> bool:
        """Return True if the layers are equal."""
        return self.layers == other.layers if isinstance(other, Sequential) else NotImplemented

    def __hash__(self) -> int:
        """Hash by the layers."""
        return hash(self.layers)

    def spec(self) -> dict[str, Any]:
        """Return the JSON form, {"layers": [{"type": "Linear", …}, …]}."""
        return {"layers": [to_spec(layer) for layer in self.layers]}

    @classmethod
    def from_spec(cls, spec: Any) -> "Sequential":
        """Build the network from its JSON form. Other parts of a run's form are ignored.

        Raises SpecError if a layer is unknown, or if its options are wrong.
        """
        if not isinstance(spec, Mapping) or not isinstance(spec.get("layers"), list | tuple):
            message = f'expected {{"layers": [{{"type": "Linear", …}}, …]}}, got {spec!r}.'
            raise SpecError(message)
        known = all_layers()
        return cls(*(from_spec(s, known, f"layers[{i}]") for i, s in enumerate(spec["layers"])))

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
            The same seed gives the same values, rounded to dtype. None gives new ones every time.
        dtype : data type
            float32, float64 or longdouble.
        **initializers : callable (generator, shape) → array
            By the name of the parameter: `weight=xavier_uniform, bias=zeros`. All others are
            initialised by their layer, as in torch.

        Raises
        ------
        SpecError
            If an option of a layer is beyond the largest number of dtype.

        """
        params = Parameters(self.shapes, dtype=dtype)
        self._require_options_in(params)
        defaults = [layer.draw_parameters for layer in self.layers]
        initialize(params, defaults, as_generator(seed), initializers)
        attach_buffers(self.layers, params, self)
        return params

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        dtype: Any = None,
        *,
        names: Mapping[str, Any] | None = None,
    ) -> Parameters:
        """Return parameters with the values of a state_dict of this package or of torch.

        The result has the dtype of the arrays, or `dtype`, which float16 and bfloat16 need. A
        prefix that all keys share, such as "module." or "_orig_mod.", is removed. `names` maps
        layers of the state_dict to this network's: {"fc1": "0", "fc2": "3"}. Raises SpecError,
        ShapeError or DTypeError, with what to pass for a checkpoint, or for other names of layers.
        """
        return parameters_from(state_dict, self, dtype, names)

    def layer_arrays(self, params: Parameters) -> ArraysByLayer:
        """Return the arrays of each layer.

        Raises ShapeError if params do not fit this network, and SpecError if an option of a layer
        is beyond the largest number of their dtype.
        """
        shapes = getattr(params, "shapes", type(params).__name__)
        if shapes != self.shapes:
            message = (
                f"{self!r} expects Parameters of shapes {self.shapes}, got {shapes}; make them "
                f"with init, or with load_state_dict from named arrays."
            )
            raise ShapeError(message)
        self._require_options_in(params)
        arrays = params.layers + ({},) * (len(self.layers) - len(params.layers))
        return with_buffers(self.layers, arrays, params, self) if self._has_modes else arrays

    def _require_options_in(self, params: Parameters) -> None:
        if self._too_large and params.dtype == np.float32:
            message = f"{self._too_large}; choose a smaller number, or dtype=np.float64."
            raise SpecError(message)

    # ------------------------------------------------------------------ forwards

    def forward(self, params: Parameters, x: Any, *, noise: Noise | None = None) -> Array:
        """Return the outputs y of shape (N, out) for the inputs x of shape (N, in).

        Pure and thread-safe. With noise (see `sample`) it is the output of a training step, without
        noise the prediction. Raises ShapeError or DTypeError if x does not fit.
        """
        arrays, x = self._checked(params, x, noise)
        run = run_quietly if self._is_from_manualnn and not is_symbolic(x) else run_with_errstate
        y = run(outputs_of, self.layers, arrays, x)
        return y if self.layers else x.copy()

    def sample(self, seed: "int | np.random.Generator | None", x: Any, dtype: Any = None) -> Noise:
        """Draw the random arrays of one training step for the inputs x: the dropout masks.

        Returns a mapping such as {"1.mask": array}, which is empty for a network without random
        layers. Also an empty one tells `forward` and `value_and_grad` that the network trains. The
        arrays have the dtype of x, or `dtype` if given.
        """
        x = as_array(x, "x")
        x = as_batch(x, x.dtype, self.in_features, self)
        dtype = as_dtype(x.dtype if dtype is None else dtype)
        widths = self.widths(x.shape[1])
        return sample_noise(self.layers, widths, dtype, len(x), as_generator(seed))

    def track(self, params: Parameters, x: Any, *, noise: Noise) -> None:
        """Change the buffers of params, in place, as a step of training on x (N, in) does.

        A Trainer does so in every step. Raises ShapeError or DTypeError if x or noise does not fit.
        """
        arrays, x = self._checked(params, x, noise)
        run_with_errstate(outputs_of, self.layers, arrays, x)
        track(self.layers, arrays, len(x))

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
        sample_weight: Any = None,
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
        sample_weight: Any = None,
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
        sample_weight: Any = None,
        input_grad: bool = False,
    ) -> tuple[Any, Parameters] | tuple[Any, Parameters, Array]:
        """Return the loss L and its gradient with respect to every parameter, ∂L/∂θ.

        Parameters
        ----------
        params : Parameters
            The parameters θ. All arrays have their dtype.
        loss : Loss
            The loss function.
        x : array (N, in)
            Inputs.
        t : array
            Targets, in the form that the loss expects.
        noise : mapping, optional
            The random arrays of a training step, from `sample`. None for the prediction's loss.
        sample_weight : array (N,), optional
            Weights of the samples, at least 0: see `manualnn.losses.base`.
        input_grad : bool
            If True, return also ∂L/∂x.

        Returns
        -------
        L : scalar of the parameters' dtype
        grads : Parameters
        dx : array (N, in), only with input_grad

        Raises
        ------
        ShapeError, DTypeError
            If x, t, noise or params do not fit.

        """
        require_loss(loss)
        arrays, x = self._checked(params, x, noise)
        grads = params.zeros_like()
        workspace = Workspace(self.layers, self.widths(x.shape[1]), params.dtype, len(x))
        batch, layers = (x, t, sample_weight), self.layers
        value, dx = loss_and_gradients(
            layers, arrays, loss, batch, workspace=workspace, grads=grads, input_grad=input_grad
        )
        return (value, grads, dx) if input_grad else (value, grads)

    @property
    def takes_indices(self) -> bool:
        """True if the inputs are indices, for an Embedding."""
        return bool(self.layers) and self.layers[0].takes_indices

    def as_inputs(self, x: Any, dtype: Any) -> Array:
        """Return x as an array (N, in) of a dtype that the first layer takes.

        Raises ShapeError, DTypeError, or DomainError for indices that a table does not have.
        """
        x = as_batch(x, dtype, self.in_features, self)
        if self.layers:
            self.layers[0].require_inputs(x)
        return x

    def widths(self, in_features: int) -> list[int]:
        """Return the width of the input and of every layer's output."""
        return widths_of(self.layers, in_features)

    def _checked(self, params: Parameters, x: Any, noise: Any) -> tuple[ArraysByLayer, Array]:
        """Return the arrays of each layer, in training with noise and scratch arrays, and x."""
        views = self.layer_arrays(params)
        x = self.as_inputs(x, params.dtype)
        if self._has_modes:
            require_samples(self.layers, len(x), is_training=noise is not None)
        if noise is None or (isinstance(noise, Mapping) and not (noise or self._has_modes)):
            return views, x
        return training_arrays(self.layers, self.widths(x.shape[1]), views, noise, x), x
