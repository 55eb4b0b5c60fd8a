"""Import of a network from ONNX.

The import walks from the graph's output back to its input. At every value it recognises either a
form of a layer (`manualnn.onnx.patterns`), or one of these operators:

    Gemm, MatMul                            a Linear
    Gather                                  an Embedding
    LayerNormalization, RMSNormalization,   the layer of that name
    GroupNormalization
    Add, Sub, Mul, Div, Scaler,             with constants: factor and offset of every feature,
    BatchNormalization                      which are multiplied into the Linear before or after
    Identity, Cast, Flatten, Reshape,       nothing, if they leave each row as it is
    ZipMap

A Dropout does nothing in prediction, also where the graph was exported for training.
"""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ManualNNError, ModelFileError, SpecError
from manualnn.network.sequential import Sequential
from manualnn.onnx import embedding, normalization
from manualnn.onnx.files import read_model
from manualnn.onnx.folding import Affine, Learned, Step, assemble
from manualnn.onnx.graph import Graph, Node
from manualnn.onnx.patterns import FORMS, SIZES, Z, require_onnx
from manualnn.parameters import Parameters
from manualnn.validation import as_dtype

if TYPE_CHECKING:
    import onnx

LABELS = ("INT64", "STRING")
"""Types of the labels that skl2onnx puts out."""
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

    `model` is a path or a ModelProto. Weights may lie in another file in the folder of the path.
    `output` names the value that the network computes. The default is the only output of the graph
    that is floating point. It may be an inner value, such as the scores before a softmax. `dtype`
    is float32 or float64. The default is the dtype of the weights.

    Raises ModelFileError if the file cannot be read, or is not a valid ONNX model. Raises SpecError
    if the model is valid, but no chain of layers represents it; the message names the node. Raises
    DTypeError if the weights are float16 or of another type, and `dtype` is not given. Raises
    DomainError if a weight is too large for `dtype`, and MissingExtraError without onnx.
    """
    onnx = require_onnx()
    dtype = None if dtype is None else as_dtype(dtype)
    path = Path(model) if isinstance(model, str | os.PathLike) else None
    name = path or "the model"
    try:
        proto: Any = read_model(path) if path else model
        onnx.checker.check_model(proto)
        with np.errstate(all="ignore"):  # numbers that are not finite are refused at the end
            graph = Graph(proto)
            steps, value = _read_steps(graph, output)
            default = onnx.helper.tensor_dtype_to_np_dtype(graph.types[value].elem_type)
            return assemble(steps, default, dtype)
    except ManualNNError as error:
        message = f"{name}: {error}"
        raise type(error)(message) from error
    except OSError as error:
        message = f"cannot read {name}: {error}."
        raise ModelFileError(message) from error
    except Exception as error:  # of protobuf and onnx; a damaged model may fail anywhere
        reason = (str(error).strip().splitlines() or [""])[0][:300].rstrip(".")
        message = (
            f"{name} is not a valid ONNX model, or is damaged or truncated: "
            f"{type(error).__name__}: {reason}."
        )
        raise ModelFileError(message) from error


def _choose_output(graph: Graph) -> str:
    """Return the only output that is no label, that is, no tensor of integers or strings."""
    name_of = require_onnx().TensorProto.DataType.Name
    floats = [out for out in graph.outputs if name_of(graph.types[out].elem_type) not in LABELS]
    if len(floats) != 1:
        message = (
            f"the graph has {len(floats)} floating-point outputs, expected one; pass output=, "
            f"one of {', '.join(map(repr, graph.outputs))} or an inner value."
        )
        raise SpecError(message)
    return floats[0]


def _read_steps(graph: Graph, output: str | None) -> tuple[list[Step], str]:
    """Return the steps from an input to the output, and the name of the input."""
    value = _choose_output(graph) if output is None else output
    steps: list[Step] = []
    while value not in graph.inputs:
        if value not in graph.nodes:
            message = f"{value!r} is no output of a node."
            raise SpecError(message)
        node = graph.nodes[value]
        try:
            read, value = _read_step(graph, node)
        except SpecError as error:
            message = f"{node.name} cannot be imported: {error}"
            raise SpecError(message) from error
        steps += reversed(read)
    return steps[::-1], value


def _read_step(graph: Graph, node: Node) -> tuple[list[Step], str]:
    """Return what computes the node's output, and the value that it is computed from."""
    for kind, _, form in FORMS:
        options: dict[str, Any] = {}
        if graph.matches(form, node.output, options):
            value = options.pop(Z)
            _require_rows(graph.shape(value))
            return [_layer_of(kind, options)], value
    if node.operator == "Gather":
        layer, arrays, value = embedding.read(graph, node)
        _require_rows(graph.shape(value))
        return [Learned(layer, arrays)], value
    if node.operator in normalization.OPERATORS:
        return [_read_rows(graph, node)], node.inputs[0]
    if node.operator in SKIPPED:
        _require_same_rows(graph, node)
        return [], node.inputs[0]
    if node.operator not in OPERATORS:
        forms = {form.operator for _, _, form in FORMS}
        known = sorted({*forms, *OPERATORS, *SKIPPED, *normalization.OPERATORS, "Gather"})
        message = (
            f"no layer represents it here. Known operators: {', '.join(known)}. Pass output= "
            f"with the name of an inner value, such as {(node.inputs or [''])[0]!r}, to import "
            f"the part before it."
        )
        raise SpecError(message)
    value = next((name for name in node.inputs if name not in graph.constants), node.inputs[0])
    constants = [graph.constants.get(name) for name in node.inputs]
    read = OPERATORS[node.operator](node, *constants)
    factor, offset = read[0]
    entries = max(len(factor), 1 if offset is None else len(offset))
    if factor.ndim == 2 or entries > 1:  # a number may also scale images, before Flatten
        _require_rows(graph.shape(value), entries)
    return [Affine(factor, offset, node.name) for factor, offset in read], value


