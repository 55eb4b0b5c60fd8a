"""ONNX models: export a network for other runtimes, and import the networks of other libraries.

    save_onnx("model.onnx", trainer)            # for onnxruntime, netron, …; needs manualnn[onnx]
    net, params = load_onnx("from_torch.onnx")  # as torch.onnx.export and skl2onnx write them
    trainer = Trainer(net, CrossEntropyLoss(), Adam(), params=params)

The export has one input x of shape (N, in) and one output y of shape (N, out), with any number of
samples N. It computes the prediction: a Dropout layer is there, but does nothing. The indices of an
Embedding are numbers of the parameters' dtype in x. The import reads graphs with integers, too.

The import reads a chain of the operators that `manualnn.onnx.reading` lists. An operator that no
layer can represent is an error that names the node. Nothing in a file is executed.
"""

from manualnn.onnx.reading import load_onnx
from manualnn.onnx.writing import export_onnx, save_onnx

__all__ = ["export_onnx", "load_onnx", "save_onnx"]
