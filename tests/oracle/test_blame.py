"""Blame: a feature fails only where it is at fault, and the others are judged without it."""

from dataclasses import replace

import numpy as np
import pytest

from manualnn.oracle import check_engine, profiles
from manualnn.oracle.cases.by_feature import feature_recipes
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.partners import Avoided
from manualnn.oracle.cases.recipe import DIFFERENTIAL
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.diagnosis.blame import Blame
from manualnn.oracle.engines.client import connect
from manualnn.oracle.findings import FAILING
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LOSS_ROWS
from manualnn.oracle.textbook.engine import Textbook

CLAIMS = {
    "layers": ["Linear", "Tanh"],
    "losses": {"MSELoss": {}},
    "optimizers": {"SGD": {"momentum": [0.0, 0.9]}},
}
FEW = ["outputs", "loss", "grads", "params", "state"]
"""What an engine returns that does not return the gradient of its input."""


class Small(Textbook):
    returns = None

    def capabilities(self):
        usual = super().capabilities()
        return {
            **usual,
            **CLAIMS,
            "dtypes": ["float64"],
            "returns": self.returns or usual["returns"],
        }


class Tanh(Small):
    def tanh_slope(self, _o, _z, a):
        return 1 - np.abs(a) ** 3


class MSELoss(Small):
    """An error that is no constant factor."""

    def mse_slopes(self, _, y, t):
        return 2 * (y - t) + y**2 / 8


class Linear(Small):
    def linear_dW(self, o, x, dz):  # noqa: N802 - the name in the equations
        return super().linear_dW(o, x, dz) * np.linspace(1, 1.5, x.shape[1] + 1)[1:]


class SGD(Small):
    def apply_rule(self, o, p, g, s, now):
        return super().apply_rule(o, p, g, s, now) - p / 64


def case(seed, n):
    rng = np.random.default_rng(seed)
    ends = {"in_features": 3, "out_features": 2}
    layers = [{"type": "Linear", **ends}, {"type": "Tanh"}]
    layers.append({"type": "Linear", "in_features": 2, "out_features": 3})
    params = {"0.weight": (2, 3), "0.bias": 2, "2.weight": (3, 2), "2.bias": 3}
    params = {name: rng.normal(size=shape) for name, shape in params.items()}
    x, t = rng.normal(size=(n, 3)), rng.normal(size=(n, 3))
    return Case(tuple(layers), {"type": "MSELoss"}, params, x, t, {"type": "SGD", "lr": 0.1})


@pytest.mark.parametrize("returns", [None, FEW], ids=["everything", "no input gradient"])
@pytest.mark.parametrize("wrong", [Tanh, MSELoss, Linear, SGD])
def test_the_feature_at_fault_is_blamed_alone(wrong, returns):
    class Engine(wrong):
        def result(self, value, dx):
            result = super().result(value, dx)
            return {name: result[name] for name in returns or result}

    Engine.returns = returns
    with connect(Engine) as bench:
        for seed in range(3):
            for steps in (1, 3):
                drawn = case(seed, 1 + 2 * seed).but(steps=steps)
                judged = (rejudge(bench, f"plain:{name}", drawn) for name in DIFFERENTIAL)
                finding = next(found for found in judged if found)
                assert Blame(bench).features_at_fault(finding) == (wrong.__name__,)


def test_two_features_at_fault_are_both_blamed():
    class Both(Linear, Tanh):
        pass

    with connect(Both) as bench:
        finding = rejudge(bench, "plain:grads", case(0, 4))
        assert set(Blame(bench).features_at_fault(finding)) == {"Linear", "Tanh"}


@pytest.mark.parametrize("returns", [None, ["loss", "grads", "params"]])
def test_a_wrong_layer_does_not_pass_because_linear_is_avoided(returns, monkeypatch):
    """Alone, an activation has no parameter, and some engines return no other gradient."""

    class Both(Linear, Tanh):
        def result(self, value, dx):
            result = super().result(value, dx)
            return {name: result[name] for name in returns or result}

    Both.returns = returns
    monkeypatch.setitem(profiles.PROFILES, "quick", profiles.Profile(8, Size(), 2))
    report = check_engine(Both, only=["layer.*:grads", "layer.*:input_grad"])
    statuses = {result.id: result.status for result in report.results}
    # It fails, or nothing is said of it because Linear fails.
    of_tanh = {statuses["layer.Tanh:grads"], statuses["layer.Tanh:input_grad"]}
    assert of_tanh & {"failed", "not_judged"}
    assert statuses["layer.Linear:grads"] == "failed"


@pytest.mark.parametrize("check", ["params", "outputs", "update.own_gradient", "lr.zero"])
def test_a_rule_that_does_not_follow_from_the_engines_own_gradients_is_blamed(check):
    """A wrong loss beside it changes every gradient, and so every quantity of a later step."""

    class Both(SGD, MSELoss):
        pass

    with connect(Both) as bench:
        finding = rejudge(bench, f"optimizer.SGD:{check}", case(0, 4).but(steps=3))
        assert finding is not None
        assert Blame(bench).features_at_fault(finding) == ("SGD",)


def test_a_right_rule_is_not_blamed_for_a_wrong_loss():
    with connect(MSELoss) as bench:
        finding = rejudge(bench, "optimizer.SGD:outputs", case(0, 4).but(steps=3))
        assert Blame(bench).features_at_fault(finding) == ("MSELoss",)


