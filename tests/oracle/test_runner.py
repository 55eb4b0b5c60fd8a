"""A run: one status for each check, the same report for the same seed, and problems of a run."""

from dataclasses import replace

import numpy as np
import pytest

from manualnn.oracle import check_engine, profiles
from manualnn.oracle.adequacy import problems
from manualnn.oracle.cases.recipe import Recipe
from manualnn.oracle.checks import trial
from manualnn.oracle.checks.ledger import Ledger
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.diagnosis import explainer as explaining
from manualnn.oracle.diagnosis.diagnose import diagnose
from manualnn.oracle.engines.client import connect
from manualnn.oracle.findings import STATUSES, CheckResult
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.report.report import Report
from manualnn.oracle.runner import checks_for, run_check
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth import bounded

CLAIMS = {
    "layers": ["Linear", "Tanh", "ReLU"],
    "losses": {"MSELoss": {"reduction": "any"}, "HuberLoss": {}},
    "optimizers": {"SGD": {"momentum": "any"}, "Adam": {}},
}


class Modest(Textbook):
    """Claims little."""

    def capabilities(self):
        usual = super().capabilities()
        return {**usual, **CLAIMS, "dtypes": ["float64"]}


class HalvesMean(Modest):
    """MSELoss is halved where it is a mean."""

    def step(self, case):
        result = dict(super().step(case))
        halved = case.loss["type"] == "MSELoss" and case.loss.get("reduction", "mean") == "mean"
        return {**result, "loss": result["loss"] / 2} if halved else result


class HalfMore(Modest):
    """Adds half of the loss where there is a target other than 0, and next to nothing to none."""

    def step(self, case):
        result = dict(super().step(case))
        loss = result["loss"] * (1.5 if np.any(case.t) else 1)
        return {**result, "loss": loss or 1e-16}


class Few(Modest):
    """Claims so little that a run of all checks is short."""

    def capabilities(self):
        few = {"layers": ["Linear", "Tanh"], "optimizers": ["SGD"]}
        return {**super().capabilities(), **few, "losses": {"MSELoss": {"reduction": "any"}}}


class Remembers(Few):
    """Adds a little of the last loss."""

    last = 0.0

    def step(self, case):
        result = dict(super().step(case))
        loss, self.last = result["loss"] + self.last / 8, float(result["loss"])
        return {**result, "loss": loss}


class Skips(Few):
    def step(self, case):
        return {"skipped": f"no {case.loss['type']} today"}


class Raises(Modest):
    def step(self, _):
        raise RuntimeError("no such thing")


class NoTanh(Few):
    """Claims Tanh and does not take it."""

    def step(self, case):
        if any(layer["type"] == "Tanh" for layer in case.layers):
            return {"skipped": "no Tanh"}
        return super().step(case)


