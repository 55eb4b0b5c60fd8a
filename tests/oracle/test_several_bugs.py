"""Several bugs of one engine are told apart, and names that a case refutes are not given."""

from dataclasses import replace

import numpy as np
import pytest
from oracle.pairs import drawn_pairs, outcome_of
from oracle.test_diagnose import MOMENTUM, case, explained
from rotation import profile, turn

from manualnn.oracle import check_engine, profiles
from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.composite import compose, restrict
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.diagnosis.diagnose import diagnose
from manualnn.oracle.diagnosis.explainer import Explainer
from manualnn.oracle.diagnosis.names.hypotheses import Hypothesis
from manualnn.oracle.diagnosis.names.known import Known
from manualnn.oracle.diagnosis.names.past import Past
from manualnn.oracle.diagnosis.observation import Observation, observe
from manualnn.oracle.diagnosis.same_cause import named_causes
from manualnn.oracle.engines.client import connect
from manualnn.oracle.findings import Diagnosis, Finding
from manualnn.oracle.findings import Outcome as Answer
from manualnn.oracle.report.mistakes import distinct_mistakes
from manualnn.oracle.textbook.engine import Textbook


def engine_of(name):
    return BUGS[name].engines[0]


SHARES_MEMORY = engine_of("results-share-memory")


def hypothesis_of(name):
    return Hypothesis(BUGS[name], engine_of(name), engine_of(name))


def answer(engine, case):
    return Answer(result=engine(np.longdouble).step(case.copy())).quantities()


def test_a_composite_has_both_bugs():
    """The slope without its 2 halves every gradient; the mean divides that of the bias by N."""
    both = answer(compose(engine_of("bias-mean-for-sum"), engine_of("mse-slope-without-2")), case())
    right = answer(Textbook, case())
    np.testing.assert_allclose(2 * both["grads.0.weight"], right["grads.0.weight"], rtol=1e-15)
    np.testing.assert_allclose(2 * 5 * both["grads.0.bias"], right["grads.0.bias"], rtol=1e-15)


def test_each_bug_of_a_composite_keeps_its_constant():
    """Both constants have the name c. Gradients are clipped at one, the loss is the other more."""
    clip = next(e for e in BUGS["gradient-clipped"].engines if e.c == 1.0)
    plus = BUGS["loss-plus-constant"].make(0.25)
    far = case().but(t=case().t + 100)
    for engine in (compose(clip, plus), compose(plus, clip)):
        both, right = answer(engine, far), answer(Textbook, far)
        assert abs(both["loss"] - right["loss"] - 0.25) < 1e-12
        assert np.abs(both["grads.0.bias"]).max() == 1


def test_a_bug_is_restricted_to_parts_of_a_case():
    only = restrict(engine_of("update-uphill"), [{"type": "SGD", "momentum": 0.9}])
    for optimizer in (MOMENTUM, {"type": "SGD", "lr": 0.1}):
        uphill = answer(engine_of("update-uphill"), case(optimizer=optimizer))["params.0.bias"]
        right = answer(Textbook, case(optimizer=optimizer))["params.0.bias"]
        expected = uphill if optimizer is MOMENTUM else right
        assert np.array_equal(answer(only, case(optimizer=optimizer))["params.0.bias"], expected)


def test_known_bugs_are_the_truth_of_their_parts():
    known = Known([hypothesis_of("mse-slope-without-2")])
    both = compose(engine_of("update-uphill"), engine_of("mse-slope-without-2"))
    for engine, first in ((both, ["params.0.weight", "params.0.bias"]), (known.engine, [])):
        with connect(engine) as bench:
            seen = observe(bench, [case()])
        assert "grads.0.bias" in seen.wrong_names
        assert known.rebased(seen).wrong_names == first
        assert known.shows_more(seen) == bool(first)
        assert bool(known.explaining(seen)) == (not first)