def test_without_time_a_feature_that_is_known_to_fail_is_blamed():
    with connect(Tanh) as bench:
        finding = rejudge(bench, "plain:grads", case(0, 4))
        blame = Blame(bench, seconds=0)
        assert blame.features_at_fault(finding) == ()
        assert blame.features_at_fault(finding, {"Linear", "ReLU"}) == ("Linear",)


@pytest.fixture
def few(monkeypatch):
    """Run few examples without an explanation, because only the statuses are of interest."""
    quick = replace(profiles.PROFILES["quick"], examples=6, explaining=0)
    monkeypatch.setitem(profiles.PROFILES, "quick", quick)


def statuses(report, *prefixes):
    return {r.id: r.status for r in report.results if r.id.startswith(prefixes or "")}


@pytest.mark.usefixtures("few")
def test_a_wrong_activation_fails_alone_and_the_rest_is_judged_without_it():
    only = ["loss.*", "layer.*", "optimizer.*", "plain:*", "relations:*"]
    found = statuses(check_engine(Tanh, only=only))
    failed = [check for check, status in found.items() if status in FAILING]
    assert "layer.Tanh:grads" in failed
    assert {check.partition(":")[0] for check in failed} == {"layer.Tanh"}
    for check in ("loss.MSELoss.mean:grads", "layer.Linear:grads", "optimizer.SGD:params"):
        assert found[check] == "passed"
    assert "not_judged" not in found.values()


@pytest.mark.usefixtures("few")
def test_layers_are_judged_by_the_engines_own_gradient_of_a_wrong_loss_without_an_alternative():
    report = check_engine(MSELoss, only=["loss.*", "layer.*", "plain:*"])
    found = statuses(report)
    assert found["loss.MSELoss.mean:grads"] == "failed"
    assert found["layer.Linear:grads"] == found["layer.Tanh:grads"] == "passed"
    assert found["layer.Linear:outputs"] == found["layer.Tanh:outputs"] == "passed"
    assert found["plain:outputs"] == "passed", "one step each, because a wrong update spoils more"
    unjudged = {r.id: r.reason for r in report.results if r.status == "not_judged"}
    assert unjudged["plain:grads"] == "MSELoss fails"
    assert not [check for check, s in found.items() if s in FAILING and "MSELoss" not in check]


@pytest.mark.usefixtures("few")
def test_a_wrong_loss_does_not_hide_a_wrong_layer():
    class Both(Tanh, MSELoss):
        pass

    found = statuses(check_engine(Both, only=["loss.*", "layer.*"]))
    failed = {check.partition(":")[0] for check, status in found.items() if status in FAILING}
    assert failed == {"loss.MSELoss.mean", "loss.MSELoss.sample_weights", "layer.Tanh"}


@pytest.mark.usefixtures("few")
def test_a_failure_is_never_lost():
    """It is reported where it was found if the checks of the feature at fault do not run."""
    report = check_engine(Tanh, only=["loss.*"])
    (failed,) = (r for r in report.results if r.status == "failed")
    assert failed.findings[0].blamed == ("Tanh",)


def test_what_fails_is_avoided_as_long_as_there_is_something_else():
    claims = Capabilities.read(Small().capabilities())
    plain = Avoided(claims, frozenset({"layer.Tanh", "loss.MSELoss.mean"}), "plain")
    assert list(plain.claims.layers) == ["Linear"]
    assert list(plain.claims.losses) == ["MSELoss"]
    assert plain.claims.max_steps == 1
    own = Avoided(claims, frozenset({"layer.Tanh"}), "layer.Tanh")
    assert own.claims == claims
    one = Avoided(claims, frozenset({"optimizer.SGD"}), "plain")
    assert one.claims == claims, "another optimizer is not claimed, and a rule spoils no gradient"


class MeanBias(Textbook):
    def linear_db(self, o, dz):
        return super().linear_db(o, dz) / len(dz)


class Tilted(Textbook):
    """The gradient of every loss has a part that is not there."""

    def slope(self, o, y, t):
        return super().slope(o, y, t) + (1 + y**2) / 8


@pytest.mark.parametrize("sees_input", [True, False])
@pytest.mark.parametrize("wrong", [MeanBias, Tilted])
@pytest.mark.parametrize("name", sorted(LOSS_ROWS.keys() - {"BCELoss"}))
def test_a_loss_is_told_from_the_layers_before_it(name, wrong, sees_input):
    """The corners of a loss, such as targets of the last class and saturated logits, included."""

    class Engine(wrong):
        def capabilities(self):
            usual = super().capabilities()
            losses = usual["losses"] if sees_input else {name: "any"}
            kept = [part for part in usual["returns"] if sees_input or part != "input_grad"]
            return {**usual, "losses": losses, "returns": kept}

        def result(self, value, dx):
            result = super().result(value, dx)
            return {part: a for part, a in result.items() if part in self.capabilities()["returns"]}

    recipe = next(r for r in feature_recipes() if r.name == f"loss.{name}.mean")
    at_fault = {MeanBias: ("Linear",), Tilted: (name,)}[wrong]
    with connect(Engine) as bench:
        for i in range(5):
            rng = np.random.default_rng([9, i])
            drawn = recipe.draw(rng, bench.capabilities, Size(), "", i)
            finding = drawn and rejudge(bench, "loss:grads", drawn)
            if finding:
                assert Blame(bench).features_at_fault(finding) == at_fault, drawn
