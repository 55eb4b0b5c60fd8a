"""Engines that support little: each claim has an engine that needs it, and a wrong twin of it.

The engines are written here, layer by layer, and raise an error for all that they do not support.
"""

import re
from typing import ClassVar

import numpy as np
import pytest
from schemas import validate

from manualnn.oracle import check_engine, profiles
from manualnn.oracle.profiles import PROFILES
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.claims import ClaimError

SLOPES = {"Tanh": lambda _, a: 1 - a * a, "ReLU": lambda z, _: 1.0 * (z > 0)}
VALUES = {"Tanh": np.tanh, "ReLU": lambda z: z * (z > 0)}


class Small:
    """Linear layers, Tanh and ReLU, a loss, and SGD."""

    losses: ClassVar = {"MSELoss": {"reduction": ["mean", "sum"]}}
    claims: ClassVar = {}
    factor = 1.0
    """A mistake: a factor of all gradients."""

    def capabilities(self):
        layers = ["Linear", *VALUES]
        return {"layers": layers, "losses": self.losses, "optimizers": ["SGD"], **self.claims}

    def judged(self, loss, y, t):
        """Return the loss and its gradient."""
        divisor = {"mean": y.size, "sum": 1}[loss["reduction"]]
        return np.sum((y - t) ** 2) / divisor, 2 * (y - t) / divisor

    def step(self, case):
        p, names = case.params, [layer["type"] for layer in case.layers]
        ys = [case.x]
        for i, name in enumerate(names):
            if name == "Linear":
                ys.append(ys[-1] @ p[f"{i}.weight"].T + p.get(f"{i}.bias", 0))
            else:
                ys.append(VALUES[name](ys[-1]))
        value, dy = self.judged(case.loss, ys[-1], case.t)
        grads = {}
        for i in reversed(range(len(names))):
            if names[i] == "Linear":
                own = {f"{i}.weight": dy.T @ ys[i], f"{i}.bias": dy.sum(axis=0)}
                grads |= {key: self.factor * g for key, g in own.items() if key in p}
                dy = dy @ p[f"{i}.weight"]
            else:
                dy = dy * SLOPES[names[i]](ys[i], ys[i + 1])
        lr = case.optimizer["lr"]
        params = {key: p[key] - lr * grads[key] for key in p}
        return {"loss": value, "grads": grads, "params": params}


class SumsAlone(Small):
    losses: ClassVar = {"MSELoss": {"reduction": ["sum"]}}

    def judged(self, loss, y, t):
        assert loss["reduction"] == "sum"
        return np.sum((y - t) ** 2), 2 * (y - t)


class HalfOverSamples(Small):
    """½ Σ (y − t)² / N, as many courses have it."""

    losses: ClassVar = {"MSELoss": {"reduction": ["batchmean"], "factor": [0.5]}}

    def judged(self, loss, y, t):
        assert (loss["reduction"], loss["factor"]) == ("batchmean", 0.5)
        return np.sum((y - t) ** 2) / 2 / len(y), (y - t) / len(y)


class ThirdOfAbsolute(Small):
    """A factor that rounds, of a loss with a kink."""

    losses: ClassVar = {"L1Loss": {"reduction": ["sum"], "factor": [1 / 3]}}

    def judged(self, _, y, t):
        return np.abs(y - t).sum() / 3, np.sign(y - t) / 3


def softmax_and_log(y):
    shifted = y - y.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    return e / e.sum(axis=1, keepdims=True), shifted - np.log(e.sum(axis=1, keepdims=True))


class IndicesAlone(Small):
    losses: ClassVar = ["CrossEntropyLoss"]
    claims: ClassVar = {"class_targets": ["indices"]}

    def judged(self, _, y, t):
        p, logs = softmax_and_log(y)
        q = np.eye(y.shape[1])[t]
        return -logs[np.arange(len(t)), t].sum() / len(y), (p - q) / len(y)


class ProbabilitiesAlone(Small):
    losses: ClassVar = ["CrossEntropyLoss"]
    claims: ClassVar = {"class_targets": ["probabilities"]}

    def judged(self, _, y, t):
        assert t.shape == y.shape
        p, logs = softmax_and_log(y)
        slope = p * t.sum(axis=1, keepdims=True) - t
        return -(t * logs).sum() / len(y), slope / len(y)


class Fused(Small):
    """Hidden layers are Linear with an activation; the last layer is Linear."""

    claims: ClassVar = {"networks": "(LA)*L"}

    def step(self, case):
        names = [layer["type"] for layer in case.layers]
        assert names.pop() == "Linear"
        assert all(name == "Linear" for name in names[::2])
        assert all(name in VALUES for name in names[1::2])
        assert len(names) % 2 == 0
        return super().step(case)


class FusedThroughout(Small):
    claims: ClassVar = {"networks": "(LA)+"}

    def step(self, case):
        names = [layer["type"] for layer in case.layers]
        assert len(names) % 2 == 0
        assert all((a == "Linear") == (i % 2 == 0) for i, a in enumerate(names))
        return super().step(case)


