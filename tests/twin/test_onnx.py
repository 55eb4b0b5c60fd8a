"""torch's networks come through ONNX, by both of torch's exporters, and go back to onnxruntime."""

import io
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx_models.bounds import error_bound
from torch import nn

from manualnn import Embedding, Identity, Linear, Sequential
from manualnn.onnx import export_onnx, load_onnx

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore"),  # torch warns of its older exporter
]

EVERY = nn.Sequential(
    nn.Flatten(),
    nn.Linear(3, 5),
    nn.Sigmoid(),
    nn.Linear(5, 4, bias=False),
    nn.Tanh(),
    nn.Dropout(0.3),
    nn.Linear(4, 4),
    nn.Linear(4, 4),
    nn.LeakyReLU(0.2),
    nn.Softsign(),
    nn.Softplus(2.0, 50.0),
    nn.Identity(),
    nn.ReLU(),
    nn.Linear(4, 3),
    nn.LogSoftmax(-1),
    nn.Softmax(-1),
)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.norm.running_mean.copy_(torch.tensor([0.5, -1.5]))
        self.norm.running_var.copy_(torch.tensor([0.5, 2.5]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = ((x - 1.5) / 2.0).view(x.size(0), -1)
        return torch.log_softmax(self.norm(self.linear(x)), 1)


def is_nightly(config: pytest.Config) -> bool:
    return config.getoption("hypothesis_profile") == "nightly" and bool(find_spec("onnxscript"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("module", [EVERY, Scaled()], ids=["every layer", "scaled"])
@pytest.mark.parametrize("is_dynamo", [False, True], ids=["TorchScript", "dynamo"])
def test_torch_to_onnx_to_ours_to_onnxruntime(
    request: pytest.FixtureRequest, module: nn.Module, dtype: torch.dtype, *, is_dynamo: bool
) -> None:
    if is_dynamo and not is_nightly(request.config):
        pytest.skip("that exporter takes seconds; the profile nightly runs it, with onnxscript")
    module = module.to(dtype).eval()
    torch.manual_seed(0)
    x = torch.randn(7, 3, dtype=dtype)
    options: dict[str, Any] = (
        {"dynamic_shapes": ({0: torch.export.Dim("n")},), "verbose": False}
        if is_dynamo
        else {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
    )
    file = io.BytesIO()
    torch.onnx.export(module, (x,), file, dynamo=is_dynamo, **options)
    net, params = load_onnx(onnx.load_from_string(file.getvalue()))
    assert params.dtype == x.numpy().dtype
    if isinstance(module, nn.Sequential):
        kept = [layer for layer in module if type(layer) is nn.Linear]
        linear = [f"{i}" for i, layer in enumerate(net.layers) if isinstance(layer, Linear)]
        for key, layer in zip(linear, kept, strict=True):
            for name, value in layer.named_parameters():
                np.testing.assert_array_equal(params[f"{key}.{name}"], value.detach().numpy())
    expected = module(x).detach().numpy()
    again = onnxruntime.InferenceSession(export_onnx(net, params).SerializeToString())
    # torch scales and shifts one by one, which adds a Linear's rounding for each of three steps.
    bound = 4 * error_bound(Sequential(*net.layers, Identity()), params, x.numpy())
    assert (np.abs(net.forward(params, x.numpy()) - expected) <= bound).all()
    assert (np.abs(again.run(None, {"x": x.numpy()})[0] - expected) <= bound).all()


def test_a_table_of_torch_comes_through_onnx_with_integers_as_its_input() -> None:
    module = nn.Sequential(nn.Embedding(5, 3, padding_idx=1), nn.Flatten(), nn.Linear(6, 2))
    x, file = torch.tensor([[0, 4], [1, 1], [3, 0]]), io.BytesIO()
    axes = {"x": {0: "n"}}
    torch.onnx.export(module, (x,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    net, params = load_onnx(onnx.load_from_string(file.getvalue()))
    assert net.layers == (Embedding(5, 3), Linear(6, 2))
    for ours, theirs in zip(params.values(), module.parameters(), strict=True):
        assert np.array_equal(ours, theirs.detach().numpy())
    # Each side rounds at most 7 times in a sum of 7 terms; the largest parameter exceeds 1.
    bound = 7 * 7 * np.finfo(np.float32).eps * np.abs(params.vector).max() ** 2
    assert np.abs(net.forward(params, x.numpy()) - module(x).detach().numpy()).max() <= bound
