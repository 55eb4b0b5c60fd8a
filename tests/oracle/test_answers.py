"""Answers to the vectors: right answers pass, wrong ones fail, unreadable ones give an error.

Right answers consist of the vectors' own hi, which no engine computed.
"""

import json

import numpy as np
import pytest
from oracle.drawn import vectors_of_everything
from safetensors.numpy import save_file
from schemas import validate

from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import read_array, to_base64, to_lists
from manualnn.oracle.protocol.features import TABLES
from manualnn.oracle.report.summary import text
from manualnn.oracle.vectors import answers as answering
from manualnn.oracle.vectors import files as vectors
from manualnn.oracle.vectors.answers import AnswersError, judge_answers
from manualnn.oracle.vectors.files import flags

CASES = [c for c in vectors_of_everything() if sum(a.size for a in c.arrays().values()) < 200]
WITH_PARAMS = [case for case in CASES if case.params and case.steps == 1]
TANH = next(case for case in WITH_PARAMS if case.recipe == "layer.Tanh")
ADAM = next(
    case
    for case in WITH_PARAMS
    if {"Adam", "MSELoss"} <= set(flags(case))
    and not {layer["type"] for layer in case.layers} <= {"Linear", "Tanh"}
)
SQUARED = next(c for c in WITH_PARAMS if c.recipe == "loss.MSELoss.sum" and c.n > 1)
FEW = [TANH, ADAM]
RECORDED = {case.id: vectors.recorded_truth(case) for case in [*FEW, SQUARED]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder for the answers to two vectors. Findings are not diagnosed."""
    monkeypatch.setattr(answering, "vector_cases", lambda: FEW)
    monkeypatch.setattr(answering, "DIAGNOSED", 0)
    return tmp_path


def answer(case, dtype="float64", form=to_lists, moved=None, by=0.0):
    """Return the rounded truth, with the first entry of `moved` off by `by` bounds."""
    arrays = {}
    for name, near in RECORDED[case.id].items():
        arrays[name] = np.array(near["hi"])
        if name == moved:
            arrays[name].flat[0] += by * near["bound"][dtype].flat[0]
        arrays[name] = arrays[name].astype(dtype)
    result = {}
    for name, array in arrays.items():
        group, _, key = name.partition(".")
        inner = result.setdefault(group, {}) if key else result
        if group == "state":
            group, _, key = key.partition(".")
            inner = inner.setdefault(group, {})
        inner[key or name] = form(array)
    made = {"id": case.id, "dtype": dtype, "result": result}
    validate("answer", made)
    return made


def write(folder, *answers, name="all.jsonl"):
    (folder / name).write_text("".join(json.dumps(a) + "\n" for a in answers))


def statuses(report):
    return {result.id: result.status for result in report.results}


def test_the_truth_itself_is_right_in_both_dtypes(folder):
    write(folder, *(answer(case, dtype) for case in FEW for dtype in ("float32", "float64")))
    report = judge_answers(folder)
    assert set(statuses(report).values()) == {"passed"}
    assert (report.exit_code, report.cases, report.problems) == (0, 4, [])
    assert report.sharpness["float64"] < 1e-12
    assert report.sharpness["float32"] < 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("quantity", ["outputs", "loss", "input_grad", "grads.{key}"])
def test_an_entry_beyond_its_bound_is_found(folder, quantity, dtype):
    """The entry is four bounds off, and rounding it to its dtype removes at most one bound."""
    name = quantity.format(key=next(iter(TANH.params)))
    write(folder, answer(TANH, dtype, moved=name, by=4), answer(ADAM, dtype))
    report = judge_answers(folder)
    failed = [r for r in report.results if r.status == "failed"]
    assert [r.id for r in failed] == [f"layer.Tanh:{quantity.partition('.')[0]}"]
    (finding,) = failed[0].findings
    assert finding.entries[0].quantity == name
    assert finding.entries[0].index == (0,) * RECORDED[TANH.id][name]["hi"].ndim
    assert finding.case.dtype == dtype
    assert report.exit_code == 1
    assert name in text(report)
    assert f"vector {TANH.id}" in text(report)


@pytest.mark.parametrize("quantity", ["params.{key}", "state.exp_avg_sq.{key}"])
def test_an_update_beyond_its_bound_is_found(folder, quantity):
    name = quantity.format(key=next(iter(ADAM.params)))
    write(folder, answer(TANH), answer(ADAM, moved=name, by=4))
    failed = [r.id for r in judge_answers(folder).results if r.status == "failed"]
    assert failed == [f"{ADAM.recipe}:{quantity.partition('.')[0]}"]


def test_a_constant_factor_is_named_from_the_answers_alone(folder, monkeypatch):
    """Without the factor 2 in ∂L/∂y, every gradient of the squared error is half as large."""
    slip = answer(SQUARED)
    slip["result"]["grads"] = {
        key: (np.array(a) / 2).tolist() for key, a in slip["result"]["grads"].items()
    }
    slip["result"]["input_grad"] = (np.array(slip["result"]["input_grad"]) / 2).tolist()
    write(folder, slip)
    monkeypatch.setattr(answering, "DIAGNOSED", 6)
    monkeypatch.setattr(answering, "vector_cases", lambda: [SQUARED])
    report = judge_answers(folder)
    (finding,) = next(r.findings for r in report.results if r.id.endswith(":grads"))
    assert finding.diagnosis.first.startswith("grads.")
    assert "½" in finding.diagnosis.ratio or "0.5" in finding.diagnosis.ratio


@pytest.mark.parametrize("by", [0.5, -0.5])
def test_half_a_bound_is_allowed(folder, by):
    name = f"grads.{next(iter(TANH.params))}"
    write(folder, answer(TANH, "float32", moved=name, by=by), answer(ADAM, "float32"))
    assert judge_answers(folder).exit_code == 0


def test_nan_is_wrong(folder):
    content = answer(TANH)
    content["result"]["loss"] = "NaN"
    write(folder, content, answer(ADAM))
    assert statuses(judge_answers(folder))["layer.Tanh:loss"] == "failed"


def test_answers_may_be_files_in_any_form(folder):
    write(folder, answer(TANH, form=to_base64), name="tanh.json")
    stored = {}

    def aside(array):
        stored[str(len(stored))] = array
        return {"path": "adam.safetensors", "key": str(len(stored) - 1)}

    write(folder, answer(ADAM, form=aside), name="adam.json")
    save_file(stored, folder / "adam.safetensors")
    report = judge_answers(folder)
    assert set(statuses(report).values()) == {"passed"}
    assert report.cases == 2


def test_weights_may_be_laid_out_the_other_way(folder):
    turned = answer(TANH)
    turned["result"]["grads"] = {
        key: np.transpose(a).tolist() for key, a in turned["result"]["grads"].items()
    }
    claims = {"layers": {layer["type"]: "any" for layer in TANH.layers}}
    claims["losses"] = {TANH.loss["type"]: "any"}
    (folder / "capabilities.json").write_text(json.dumps({**claims, "weight_layout": "in,out"}))
    write(folder, turned)
    assert judge_answers(folder).exit_code == 0


def test_gradients_of_one_step_are_judged_without_a_claim_of_an_optimizer(folder):
    assert ADAM.optimizer
    assert ADAM.steps == 1
    claims = {"layers": dict.fromkeys(TABLES["layers"], "any"), "losses": {"MSELoss": "any"}}
    (folder / "capabilities.json").write_text(json.dumps(claims))
    write(folder, answer(TANH), answer(ADAM))
    assert set(statuses(judge_answers(folder)).values()) == {"passed"}
    write(folder, answer(TANH), answer(ADAM, moved=f"grads.{next(iter(ADAM.params))}", by=4))
    failed = [r.id for r in judge_answers(folder).results if r.status == "failed"]
    assert failed == [f"{ADAM.recipe}:grads"]


def test_an_answer_needs_every_claimed_result(folder):
    claims = {"layers": {"Linear": "any", "Tanh": "any"}, "losses": {TANH.loss["type"]: "any"}}
    claims |= {"returns": ["loss", "grads", "outputs"], "accepts_state": True}
    (folder / "capabilities.json").write_text(json.dumps(claims))
    lacking = answer(TANH)
    del lacking["result"]["outputs"]
    write(folder, lacking)
    report = judge_answers(folder)
    assert [r.status for r in report.results] == ["errored"]
    assert "outputs" in report.results[0].findings[0].message


def test_a_wrong_shape_is_reported_for_its_case_and_the_others_are_judged(folder):
    slip = answer(TANH)
    slip["result"]["outputs"] = [1.0]
    write(folder, slip, answer(ADAM))
    found = statuses(judge_answers(folder))
    assert found["layer.Tanh:outputs"] == "errored"
    assert found[f"{ADAM.recipe}:params"] == "passed"


def test_vectors_without_an_answer_are_skipped_and_half_of_them_are_too_many(folder):
    write(folder, answer(TANH))
    report = judge_answers(folder)
    assert statuses(report)[f"{ADAM.recipe}:outputs"] == "skipped"
    assert report.problems == ["only 1 of 2 vectors are answered"]
    assert report.exit_code == 3


def test_an_answer_may_be_that_there_is_none(folder):
    write(folder, answer(TANH), {"id": ADAM.id, "dtype": "float64", "skipped": "no Adam"})
    assert statuses(judge_answers(folder))[f"{ADAM.recipe}:outputs"] == "skipped"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "R-00000000", "result": {}}', "all.jsonl:1 answers 'R-00000000', which is none"),
        ("{", "all.jsonl:1 is not JSON"),
        ("[1]", "all.jsonl:1 is not a JSON object"),
        (f'{{"id": "{TANH.id}"}}', "neither a 'result' nor 'skipped'"),
        (f'{{"id": "{TANH.id}", "dtype": "half", "result": {{}}}}', "has dtype 'half'"),
        (f'{{"id": "{TANH.id}", "result": {{"loss": "big"}}}}', "result.loss is not an array"),
        ("\n".join([f'{{"id": "{TANH.id}", "skipped": ""}}'] * 2), "all.jsonl:2 answers .* again"),
        ("", "holds no answers"),
    ],
)
def test_an_unreadable_answer_is_reported_with_its_place(folder, content, message):
    (folder / "all.jsonl").write_text(content)
    with pytest.raises(AnswersError, match=message):
        judge_answers(folder)


def test_unreadable_claims_are_reported(folder):
    write(folder, answer(TANH))
    (folder / "capabilities.json").write_text('{"layers": []}')
    with pytest.raises(AnswersError, match=r"capabilities\.json"):
        judge_answers(folder)


def test_answers_are_to_the_vectors_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "vector_cases", lambda seed, _: FEW if seed == 7 else [])
    vectors.write_vectors(tmp_path / "vectors", seed=7)
    (tmp_path / "answers").mkdir()
    write(tmp_path / "answers", *map(answer, FEW))
    report = judge_answers(tmp_path / "answers", tmp_path / "vectors")
    assert (report.seed, report.exit_code, report.cases) == (7, 0, 2)


def test_vectors_for_claims_are_judged_by_these_claims(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "vector_cases", lambda *_: [TANH, SQUARED])
    claims = {kind: dict.fromkeys(table, "any") for kind, table in TABLES.items()}
    claims["returns"] = ["loss", "grads"]
    vectors.write_vectors(tmp_path / "vectors", claims=claims)
    validate("manifest", json.loads((tmp_path / "vectors" / "manifest.json").read_bytes()))
    (tmp_path / "answers").mkdir()
    write(tmp_path / "answers", answer(SQUARED), answer(TANH))
    report = judge_answers(tmp_path / "answers", tmp_path / "vectors")
    assert report.capabilities.returns == ("loss", "grads")
    assert report.exit_code == 0
    assert {result.status for result in report.results} == {"passed"}


def test_the_written_truth_follows_the_claims():
    coarse = Capabilities.read(
        {"layers": ["Linear"], "losses": ["MSELoss"], "accumulate_dtype": "float32"}
    )
    usual, wider = RECORDED[SQUARED.id], vectors.recorded_truth(SQUARED, coarse)
    for name in ("loss", "grads.0.weight", "outputs"):
        np.testing.assert_array_equal(wider[name]["hi"], usual[name]["hi"])
        bounds, least = (near[name]["bound"]["float64"] for near in (wider, usual))
        assert np.all(bounds >= least)
        assert np.any(bounds > 1e6 * least)


def test_the_written_truth_can_be_answered_with_json_alone(tmp_path, monkeypatch):
    """An author elsewhere reads the file of a case and answers with its `expected`."""
    monkeypatch.setattr(vectors, "vector_cases", lambda *_: [TANH])
    vectors.write_vectors(tmp_path / "vectors")
    content = json.loads((tmp_path / "vectors" / "cases" / f"{TANH.id}.json").read_bytes())
    expected = {name: near["hi"] for name, near in content["expected"].items()}
    grads = {n.removeprefix("grads."): a for n, a in expected.items() if n.startswith("grads.")}
    result = {"loss": expected["loss"], "grads": grads}
    (tmp_path / "answers").mkdir()
    write(tmp_path / "answers", {"id": content["id"], "dtype": "float64", "result": result})
    assert judge_answers(tmp_path / "answers", tmp_path / "vectors").exit_code == 0
    assert read_array(expected["outputs"], float).shape == (TANH.n, TANH.widths[-1])


def test_claims_that_admit_hardly_a_vector_are_no_verdict(folder, monkeypatch):
    assert SQUARED.steps == 1
    others = [TANH.but(x=TANH.x + i, steps=2) for i in range(1, 21)]
    monkeypatch.setattr(answering, "vector_cases", lambda: [SQUARED, *others])
    write(folder, answer(SQUARED))
    claims = {kind: dict.fromkeys(table, "any") for kind, table in TABLES.items()}
    (folder / "capabilities.json").write_text(json.dumps({**claims, "accepts_state": True}))
    report = judge_answers(folder)
    assert report.cases == 1
    assert report.exit_code == 3
    assert "only 1 of 21 vectors are within the claims" in report.problems[0]
