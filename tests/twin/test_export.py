"""`manualnn export --format torch`: torch loads the file by the lines that the command prints."""

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run
from safetensors.torch import load_file

import manualnn as mnn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_printed_lines_load_the_network(tmp_path: Path, dtype: str) -> None:
    net = mnn.Sequential(mnn.Linear(3, 4), mnn.LeakyReLU(0.1), mnn.Dropout(0.5), mnn.Linear(4, 2))
    trainer = mnn.Trainer(net, mnn.MSELoss(), mnn.SGD(lr=0.1), seed=1, dtype=dtype)
    mnn.save(tmp_path / "model", trainer)
    result = run("export", tmp_path / "model", "--format=torch")
    assert result.exit_code == 0, result.output
    expression = result.stdout.split("net = ")[1].split("\n")[0]
    twin = eval(expression, {"nn": torch.nn})  # noqa: S307 - what a user would paste
    twin.load_state_dict(load_file(tmp_path / "model.torch.safetensors"))
    loaded = {key: array.numpy() for key, array in twin.state_dict().items()}
    assert loaded.keys() == trainer.params.keys()
    assert all(np.array_equal(loaded[key], trainer.params[key]) for key in loaded)
    assert {array.dtype for array in loaded.values()} == {np.dtype(dtype)}
