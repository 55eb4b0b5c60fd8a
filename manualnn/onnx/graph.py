"""An ONNX graph as the import sees it: constants, nodes by their output, and shapes."""

import os
from functools import lru_cache
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ModelFileError, SpecError
from manualnn.onnx.patterns import COMMUTATIVE, Expression, Z, require_onnx, split

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7
"""Before that, the inputs of Gemm, Add and others were broadcast by other rules."""
DOMAINS = ("", "ai.onnx")
"""Names of the domain of the standard operators."""


class Node:
    """A node: the operator with its domain, the inputs, the attributes with their defaults."""

    __slots__ = ("attributes", "inputs", "name", "operator", "output")

    def __init__(self, proto: Any, opset: int) -> None:
        in_domain = "" if proto.domain in DOMAINS else f"{proto.domain}."
        self.operator: str = in_domain + proto.op_type
        self.inputs: list[str] = list(proto.input)
        self.output: str = proto.output[0]
        self.name = f"the node {proto.name or self.output!r} ({self.operator})"
        value_of = require_onnx().helper.get_attribute_value
        self.attributes: dict[str, Any] = {} if in_domain else dict(_defaults(proto.op_type, opset))
        self.attributes |= {attribute.name: value_of(attribute) for attribute in proto.attribute}

    def number(self, name: str) -> float:
        """Return an attribute that is a float."""
        return _shortest(np.float32(self.attributes[name]))


@lru_cache(maxsize=256)
def _defaults(operator: str, opset: int) -> dict[str, Any]:
    """Return the attributes that an operator has if a node does not give them."""
    onnx = require_onnx()
    if not onnx.defs.has(operator):
        return {}
    attributes = onnx.defs.get_schema(operator, max_inclusive_version=opset).attributes
    return {
        name: onnx.helper.get_attribute_value(attribute.default_value)
        for name, attribute in attributes.items()
        if attribute.default_value.name
    }