@pytest.fixture(scope="module", autouse=True)
def _quicker():
    """Run a third of the examples: what is asserted here holds for any number of them."""
    quick = replace(profiles.PROFILES["quick"], examples=8, explaining=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(profiles.PROFILES, "quick", quick)
        yield


@pytest.fixture(scope="module")
def modest():
    return check_engine(Modest)


@pytest.fixture(scope="module")
def halved():
    return check_engine(HalvesMean, only=["loss.*", "layer.Tanh:*", "optimizer.Adam:*"])


def statuses(report):
    return {result.id: result.status for result in report.results}


def test_a_right_engine_passes_everything_that_it_claims(modest):
    ids = [check for check, _ in checks_for(modest.capabilities)]
    unclaimed = {check for check in ids if statuses(modest)[check] != "passed"}
    assert {check.rpartition(":")[0] for check in unclaimed} == {"certain"}, "no classes claimed"
    assert modest.exit_code == 0, (modest.problems, modest.counts())
    assert not any(modest.counts()[s] for s in STATUSES if s not in {"passed", "not_claimed"})


def test_every_check_is_reported_once(modest):
    ids = [result.id for result in modest.results]
    assert len(ids) == len(set(ids))
    assert {check for check, _ in checks_for(modest.capabilities)} <= set(ids)
    assert all(result.sentence for result in modest.results)


def test_what_is_not_claimed_is_reported_so(modest):
    assert statuses(modest)["optimizer.Adagrad:*"] == "not_claimed"
    assert statuses(modest)["loss.HuberLoss.sum:*"] == "not_claimed"


def test_the_same_seed_judges_the_same_and_another_seed_others():
    again, other = (check_engine(Modest, seed=seed, only=["plain:*"]) for seed in (0, 1))
    first = check_engine(Modest, only=["plain:*"])
    assert (first.cases, first.entries) == (again.cases, again.entries)
    assert first.entries != other.entries


def test_bounds_are_sharp_and_little_is_undecided(modest):
    assert modest.sharpness["float64"] < 1e-12
    assert modest.sharpness_overall["float64"] < 1e-10
    assert modest.undecided < 0.05
    assert modest.cases > 300
    assert modest.entries > modest.cases


def test_a_bug_fails_its_own_recipe_and_is_avoided_in_later_ones(halved):
    failed = [check for check, status in statuses(halved).items() if status == "failed"]
    assert "loss.MSELoss.mean:loss" in failed
    assert halved.exit_code == 1
    later = [check for check in failed if check.startswith(("layer.", "optimizer."))]
    assert not later


def test_a_finding_is_small_and_can_be_judged_again(halved):
    finding = next(r for r in halved.results if r.id == "loss.MSELoss.mean:loss").findings[0]
    assert finding.minimal
    assert finding.calls == (finding.case,)
    assert finding.diagnosis is not None
    assert finding.case.n == 1
    with connect(HalvesMean) as bench:
        assert rejudge(bench, finding.check, finding.case).entries == finding.entries
    with connect(Modest) as bench:
        assert rejudge(bench, finding.check, finding.case) is None


def test_what_an_engine_remembers_is_reported_as_its_history():
    report = check_engine(Remembers, only=["loss.*", "layer.*", "history:*"])
    failed = [check for check, status in statuses(report).items() if status == "failed"]
    assert "history:history" in failed
    assert not [check for check in failed if check.startswith(("loss.", "layer."))]
    finding = next(r for r in report.results if r.id == "history:history").findings[0]
    assert len(finding.calls) >= 2


def test_a_check_that_is_run_alone_reports_the_calls_before_it():
    report = check_engine(Remembers, only=["loss.MSELoss.sum:loss"])
    (result,) = [r for r in report.results if r.id == "loss.MSELoss.sum:loss"]
    assert result.status == "failed"
    assert len(result.findings[0].calls) >= 2
    assert "other calls" in result.findings[0].message


def test_only_the_wanted_checks_run():
    report = check_engine(Modest, only=["loss.MSELoss.sum:grads", "paths:*"])
    assert list(statuses(report)) == ["loss.MSELoss.sum:grads", "paths:paths"]
    assert report.exit_code == 0


def test_an_engine_that_skips_everything_is_not_green():
    report = check_engine(Skips)
    assert report.exit_code == 3
    assert report.counts()["passed"] == 0
    assert "no case was judged" in report.problems


def test_an_engine_that_skips_what_it_claims_is_reported():
    report = check_engine(NoTanh)
    assert statuses(report)["layer.Tanh:grads"] == "skipped"
    assert any("layer.Tanh" in problem for problem in report.problems)
    assert report.exit_code == 3


@pytest.mark.parametrize(("returns", "is_judged"), [(["params"], False), (["outputs"], True)])
def test_a_rule_whose_updates_were_not_judged_is_reported(returns, is_judged):
    """The gradients of a case prove nothing about the update after them."""
    claims = Capabilities.read({**Modest().capabilities(), "returns": ["grads", *returns]})
    report = Report("toy", claims, "quick", 0, "")
    report.results = [CheckResult("optimizer.Adam:grads", "", "passed", cases=9)]
    report.results += [CheckResult(f"optimizer.Adam:{name}", "", "not_judged") for name in returns]
    missed = "claimed, but not judged: optimizer.Adam" in problems(report, Ledger())
    assert missed != is_judged


def test_an_engine_that_claims_next_to_nothing_is_not_green():
    class Linear(Modest):
        def capabilities(self):
            return {"layers": ["Linear"], "losses": ["MSELoss"]}

    assert check_engine(Linear).exit_code == 3


def test_an_engine_that_returns_no_gradient_is_not_green():
    class Forward(Few):
        def capabilities(self):
            return {**super().capabilities(), "optimizers": {}, "returns": ["loss"]}

    report = check_engine(Forward)
    assert any("no gradient" in problem for problem in report.problems)
    assert report.exit_code == 3


def test_an_engine_that_raises_errs_and_the_run_goes_on():
    report = check_engine(Raises, only=["loss.*"])
    errored = [r for r in report.results if r.status == "errored"]
    assert len({r.id.rpartition(":")[0] for r in errored}) == 6
    assert "no such thing" in errored[0].findings[0].message
    assert report.exit_code == 1


def test_progress_gets_findings_as_they_come():
    seen = []
    check_engine(
        HalvesMean,
        only=["loss.MSELoss.*"],
        progress=lambda done, total, report: seen.append((done, total, report.counts()["failed"])),
    )
    assert seen[0][2] == 1, "the first call has the first finding"
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)


def test_an_expected_failure_is_expected():
    known = "loss.MSELoss.mean:loss | halved, as in the book\n"
    report = check_engine(HalvesMean, only=["loss.MSELoss.mean:*"], expected=known)
    assert report.counts()["expected"] == 1
    assert report.exit_code == 0


