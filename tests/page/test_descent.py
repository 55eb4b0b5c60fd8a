"""The descent of an explanation's page, and what the page says about it."""

import math

import pytest

from manualnn.explain import explain

pytestmark = pytest.mark.once
SCRIPT = "story.mjs"


def test_an_error_that_a_rule_maximizes_may_grow(ask, example):
    run = example["spec"] | {"optimizer": {"type": "SGD", "lr": 0.02, "maximize": True}}
    found = ask("descent", run=run, iterations=5)
    assert float(found["errors"][-1]) > float(found["errors"][0])
    assert found["text"].endswith("in 5 updates: the rule maximizes it.")


@pytest.mark.parametrize("decimals", [None, 3])
def test_the_descent_is_that_of_python(ask, decimals):
    e = explain(decimals=decimals, epochs=30, lr=0.1, target_loss=0.01)
    found = ask("descent", run=e.spec, decimals=decimals, iterations=30, target=0.01)
    errors = [q.value for q in e.errors]
    assert [float(v) for v in found["errors"]] == pytest.approx(errors, rel=1e-12)
    assert found["stopped"] == {"target_loss": "target"}[e.stopped]
    assert found["text"].endswith("the target error is reached.")


@pytest.mark.parametrize(
    ("course", "says"),
    [
        ((0.02, 10, None), "it falls all the way"),
        ((0.02, 10, 1e-3), "more iterations are needed"),
        ((1e-4, 10, None), "more iterations are needed"),
        ((1e-9, 50, None), "more iterations are needed"),
        ((0.6, 30, None), "it rises in between"),
        ((0.55, 1, None), "The error grows."),
        ((1.0, 6, None), "The error grows."),
        ((5.0, 30, None), "It diverges."),
        ((5.0, 1000, None), "It diverges."),
        ((0.0, 3, None), "it does not change"),
    ],
)
def test_the_page_says_what_a_learning_constant_does(ask, example, course, says):
    lr, iterations, target = course
    run = example["spec"] | {"optimizer": {"type": "SGD", "lr": lr}}
    found = ask("descent", run=run, iterations=iterations, target=target)
    assert says in found["text"]
    assert ("too large" in found["text"]) == (says in {"It diverges.", "The error grows."})
    errors = [float(v) for v in found["errors"]]
    assert f"α = {lr:g} the error goes from {errors[0]}".replace("e-0", "e-") in found["text"]
    if iterations == 1000:
        assert not math.isfinite(errors[-1])
        assert all(map(math.isfinite, errors[:-1]))
        assert f"to {errors[-2]:.17g}".split("e")[0][:12] in found["text"]


def test_an_error_that_has_come_to_rest_is_no_reason_for_more_iterations(ask):
    """A constant network of one bias cannot fit two targets: the error ends at their variance."""
    run = {
        "layers": [{"type": "Linear", "in_features": 1, "out_features": 1}],
        "loss": {"type": "MSELoss"},
        "optimizer": {"type": "SGD", "lr": 0.3},
        "parameters": {"0.weight": [[0.0]], "0.bias": [0.5]},
        "x": [[0.0], [0.0]],
        "t": [[1.0], [-1.0]],
    }
    found = ask("descent", run=run, iterations=60)
    assert float(found["errors"][-1]) == 1
    assert "It no longer falls" in found["text"]
    assert "more iterations" not in found["text"]
