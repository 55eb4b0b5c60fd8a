"""Published calculations by hand, checked."""

import json
from decimal import Decimal
from typing import Any

import pytest

from manualnn.explain import check

pytestmark = pytest.mark.once

SIGMOIDS = [{"type": "Linear", "in_features": 2, "out_features": 2}, {"type": "Sigmoid"}] * 2
HALF_SQUARES = {"loss": {"type": "MSELoss", "reduction": "sum"}, "loss_factor": 0.5}
MAZUR = {
    "layers": SIGMOIDS,
    **HALF_SQUARES,
    "optimizer": {"type": "SGD", "lr": 0.5},
    "parameters": {
        "0.weight": [[0.15, 0.20], [0.25, 0.30]],
        "0.bias": [0.35, 0.35],
        "2.weight": [[0.40, 0.45], [0.50, 0.55]],
        "2.bias": [0.60, 0.60],
    },
    "x": [[0.05, 0.10]],
    "t": [[0.01, 0.99]],
}
MAZURS_NUMBERS = """{
    "z0": [0.3775, null], "a1": [0.593269992, 0.596884378],
    "z2": [1.105905967, null], "y": [0.75136507, 0.772928465],
    "e": [0.274811083, 0.023560026], "L": 0.298371109,
    "dL/dy[0]": 0.74136507, "dy[0]/dz2[0]": 0.186815602, "dL/dz2[0]": 0.138498562,
    "dL/da1[0]": 0.036350306, "da1[0]/dz0[0]": 0.241300709,
    "gradients": {"2.weight": [[0.082167041, null], [null, null]], "0.weight[0,0]": 0.000438568},
    "updated": {"2.weight": [[0.35891648, 0.408666186], [0.511301270, 0.561370121]],
                "0.weight": [[0.149780716, 0.19956143], [0.24975114, 0.29950229]]}
}"""
"""M. Mazur, A Step by Step Backpropagation Example, 2015 (which leaves the biases as they are)."""

HAN = {
    "layers": [
        {"type": "Linear", "in_features": 3, "out_features": 2},
        {"type": "Sigmoid"},
        {"type": "Linear", "in_features": 2, "out_features": 1},
        {"type": "Sigmoid"},
    ],
    **HALF_SQUARES,
    "optimizer": {"type": "SGD", "lr": 0.9},
    "parameters": {
        "0.weight": [[0.2, 0.4, -0.5], [-0.3, 0.1, 0.2]],
        "0.bias": [-0.4, 0.2],
        "2.weight": [[-0.3, -0.2]],
        "2.bias": [0.1],
    },
    "x": [[1, 0, 1]],
    "t": [[1]],
}
HANS_NUMBERS = """{
    "z0": [-0.7, 0.1], "a1": [0.332, 0.525], "z2": [-0.105], "y": [0.474],
    "dL/dz2": [-0.1311], "dL/dz0": [0.0087, 0.0065],
    "updated": {"2.weight": [[-0.261, -0.138]], "2.bias": [0.218], "0.bias": [-0.408, 0.194],
                "0.weight": [[0.192, 0.4, -0.508], [-0.306, 0.1, 0.194]]}
}"""
"""Han, Kamber and Pei, Data Mining, 3rd edition, example 9.1; their Err is −∂L/∂z."""


def read(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def verdicts(mine: Any, run: Any) -> dict[str, str]:
    return {one.name: one.verdict for one in check(mine, run).comparisons}


def test_every_number_that_mazur_published_is_right() -> None:
    found = verdicts(read(MAZURS_NUMBERS), MAZUR)
    assert (len(found), set(found.values())) == (24, {"right"})


def test_a_published_copy_goes_astray_at_the_first_term() -> None:
    """A page that repeats the example (jianshu.com/p/408ab8177a53) has another first term."""
    copied = read(MAZURS_NUMBERS.replace("0.274811083", "0.298371109")) | {
        "L": Decimal("0.321931135")
    }
    found = check(copied, MAZUR)
    assert found.first.name == "e[0]"
    wrong = {one.name: one.causes for one in found.comparisons if one.verdict != "right"}
    assert wrong == {"e[0]": (), "L": ("e[0]",)}


def test_a_textbook_that_rounds_to_three_digits_makes_no_mistake() -> None:
    found = verdicts(read(HANS_NUMBERS), HAN)
    assert [name for name, verdict in found.items() if verdict != "right"] == ["∂L/∂z2[0]"]
    assert found["∂L/∂z2[0]"] == "rounded"  # 0.474·0.526·0.526 is 0.1311, unrounded 0.13117
