"""Import of a network from ONNX.

The import walks from the graph's output back to its input. At every value it recognises either a
layer (`manualnn.onnx.patterns`), or one of these operators:

    Gemm, MatMul                            a Linear
    Add, Sub, Mul, Div, Scaler,             with constants: scale and offset of every feature, which
    BatchNormalization                      are multiplied into the Linear before or after
    Identity, Cast, Flatten, Reshape,       nothing, if they leave each row as it is
    ZipMap
    Dropout                                 a Dropout, which does nothing in prediction, even where
                                            the graph was exported for training
"""

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ManualNNError, ModelFileError, SpecError
from manualnn.layers import Dropout, Softmax, Softplus
from manualnn.network.sequential import Sequential
from manualnn.onnx.folding import Affine, Matrix, Pair, Step, assemble
from manualnn.onnx.graph import Graph, Node, check_model, read_model
from manualnn.onnx.patterns import EXPRESSIONS, TWO_CLASSES, Z, require_onnx, split
from manualnn.parameters import Parameters

if TYPE_CHECKING:
    import onnx

NO_THRESHOLD = 40.0
"""From here on softplus(z) rounds to z, also in float64: exp(−40) < 40 · 2⁻⁵³."""
FLOATS = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")


def load_onnx(
    model: "str | os.PathLike[str] | onnx.ModelProto",
    *,
    output: str | None = None,
    dtype: Any = None,
) -> tuple[Sequential, Parameters]:
    """Return the network and the parameters of an ONNX model.

    The network takes x of shape (N, in). A model that flattens images takes them flattened. The
    labels of a classifier are not part of the network; its output are the probabilities.

    Parameters
    ----------
    model : path or onnx.ModelProto
        The model. Its weights may lie in another file in the same folder.
    output : str, optional
        Name of the value that the network computes. The default is the only output of the graph
        that is floating point. It may be an inner value, such as the scores before a softmax.
    dtype : data type, optional
        float32 or float64. The default is the dtype of the weights.

    Raises
    ------
    ModelFileError
        If the file cannot be read, or is not a valid ONNX model.
    SpecError
        If the model is valid, but no chain of layers represents it. The message names the node.
    DTypeError
        If the weights are float16 or of another type, and `dtype` is not given.
    DomainError
        If a weight is too large for `dtype`.
    MissingExtraError
        If onnx is not installed.

    """
    if isinstance(model, str | os.PathLike):
        name, proto = os.fspath(model), read_model(model)
    else:
        name, proto = "the model", model
    check_model(proto, name)
    try:
        with np.errstate(all="ignore"):  # numbers that are not finite are refused at the end
            return assemble(*_read_steps(Graph(proto), output), dtype)
    except ManualNNError as error:
        message = f"{name}: {error}"
        raise type(error)(message) from error
    except Exception as error:  # shapes and numbers of a damaged model may fail anywhere
        message = f"{name} is damaged: {type(error).__name__}: {error}"
        raise ModelFileError(message) from error


def _read_steps(graph: Graph, output: str | None) -> tuple[list[Step], str]:
    """Return the steps from the input to the output, and the dtype of the input."""
    value = _choose_output(graph) if output is None else output
    steps: list[Step] = []
    while value not in graph.inputs:
        node = graph.node(value)
        try:
            read, value = _read_step(graph, node)
        except SpecError as error:
            message = f"{node.name} cannot be imported: {error}"
            raise SpecError(message) from error
        steps += reversed(read)
    return steps[::-1], graph.dtype(value)


def _choose_output(graph: Graph) -> str:
    """Return the only output that is no label, that is, no tensor of integers or strings."""
    tensor = require_onnx().TensorProto
    floats = [
        value.name
        for value in graph.outputs
        if not value.type.HasField("tensor_type")
        or tensor.DataType.Name(value.type.tensor_type.elem_type) in FLOATS
    ]
    if len(floats) != 1:
        names = ", ".join(repr(value.name) for value in graph.outputs)
        message = (
            f"the graph has {len(floats)} floating-point outputs, expected one; "
            f"pass output=, one of {names} or an inner value."
        )
        raise SpecError(message)
    return floats[0]


def _read_step(graph: Graph, node: Node) -> tuple[list[Step], str]:
    """Return what computes the node's output, and the value that it is computed from."""
    for kind, _, expression in EXPRESSIONS:
        if options := graph.match(expression, node.output, {}):
            value = options.pop(Z)
            if kind is Softplus:
                options.setdefault("threshold", NO_THRESHOLD)
            _require_rows(graph, value)
            return [kind(**options)], value
    options = graph.match(TWO_CLASSES, node.output, {})
    if options and options["axis"] in {-1, 1}:
        return [Pair(), Softmax()], options[Z]
    if node.operator not in OPERATORS:
        known = sorted({split(e)[0] for _, _, e in EXPRESSIONS} | OPERATORS.keys())
        message = (
            f"no layer represents it here. Known operators: {', '.join(known)}. Pass output= "
            f"with the name of an inner value, such as {(node.inputs or [''])[0]!r}, to import "
            f"the part before it."
        )
        raise SpecError(message)
    return OPERATORS[node.operator](graph, node)


# ---------------------------------------------------------------------- the operators


def _read_gemm(graph: Graph, node: Node) -> tuple[list[Step], str]:
    if node.attributes["transA"]:
        message = "transA=1 mixes the samples of a batch; expected transA=0."
        raise SpecError(message)
    weight, dtype = _read_weight(graph, node)
    weight = (weight if node.attributes["transB"] else weight.T) * node.number("alpha")
    bias = None
    if len(node.inputs) > 2 and node.inputs[2]:
        vector = _vector(graph, node.inputs[2]) * node.number("beta")
        bias = np.broadcast_to(vector, len(weight))
    return [Matrix(weight, bias, dtype)], node.inputs[0]