def test_one_check_can_be_run_by_itself():
    with connect(HalvesMean) as bench:
        assert run_check(bench, "loss.MSELoss.mean:loss").status == "failed"
        assert run_check(bench, "loss.MSELoss.mean:grads").status == "passed"
        with pytest.raises(ValueError, match="no check"):
            run_check(bench, "loss.MSELoss.mean:nothing")


# Bugs in the oracle itself


def test_bounds_a_million_times_too_wide_are_noticed(monkeypatch):
    monkeypatch.setattr(bounded, "SLACK", 1e6)
    report = check_engine(Few)
    assert any("too wide" in problem for problem in report.problems)
    assert report.exit_code == 3


def test_truths_without_bounds_are_noticed(monkeypatch):
    def boundless(case, precision=None):
        expected = truth(case, precision)
        grads = {key: near.plus_error(np.inf) for key, near in expected.grads.items()}
        return replace(expected, grads=grads, outputs=expected.outputs.plus_error(np.inf))

    truth = trial.truth
    monkeypatch.setattr(trial, "truth", boundless)
    assert any("without a bound" in problem for problem in check_engine(Few).problems)


def test_a_run_without_cases_is_noticed(monkeypatch):
    monkeypatch.setitem(profiles.PROFILES, "quick", replace(profiles.PROFILES["quick"], examples=0))
    monkeypatch.setattr(Recipe, "draw", lambda *_: None)
    assert check_engine(Few).exit_code == 3


def test_few_cases_are_noticed(monkeypatch):
    monkeypatch.setitem(profiles.PROFILES, "quick", replace(profiles.PROFILES["quick"], examples=1))
    report = check_engine(Capable)
    assert any("cases ran" in problem for problem in report.problems)


class Capable(Modest):
    """Claims so little that one example of each makes a short run."""

    def capabilities(self):
        return {"layers": ["Linear", "Tanh"], "losses": ["MSELoss"]}


def test_checks_are_listed_without_running_any():
    claims = Capabilities.read(Modest().capabilities())
    ids = [check for check, _ in checks_for(claims)]
    assert ids[0] == "loss.MSELoss.mean:outputs"
    assert len(ids) == len(set(ids)) > 100


class TakesTheCosine(Textbook):
    """A bug that is not in the catalogue."""

    def step(self, case):
        result = super().step(case)
        return result | {"loss": np.cos(result["loss"])}


@pytest.mark.parametrize(("wrong", "known"), [(HalvesMean, True), (TakesTheCosine, False)])
def test_the_same_numbers_have_one_explanation_which_is_looked_for_once(wrong, known, monkeypatch):
    report = check_engine(wrong, only=["plain:loss"])
    (finding,) = (f for result in report.results for f in result.findings)
    calls = []

    def noted(*args, **options):
        calls.append(args)
        return diagnose(*args, **options)

    monkeypatch.setattr(explaining, "diagnose", noted)
    with connect(wrong) as bench:
        explainer = explaining.Explainer(bench, 60.0)
        first = explainer.smaller(finding)
        again = explainer.smaller(replace(first, check="loss.MSELoss.mean:loss", diagnosis=None))
    assert first.case.id == again.case.id
    assert bool(first.diagnosis.likely) == known
    assert again.diagnosis is first.diagnosis
    assert len(calls) == 1


def test_a_bug_that_was_named_is_known_to_the_next_finding(monkeypatch):
    report = check_engine(HalvesMean, only=["plain:loss"])
    (finding,) = (f for result in report.results for f in result.findings)
    other = finding.case.but(x=finding.case.x + 1)  # a case has one diagnosis
    suspected = []

    def noted(*args, known, **options):
        suspected.append([hypothesis.bug.id for hypothesis in known.hypotheses])
        return diagnose(*args, known=known, **options)

    monkeypatch.setattr(explaining, "diagnose", noted)
    with connect(HalvesMean) as bench:
        explainer = explaining.Explainer(bench, 60.0)
        named = explainer.diagnosed(finding, seconds=20.0)
        explainer.diagnosed(replace(finding, case=other, calls=(other,)))
    assert suspected[0] == []
    assert suspected[1] == [named.diagnosis.likely[0].bug]


def test_what_there_was_no_time_to_try_is_not_called_unknown():
    report = check_engine(HalvesMean, only=["plain:loss"])
    (finding,) = (f for result in report.results for f in result.findings)
    with connect(HalvesMean) as bench:
        late = diagnose(bench, finding, seconds=0)
        assert late.hurried
        assert not late.likely
        assert not diagnose(bench, finding, seconds=20).hurried


def test_a_large_error_does_not_shrink_to_one_that_rounding_may_explain():
    report = check_engine(HalfMore, only=["plain:loss"])
    (finding,) = (f for result in report.results for f in result.findings)
    assert finding.minimal
    assert finding.entries[0].got == pytest.approx(1.5 * finding.entries[0].expected)
