"""Files of weights go from torch to this package and back without a change of a bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch as st_torch
import torch
from cases import Case, cases
from hypothesis import given, settings
from hypothesis import strategies as st

import manualnn as mnn
from reference import Twin


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def bits(state_dict: Any) -> dict[str, bytes]:
    return {key: np.asarray(value).tobytes() for key, value in state_dict.items()}


@settings(max_examples=max(8, settings.default.max_examples // 2))
@given(case=cases(steps=st.just(1)))
def test_weights_go_both_ways_through_files_unchanged(folder: Path, case: Case) -> None:
    """The network, its file, torch's module, torch's file, and the network again."""
    trainer = mnn.Trainer(case.net, case.loss, case.rule, params=case.params)
    mnn.save(folder / "ours", trainer, resumable=False)
    module = Twin(case.spec(), mnn.Parameters(case.net.shapes, dtype=case.dtype)).module
    module.load_state_dict(st_torch.load_file(folder / "ours"), strict=True)
    assert bits(module.state_dict()) == bits(case.params)
    if not len(case.params):  # then torch writes no dtype
        return
    st_torch.save_file(module.state_dict(), folder / "theirs")
    back = case.net.load_state_dict(mnn.load_arrays(folder / "theirs"))
    assert bits(back) == bits(case.params)
    assert back.dtype == case.dtype


NET = mnn.Sequential(mnn.Linear(3, 4), mnn.ReLU(), mnn.Linear(4, 2))


class Named(torch.nn.Module):
    """A module as people write it: attributes in place of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = torch.nn.Linear(3, 4)
        self.dropout = torch.nn.Dropout(0.2)
        self.fc2 = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(torch.relu(self.fc1(x)))


def sequential() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))


@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, torch.nn.Sequential])
def test_a_wrapped_module_loads_as_the_module(wrap: Any) -> None:
    module = sequential()
    wrapped = wrap(module).state_dict()
    assert wrapped.keys() != module.state_dict().keys()
    assert NET.load_state_dict(wrapped) == NET.load_state_dict(module.state_dict())


def test_a_module_with_named_layers_predicts_as_in_torch() -> None:
    """Each output is a sum of at most 4 products after a sum of 3, in float32: error ≤ 16 u."""
    module, x = Named(), np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3)
    params = NET.load_state_dict(module.state_dict(), names={"fc1": 0, "fc2": 2})
    theirs = module.eval()(torch.tensor(x)).detach().numpy()
    size = sum(np.abs(array).sum() for array in params.values())
    np.testing.assert_allclose(NET.forward(params, x), theirs, rtol=0, atol=16 * size * 2**-24)


def test_a_checkpoint_of_torch_is_told_apart_with_the_remedy(tmp_path: Path) -> None:
    module = sequential()
    optimizer = torch.optim.Adam(module.parameters())
    checkpoint = {"model_state_dict": module.state_dict(), "optimizer": optimizer.state_dict()}
    for path, options in ((tmp_path / "new.pt", {}), (tmp_path / "old.pt", {"legacy": True})):
        torch.save(checkpoint, path, _use_new_zipfile_serialization=not options)
        with pytest.raises(mnn.ModelFileError, match=r"file of torch\.save.*weights_only=True"):
            mnn.load(path)
        loaded = torch.load(path, weights_only=True)
        with pytest.raises(mnn.ShapeError, match=r"pass checkpoint\['model_state_dict'\]\."):
            NET.load_state_dict(loaded)
        params = NET.load_state_dict(loaded["model_state_dict"])
        assert bits(params) == bits(module.state_dict())


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_goes_through_a_file_exactly(tmp_path: Path, half: torch.dtype) -> None:
    state = sequential().to(half).state_dict()
    st_torch.save_file(state, tmp_path / "half")
    params = NET.load_state_dict(mnn.load_arrays(tmp_path / "half"), dtype="float32")
    assert bits(params) == bits({key: tensor.float() for key, tensor in state.items()})
