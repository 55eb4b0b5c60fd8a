"""ONNX models for the tests: in the text form of ONNX, as exporters write them.

Weights are small integers, and most constants powers of two, so that nothing rounds.
"""

from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

RNG = np.random.default_rng(0)
CONSTANTS = {
    "w": RNG.integers(-3, 4, (2, 3)),  # (out, in), as torch has it
    "wt": RNG.integers(-3, 4, (3, 2)),
    "v": RNG.integers(-3, 4, (2, 2)),
    "b": RNG.integers(-3, 4, 2),
    "row": RNG.integers(-3, 4, (1, 2)),
    "w1": RNG.integers(-3, 4, (3, 1)),
    "mean": RNG.integers(-3, 4, 3),
    "std": np.array([2, 0.5, 4]),
    "none": np.array(0),
    "half": np.array([0.5]),
    "unit": np.array(1),
    "two": np.array(2),
    "five": np.array(5),
    "root": np.sqrt(2),
}


def model(text: str, dtype: Any = np.float64, **constants: Any) -> onnx.ModelProto:
    """Return the model of nodes that read x, of shape (N, 3), and write y.

    `text` may begin with "opset 13;", and with "x float[N,3]; y float[N,2];" for other types. It
    uses CONSTANTS by name, in that dtype.
    """
    kind = {"float32": "float", "float64": "double", "float16": "float16"}[np.dtype(dtype).name]
    opset, given, result = "20", f"{kind}[N,3] x", f"{kind}[N,M] y"
    *head, nodes = text.split(";")
    for part in map(str.strip, head):
        if part.startswith("opset "):
            opset = part[6:]
        elif part.endswith(" x"):
            given = part
        else:
            result = part
    graph = f'<ir_version: 8, opset_import: ["": {opset}, "ai.onnx.ml": 1]>'
    proto = onnx.parser.parse_model(f"{graph} g ({given}) => ({result}) {{ {nodes} }}")
    used = {value for node in proto.graph.node for value in node.input}
    for name, value in (CONSTANTS | constants).items():
        if name in used:
            array = np.asarray(value)
            array = array if name in constants else array.astype(dtype)
            proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto
