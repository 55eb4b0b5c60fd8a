"""Conventions: right engines of either convention pass, and wrong ones beside them fail."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from oracle.controls import CONTROLS

from manualnn.oracle import check_engine
from manualnn.oracle.cases.extremes import extreme_cases
from manualnn.oracle.checks.conventions import settle
from manualnn.oracle.engines.client import connect
from manualnn.oracle.profiles import PROFILES
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import to_lists
from manualnn.oracle.protocol.claims import ClaimError
from manualnn.oracle.protocol.features import by_convention, options_of
from manualnn.oracle.report.as_json import to_json
from manualnn.oracle.report.compliance import to_markdown
from manualnn.oracle.report.reading import from_json
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.losses import loss_truth
from manualnn.oracle.vectors.answers import judge_answers

CALCULUS = {
    "bce-by-quotients": "BCELoss",
    "bce-by-calculus": "BCELoss",
    "softplus-without-threshold": "Softplus",
}
CHECKS = ["loss.BCELoss*", "layer.Softplus*", "certain:*", "saturation:*"]


class Undivided(Textbook):
    """Divides by y (1 − y), also where that is 0."""

    def bce_slopes(self, o, y, t):
        return self.sample_weight(o) * ((y - t) / (y * (1 - y)))


class Claimed(Undivided):
    def capabilities(self):
        return {**super().capabilities(), "conventions": {"BCELoss": "calculus"}}


class MeanBias(CONTROLS["softplus-without-threshold"].engine):
    def linear_db(self, o, dz):
        return super().linear_db(o, dz) / max(1, len(dz))


class LinearFrom5(CONTROLS["softplus-without-threshold"].engine):
    def softplus(self, o, z):
        return np.where(z * self.num(o.beta) > 5, z, super().softplus(o, z))


class Clipped(CONTROLS["bce-by-calculus"].engine):
    def bce_terms(self, o, y, t):
        return super().bce_terms(o, np.clip(y, 1e-7, 1 - 1e-7), t)

    def bce_slopes(self, o, y, t):
        return super().bce_slopes(o, np.clip(y, 1e-7, 1 - 1e-7), t)


def settled(engine):
    with connect(engine) as client:
        settle(client)
        return client.capabilities.conventions


@pytest.mark.parametrize("name", CALCULUS)
def test_an_engine_by_calculus_is_recognized(name):
    assert settled(CONTROLS[name].engine)[CALCULUS[name]] == "calculus"


def test_other_engines_have_the_convention_of_torch():
    torch = {"BCELoss": "torch", "Softplus": "torch"}
    assert settled(Textbook) == settled(Undivided) == torch
    assert settled(MeanBias)["Softplus"] == "calculus"


def test_a_claim_is_not_asked_for():
    assert settled(Claimed)["BCELoss"] == "calculus"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_engine_of_one_dtype_and_few_layers_is_recognized(dtype):
    """In float32 the rounding of a sigmoid hides the difference, unless it overflows."""

    class Few(CONTROLS["bce-by-quotients"].engine):
        def capabilities(self):
            claims = {"layers": ["Linear", "Sigmoid"], "losses": ["BCELoss"], "dtypes": [dtype]}
            return {**super().capabilities(), **claims}

    assert settled(Few) == {"BCELoss": "calculus"}


@pytest.mark.parametrize(
    ("engine", "only"), [(LinearFrom5, "layer.Softplus:*"), (Clipped, "certain:*")]
)
def test_a_wrong_engine_near_a_convention_fails(engine, only):
    assert check_engine(engine, only=[only]).exit_code == 1


def test_a_gradient_that_divides_by_zero_fails_unless_it_is_claimed(monkeypatch):
    quick = PROFILES["quick"]
    monkeypatch.setitem(PROFILES, "brief", replace(quick, examples=8))
    only = ["certain:grads"]
    report = check_engine(Undivided, profile="brief", only=only)
    assert report.exit_code == 1
    assert 'claim "conventions": {"BCELoss": "calculus"}' in " ".join(str(report).split())
    assert check_engine(Claimed, profile="brief", only=only).counts()["passed"] == 1


def test_a_bug_is_named_in_an_engine_by_calculus():
    report = check_engine(MeanBias, only=["layer.Softplus:grads"])
    (finding,) = report.results[0].findings
    assert [cause.bug for cause in finding.diagnosis.likely] == ["bias-mean-for-sum"]


def test_the_reports_name_the_convention():
    report = check_engine(CONTROLS["bce-by-calculus"].engine, only=["loss.BCELoss.mean:*"])
    said = "BCELoss: its gradient is (y − t) / (y (1 − y)), by calculus"
    assert said in " ".join(str(report).split())
    content = to_json(report)
    assert any(said in sentence for sentence in content["conventions"])
    assert from_json(content).capabilities.conventions["BCELoss"] == "calculus"
    table = to_markdown([report])
    assert said in table
    assert "✗ <sup>" not in table


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_truth_by_calculus_is_the_derivative(dtype):
    """Exact rational numbers: −t/y + (1 − t)/(1 − y), also far below torch's floor."""
    y = np.array([[2.0**-k for k in (1, 3, 20, 45, 60, 100)]], dtype)
    t = np.array([[0, 1, 0.5, 1, 0.25, 1]], dtype)
    kind = Precision(dtype)
    o = options_of({"type": "BCELoss", "reduction": "sum"})
    slopes = {}
    for name in ("torch", "calculus"):
        own = by_convention(o, {"BCELoss": name})
        slopes[name] = loss_truth("BCELoss")(own, kind.exact(y), t)[1]
    near = slopes["calculus"]
    for i in range(y.size):
        a, b = Fraction(float(y[0, i])), Fraction(float(t[0, i]))
        true = -b / a + (1 - b) / (1 - a)
        assert abs(Fraction(float(near.v[0, i])) - true) <= abs(true) * Fraction(2) ** -50
        assert 0 < near.e[0, i] < 64 * kind.u * abs(true) + 64 * kind.u
    assert np.all(slopes["torch"].v[0, 3:] != near.v[0, 3:])