class NeedsParameters(Small):
    claims: ClassVar = {"networks": "[LA]*L[LA]*"}

    def step(self, case):
        if not case.params:
            raise ValueError("optimizer got an empty parameter list")
        return super().step(case)


NARROW = [
    SumsAlone,
    HalfOverSamples,
    ThirdOfAbsolute,
    IndicesAlone,
    ProbabilitiesAlone,
    Fused,
    FusedThroughout,
    NeedsParameters,
]


def brief(monkeypatch, engine, explaining=0, **given):
    size = PROFILES["quick"].size
    monkeypatch.setitem(PROFILES, "brief", profiles.Profile(3, size, explaining))
    return check_engine(engine, profile="brief", **given)


@pytest.mark.parametrize("engine", NARROW)
def test_an_engine_that_supports_little_is_judged_by_that(engine, monkeypatch):
    validate("capabilities", engine().capabilities())
    report = brief(monkeypatch, engine)
    assert report.counts()["passed"] > 30
    assert not [r.findings[0].message for r in report.results if r.findings]
    assert report.exit_code == 0, report.problems


@pytest.mark.parametrize("engine", NARROW)
def test_a_wrong_twin_of_it_fails(engine, monkeypatch):
    twin = type("Twin", (engine,), {"factor": 1.001})
    assert brief(monkeypatch, twin, only=["plain:grads"]).exit_code == 1


@pytest.mark.parametrize("engine", NARROW)
def test_without_the_claim_it_fails(engine, monkeypatch):
    twin = type("Unclaimed", (engine,), {"losses": list(engine.losses), "claims": {}})
    only = ["loss.*", "layer.*", "plain:*"]
    assert brief(monkeypatch, twin, only=only).exit_code == 1


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"losses": {"MSELoss": {"reduction": []}}}, "claims MSELoss without a reduction"),
        ({"losses": {"MSELoss": {"factor": []}}}, "claims MSELoss without a factor"),
        ({"losses": {"MSELoss": {"factor": [0]}}}, "MSELoss's factor 0"),
        ({"loss_factor": {"L1Loss": 1}}, "loss_factor 'L1Loss'"),
        ({"class_targets": ["logits"]}, "class_targets 'logits'"),
        ({"networks": "(LA"}, "networks '(LA'"),
        ({"networks": "Linear"}, "networks 'Linear'"),
    ],
)
def test_a_claim_that_means_nothing_is_refused(claims, message):
    with pytest.raises(ClaimError, match=re.escape(message)):
        Capabilities.read({"layers": ["Linear"], "losses": ["MSELoss"], **claims})


@pytest.mark.parametrize(
    ("engine", "claim"),
    [
        (SumsAlone, '"losses": {"MSELoss": {"reduction": ["sum"]}}'),
        (ThirdOfAbsolute, '"losses": {"L1Loss": {"factor": [' + f"{1 / 3}"),
        (IndicesAlone, '"class_targets": ["indices"]'),
        (ProbabilitiesAlone, '"class_targets": ["probabilities"]'),
        (Fused, '"networks": "(LA)*L"'),
        (FusedThroughout, '"networks": "(LA)+"'),
        (NeedsParameters, '"networks": "[LA]*L[LA]*"'),
    ],
)
def test_a_failure_for_want_of_a_claim_advises_it(engine, claim, monkeypatch):
    twin = type("Unclaimed", (engine,), {"losses": list(engine.losses), "claims": {}})
    report = brief(monkeypatch, twin, only=["loss.*", "layer.*"], explaining=2)
    assert claim in " ".join(str(report).split())


def test_a_bug_is_named_in_an_engine_of_half_the_loss(monkeypatch):
    class MeanBias(HalfOverSamples):
        def step(self, case):
            result = super().step(case)
            for key, right in result["grads"].items():
                g = right / (len(case.x) if key.endswith("bias") else 1)
                result["grads"][key] = g
                result["params"][key] = case.params[key] - case.optimizer["lr"] * g
            return result

    report = brief(monkeypatch, MeanBias, only=["plain:grads"], explaining=20)
    (finding,) = report.results[0].findings
    assert [cause.bug for cause in finding.diagnosis.likely] == ["bias-mean-for-sum"]


def test_an_error_about_shapes_gets_no_advice(monkeypatch):
    class Misshapen(Small):
        def step(self, case):
            return super().step(case) if len(case.x) == 1 else np.ones(2) + np.ones(len(case.x) + 2)

    report = brief(monkeypatch, Misshapen, only=["plain:*"], explaining=1)
    assert "broadcast" in str(report)
    assert "  claim " not in str(report)


def test_a_bug_gets_no_advice(monkeypatch):
    twin = type("Twin", (Small,), {"factor": 1.001})
    report = brief(monkeypatch, twin, only=["plain:grads"], explaining=1)
    assert "  claim " not in str(report)


def test_the_older_claim_of_a_factor_is_the_option():
    claims = {"layers": ["Linear"], "losses": {"MSELoss": {"reduction": ["sum"]}}}
    older = Capabilities.read({**claims, "loss_factor": {"MSELoss": 0.5}})
    assert older.losses == {"MSELoss": {"reduction": ["sum"], "factor": [0.5]}}
