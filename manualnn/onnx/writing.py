"""Export of a network to ONNX."""

import os
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import manualnn
from manualnn.elementary import Array
from manualnn.errors import DTypeError, ModelFileError, SpecError
from manualnn.layers import Embedding, Identity, Layer, Linear, Sigmoid, Softmax
from manualnn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    MultiLabelSoftMarginLoss,
)
from manualnn.network.sequential import Sequential
from manualnn.onnx import embedding
from manualnn.onnx.normalization import SINCE, form_of, values_of
from manualnn.onnx.patterns import DTYPES, FORMS, Op, Parameter, Z, as_predicted, op, require_onnx
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
    MultiLabelSoftMarginLoss: (Sigmoid(),),
}
"""The layers that make probabilities of the outputs that a loss expects."""


def export_onnx(
    net: Any,
    params: Parameters | None = None,
    *,
    probabilities: bool = False,
    opset: int | None = None,
) -> "onnx.ModelProto":
    """Return the ONNX model of a network: input x (N, in), output y (N, out), in params' dtype.

    The indices of an Embedding have this dtype, too.

    `net` is a Trainer, a fitted MLPClassifier or MLPRegressor, or a Sequential with its `params` in
    float32 or float64. With `probabilities`, y are probabilities: the softmax or sigmoid that the
    loss contains is put on top. `opset` is the version of the ONNX operators, from 13 on. The
    default is the newest that the installed onnx knows; an older runtime may need an older one.

    Raises SpecError if an argument is invalid, if ONNX has no form for a layer, or if the model is
    too large for a file. Raises ShapeError, DTypeError or DomainError if the parameters do not fit
    the network, have another dtype, or are not finite. Raises MissingExtraError without onnx.
    """
    onnx = require_onnx()
    net, params = _parts(net, params, probabilities=probabilities)
    newest = onnx.defs.onnx_opset_version()
    opset = newest if opset is None else opset
    if type(opset) is not int or not OLDEST_OPSET <= opset <= newest:
        message = f"opset must be an integer from {OLDEST_OPSET} to {newest}, got {opset!r}."
        raise SpecError(message)
    graph = _Graph(params.dtype, opset)
    value = "x"
    for key, (layer, arrays) in enumerate(zip(net.layers, net.layer_arrays(params), strict=True)):
        if (predicted := as_predicted(layer)) is not None:
            value = graph.add_layer(key, predicted, arrays, value)
    if value == "x":
        graph.nodes.append(onnx.helper.make_node("Identity", ["x"], ["y"]))
    graph.nodes[-1].output[0] = "y"
    kind = onnx.helper.np_dtype_to_tensor_dtype(params.dtype)
    x, y = (
        onnx.helper.make_tensor_value_info(name, kind, ["N", width or "features"])
        for name, width in {"x": net.in_features, "y": net.out_features}.items()
    )
    operators = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "manualnn", [x], [y], graph.constants),
        opset_imports=operators,
        ir_version=onnx.helper.find_min_ir_version_for(operators),
        producer_name="manualnn",
        producer_version=manualnn.__version__,
    )


def save_onnx(
    path: str | os.PathLike[str],
    net: Any,
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


def _parts(net: Any, params: Any, *, probabilities: bool) -> tuple[Sequential, Parameters]:
    """Return the network to export, with the layers on top, and its parameters."""
    given, net = net, getattr(net, "trainer_", net)  # that of an estimator
    if isinstance(net, Trainer) and params is None:
        if probabilities and type(net.loss) not in ON_TOP:
            message = (
                f"probabilities=True needs a loss for classification, got {net.loss!r}; "
                f"leave it out, or append the layer that makes probabilities."
            )
            raise SpecError(message)
        on_top = ON_TOP[type(net.loss)] if probabilities else ()
        net, params = Sequential(*net.net.layers, *on_top), net.params
    elif not isinstance(net, Sequential) or not isinstance(params, Parameters) or probabilities:
        message = (
            f"ONNX export expects a Trainer, a fitted estimator, or a Sequential and its "
            f"Parameters (then without probabilities: append Softmax() or Sigmoid()); got "
            f"{type(given).__name__}, "
            f"{type(params).__name__} and probabilities={probabilities!r}."
        )
        raise SpecError(message)
    net.layer_arrays(params)
    if params.dtype.name not in DTYPES:
        message = f"ONNX export needs float32 or float64, got {params.dtype}; use params.astype."
        raise DTypeError(message)
    require_finite(params.vector, "the parameters")
    if params.vector.nbytes > LARGEST:
        message = f"an ONNX file holds {LARGEST} bytes of parameters, got {params.vector.nbytes}."
        raise SpecError(message)
    return net, params


def vars_of(layer: Any) -> dict[str, Any]:
    """Return the options of a layer by name."""
    return {f.name: getattr(layer, f.name) for f in fields(layer)}


class _Graph:
    """Nodes and constants of the graph in the making."""

    def __init__(self, dtype: np.dtype[Any], opset: int) -> None:
        self.dtype, self.opset = dtype, opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add_layer(self, key: int, layer: Layer, arrays: Mapping[str, Array], value: str) -> str:
        """Add the nodes of a layer with the input `value`; return the name of its output."""
        forms = {kind: form for kind, dtypes, form in FORMS if self.dtype.name in dtypes}
        for kind, form in [*forms.items()]:
            if isinstance(kind, partial) and kind() == layer:
                forms[type(layer)] = form
        forms[Linear] = op("Gemm", Z, *map(Parameter, arrays), transB=1)
        forms[Embedding] = embedding.FORM
        if (since := SINCE.get(type(layer), 0)) > self.opset:
            message = f"layer {key}: {layer!r} needs opset {since} or newer, got {self.opset}."
            raise SpecError(message)
        if since:
            values = values_of(layer, arrays, self.dtype)
            return self._add(str(key), form_of(layer), {**vars_of(layer), **values}, {Z: value})
        if type(layer) not in forms:
            kinds = {kind for kind in (Identity, *forms, *SINCE) if isinstance(kind, type)}
            known = ", ".join(sorted(kind.__name__ for kind in kinds))
            message = f"layer {key}: ONNX export has no form for {layer!r}; it has one for {known}."
            raise SpecError(message)
        return self._add(str(key), forms[type(layer)], {**vars_of(layer), **arrays}, {Z: value})

    def _add(self, key: str, form: Any, values: Mapping[str, Any], done: dict[Any, str]) -> str:
        """Add what computes a form; return the name of its value.

        `values` has the layer's options and arrays, `done` the names of what is there already.
        """
        onnx = require_onnx()
        if form in done:
            return done[form]
        if isinstance(form, Op):
            inputs = [self._add(key, part, values, done) for part in form.inputs]
            attributes = {name: values.get(option, option) for name, option in form.attributes}
            name = f"{key}.{form.operator}.{len(self.nodes)}"
            node = onnx.helper.make_node(form.operator, inputs, [name], name, **attributes)
            self.nodes.append(node)
        else:
            form = form.name if isinstance(form, Parameter) else form
            name = f"{key}.{form}"
            array = np.asarray(values.get(form, form), self.dtype)
            self.constants.append(onnx.numpy_helper.from_array(array, name))
        done[form] = name
        return name