@pytest.mark.parametrize(
    ("wrong", "first", "refuted"),
    [
        ("leaky", {"curve": "LeakyReLU"}, "leaky-relu-wrong-side"),
        ("dead", {"curve": "Tanh"}, "weights-not-updated-below-the-last"),
        ("first", {}, "bias-not-updated"),
    ],
)
def test_a_name_that_an_experiment_refutes_is_not_given(wrong, first, refuted):
    """For α > 1, max(z, αz) is the small slope on the wrong side. A dead Tanh stops all below.

    Two steps show that biases are updated, though not in the first one.
    """

    class Wrong(Textbook):
        def leaky_relu(self, o, z):
            return (
                np.maximum(z, o.negative_slope * z)
                if wrong == "leaky"
                else super().leaky_relu(o, z)
            )

        def leaky_relu_slope(self, o, z, a):
            large = np.where(z > 0, o.negative_slope, 1)
            return large if o.negative_slope > 1 else super().leaky_relu_slope(o, z, a)

        def tanh_backward(self, o, z, a, da):
            return super().tanh_backward(o, z, a, da) * (wrong != "dead")

        def updated(self, o, key, p, g, s):
            is_skipped = wrong == "first" and self.now == 1 and p.ndim == 1
            return p if is_skipped else super().updated(o, key, p, g, s)

    start = case(widths=(4, 6, 3), **first)
    if wrong == "leaky":
        start = start.but(
            layers=tuple(
                {**layer, "negative_slope": 2.0} if layer["type"] == "LeakyReLU" else layer
                for layer in start.layers
            )
        )
    assert refuted not in [cause.bug for cause in explained(Wrong, start).likely]


class EpsInside(engine_of("eps-inside-root")):
    """A rule whose bug is listed, and a gradient whose bug is not."""

    tilt = 0.0

    def slope(self, o, y, t):
        return super().slope(o, y, t) + self.tilt * (1 + y**2)


class Tilted(EpsInside):
    tilt = 0.125


class Other(Tilted):
    """RMSprop has another bug, which is not listed."""

    def apply_rule(self, o, p, g, s, now):
        wrong = super().apply_rule(o, p, g, s, now)
        return wrong - p / 64 if o.type == "RMSprop" else wrong


RMSPROP = {"type": "RMSprop", "lr": 0.1, "eps": 0.1}


@pytest.mark.parametrize(
    ("engine", "check", "is_same"),
    [
        (EpsInside, "optimizer.RMSprop:params", True),
        (Tilted, "optimizer.RMSprop:params", True),
        (Tilted, "updates:update.own_gradient", True),
        (Other, "optimizer.RMSprop:params", False),
        (Other, "updates:update.own_gradient", False),
    ],
)
def test_a_bug_that_is_named_later_explains_an_earlier_finding(engine, check, is_same):
    """The time limit left it unknown. A wrong gradient does not hide the bug of its update."""
    with connect(engine) as bench:
        explainer = Explainer(bench, seconds=0)
        unknown = Diagnosis("params.0.weight", "", hurried=True)
        found = rejudge(bench, check, case(optimizer=RMSPROP))
        finding = replace(found, diagnosis=unknown, blamed=("RMSprop",))
        assert explainer.again(finding) is finding
        explainer.known.add(hypothesis_of("eps-inside-root"))
        explainer.named["eps-inside-root"] = replace(finding, blamed=("Adagrad",))
        again = explainer.again(finding)
    assert [cause.bug for cause in again.diagnosis.likely] == is_same * ["eps-inside-root"]
    assert again.diagnosis.hurried != is_same


class OneDivisor(engine_of("slope-over-samples-only")):
    """Every loss has the bug."""

    def capabilities(self):
        kinds = {"layers": ["Linear"], "losses": ["MSELoss", "L1Loss"], "optimizers": {}}
        return {**super().capabilities(), **kinds, "dtypes": ["float64"]}


class OneRoot(engine_of("eps-inside-root")):
    """Both rules have the bug."""

    def capabilities(self):
        rules = ["RMSprop", "Adagrad"]
        kinds = {"layers": ["Linear"], "losses": ["MSELoss"], "optimizers": rules}
        return {**super().capabilities(), **kinds, "dtypes": ["float64"]}


@pytest.mark.parametrize(
    ("engine", "checks"),
    [
        (OneDivisor, ["loss.MSELoss.mean:grads", "loss.L1Loss.mean:grads"]),
        (OneRoot, ["optimizer.RMSprop:params", "optimizer.Adagrad:params"]),
    ],
    ids=["losses", "rules"],
)
def test_a_bug_that_two_features_have_fails_the_checks_of_both(engine, checks, monkeypatch):
    quick = replace(profiles.PROFILES["quick"], examples=2, explaining=60)
    monkeypatch.setitem(profiles.PROFILES, "quick", quick)
    report = check_engine(engine, only=checks)
    assert {result.id for result in report.results if result.status == "failed"} == set(checks)
    assert len(distinct_mistakes(report.results)) == 1


def test_the_engine_whose_results_share_memory_has_penalties():
    rule = {**MOMENTUM, "l1": 0.3, "l2": 0.1}
    shared, right = (answer(e, case(optimizer=rule)) for e in (SHARES_MEMORY, Textbook))
    assert np.array_equal(shared["params.0.weight"], right["params.0.weight"])


def test_a_bug_of_the_penalty_l1_is_one_of_all_rules_and_not_of_the_loss_of_that_name():
    bug = BUGS["l1-ignored"]
    assert bug.acts_in(case(optimizer={**MOMENTUM, "l1": 0.3}))
    assert bug.acts_on("SGD")


def test_numbers_after_those_that_are_not_finite_refute_no_name():
    """0 · inf is NaN; how max(NaN, 0) and a slope at NaN go on differs between programs."""
    layers = ({"type": "ELU", "alpha": 0.0},)
    far = {"x": np.array([[710.0]]), "t": np.zeros((1, 1)), "params": {}, "optimizer": None}
    hypothesis = hypothesis_of("elu-as-maximum-and-minimum")
    with connect(hypothesis.engine) as bench:
        seen = observe(bench, [case().but(layers=layers, **far)])
    result = seen.outcomes[-1].result
    for outputs, last, explained_by in ((np.nan, np.nan, True), (np.nan, 0, True), (1, 0, False)):
        other = {**result, "outputs": [[outputs]], "input_grad": [[last]]}
        answered = Observation(seen.calls, (Answer(result=other),), seen.truths)
        assert hypothesis.explains(answered) == explained_by


class Masked(engine_of("slope-of-the-sum")):
    """Every gradient has a listed bug, and Adam has another one, which is not listed."""

    def capabilities(self):
        kinds = {"layers": ["Linear", "Tanh"], "losses": ["MSELoss"], "optimizers": ["SGD", "Adam"]}
        return {**super().capabilities(), **kinds, "dtypes": ["float64"]}

    def apply_rule(self, o, p, g, s, now):
        wrong = super().apply_rule(o, p, g, s, now)
        return wrong + np.sin(p) / 64 if o.type == "Adam" else wrong


def test_a_rule_is_judged_and_blamed_though_every_gradient_is_wrong(monkeypatch):
    quick = replace(profiles.PROFILES["quick"], examples=6, explaining=6)
    monkeypatch.setitem(profiles.PROFILES, "quick", quick)
    report = check_engine(Masked, only=["loss.MSELoss.mean:*", "optimizer.*", "updates:*"])
    statuses = {result.id: result.status for result in report.results}
    assert statuses["optimizer.SGD:params"] == "passed"
    assert statuses["optimizer.Adam:params"] == "failed"
    first, second = (mistake.title for mistake in distinct_mistakes(report.results))
    assert "[slope-of-the-sum]" in first
    assert second.startswith("unknown bug of Adam: ")