def _layer_of(kind: Any, options: Mapping[str, Any]) -> Step:
    """Return a layer from its options, with its parameters if it has some."""
    arrays = {k: v.reshape(-1) for k, v in options.items() if isinstance(v, np.ndarray)}
    if not arrays:
        made: Step = kind(**options)
        return made
    plain = {k: v for k, v in options.items() if k not in arrays}
    return Learned(kind(**plain, **SIZES[kind](arrays)), arrays)


def _read_rows(graph: Graph, node: Node) -> Learned:
    """Return the layer of a node that normalises rows."""
    names = [name for name in node.inputs[1:] if name]
    if not names or any(name not in graph.constants for name in names):
        message = "its scale and its bias must be constants."
        raise SpecError(message)
    scale = graph.constants[names[0]]
    shift = graph.constants[names[1]] if len(names) > 1 else None
    _require_rows(graph.shape(node.inputs[0]), scale.size)
    return Learned(*normalization.read(node, scale, shift))


def _require_rows(shape: list[int | str] | None, entries: int | None = None) -> None:
    """Raise SpecError if a shape is known, but is not (N, features), or (N, entries)."""
    if shape is not None and len(shape) != 2:
        message = f"its input must have the shape (N, features), got {shape}."
        raise SpecError(message)
    width = shape[1] if shape else ""
    if entries is not None and isinstance(width, int) and width != entries:
        message = f"no Linear represents a constant of {entries} entries for {width} features."
        raise SpecError(message)


# ---------------------------------------------------------------------- the operators
# Each function gets the constants among the node's inputs, and None for the others. It returns the
# factor and the offset of one or two affine steps.

Steps = list[tuple[Array, Array | None]]