@pytest.mark.parametrize("name", ["bce-by-calculus", "softplus-without-threshold"])
def test_recorded_answers_settle_a_convention(name, tmp_path, monkeypatch):
    claims = {**CONTROLS[name].engine().capabilities(), "dtypes": ["float64"]}
    cases = [
        case.but(
            layers=tuple(vars(options_of(layer)) for layer in case.layers),
            loss=vars(options_of(case.loss)),
            optimizer=vars(options_of(case.optimizer)),
        )
        for case in extreme_cases(Capabilities.read(claims), CALCULUS[name])
    ]
    monkeypatch.setattr("manualnn.oracle.vectors.answers.vector_cases", lambda: cases)
    engine = CONTROLS[name].engine()
    (tmp_path / "capabilities.json").write_text(json.dumps(claims))
    result = {case.id: engine.step(case) for case in cases}
    lines = (json.dumps({"id": id_, "result": r}, default=to_lists) for id_, r in result.items())
    (tmp_path / "all.jsonl").write_text("\n".join(lines))
    report = judge_answers(tmp_path)
    assert report.capabilities.conventions[CALCULUS[name]] == "calculus"
    assert not report.counts()["failed"]


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"conventions": {"ReLU": "calculus"}}, "conventions 'ReLU'"),
        ({"conventions": {"BCELoss": "keras"}}, "conventions of BCELoss 'keras'"),
        (
            {"layers": {"Softplus": "any"}, "conventions": {"Softplus": "calculus"}},
            "claims Softplus's threshold",
        ),
    ],
)
def test_an_impossible_convention_is_refused(claims, message):
    with pytest.raises(ClaimError, match=message):
        Capabilities.read({"layers": ["Softplus"], "losses": ["BCELoss"], **claims})