def _read_matmul(graph: Graph, node: Node) -> tuple[list[Step], str]:
    weight, dtype = _read_weight(graph, node)
    return [Matrix(weight.T, None, dtype)], node.inputs[0]


def _read_weight(graph: Graph, node: Node) -> tuple[Array, str]:
    """Return the second input, which must be a constant matrix, and its dtype."""
    value, constant = node.inputs[:2]
    weight = graph.constant(constant)
    if weight is None or weight.ndim != 2 or graph.constant(value) is not None:
        message = "its first input must be the samples, and the second a constant matrix."
        raise SpecError(message)
    _require_rows(graph, value)
    return weight.astype(float), weight.dtype.name


def _read_arithmetic(graph: Graph, node: Node) -> tuple[list[Step], str]:
    """Read x + c, c + x, x − c, c − x, x c, c x or x / c."""
    value, other = node.inputs
    is_reversed = graph.constant(value) is not None
    if is_reversed:
        value, other = other, value
    c, one = _vector(graph, other), np.ones(1)
    if node.operator == "Add":
        return _affine(graph, node, value, one, c)
    if node.operator == "Sub":
        return _affine(graph, node, value, *((-one, c) if is_reversed else (one, -c)))
    if node.operator == "Div" and is_reversed:
        message = "it divides a constant by its input, which no layer does."
        raise SpecError(message)
    return _affine(graph, node, value, c if node.operator == "Mul" else 1 / c)


def _read_scaler(graph: Graph, node: Node) -> tuple[list[Step], str]:
    """Read (x − offset) scale."""
    scale = np.array(node.attributes.get("scale", [1.0]), float)
    offset = np.array(node.attributes.get("offset", [0.0]), float)
    return _affine(graph, node, node.inputs[0], scale, -offset * scale)


def _read_normalization(graph: Graph, node: Node) -> tuple[list[Step], str]:
    """Read the normalisation by means and variances that were found in training."""
    if node.attributes.get("training_mode"):
        message = "it is in training mode; export the model for inference."
        raise SpecError(message)
    scale, bias, mean, variance = (_vector(graph, value) for value in node.inputs[1:5])
    scale = scale / np.sqrt(variance + node.number("epsilon"))
    return _affine(graph, node, node.inputs[0], scale, bias - mean * scale)


def _affine(
    graph: Graph, node: Node, value: str, scale: Array, offset: Array | None = None
) -> tuple[list[Step], str]:
    for array in (scale, offset):
        if array is not None and array.size > 1:  # a number may also scale images, before Flatten
            _require_rows(graph, value)
            width = (graph.shape(value) or [""])[-1]
            if isinstance(width, int) and array.size != width:
                message = f"its constant has {array.size} entries for {width} features."
                raise SpecError(message)
    return [Affine(scale, offset, node.name)], value


def _vector(graph: Graph, value: str) -> Array:
    """Return a constant that is a number, or has one for each feature, as a float64 vector."""
    array = graph.constant(value)
    if array is None or array.ndim > 2 or any(n != 1 for n in array.shape[:-1]):
        got = "an input that is no constant" if array is None else f"shape {array.shape}"
        message = f"expected a constant of shape (features,), got {got}."
        raise SpecError(message)
    return array.reshape(-1).astype(float)


def _read_dropout(graph: Graph, node: Node) -> tuple[list[Step], str]:
    ratio = graph.scalar(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    if ratio is None:
        ratio = node.number("ratio") if "ratio" in node.attributes else 0.5
    return [Dropout(ratio)], node.inputs[0]


def _skip(graph: Graph, node: Node) -> tuple[list[Step], str]:
    """Read an operator that must leave each row as it is."""
    value = node.inputs[0]
    tensor = require_onnx().TensorProto
    if node.operator == "Cast" and tensor.DataType.Name(node.attributes["to"]) not in FLOATS:
        message = f"it converts to {tensor.DataType.Name(node.attributes['to'])}."
        raise SpecError(message)
    if node.operator in {"Flatten", "Reshape"} and node.attributes.get("axis") != 1:
        before, after = graph.shape(value) or [""], graph.shape(node.output) or [""]
        row = before[1:]
        is_same = len(after) == 2 and (
            after[0] == before[0] != ""
            or (all(isinstance(n, int) for n in row) and after[1] == math.prod(row))
        )
        if not is_same:
            message = f"it must leave each row as it is, but makes {after} of {before}."
            raise SpecError(message)
    return [], value


def _require_rows(graph: Graph, value: str) -> None:
    """Raise SpecError if a value is known not to have the shape (N, features)."""
    shape = graph.shape(value)
    if shape is not None and len(shape) != 2:
        message = f"its input must have the shape (N, features), got {shape}."
        raise SpecError(message)


OPERATORS: dict[str, Callable[[Graph, Node], tuple[list[Step], str]]] = {
    "Add": _read_arithmetic,
    "BatchNormalization": _read_normalization,
    "Cast": _skip,
    "Div": _read_arithmetic,
    "Dropout": _read_dropout,
    "Flatten": _skip,
    "Gemm": _read_gemm,
    "Identity": _skip,
    "MatMul": _read_matmul,
    "Mul": _read_arithmetic,
    "Reshape": _skip,
    "Sub": _read_arithmetic,
    "ai.onnx.ml.Scaler": _read_scaler,
    "ai.onnx.ml.ZipMap": _skip,
}
"""The operators that are read one by one."""
