"""Weights of samples in an explanation."""

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from explain.networks import network_of

from manualnn import LOSSES, DomainError, ShapeError
from manualnn.cli import cli
from manualnn.explain import EXAMPLE, explain

pytestmark = pytest.mark.once

THREE = {**EXAMPLE, "x": [[0.9, 0.4, 0.5]] * 3, "t": [[0.2, 1.0], [0.5, 0.5], [0.0, 1.0]]}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_numbers_are_those_of_the_weighted_loss(loss: str, reduction: str) -> None:
    """The paths have 50 digits, the loss float64 and fewer than a hundred operations."""
    net, params, x, t = network_of("Tanh", loss)
    made, w = LOSSES[loss](reduction=reduction, factor=0.3), np.arange(len(x)) * 0.7 + 0.1
    e = explain(net, params, x, t, loss=made, sample_weight=w, epochs=1)
    y = net.forward(params, x)
    value, slopes = made.value_and_grad(y, t, sample_weight=w)
    assert e.loss.total.value == pytest.approx(value, rel=1e-13)
    shown = [q.value for q in e.loss.slopes]
    assert shown == pytest.approx(slopes.ravel().tolist(), rel=1e-11, abs=1e-15)
    assert all(g.agrees for g in e.gradients)
    assert e.loss.total.value * e.loss.divisor == pytest.approx(sum(q.value for q in e.loss.terms))


def test_a_weight_counts_a_sample_that_often() -> None:
    twice = {**THREE, "x": [*THREE["x"], THREE["x"][1]], "t": [*THREE["t"], THREE["t"][1]]}
    weighted = explain({**THREE, "sample_weights": [1, 2, 1]}, decimals=6).loss
    assert weighted.divisor == explain(twice).loss.divisor == 4
    assert weighted.total.value == pytest.approx(explain(twice).loss.total.value, abs=1e-6)
    slope = weighted.slopes[2].formula
    assert slope is not None
    assert slope.op == "-"  # (y − t) 2 w / D, and 2 w is D


def test_the_command_takes_weights(tmp_path: Any) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(THREE), encoding="utf-8")
    command = ["explain", str(file), "--format", "json", "--sample-weights"]
    result = CliRunner().invoke(cli, [*command, "1,0.5,2"])
    found = json.loads(result.output)
    assert found["spec"]["sample_weights"] == [1, 0.5, 2]
    assert "the weights 1, 0.5, 2" in found["notes"][0]
    refused = CliRunner().invoke(cli, [*command, "1,b"])
    assert refused.exit_code == 2
    assert "expected numbers such as 1,0.5,2" in refused.output


@pytest.mark.parametrize(
    ("weights", "error"),
    [([1, 2], ShapeError), ([1, -1, 1], DomainError), ([0, 0, 0], DomainError)],
)
def test_weights_that_do_not_fit_are_refused(weights: list[float], error: type[Exception]) -> None:
    with pytest.raises(error, match="sample_weight"):
        explain({**THREE, "sample_weights": weights})
