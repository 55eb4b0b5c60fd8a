"""Penalties, clipping and groups in an explanation."""

from typing import Any

import numpy as np
import pytest
from explain.networks import network_of

from manualnn import SGD, Adam, AdamW, MSELoss, SpecError, Trainer
from manualnn.explain import EXAMPLE, explain

pytestmark = pytest.mark.once

GROUP = {"params": "*.bias", "lr": 0.3}
RULES = [
    SGD(0.1, l1=0.1, l2=0.05),
    SGD(0.1, momentum=0.9, max_norm=0.01, groups=[GROUP]),
    SGD(0.1, max_norm=1e9, norm_type=1.0, clip_value=0.02),
    Adam(0.1, l2=0.3, clip_value=0.02, max_norm=0.05),
    AdamW(0.1, l1=0.1, groups=[{"params": "0.*", "type": "SGD", "l2": 0.3}, GROUP]),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_new_parameters_are_those_of_a_trainer(rule: Any) -> None:
    """The explanation has 50 digits, the trainer float64: about ten operations on numbers below 10,
    of which each loses 2⁻⁵³; a root of small numbers may lose ten times as much.
    """
    net, params, x, t = network_of("Tanh", "MSELoss")
    e = explain(net, params, x, t, rule=rule, every=True, epochs=3)
    trainer, points = Trainer(net, MSELoss(), rule, params=params.copy()), [params.copy()]
    for _ in range(3):
        trainer.step(x, t)
        points.append(trainer.params.copy())
    losses = [net.value_and_grad(point, MSELoss(), x, t)[0] for point in points]
    assert np.allclose([q.value for q in e.errors], losses, rtol=1e-13, atol=0)
    updated = [g.updated.value for g in e.gradients]
    assert np.allclose(updated, points[1].vector, rtol=0, atol=1e-13)


def update_of(weight: str, **options: Any) -> str:
    """Return the formula of a new parameter, in names."""
    spec = {**EXAMPLE, "optimizer": {"type": "SGD", "lr": 0.5, **options}}
    (gradient,) = explain(spec, weight=weight).to_dict()["gradients"]
    formula: str = gradient["updated"]["formula"]["names"]
    return formula


def test_the_formula_shows_what_is_done_to_the_gradient() -> None:
    slope = "∂L/∂0.weight[0,1]"
    penalized = f"({slope} - l1 + 0.weight[0,1]·(2·l2))"
    found = update_of("0.weight[0,1]", l1=0.1, l2=0.2, max_norm=0.1)
    assert found == f"0.weight[0,1] - {penalized}·clip·lr"
    assert update_of("0.bias[1]", l1=0.1, l2=0.2) == "0.bias[1] - ∂L/∂0.bias[1]·lr"
    assert update_of("2.bias[0]", clip_value=0.1) == "2.bias[0] - clip_value·lr"
    assert update_of("2.bias[1]", clip_value=0.1) == "2.bias[1] - (-clip_value)·lr"


def test_a_note_states_the_norm() -> None:
    notes = [
        explain({**EXAMPLE, "optimizer": {"type": "SGD", "max_norm": most}}).notes
        for most in (1e-3, 1e3)
    ]
    assert "clip = max_norm / (‖g‖ + 10⁻⁶) multiplies each" in notes[0][0]
    assert "so they stay as they are" in notes[1][0]


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"type": "Muon"}, "updates a matrix as a whole.*AdamW"),
        ({"type": "LBFGS"}, "evaluates the loss several times.*SGD"),
        ({"type": "SGD", "groups": [{"params": "*", "type": "Muon"}]}, "Muon updates a matrix"),
        ({"type": "SGD", "groups": [{"params": "7.*", "lr": 1.0}]}, "has no parameter"),
        ({"type": "SGD", "max_norm": 1.0, "norm_type": 3.0}, "norm_type of 1 or 2"),
    ],
    ids=str,
)
def test_what_has_no_formula_is_refused(optimizer: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        explain({**EXAMPLE, "optimizer": optimizer})