class Graph:
    """The graph of a model."""

    def __init__(self, model: "onnx.ModelProto") -> None:
        onnx = require_onnx()
        opset = _opset(model)
        graph = model.graph
        self._arrays: dict[str, Array | None] = {}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = {value.name for value in graph.input} - self.constants.keys()
        self.outputs = list(graph.output)
        nodes = [Node(node, opset) for node in graph.node if node.output]
        self.nodes = {node.output: node for node in nodes}
        bare = onnx.ModelProto()
        bare.CopyFrom(model)
        # Inference would believe the shapes that the file declares for values and outputs.
        del bare.graph.value_info[:]
        for value in bare.graph.output:
            value.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
        self.types = {
            value.name: value.type.tensor_type
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
        }

    def node(self, value: str) -> Node:
        """Return the node with that output. Raises SpecError if there is none."""
        if value not in self.nodes:
            message = f"{value!r} is no output of a node."
            raise SpecError(message)
        return self.nodes[value]

    def shape(self, value: str) -> list[int | str] | None:
        """Return the shape: a size, a name, or "" for each dimension; None if it is not known."""
        kind = self.types.get(value)
        if kind is None or not kind.HasField("shape"):
            return None
        return [d.dim_value if d.HasField("dim_value") else d.dim_param for d in kind.shape.dim]

    def dtype(self, value: str) -> str:
        """Return the dtype of a value; float32 if it is not known or an integer."""
        kind = self.types[value].elem_type if value in self.types else 1
        dtype = require_onnx().helper.tensor_dtype_to_np_dtype(kind)
        return dtype.name if dtype.kind == "f" else "float32"

    def constant(self, value: str) -> Array | None:
        """Return the array of a value that does not depend on the input, otherwise None."""
        if value not in self._arrays:
            self._arrays[value] = self._evaluate(value)
        return self._arrays[value]

    def _evaluate(self, value: str) -> Array | None:
        node = self.nodes.get(value)
        if value in self.constants:
            array: Array | None = _to_array(self.constants[value])
        elif node is None or node.operator not in {"Constant", "Identity", "Transpose"}:
            array = None
        elif node.operator == "Constant":
            (given,) = node.attributes.values()
            is_tensor = isinstance(given, require_onnx().TensorProto)
            array = _to_array(given) if is_tensor else np.asarray(given)
        else:
            array = self.constant(node.inputs[0])
            if array is not None and node.operator == "Transpose":
                array = np.transpose(array, node.attributes.get("perm"))
        return array

    def scalar(self, value: str) -> float | None:
        """Return a constant with one entry as a number, otherwise None."""
        array = self.constant(value)
        if array is None or array.size != 1 or array.dtype.kind not in "biuf":
            return None
        return _shortest(array.reshape(())[()])

    def match(
        self, expression: Expression, value: str, found: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return `found` with the options that make the expression equal a value, or None."""
        if expression == Z:
            is_same = found.get(Z, value) == value and self.constant(value) is None
            return {**found, Z: value} if is_same else None
        if isinstance(expression, str):
            number = self.scalar(value)
            is_same = number is not None and found.get(expression, number) == number
            return {**found, expression: number} if is_same else None
        if not isinstance(expression, tuple):
            return found if self.scalar(value) == expression else None
        operator, parts, options = split(expression)
        node = self.nodes.get(value)
        if node is None or node.operator != operator or len(node.inputs) != len(parts):
            return None
        for attribute, option in options:
            own = node.attributes[attribute]
            found = {**found, option: node.number(attribute) if isinstance(own, float) else own}
        for order in permutations(parts) if operator in COMMUTATIVE else [parts]:
            result: dict[str, Any] | None = found
            for part, given in zip(order, node.inputs, strict=True):
                result = None if result is None else self.match(part, given, result)
            if result is not None:
                return result
        return None


def _to_array(tensor: Any) -> Array:
    if tensor.external_data:  # onnx would search it in the current folder
        message = (
            f"the data of the constant {tensor.name!r} are in another file; pass the path of the "
            f"model, whose initializers may lie in files beside it."
        )
        raise SpecError(message)
    array: Array = require_onnx().numpy_helper.to_array(tensor)
    return array


def _shortest(number: Any) -> float:
    """Return the shortest decimal number that the dtype of `number` rounds to it.

    An attribute of a node is float32, also in a float64 graph. If an exporter rounded 0.1 to
    float32, this restores 0.1.
    """
    return float(str(number))


def _opset(model: "onnx.ModelProto") -> int:
    """Return the version of the standard operators. Raises SpecError for one out of range."""
    newest = require_onnx().defs.onnx_opset_version()
    versions = [entry.version for entry in model.opset_import if entry.domain in DOMAINS]
    opset = versions[0] if versions else 0
    if not OLDEST_OPSET <= opset <= newest:
        message = (
            f"the model has opset {opset}, this import reads {OLDEST_OPSET} to {newest}; convert "
            f"it with onnx.version_converter, or install a newer onnx."
        )
        raise SpecError(message)
    return opset


def read_model(path: str | os.PathLike[str]) -> "onnx.ModelProto":
    """Return the model in a file, with its external data, checked by onnx.

    Raises ModelFileError if the file is no ONNX model, or if its data lie outside its folder.
    """
    onnx = require_onnx()
    if not Path(path).is_file():
        reason = "it is not a regular file" if Path(path).exists() else "there is no such file"
        message = f"cannot read {path}: {reason}; expected an ONNX model."
        raise ModelFileError(message)
    try:
        model = onnx.load_model(os.fspath(path), format="protobuf", load_external_data=False)
        folder = Path(path).resolve().parent
        for tensor in model.graph.initializer:
            _load_external(tensor, folder)
    except OSError as error:
        message = f"cannot read {path}: {error}."
        raise ModelFileError(message) from error
    except Exception as error:  # protobuf and onnx have several kinds
        message = f"{path} is not an ONNX model, or is damaged or truncated: {_brief(error)}."
        raise ModelFileError(message) from error
    return model


def _load_external(tensor: Any, folder: Path) -> None:
    """Load the data of a tensor that lie in a file of their own, which must be in the folder."""
    onnx = require_onnx()
    if onnx.external_data_helper.uses_external_data(tensor):
        location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        file = (folder / location).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            message = f"the data of {tensor.name!r} must be a file in {folder}, got {location!r}"
            raise ValueError(message)
        onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.ClearField("external_data")


def check_model(model: "onnx.ModelProto", name: str) -> None:
    """Raise ModelFileError if onnx's checker does not accept the model."""
    onnx = require_onnx()
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        message = f"{name} is not a valid ONNX model: {_brief(error)}."
        raise ModelFileError(message) from error


def _brief(error: Exception) -> str:
    """Return the first line of a message."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")