def test_a_named_bug_is_tried_first_and_without_a_time_limit():
    """It was narrowed to one rule, and another rule of the engine has it too."""
    with connect(EpsInside) as bench:
        finding = rejudge(bench, "optimizer.RMSprop:params", case(optimizer=RMSPROP))
        for ids, names in ((set(), []), ({"eps-inside-root"}, ["eps-inside-root"])):
            known = Known(ids=ids)
            found = diagnose(bench, finding, seconds=0, known=known)
            assert [cause.bug for cause in found.likely] == names


def test_a_bug_is_known_in_all_parts_for_which_it_is_named():
    known = Known()
    for rule in ("Adagrad", "RMSprop", "RMSprop"):
        only = ({"type": rule},)
        alone = restrict(engine_of("eps-inside-root"), only)
        known.add(replace(hypothesis_of("eps-inside-root"), alone=alone, only=only))
    assert [h.only[0]["type"] for h in known.hypotheses] == ["Adagrad", "RMSprop"]
    for rule in ("Adagrad", "RMSprop", "Adam"):
        start = case(optimizer={"type": rule, "lr": 0.1, "eps": 0.1})
        whole, right = answer(engine_of("eps-inside-root"), start), answer(Textbook, start)
        expected = right if rule == "Adam" else whole
        assert np.array_equal(
            answer(known.engine, start)["params.0.bias"], expected["params.0.bias"]
        )


def test_both_bugs_of_a_pair_are_named():
    """Both bugs are in one part of the network. The profile nightly draws further pairs."""
    fixed = ("bias-mean-for-sum", "mse-slope-without-2")
    assert outcome_of(fixed).right == set(fixed)
    count = 10 if profile() == "nightly" else 0
    outcomes = [outcome_of(pair) for pair in drawn_pairs(np.random.default_rng(turn()), count)]
    assert not any(outcome.wrong for outcome in outcomes)
    assert sum(outcome.right >= set(outcome.planted) for outcome in outcomes) >= 0.7 * count


def test_only_bugs_that_act_in_a_case_are_its_causes():
    """The slope of a ReLU at 0 acts in a network with a ReLU, and dropout in none without it."""
    kink, skipped = hypothesis_of("relu-slope-at-zero"), hypothesis_of("dropout-skipped")
    first = case(widths=(2, 3, 1), curve="ReLU").map(lambda _, a: np.ones_like(a))
    first = first.but(params={**first.params, "0.bias": np.array([-2.0, 1, 1])})
    with connect(compose(kink.engine, skipped.engine)) as bench:
        finding = rejudge(bench, "lattice:exact", first)
        assert named_causes(bench, Known([kink, skipped]), finding) == [kink]


def test_a_named_bug_that_another_part_has_not_refutes_no_further_name():
    """The slope at 0 is wrong in SELU, and right in ELU, where the composite has it wrong too."""
    named = hypothesis_of("exponential-slope-at-zero")
    own = "clip-norm-of-each-parameter"
    wrong = compose(engine_of(own), restrict(named.alone, [{"type": "SELU"}]))
    first = case(optimizer={"type": "Adam", "lr": 0.1, "max_norm": 0.5}, steps=2)
    elu = ({"type": "ELU", "alpha": 0.5}, first.layers[0])
    params = {f"1.{name}": first.params[f"0.{name}"] for name in ("weight", "bias")}
    right = first.but(layers=elu, params=params, optimizer={"type": "Adam", "lr": 0.1}, steps=1)
    right = right.but(x=np.where(right.x > 0, right.x, 0))
    with connect(wrong) as bench:
        seen = observe(bench, [right])
        past = Past()
        past.note(seen, is_wrong=seen.is_wrong)
        assert not seen.is_wrong
        finding = Finding("optimizer.Adam.max_norm:params", first, (first,))
        found = diagnose(bench, finding, seconds=20, known=Known([named]), past=past)
    assert [cause.bug for cause in found.likely] == [own]
