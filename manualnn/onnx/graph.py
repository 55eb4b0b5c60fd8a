"""An ONNX graph as the import sees it: constants, nodes by their output, and shapes."""

from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.onnx.patterns import Op, Parameter, Z, require_onnx

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7
"""Before that, the inputs of Gemm, Add and others were broadcast by other rules."""


class Node:
    """A node: the operator with its domain, the inputs, the attributes with their defaults."""

    def __init__(self, proto: Any, opset: int) -> None:
        onnx = require_onnx()
        self.operator: str = ".".join(filter(None, (proto.domain, proto.op_type)))
        self.inputs: list[str] = list(proto.input)
        self.output: str = proto.output[0]
        self.name = f"the node {proto.name or self.output!r} ({self.operator})"
        defaults: list[Any] = []
        if onnx.defs.has(proto.op_type, proto.domain):
            schema = onnx.defs.get_schema(proto.op_type, opset, proto.domain)
            defaults = [attribute.default_value for attribute in schema.attributes.values()]
        self.attributes: dict[str, Any] = {}
        for attribute in (*defaults, *proto.attribute):
            if attribute.name:
                value = onnx.helper.get_attribute_value(attribute)
                number = _shortest(np.float32(value)) if isinstance(value, float) else value
                self.attributes[attribute.name] = number


class Graph:
    """The graph of a model."""

    def __init__(self, model: "onnx.ModelProto") -> None:
        onnx = require_onnx()
        opset = _opset(model)
        nodes = [Node(node, opset) for node in model.graph.node if node.output]
        self.nodes = {node.output: node for node in nodes}
        self.constants = {tensor.name: _to_array(tensor) for tensor in model.graph.initializer}
        self.inputs = {value.name for value in model.graph.input} - self.constants.keys()
        self.outputs = [value.name for value in model.graph.output]
        for node in nodes:  # the checker has found each node after its inputs
            given = self.constants.get(node.inputs[0]) if node.inputs else None
            if node.operator == "Constant":
                (value,) = node.attributes.values()
                self.constants[node.output] = _to_array(value)
            elif node.operator == "Identity" and given is not None:
                self.constants[node.output] = given
            elif node.operator == "Transpose" and given is not None:
                self.constants[node.output] = given.transpose(node.attributes.get("perm"))
        bare = onnx.ModelProto()
        bare.CopyFrom(model)
        # Inference would believe the shapes that the file declares for values and outputs.
        del bare.graph.value_info[:]
        for output in bare.graph.output:
            output.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
        self.types = {
            value.name: value.type.tensor_type
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
        }

    def shape(self, value: str) -> list[int | str] | None:
        """Return the shape: a size, a name, or "" for each dimension; None if it is not known."""
        kind = self.types.get(value)
        if kind is None or not kind.HasField("shape"):
            return None
        return [d.dim_value if d.HasField("dim_value") else d.dim_param for d in kind.shape.dim]

    def matches(self, form: Any, value: str, options: dict[str, Any]) -> bool:
        """Return True if the form computes a value. Add what Z and the options are to `options`."""
        if form == Z:
            return _agrees(options, Z, None if value in self.constants else value)
        if isinstance(form, Parameter):
            array = self.constants.get(value)
            is_row = array is not None and array.size == max(array.shape, default=1)
            return is_row and bool(options.setdefault(form.name, array) is array)
        if not isinstance(form, Op):
            return self._is_number(form, value, options)
        node = self.nodes.get(value)
        if node is None or node.operator != form.operator or len(node.inputs) != len(form.inputs):
            return False
        for name, option in form.attributes:
            expected = _rounded(option, np.dtype(np.float32))
            if not _agrees(options, expected, node.attributes.get(name)):
                return False
        inputs = zip(form.inputs, node.inputs, strict=True)
        return all(self.matches(part, given, options) for part, given in inputs)

    def _is_number(self, form: Any, value: str, options: dict[str, Any]) -> bool:
        """Return True if a value is a constant of one entry: the number or the option `form`."""
        array = self.constants.get(value)
        if array is None or array.size != 1 or array.dtype.kind not in "biuf":
            return False
        expected = _rounded(form, array.dtype)
        return _agrees(options, expected, _shortest(array.reshape(())[()]))


def _agrees(options: dict[str, Any], expected: Any, got: Any) -> bool:
    """Return True if `got` is the number that is expected, or the only value of an option."""
    if isinstance(expected, str):
        expected = options.setdefault(expected, got)
    return got is not None and bool(got == expected)


def _rounded(expected: Any, dtype: np.dtype[Any]) -> Any:
    """Return a number as it reads in a floating dtype of the graph. A name stays as it is."""
    is_number = not isinstance(expected, str) and dtype.kind == "f"
    return _shortest(dtype.type(expected)) if is_number else expected


def _to_array(given: Any) -> Array:
    """Return the array of a tensor or of the attribute of a Constant."""
    onnx = require_onnx()
    if not isinstance(given, onnx.TensorProto):
        return np.asarray(given)
    if given.external_data:  # onnx would search it in the current folder
        message = (
            f"the data of the constant {given.name!r} are in another file; pass the path of the "
            f"model, whose initializers may lie in files beside it."
        )
        raise SpecError(message)
    array: Array = onnx.numpy_helper.to_array(given)
    return array


def _shortest(number: Any) -> float:
    """Return the shortest decimal number that the dtype of `number` rounds to it.

    An attribute of a node is float32, also in a float64 graph. If an exporter rounded 0.1 to
    float32, this restores 0.1.
    """
    return float(str(number)) if isinstance(number, np.floating) else float(number)


def _opset(model: "onnx.ModelProto") -> int:
    """Return the version of the standard operators. Raises SpecError for one out of range."""
    newest = require_onnx().defs.onnx_opset_version()
    opset = {entry.domain: entry.version for entry in model.opset_import}.get("", 0)
    if not OLDEST_OPSET <= opset <= newest:
        message = (
            f"the model has opset {opset}, this import reads {OLDEST_OPSET} to {newest}; convert "
            f"it with onnx.version_converter, or install a newer onnx."
        )
        raise SpecError(message)
    return opset
