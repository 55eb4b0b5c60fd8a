"""Export of a network to ONNX."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import manualnn
from manualnn.elementary import Array
from manualnn.errors import DTypeError, ModelFileError, SpecError
from manualnn.layers import Dropout, Identity, Layer, Linear, Sigmoid, Softmax
from manualnn.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss
from manualnn.network.sequential import Sequential
from manualnn.onnx.patterns import EXPRESSIONS, Expression, Z, require_onnx, split
from manualnn.output.files import write_whole
from manualnn.parameters import Parameters
from manualnn.training.trainer import Trainer
from manualnn.validation import require_finite

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 13
"""Since then, every operator that the export writes has meant the same."""
LARGEST = 2**31 - 2**20
"""Bytes of parameters: a file of the protobuf format is smaller than 2 GiB."""
ON_TOP: dict[type, tuple[Layer, ...]] = {
    BCELoss: (),
    BCEWithLogitsLoss: (Sigmoid(),),
    CrossEntropyLoss: (Softmax(),),
}
"""The layers that make probabilities of the outputs that a loss expects."""


def export_onnx(
    net: Sequential | Trainer,
    params: Parameters | None = None,
    *,
    probabilities: bool = False,
    opset: int | None = None,
) -> "onnx.ModelProto":
    """Return the ONNX model of a network: input x (N, in), output y (N, out), in params' dtype.

    Parameters
    ----------
    net : Sequential or Trainer
        The network. A Trainer brings its parameters along.
    params : Parameters, optional
        The parameters of a Sequential, in float32 or float64.
    probabilities : bool
        If True, y are probabilities: the softmax or sigmoid that the Trainer's loss contains is
        put on top.
    opset : int, optional
        Version of the ONNX operators, from 13 on. The default is the newest that the installed onnx
        knows; an older runtime may need an older one.

    Raises
    ------
    SpecError
        If an argument is invalid, if ONNX export has no form for a layer, or if the model is too
        large for a file.
    ShapeError, DTypeError, DomainError
        If the parameters do not fit the network, have another dtype, or are not finite.
    MissingExtraError
        If onnx is not installed.

    """
    onnx = require_onnx()
    layers, params = _parts(net, params, probabilities=probabilities)
    newest = onnx.defs.onnx_opset_version()
    opset = newest if opset is None else opset
    if type(opset) is not int or not OLDEST_OPSET <= opset <= newest:
        message = f"opset must be an integer from {OLDEST_OPSET} to {newest}, got {opset!r}."
        raise SpecError(message)
    graph = _Graph(onnx, params.dtype)
    value = "x"
    for i, layer in enumerate(layers):
        own = params.layers[i] if i < len(params.layers) else {}
        value = graph.add_layer(str(i), layer, own, value)
    if value == "x":
        graph.add_node("y", "Identity", value)
    graph.nodes[-1].output[0] = "y"
    proto = onnx.helper.make_graph(
        graph.nodes,
        "manualnn",
        [graph.describe("x", _width(layers, "in_features"))],
        [graph.describe("y", _width(reversed(layers), "out_features"))],
        list(graph.constants.values()),
    )
    operators = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(
        proto,
        opset_imports=operators,
        ir_version=onnx.helper.find_min_ir_version_for(operators),
        producer_name="manualnn",
        producer_version=manualnn.__version__,
    )


def save_onnx(
    path: str | os.PathLike[str],
    net: Sequential | Trainer,
    params: Parameters | None = None,
    *,
    probabilities: bool = False,
    opset: int | None = None,
) -> None:
    """Write the ONNX model of a network to a file, completely or not at all.

    The arguments after `path` and the errors are those of `export_onnx`. Raises also ModelFileError
    if the file cannot be written.
    """
    model = export_onnx(net, params, probabilities=probabilities, opset=opset)
    try:
        write_whole(path, model.SerializeToString())
    except OSError as error:
        raise ModelFileError(str(error)) from error


def _parts(net: Any, params: Any, *, probabilities: bool) -> tuple[tuple[Layer, ...], Parameters]:
    """Return the layers to export and the parameters."""
    if isinstance(net, Trainer) and params is None:
        on_top: tuple[Layer, ...] = ()
        if probabilities:
            if type(net.loss) not in ON_TOP:
                message = (
                    f"probabilities=True needs a loss for classification, got {net.loss!r}; "
                    f"leave it out, or append the layer that makes probabilities."
                )
                raise SpecError(message)
            on_top = ON_TOP[type(net.loss)]
        layers, params = net.net.layers + on_top, net.params
        net = net.net
    elif isinstance(net, Sequential) and isinstance(params, Parameters) and not probabilities:
        layers = net.layers
    else:
        message = (
            f"ONNX export expects a Trainer, or a Sequential and its Parameters (then without "
            f"probabilities: append Softmax() or Sigmoid()); got {type(net).__name__}, "
            f"{type(params).__name__} and probabilities={probabilities!r}."
        )
        raise SpecError(message)
    net.layer_arrays(params)
    if params.dtype.name not in {"float32", "float64"}:
        message = f"ONNX export needs float32 or float64, got {params.dtype}; use params.astype."
        raise DTypeError(message)
    require_finite(params.vector, "the parameters")
    if params.vector.nbytes > LARGEST:
        message = f"an ONNX file holds {LARGEST} bytes of parameters, got {params.vector.nbytes}."
        raise SpecError(message)
    return layers, params


def _width(layers: Any, name: str) -> int | None:
    return next((getattr(layer, name) for layer in layers if hasattr(layer, name)), None)


class _Graph:
    """Nodes and constants of the graph in the making."""

    def __init__(self, onnx: Any, dtype: np.dtype[Any]) -> None:
        self.onnx = onnx
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def describe(self, name: str, width: int | None) -> Any:
        """Return the description of the input or the output."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(self.dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, ["N", width or "features"])

    def add_constant(self, name: str, values: Any) -> str:
        """Add a constant of the parameters' dtype; return its name."""
        array = np.ascontiguousarray(values, self.dtype).reshape(np.shape(values))
        self.constants[name] = self.onnx.numpy_helper.from_array(array, name)
        return name

    def add_node(self, name: str, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, which has its name; return the name."""
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def add_layer(self, key: str, layer: Layer, arrays: Mapping[str, Array], value: str) -> str:
        """Add the nodes of a layer with the input `value`; return their output."""
        name = f"{key}.{type(layer).__name__}"
        if type(layer) is Linear:
            own = [self.add_constant(f"{key}.{n}", array) for n, array in arrays.items()]
            return self.add_node(name, "Gemm", value, *own, transB=1)
        if type(layer) is Dropout and layer.p < 1:  # onnxruntime refuses a ratio of 1
            return self.add_node(name, "Dropout", value, self.add_constant(f"{key}.p", layer.p))
        if type(layer) in {Identity, Dropout}:
            return self.add_node(name, "Identity", value)
        for kind, dtypes, expression in EXPRESSIONS:
            if kind is type(layer) and self.dtype.name in dtypes:
                return self._add_expression(expression, layer, key, {Z: value})
        known = {Linear, Dropout, Identity} | {kind for kind, _, _ in EXPRESSIONS}
        message = (
            f"layer {key}: ONNX export has no form for {layer!r}; "
            f"it has one for {', '.join(sorted(kind.__name__ for kind in known))}."
        )
        raise SpecError(message)

    def _add_expression(
        self, expression: Expression, layer: Layer, key: str, done: dict[Expression, str]
    ) -> str:
        """Add the nodes of an expression; `done` has the parts that are there already."""
        if expression not in done:
            if isinstance(expression, tuple):
                operator, inputs, options = split(expression)
                values = [self._add_expression(part, layer, key, done) for part in inputs]
                name = f"{key}.{len(self.nodes)}.{operator}"
                attributes = {name: getattr(layer, option) for name, option in options}
                done[expression] = self.add_node(name, operator, *values, **attributes)
            elif isinstance(expression, str):
                number = getattr(layer, expression)
                done[expression] = self.add_constant(f"{key}.{expression}", number)
            else:
                done[expression] = self.add_constant(f"{key}.{expression}", expression)
        return done[expression]