def _read_product(node: Node, x: Array | None, weight: Array | None, *bias: Array | None) -> Steps:
    """Read x W, or alpha x W + beta c."""
    attributes = node.attributes
    if attributes.get("transA"):
        message = "transA=1 mixes the samples of a batch; expected transA=0."
        raise SpecError(message)
    if x is not None or weight is None or weight.ndim != 2:
        message = "its first input must be the samples, and the second a constant matrix."
        raise SpecError(message)
    factor = np.array([attributes.get("alpha", 1.0)])
    offset = _vector(bias[0]) * attributes["beta"] if any(node.inputs[2:]) else None
    return [(weight.T if attributes.get("transB") else weight, None), (factor, offset)]


def _read_arithmetic(node: Node, left: Array | None, right: Array | None) -> Steps:
    """Read x + c, c + x, x − c, c − x, x c, c x or x / c."""
    is_reversed = left is not None
    if is_reversed and node.operator == "Div":
        message = "it divides a constant by its input, which no layer does."
        raise SpecError(message)
    c, one = _vector(left if is_reversed else right), np.ones(1)
    steps: dict[str, Steps] = {
        "Add": [(one, c)],
        "Sub": [(-one, c) if is_reversed else (one, -c)],
        "Mul": [(c, None)],
        "Div": [(1 / c, None)],
    }
    return steps[node.operator]


def _read_scaler(node: Node, _: Array | None) -> Steps:
    """Read (x − offset) scale."""
    scale = np.array(node.attributes.get("scale", [1.0]), float)
    return [(scale, -np.array(node.attributes.get("offset", [0.0]), float) * scale)]


def _read_normalization(node: Node, _: Array | None, *constants: Array | None) -> Steps:
    """Read the normalisation by means and variances that were found in training."""
    if node.attributes.get("training_mode"):
        message = "it is in training mode; export the model for inference."
        raise SpecError(message)
    scale, bias, mean, variance = map(_vector, constants)
    scale = scale / np.sqrt(variance + node.attributes["epsilon"])
    return [(scale, bias - mean * scale)]


def _vector(constant: Array | None) -> Array:
    """Return a constant that is a number, or has one for each feature, as a float64 vector."""
    if constant is None or constant.ndim > 2 or any(n != 1 for n in constant.shape[:-1]):
        got = "an input that is no constant" if constant is None else f"shape {constant.shape}"
        message = f"expected a constant of shape (features,), got {got}."
        raise SpecError(message)
    return constant.reshape(-1).astype(float)


OPERATORS: dict[str, Callable[..., Steps]] = {
    "Add": _read_arithmetic,
    "BatchNormalization": _read_normalization,
    "Div": _read_arithmetic,
    "Gemm": _read_product,
    "MatMul": _read_product,
    "Mul": _read_arithmetic,
    "Sub": _read_arithmetic,
    "ai.onnx.ml.Scaler": _read_scaler,
}
"""The affine operators."""
SKIPPED = ("Cast", "Flatten", "Identity", "Reshape", "ai.onnx.ml.ZipMap")
"""The operators that are left out, if they leave each row as it is."""


def _require_same_rows(graph: Graph, node: Node) -> None:
    """Raise SpecError if an operator does not leave each row as it is."""
    if node.operator == "Cast":
        kind = require_onnx().TensorProto.DataType.Name(node.attributes["to"])
        if kind not in FLOATS:
            message = f"it converts to {kind}."
            raise SpecError(message)
    if node.operator in {"Flatten", "Reshape"} and node.attributes.get("axis") != 1:
        before, after = graph.shape(node.inputs[0]) or [""], graph.shape(node.output) or [""]
        row = before[1:]
        is_batch_kept = after[0] == before[0] != ""
        is_row_kept = all(isinstance(n, int) for n in row) and after[1:] == [math.prod(row)]
        if len(after) != 2 or not (is_batch_kept or is_row_kept):
            message = f"it must leave each row as it is, but makes {after} of {before}."
            raise SpecError(message)
