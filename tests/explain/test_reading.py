"""Runs and options that do not fit are refused, with messages that speak JSON."""

import math
from typing import Any

import pytest

from manualnn import (
    Linear,
    ManualNNError,
    Sequential,
    SpecError,
)
from manualnn.explain import EXAMPLE, explain

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [[1.0, 2.0]]}, "^x must have rows of 3 numbers, got 1 row of 2 numbers.$"),
        ({"x": [[1.0, 2.0], [1.0]]}, r"^x must .*, got \[\[1.0, 2.0\], \[1.0\]\].$"),
        ({"x": []}, "^x must have rows of 3 numbers, got 0 numbers.$"),
        ({"x": [[True, 1, 2]]}, r"^x must have rows of 3 numbers, got \[\[true, 1, 2\]\].$"),
        ({"x": "1"}, '^x must have rows of 3 numbers, got "1".$'),
        ({"t": [[1.0]]}, "^t must have 1 row of 2 numbers, got 1 row of 1 number.$"),
        ({"t": [[math.nan, 1.0]]}, r"^t\[0\]\[0\] must be a finite number, got NaN.$"),
        ({"t": [[[1, 2], [3]]]}, r"^t must have 1 row of 2 numbers, got \[\[\[1, 2\], \[3\]\]\].$"),
        ({"t": [[[], 1.0]]}, r"^t must have 1 row of 2 numbers, got \[\[\[\], 1.0\]\].$"),
        ({"t": [[1, 10**400]]}, r"^t\[0\]\[1\] must be a finite number, got 1000"),
        (
            {"t": [2], "loss": {"type": "CrossEntropyLoss"}},
            r"^t\[0\] must be a class, an integer from 0 to 1, got 2",
        ),
        (
            {"parameters": {"0.weight": [[1.0]]}},
            '^parameters must be an object with "0.weight", "0.bias", .*; got "0.weight".$',
        ),
        (
            {"parameters": {**EXAMPLE["parameters"], "2.bias": [[1, 2]]}},
            r"^parameters\[\"2.bias\"\] must have 2 numbers, got 1 row of 2 numbers.$",
        ),
        ({"layers": 3}, r"^layers must be a list of objects such as .*, got 3.$"),
        (
            {"layers": [EXAMPLE["layers"][0], EXAMPLE["layers"][0]]},
            r"^layers\[1\].in_features must be 2, as layers\[0\].out_features, got 3.$",
        ),
        (
            {"layers": [{"type": "Linear", "in_features": 3.5, "out_features": 2}]},
            r"^layers\[0\].in_features must be an integer, got 3.5.$",
        ),
        (
            {"optimizer": {"type": "SGD", "nesterov": 1}},
            "^optimizer.nesterov must be true or false, got 1.$",
        ),
        (
            {"loss": {"type": "CrossEntropyLoss", "weight": [1, "a"]}},
            r"^loss.weight must be a list of numbers, or null, got \[1, \"a\"\].$",
        ),
        (
            {"optimizer": {"type": "Adam", "betas": [0.9]}},
            r"^optimizer.betas must be a list of 2 numbers, got \[0.9\].$",
        ),
        ({"dtype": "float8"}, '^dtype must be "float64" or "float32", got "float8".$'),
        ({"dtype": []}, '^dtype must be "float64" or "float32", got .*.$'),
        ({"loss_factor": 0}, "^MSELoss: factor must be from 1e-30 to 1e30, got 0.$"),
        ({"loss_factor": True}, "^MSELoss: factor must be of type float, got True.$"),
        (
            {"loss": {"type": "L1Loss", "factor": 1e-320}},
            "^L1Loss: factor must be from 1e-30 to 1e30, got 1e-320.$",
        ),
        ({"masks": {"1.mask": [[1, 1]]}}, "^masks must be an object with no keys; got "),
        ({"parameters": 3}, "parameters must be an object"),
        ({"layers": [{"type": "Sigmoyd"}]}, "did you mean 'Sigmoid'"),
        ({"layers": [{"type": "Sigmoid"}], "parameters": {}}, "no parameters"),
        ({"targets": 1}, '^the run has the unknown key "targets"; it may have layers'),
        ({"lr": 0.1}, '^the run has the unknown key "lr"; "lr" belongs into "optimizer"; it may'),
        ({"a": 1, "b": 2}, 'has the unknown keys "a", "b"; it may have'),
        ({"layers": [{"type": "relu"}]}, "did you mean 'ReLU'"),
        ({"seed": -1, "parameters": None}, "seed must be an integer of at least 0"),
        (
            {"x": [[1e300, 1e300, 1e300]], "layers": [EXAMPLE["layers"][0]]},
            "^parameters must be an object with",
        ),
        ({"t": [[1e300, 1e300]]}, "scale x"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused_with_advice(change: Any, message: str) -> None:
    spec = {key: value for key, value in {**EXAMPLE, **change}.items() if value is not None}
    with pytest.raises(ManualNNError, match=message):
        explain(spec)


@pytest.mark.parametrize("key", ["layers", "x", "t", "parameters"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(SpecError, match=f"lacks {key}"):
        explain({k: v for k, v in EXAMPLE.items() if k != key})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"weight": "0.weight[2,0]"},
            r"no parameter 0.weight\[2,0\]; there are 0.weight\[0…1,0…2\]",
        ),
        ({"weight": "1.weight[0,0]"}, "there is no parameter"),
        ({"weight": "0.weight[0]"}, "there is no parameter"),
        ({"weight": "weight"}, "named like 0.weight"),
        ({"decimals": 16}, "from 0 to 15, got 16"),
        ({"decimals": True}, "from 0 to 15"),
        ({"epochs": 0}, "at least 1, got 0"),
        ({"paths": 0}, "at least 1, got 0"),
        ({"target_loss": math.nan}, "finite number, got nan"),
        ({"lr": math.inf}, "finite number, got inf"),
        ({"lr": -1.0}, "lr must be at least 0"),
        ({"dropout_seed": -3}, "at least 0, got -3"),
    ],
)
def test_an_option_out_of_range_is_refused_with_advice(options: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        explain(**options)


def test_a_network_without_its_numbers_is_refused() -> None:
    with pytest.raises(SpecError, match="needs params, x, t"):
        explain(Sequential(Linear(1, 1)))
