"""A saved failure is the failure that was found."""

import json
from dataclasses import replace

import numpy as np
import pytest
from schemas import validate

from manualnn.oracle.engines.client import connect
from manualnn.oracle.findings import CheckResult, Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.replay import ReplayError, again, load, save
from manualnn.oracle.report.report import Report
from manualnn.oracle.textbook.engine import Textbook


def case(dtype="float64", x=0.1):
    return Case(
        layers=(),
        loss={"type": "CrossEntropyLoss", "weight": [0.5, 1.0]},
        params={},
        x=np.array([[x, np.nan], [-0.0, np.inf]], dtype),
        t=np.array([1, 0]),
        optimizer={"type": "Adam", "betas": (0.9, 0.99)},
        dtype=dtype,
        recipe="kinks",
        note="infinite",
    )


def report(*findings, calls=()):
    claims = Capabilities.read({"layers": ["Tanh"], "losses": ["CrossEntropyLoss"]})
    results = [
        CheckResult(
            f"{i}:grads", "", "failed", 1, 0, [Finding(f"{i}:grads", made, calls or (made,))]
        )
        for i, made in enumerate(findings)
    ]
    return Report("node engine.js", claims, "quick", 0, "longdouble", results)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_case_comes_back_bit_for_bit_by_its_id_and_by_its_path(dtype, tmp_path):
    saved = case(dtype)
    (path,) = save(report(saved), tmp_path / "new")
    for name in (saved.id, str(path)):
        found = load(name, tmp_path / "new")
        assert (found.checks, found.target) == (("0:grads",), "node engine.js")
        assert found.case.id == saved.id == path.stem
        assert (found.case.recipe, found.case.note) == ("kinks", "infinite")
        assert found.case.x.dtype == dtype
        assert found.case.x.tobytes() == saved.x.tobytes()
        assert found.case.t.dtype == np.int64


def test_checks_that_fail_on_the_same_case_share_its_file(tmp_path):
    paths = save(report(case(), case(), case(x=2.0)), tmp_path)
    assert len(paths) == 2
    assert load(case().id, tmp_path).checks == ("0:grads", "1:grads")


class Remembering(Textbook):
    """Its gradients are those of the case before."""

    last = None

    def step(self, case):
        result = super().step(case)
        self.last, grads = result["grads"], self.last or result["grads"]
        return {**result, "grads": grads}


def linear(weight):
    return Case(
        layers=({"type": "Linear", "in_features": 1, "out_features": 1, "bias": False},),
        loss={"type": "MSELoss"},
        params={"0.weight": np.array([[weight]])},
        x=np.ones((2, 1)),
        t=np.zeros((2, 1)),
    )


def test_a_failure_that_needs_the_calls_before_it_is_seen_again(tmp_path):
    first, second = linear(3.0), linear(5.0)
    made = report(second, calls=(first, second))
    made.results[0].findings[0] = replace(made.results[0].findings[0], check="plain:grads")
    save(made, tmp_path)
    failure = load(second.id, tmp_path)
    with connect(Remembering) as bench:
        (entry,) = again(bench, "plain:grads", failure).entries
        assert (entry.got, entry.expected) == (6.0, 10.0)
        assert again(bench, "plain:grads", replace(failure, before=())) is None


def test_a_failure_that_its_run_saw_once_is_marked(tmp_path):
    made = report(linear(3.0))
    made.results[0].findings[0] = replace(made.results[0].findings[0], repeatable=False)
    save(made, tmp_path)
    assert not load(linear(3.0).id, tmp_path).repeatable
    save(report(linear(3.0)), tmp_path)
    assert load(linear(3.0).id, tmp_path).repeatable


def test_a_case_that_the_engine_no_longer_takes_is_not_said_to_pass(tmp_path):
    class Declining(Textbook):
        def step(self, case):  # noqa: ARG002
            return {"skipped": "too small for me"}

    save(report(linear(3.0)), tmp_path)
    with connect(Declining) as bench, pytest.raises(ReplayError, match="too small for me"):
        again(bench, "plain:grads", load(linear(3.0).id, tmp_path))


def test_nothing_is_made_where_nothing_failed(tmp_path):
    assert save(report(), tmp_path / "new") == []
    assert not (tmp_path / "new").exists()


def test_an_unknown_id_lists_the_saved_ones(tmp_path):
    save(report(case()), tmp_path)
    with pytest.raises(ReplayError, match=f"Saved in .*: {case().id}"):
        load("R-00000000", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '{"checks": [], "target": ""}'),
        *('{"checks": [], "target": "", "case": {}}', '{"case": null}'),
    ],
)
def test_a_file_that_is_no_failure_is_named(content, tmp_path):
    (tmp_path / "R-1.json").write_text(content, encoding="utf-8")
    with pytest.raises(ReplayError, match=r"R-1\.json is not a failure"):
        load("R-1", tmp_path)


@pytest.mark.parametrize(
    ("checks", "message"),
    [(["shapes:gone"], "the unknown check 'shapes:gone'"), ([3], "check 3"), ([], "no check")],
)
def test_a_failure_without_a_known_check_is_refused(checks, message, tmp_path):
    (path,) = save(report(case()), tmp_path)
    content = json.loads(path.read_text(encoding="utf-8")) | {"checks": checks}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ReplayError, match=message):
        load(case().id, tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": []}, "x"),
        ({"x": [[1.0], [2.0], [3.0]]}, "t has shape"),
        ({"t": [7.0]}, "t has shape"),
        ({"loss": {"type": "MSELoss", "beta": 1}}, "beta"),
        ({"loss": {"type": "MeanLoss"}}, "MeanLoss"),
        ({"steps": "a"}, "steps|str"),
        ({"steps": 0}, "steps"),
        ({"layers": "abc"}, "str"),
        ({"params": {"0.weight": [[1.0, 2.0]]}}, "weight has shape"),
        ({"params": {}}, "weight has shape None"),
        ({"noise": {"7.mask": [[1.0]]}}, "noise.7.mask"),
        ({"sample_weights": [1.0]}, "sample_weights has shape"),
        ({"sample_weights": [-1.0, 1.0]}, "no engine can answer"),
        ({"optimizer": {"type": "SGD", "momentum": 0.9}, "state": {"step": 1}}, "momentum_buffer"),
    ],
    ids=str,
)
def test_a_case_that_was_made_invalid_by_hand_is_refused(change, reason, tmp_path):
    (path,) = save(report(linear(3.0)), tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["checks"] = ["plain:grads"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert load(str(path)).case.id == linear(3.0).id
    content["case"] |= change
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ReplayError, match=reason):
        load(str(path))


def test_a_new_folder_of_failures_stays_out_of_a_repository(tmp_path):
    save(report(case()), tmp_path / "new")
    assert (tmp_path / "new" / ".gitignore").read_text(encoding="utf-8") == "*\n"
    save(report(case()), tmp_path)
    assert not (tmp_path / ".gitignore").exists()


def test_a_saved_failure_is_plain_json(tmp_path):
    (path,) = save(report(case()), tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert content.keys() == {"checks", "target", "case", "before", "repeatable"}
    validate("failure", content)
