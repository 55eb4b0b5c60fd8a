"""Embedding as ONNX operators, in both directions.

    FORM                    integers, their rows of the table, and each sample as one row
    read(graph, node)       the layer of a Gather, its table, and the value with the indices

A graph does not say which row is for padding, because prediction reads that row like any other.
"""

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.layers import Embedding
from manualnn.onnx.graph import Graph, Node
from manualnn.onnx.patterns import Z, op

INT64 = 7  # of onnx.TensorProto
FORM = op("Flatten", op("Gather", "weight", op("Cast", Z, to=INT64), axis=0), axis=1)


def read(graph: Graph, node: Node) -> tuple[Embedding, dict[str, Array], str]:
    """Return the layer of a node with its table, and the value that holds the indices.

    Raises SpecError if the node does not select rows of a constant matrix.
    """
    table, value = graph.constants.get(node.inputs[0]), node.inputs[1]
    if table is None or table.ndim != 2 or node.attributes["axis"] != 0:
        message = "it must select rows of a constant matrix, with axis=0."
        raise SpecError(message)
    cast = graph.nodes.get(value)
    if cast is not None and cast.operator == "Cast":  # to integers, as Gather needs them
        value = cast.inputs[0]
    return Embedding(*table.shape), {"weight": table}, value
