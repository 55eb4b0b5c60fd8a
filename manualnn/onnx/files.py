"""Reading of an ONNX file."""

from pathlib import Path
from typing import Any

from manualnn.errors import ModelFileError
from manualnn.onnx.patterns import require_onnx


def read_model(path: Path) -> Any:
    """Return the model in a file. Its initializers may lie in other files of the same folder.

    Raises ModelFileError if a file is missing, or errors of onnx and protobuf if it is damaged.
    """
    onnx = require_onnx()
    if not path.is_file():
        reason = "it is not a regular file" if path.exists() else "there is no such file"
        message = f"{reason}; expected an ONNX model."
        raise ModelFileError(message)
    model = onnx.load_model(path, format="protobuf", load_external_data=False)
    folder = path.resolve().parent
    for tensor in model.graph.initializer:
        if onnx.external_data_helper.uses_external_data(tensor):
            location = {entry.key: entry.value for entry in tensor.external_data}.get(
                "location", ""
            )
            file = (folder / location).resolve()
            if not file.is_relative_to(folder) or not file.is_file():
                message = (
                    f"the data of {tensor.name!r} must be a file in {folder}, got {location!r}."
                )
                raise ModelFileError(message)
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = onnx.TensorProto.DEFAULT
            tensor.ClearField("external_data")
    return model
