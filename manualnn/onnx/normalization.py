"""The layers that normalise rows as ONNX operators, in both directions.

    form_of(layer)          the operator with its inputs and attributes
    values_of(layer, …)     what the names in the form stand for
    read(node, constants)   the layer of a node, and its parameters

The operators are newer than most: see SINCE. An epsilon is a float32 number in any graph.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.layers import BatchNorm1d, GroupNorm, Layer, LayerNorm, RMSNorm
from manualnn.onnx.graph import Node
from manualnn.onnx.patterns import Op, Z, op, require_onnx

SINCE: dict[type[Layer], int] = {BatchNorm1d: 13, LayerNorm: 17, GroupNorm: 21, RMSNorm: 23}
"""The first opset with the operator, in its present meaning."""

COMMON = {"epsilon": "eps", "stash_type": "kind"}
"""Attributes of those for rows. Without the second, variances are computed in float32."""


def form_of(layer: Any) -> Op:
    """Return the form of a layer of SINCE. Raises SpecError for one that normalises the batch."""
    if isinstance(layer, BatchNorm1d):
        if not layer.track_running_stats:
            message = f"ONNX has no form for {layer!r}, which normalises the batch in prediction."
            raise SpecError(message)
        constants = ("scale", "shift", "running_mean", "running_var")
        return op("BatchNormalization", Z, *constants, epsilon="eps")
    if isinstance(layer, GroupNorm):
        own: dict[str, Any] = {"num_groups": "num_groups"}
        return op("GroupNormalization", Z, "scale", "shift", **COMMON, **own)
    shift = ["shift"] if "bias" in layer.parameters else []
    name = "RMSNormalization" if isinstance(layer, RMSNorm) else "LayerNormalization"
    return op(name, Z, "scale", *shift, axis=-1, **COMMON)


def values_of(layer: Any, arrays: Mapping[str, Array], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the constants and attributes of the form. Without a weight, the scale is 1."""
    one = np.ones(layer.in_features, dtype)
    return {
        "scale": arrays.get("weight", one),
        "shift": arrays.get("bias", 0 * one),
        "eps": layer.epsilon(one),
        **{name: a for name, a in arrays.items() if name.startswith("running_")},
        "kind": require_onnx().helper.np_dtype_to_tensor_dtype(dtype),
    }


def read(node: Node, scale: Array, shift: Array | None) -> tuple[Layer, dict[str, Array]]:
    """Return the layer of a node with these constants. Raises SpecError for another axis."""
    width, eps = scale.shape[0], node.attributes["epsilon"]
    if scale.ndim != 1 or node.attributes.get("axis", -1) not in {-1, 1}:
        message = f"it must normalise rows of (N, features), got a scale of shape {scale.shape}."
        raise SpecError(message)
    arrays = {"weight": scale} | ({} if shift is None else {"bias": shift})
    layers: dict[str, Layer] = {
        "LayerNormalization": LayerNorm(width, eps, bias=shift is not None),
        "RMSNormalization": RMSNorm(width, eps),
        "GroupNormalization": GroupNorm(node.attributes.get("num_groups", 1), width, eps),
    }
    return layers[node.operator], arrays


OPERATORS: Sequence[str] = ("LayerNormalization", "RMSNormalization", "GroupNormalization")
"""The operators that `read` knows."""
