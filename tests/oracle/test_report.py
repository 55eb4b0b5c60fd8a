"""Reports: text for a person, JSON, JUnit and the table of compliance."""

import json
import math
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from oracle.reports import (
    CASE,
    CAUSE,
    ENTRY,
    EVERY_STATUS,
    PASSED,
    UNKNOWN,
    failing,
    report,
)
from schemas import validate

from manualnn.oracle.findings import (
    STATUSES,
    Cause,
    CheckResult,
    Diagnosis,
    Entry,
)
from manualnn.oracle.report.as_json import to_json
from manualnn.oracle.report.as_junit import WHOLE, to_junit
from manualnn.oracle.report.compliance import to_markdown
from manualnn.oracle.report.finding_text import FindingText
from manualnn.oracle.report.mistakes import distinct_mistakes, last_line
from manualnn.oracle.report.reading import ReportError, from_json
from manualnn.oracle.report.summary import summary, text
from manualnn.oracle.report.wording import case_line, case_numbers, entry_line


def squeezed(words):
    return " ".join(words.split())


# A case and an entry, in words


def test_a_case_is_one_readable_line():
    assert case_line(CASE) == "2→1 Tanh, MSELoss mean, N=3, SGD lr=0.5 momentum=0.9, float64"


def test_only_options_that_are_not_the_default_are_printed():
    case = CASE.but(
        layers=(
            {"type": "Linear", "in_features": 2, "out_features": 3, "bias": False},
            {"type": "LeakyReLU", "negative_slope": 0.01},
            {"type": "LeakyReLU", "negative_slope": 0.25},
        ),
        loss={"type": "CrossEntropyLoss", "reduction": "sum", "weight": [1.0, 2.0, 0.5]},
        optimizer={"type": "Adam", "betas": (0.9, 0.999), "amsgrad": True},
        dtype="float32",
        state={"step": 17, "exp_avg": {}},
        steps=2,
    )
    assert case_line(case) == (
        "2→3(no bias) LeakyReLU LeakyReLU(negative_slope=0.25), "
        "CrossEntropyLoss sum weight=[1.0, 2.0, 0.5], N=3, Adam amsgrad=True, "
        "after 17 updates, 2 updates, float32"
    )


def test_a_network_without_layers_is_printed_as_one():
    case = CASE.but(layers=(), params={}, optimizer=None)
    assert case_line(case) == "no layers, 2 columns, MSELoss mean, N=3, float64"


def test_a_learning_rate_is_printed_even_where_it_is_the_default():
    assert "SGD lr=0.001" in case_line(CASE.but(optimizer={"type": "SGD", "lr": 0.001}))


def test_the_numbers_of_a_small_case_are_shown_so_that_they_can_be_typed_in():
    lines = dict(line.split(" = ") for line in case_numbers(CASE))
    assert lines.keys() == {"x", "t", "0.weight", "0.bias"}
    assert json.loads(lines["0.weight"]) == [[0.5, 0.1]]
    exact = CASE.but(x=np.array([[1 / 3, np.nextafter(2, 3)]] * 3))
    shown = dict(line.split(" = ") for line in case_numbers(exact))["x"]
    assert eval(shown) == exact.x.tolist()  # noqa: S307


def test_the_numbers_of_a_large_case_are_not_shown():
    assert case_numbers(CASE.but(x=np.zeros((30, 2)))) == []


def test_an_entry_has_got_truth_error_and_bound():
    assert entry_line(ENTRY) == (
        "grads.0.weight[0,1]  got 0.45  truth 0.3  |err| 0.15  bound 3e-17  (2 of 2 wrong)"
    )
    assert entry_line(Entry("loss", (), math.nan, 2.0, 0.0)) == (
        "loss  got nan  truth 2  |err| nan  bound 0"
    )


@pytest.mark.parametrize("offset", [1e-3, 1e-6, 1e-9, 1e-12, 2**-52])
def test_an_entry_shows_the_digits_that_differ(offset):
    shown = entry_line(Entry("loss", (), 1 + offset, 1.0, 1e-17))
    got, truth = map(float, re.findall(r"(?:got|truth) (\S+)", shown))
    assert got - truth == pytest.approx(offset, rel=0.5)  # as sharp as digits that show it


# The report


def test_a_finding_has_case_entries_cause_and_command():
    shown = text(report(failing("loss.MSELoss.mean:grads")), ".manualnn")
    for line in (
        "FAIL  loss.MSELoss.mean:grads  mytoy 0.2 (float64)",
        "asserts Every gradient is right.",
        "minimal 2→1 Tanh, MSELoss mean, N=3, SGD lr=0.5 momentum=0.9",
        "0.weight = [[0.5, 0.1]]",
        "grads.0.weight[0,1] got 0.45 truth 0.3",
        "scope every entry of grads.0.weight",
        "ratio 1.5 = N/(N−1)",
        "likely divides by N − 1 [n-minus-one]",
        "wrong dW = dzᵀx / (N − 1)",
        "right dW = dzᵀx / N",
        f"replay manualnn check mytoy:Engine --replay {CASE.id}",
    ):
        assert squeezed(line) in squeezed(shown)


def test_the_sharpness_of_plain_recipes_comes_first_and_says_of_what_it_is():
    shown = squeezed(summary(report(PASSED)))
    plain = "sharpness median of bound/|value|: 3e-15 (float64), inf (float32) in plain recipes"
    assert f"{plain} 4e-14 (float64), inf (float32) in all recipes" in shown
    narrowed = squeezed(summary(report(PASSED, sharpness={})))
    assert "|value|: 4e-14 (float64), inf (float32) in all recipes" in narrowed
    neither = squeezed(summary(report(PASSED, sharpness={}, sharpness_overall={})))
    assert "|value|: nothing was compared" in neither


def test_a_message_that_only_repeats_an_entry_is_left_out():
    same = failing("a:x", message="grads.0.weight[0, 1] is 0.45; it has to be 0.3")
    assert "message" not in text(report(same))
    other = failing("a:x", message="only after 2 other calls: grads.0.weight[0, 1] is 0.45")
    assert "message     only after 2 other calls" in text(report(other))


def test_what_is_not_claimed_is_one_line_at_the_end(monkeypatch):
    names = "loss.L1Loss.mean:*", "loss.L1Loss.sum:*", "loss.MSELoss.batchmean:*", "layer.ReLU:*"
    others = "plain:state", "shapes:state"
    results = [CheckResult(name, "", "not_claimed", reason="so it is") for name in names + others]
    monkeypatch.setenv("COLUMNS", "100")
    *_, last = summary(report(*results)).splitlines()
    assert squeezed(last) == ("not claimed L1Loss, MSELoss.batchmean, ReLU; 2 checks do not apply")
    monkeypatch.setenv("COLUMNS", "60")
    *_, last = summary(report(*results)).splitlines()
    assert squeezed(last) == "not claimed L1Loss, 2 more features; 2 checks do not apply"


@pytest.mark.parametrize("excess", [1e-1, 1e-3, 1e-9])
def test_an_error_above_its_bound_is_not_printed_as_equal_to_it(excess):
    shown = entry_line(Entry("loss", (), 0.25 * (1 + excess), 0.0, 0.25))
    error, bound = map(float, re.findall(r"(?:err\||bound) (\S+)", shown))
    assert error > bound


def test_a_finding_that_nothing_explains_says_unknown():
    shown = squeezed(text(report(failing("a:loss", diagnosis=UNKNOWN))))
    assert "likely unknown" in shown
    assert "when only when N equals a width" in shown


def test_causes_that_cannot_be_distinguished_are_all_named():
    other = Cause("other", "another bug", "a", "b")
    shown = text(report(failing("a:loss", diagnosis=Diagnosis("loss", "", likely=(CAUSE, other)))))
    assert "n-minus-one" in shown
    assert "[other]" in shown
    assert "do not distinguish the causes" in shown


def test_one_mistake_is_printed_in_full_once_and_the_summary_lists_its_checks():
    shown = text(report(failing("a:grads"), failing("b:grads"), failing("c:x", diagnosis=UNKNOWN)))
    assert squeezed(shown).count("right dW = dzᵀx / N ") == 1
    assert "FAIL  b:grads" not in shown
    assert shown.count("asserts") == 2
    assert "2 distinct mistakes; 3 of 3 checks failed" in shown
    assert "mistake 1 divides by N − 1 [n-minus-one] fails a:grads, b:grads" in squeezed(shown)
    assert "mistake 2 unknown bug: wrong gradients fails c:x" in squeezed(shown)


def unknown(check, blamed, quantity="grads.0.weight", got=0.45, **diagnosis):
    said = Diagnosis(quantity, "", **diagnosis)
    entry = replace(ENTRY, quantity=quantity, got=got)
    return failing(check, diagnosis=said, blamed=(blamed,), entries=(entry,))


@pytest.mark.parametrize(
    ("first", "second", "title"),
    [
        ({}, {}, "unknown bug of Tanh, ReLU: wrong gradients"),
        ({"ratio": "K"}, {"got": 9.0, "ratio": "K"}, "unknown bug of Tanh, ReLU: wrong gradients"),
        ({"when": "if"}, {"got": 9.0, "when": "if"}, "unknown bug of Tanh, ReLU: wrong gradients"),
        ({"ratio": "K"}, {"got": 9.0, "ratio": "N"}, ""),
        ({"ratio": "K"}, {"quantity": "loss", "ratio": "K"}, ""),
    ],
)
def test_mistakes_without_a_name_are_one_if_numbers_or_factors_or_conditions_agree(
    first, second, title
):
    found = distinct_mistakes([unknown("a:b", "Tanh", **first), unknown("c:d", "ReLU", **second)])
    assert [mistake.title for mistake in found if "," in mistake.title] == (
        [title] if title else []
    )
    assert len(found) == (1 if title else 2)


def test_the_same_fault_of_several_cases_is_one_mistake():
    results = [
        failing(f"plain:{name}", "errored", kind="malformed", message=message, diagnosis=None)
        for name, message in (
            ("loss", "vector R-8f4d3907: the result lacks 'params'"),
            ("grads", "vector R-9d4eff2f: the result lacks 'params'"),
            ("params", "vector R-9d4eff2f: the result lacks 'loss'"),
        )
    ]
    assert [len(mistake.checks) for mistake in distinct_mistakes(results)] == [2, 1]


def test_a_wrong_update_is_one_mistake_in_whatever_quantity_it_shows():
    results = [unknown("a:params", "SGD", "params.0.weight")]
    results += [unknown("a:outputs", "SGD", "outputs", got=9.0)]
    (mistake,) = distinct_mistakes(results)
    assert mistake.title == "unknown bug of SGD: wrong params, wrong outputs"
    described = FindingText("toy", "toy")
    assert described.describe_new(results[0])
    assert not described.describe_new(results[1])


def test_the_same_error_at_the_same_line_is_one_mistake():
    def error(check, blamed, line, size):
        trace = f'Traceback:\n  File "toy.py", line {line}, in step\nValueError: shape ({size},)'
        return failing(check, "errored", kind="error", message=trace, blamed=blamed, diagnosis=None)

    results = [error("a:b", ("Tanh",), 7, 2), error("c:d", (), 7, 3), error("e:f", (), 8, 2)]
    found = [(mistake.title, mistake.checks) for mistake in distinct_mistakes(results)]
    assert found == [
        ("error in Tanh: ValueError: shape (2,)", ["a:b", "c:d"]),
        ("error: ValueError: shape (2,)", ["e:f"]),
    ]


def test_the_assertion_of_another_check_is_not_printed():
    result = failing("a:params")
    result.findings[0] = replace(result.findings[0], check="a:loss")
    assert "asserts" not in FindingText("toy", "toy").describe(result)


def test_mistakes_without_a_name_are_told_apart_by_the_feature_and_the_quantity():
    results = [unknown("a:grads", "Tanh"), unknown("b:input_grad", "Tanh", quantity="input_grad")]
    results += [unknown("c:grads", "ReLU", got=9.0), unknown("d:outputs", "Tanh", "outputs")]
    found = [(mistake.title, mistake.checks) for mistake in distinct_mistakes(results)]
    assert found == [
        ("unknown bug of Tanh: wrong gradients", ["a:grads", "b:input_grad"]),
        ("unknown bug of ReLU: wrong gradients", ["c:grads"]),
        ("unknown bug of Tanh: wrong outputs", ["d:outputs"]),
    ]


def test_bugs_that_act_together_are_two_mistakes_and_alternatives_are_one():
    other = Cause("other", "another bug", "a", "b")
    both = Diagnosis("loss", "", likely=(CAUSE, other), together=True)
    single = failing("b:grads")
    titles = [m.title for m in distinct_mistakes([failing("a:grads", diagnosis=both), single])]
    assert titles == ["divides by N − 1 [n-minus-one]", "another bug [other]"]
    either = failing("a:grads", diagnosis=replace(both, together=False))
    (mistake,) = distinct_mistakes([either])
    assert mistake.title == "divides by N − 1 [n-minus-one] Or: another bug [other]"


def test_a_check_whose_call_failed_is_not_headed_as_a_failure():
    crash = {"kind": "crash", "message": "exit code 139", "diagnosis": None, "blamed": ("Tanh",)}
    first, again = (failing(check, "errored", **crash) for check in ("a:grads", "b:grads"))
    described = FindingText("toy", "toy")
    assert described.describe(first).startswith("CRASH  a:grads")
    assert described.describe(again) == "ERROR  b:grads  same mistake as a:grads"
    assert "mistake 1 crash in Tanh: exit code 139" in squeezed(summary(report(first, again)))


def test_no_command_is_given_for_what_was_not_saved():
    assert "--replay" not in text(EVERY_STATUS)


def test_a_command_has_the_folder_and_quotes_a_target_with_spaces():
    made = report(failing("a:grads"))
    made.target = "node engine.js"
    command = f"manualnn check 'node engine.js' --replay {CASE.id} --failures out"
    assert command in squeezed(text(made, "out"))


@pytest.mark.parametrize("width", [60, 100, 200])
def test_no_line_is_wider_than_the_terminal(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    case = CASE.but(params={"0.weight": np.full((1, 12), 1 / 3)})
    name = "state.max_exp_avg_sq.10.weight"
    entry = Entry(name, (10, 12), 1.2345678901234567e-300, 1.2345678901234566e-300, 0.0, 7, 120)
    words = {"message": "word " * 60, "diagnosis": UNKNOWN}
    long = failing("a:grads", case=case, entries=(entry,), **words)
    shown = text(report(long, *EVERY_STATUS.results), "failures")
    assert max(map(len, shown.splitlines())) <= width


def test_no_line_is_wrapped_in_a_file(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    words = "word " * 60
    assert words.strip() in text(report(failing("a:grads", message=words)))


def test_an_engines_long_message_is_shortened_to_its_beginning_and_its_end():
    """Python says at the end what is wrong, Rust and Java do at the beginning."""
    trace = "\n".join(f"line {i}" for i in range(100)) + "\nValueError: no"
    shown = text(report(failing("a:grads", "errored", kind="error", message=trace)))
    assert shown.startswith("ERROR  a:grads")
    assert "ValueError: no" in shown
    assert "line 0\n" in shown
    assert "line 10\n" not in shown
    assert sum("line" in line for line in shown.splitlines()) < 12


def test_an_engines_message_cannot_steer_the_terminal():
    shown = text(EVERY_STATUS)
    assert r"exit \x00 code\x1b 139" in shown
    assert shown.replace("\n", "").isprintable()


def test_the_summary_counts_every_status_and_says_what_it_is_worth():
    shown = squeezed(summary(EVERY_STATUS))
    counts = ("1 passed", "2 failed", "1 errored", "1 expected", "1 unexpected", "1 not judged")
    assert ", ".join((*counts, "1 not claimed", "1 skipped")) in shown
    for part in (
        "1,234 in 2.0 s (617 a second)",
        "56,789 numbers",
        "seed 7",
        "3e-15 (float64), inf (float32)",
        "longdouble",
        "accumulate_dtype='float32'",
        "problem only 3 cases ran",
        "skipped shapes:grads: too large for me",
        "not claimed ReLU",
        "unexpected lattice:exact: line 3 names it",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (
            report(PASSED),
            "mytoy 0.2 is correct in what it claims, as far as tested: 1 of 1 check passed.",
        ),
        (
            report(failing("a:b")),
            "1 of 1 check failed. mistake 1 divides by N − 1 [n-minus-one] fails a:b",
        ),
        (report(failing("a:b", diagnosis=UNKNOWN)), "mistake 1 unknown bug: wrong gradients"),
        (
            report(PASSED, failing("a:b", "expected")),
            "1 of 2 checks passed, except for 1 known failure.",
        ),
        (report(CheckResult("a:b", "", "unexpected", 1)), "better than expected"),
        (report(PASSED, problems=["too few"]), "the run proves little"),
    ],
)
def test_the_verdict_is_a_sentence(made, verdict):
    assert verdict in squeezed(summary(made))


def test_causes_that_time_ran_out_for_are_not_called_unknown():
    hurried = replace(UNKNOWN, hurried=True)
    late = squeezed(text(report(failing("layer.Tanh:grads", diagnosis=hurried))))
    assert "(time limit reached before all known bugs were tried; use a longer profile)" in late
    assert "no known bug gives these numbers" not in late
    assert (
        from_json(to_json(report(failing("a:b", diagnosis=hurried))))
        .results[0]
        .findings[0]
        .diagnosis
        == hurried
    )


def test_a_report_prints_as_the_command_prints_it_and_shows_itself_in_a_line():
    assert str(EVERY_STATUS) == text(EVERY_STATUS)
    assert f"{EVERY_STATUS!r}".startswith(f"Report({EVERY_STATUS.target!r}, ")
    assert f"{EVERY_STATUS!r}".endswith("exit code 1)")
    assert "\n" not in f"{EVERY_STATUS!r}"
    for status, count in EVERY_STATUS.counts().items():
        assert f" {count} {status}" in f"{EVERY_STATUS!r}"


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (report(PASSED), "good"),
        (report(failing("a:b")), "bad"),
        (report(PASSED, problems=["too few"]), "bad"),
    ],
)
def test_the_verdicts_colour_is_that_of_the_exit_code(made, kind):
    assert f"<{kind}>verdict" in summary(made, lambda words, kind: f"<{kind}>{words}")


# JSON


def test_a_report_in_json_is_read_back_whole():
    content = json.loads(json.dumps(to_json(EVERY_STATUS), allow_nan=False))
    validate("report", content)
    again = from_json(content)
    assert to_json(again) == content
    assert (again.counts(), again.exit_code) == (EVERY_STATUS.counts(), EVERY_STATUS.exit_code)
    assert text(again, "x") == text(EVERY_STATUS, "x")
    assert again.capabilities == EVERY_STATUS.capabilities


def test_numbers_that_json_lacks_come_back():
    entry = Entry("loss", (), np.float32("nan"), -math.inf, np.float64(math.inf))
    case = CASE.but(x=np.array([[math.nan, -math.inf]] * 3))
    made = report(failing("a:b", entries=(entry,), case=case), undecided=math.nan)
    content = json.loads(json.dumps(to_json(made), allow_nan=False))
    validate("report", content)
    again = from_json(content)
    (read,) = again.results[0].findings[0].entries
    assert math.isnan(read.got)
    assert (read.expected, read.bound) == (-math.inf, math.inf)
    np.testing.assert_array_equal(again.results[0].findings[0].case.x, case.x)
    assert math.isnan(again.undecided)


def test_json_says_its_schema_and_the_counts():
    content = to_json(EVERY_STATUS)
    assert content["schema"] == 1
    assert content["counts"] == dict.fromkeys(STATUSES, 1) | {"failed": 2}
    assert content["exit_code"] == 1
    assert content["results"][1]["findings"][0]["case_id"] == CASE.id
    assert "γₙ" in content["relaxations"][0]


@pytest.mark.parametrize("content", [[], {}, {"schema": 2}, {"schema": 1}, {"schema": 1, "a": 2}])
def test_what_is_no_report_is_refused(content):
    with pytest.raises(ReportError, match=r"not a (complete )?report of schema 1"):
        from_json(content)


# JUnit


def test_junit_has_a_testcase_for_every_check_and_one_for_the_run():
    (suite,) = ET.fromstring(to_junit(EVERY_STATUS))  # noqa: S314
    cases = suite.findall("testcase")
    assert len(cases) == len(EVERY_STATUS.results) + 1 == int(suite.get("tests"))
    assert [cases[1].get("classname"), cases[1].get("name")] == [
        "manualnn.check.loss.MSELoss.mean",
        "grads",
    ]
    tags = [[child.tag for child in case] for case in cases]
    assert tags == [
        [],
        ["failure"],
        ["failure"],
        ["error"],
        ["skipped"],
        ["failure"],
        ["skipped"],
        ["skipped"],
        ["skipped"],
        ["error"],
    ]
    assert cases[-1].get("name") == WHOLE
    for tag in ("failure", "error", "skipped"):
        attribute = tag if tag == "skipped" else f"{tag}s"
        assert int(suite.get(attribute)) == tags.count([tag])


def test_junit_holds_the_report_of_a_failure():
    failure = ET.fromstring(to_junit(EVERY_STATUS, "x")).find(".//failure")  # noqa: S314
    assert failure.get("message") == "the gradients are wrong"
    assert failure.get("type") == "failed"
    assert "divides by N − 1" in failure.text
    assert f"--replay {CASE.id}" in failure.text


def test_control_characters_in_an_engines_message_do_not_break_xml():
    error = ET.fromstring(to_junit(EVERY_STATUS)).find(".//error")  # noqa: S314
    assert error.get("message") == r"exit \x00 code\x1b 139"


def test_a_run_that_is_well_has_neither_failure_nor_error():
    (suite,) = ET.fromstring(to_junit(report(PASSED)))  # noqa: S314
    assert [suite.get(a) for a in ("tests", "failures", "errors", "skipped")] == [
        "2",
        "0",
        "0",
        "0",
    ]


# The table of compliance


def table(*reports):
    """{row: cells} and the footnotes."""
    lines = to_markdown(reports).splitlines()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert {len(row) for row in rows} == {len(reports) + 1}
    notes = [line for line in lines if re.match(r"\d+\. ", line)]
    return {row[0]: row[1:] for row in rows}, notes


def test_a_cell_is_the_worst_of_a_features_checks():
    rows, notes = table(EVERY_STATUS)
    assert rows == {
        "": ["mytoy 0.2"],
        "---": [":-:"],
        "**Layers**": [""],
        "Tanh": ["✓"],
        "**Losses**": [""],
        "MSELoss.mean": ["✗ <sup>1</sup>"],
        "MSELoss.sum": ["✗ <sup>2</sup>"],
        "**Provocations**": [""],
        "kinks": ["✗ <sup>3</sup>"],
        "lattice": ["✓"],
        "depth": ["? <sup>4</sup>"],
        "shapes": ["s"],
        "**Relations, memory, determinism**": [""],
        "memory.inputs": ["e <sup>5</sup>"],
    }
    assert notes[0] == "1. divides by N − 1: `dW = dzᵀx / (N − 1)` instead of `dW = dzᵀx / N`"
    assert notes[1] == "2. only the loss only when N equals a width"
    assert len(notes) == 5


def test_a_brief_table_has_a_row_for_each_group_and_counts_what_is_wrong():
    lines = to_markdown([EVERY_STATUS], brief=True).splitlines()
    rows = dict(line.strip("| ").split(" | ") for line in lines[2:] if line.startswith("|"))
    assert rows == {
        "Layers": "✓",
        "Losses": "✗ 2 of 2 <sup>1, 2</sup>",
        "Provocations": "✗ 1 of 2 <sup>3</sup>",
        "Relations, memory, determinism": "e 1 of 1 <sup>4</sup>",
    }


def test_what_no_engine_claims_is_named_below_the_table():
    assert "\nClaimed by none: ReLU.\n" in to_markdown([EVERY_STATUS])
    assert "none" not in to_markdown([report(PASSED)])


def test_rows_are_in_the_order_of_the_oracles_tables():
    ran = ["layer.Softmax:loss", "layer.Linear:loss", "loss.MSELoss.sum:loss", "layer.Tanh:loss"]
    ran += ["loss.L1Loss.mean:loss", "loss.MSELoss.mean:loss"]
    made = report(*(CheckResult(name, "", "passed", 1) for name in ran))
    names = [name for name in table(made)[0] if name[:1].isalnum()]
    assert names == ["Linear", "Tanh", "Softmax", "MSELoss.sum", "MSELoss.mean", "L1Loss.mean"]


def test_engines_stand_side_by_side_and_share_footnotes():
    one = report(PASSED, failing("loss.MSELoss.mean:grads"), failing("loss.MSELoss.mean:params"))
    other = report(failing("layer.Tanh:outputs"), CheckResult("layer.ReLU:loss", "", "passed", 1))
    rows, notes = table(one, other)
    assert rows["Tanh"] == ["✓", "✗ <sup>1</sup>"]
    assert rows["ReLU"] == ["–", "✓"]
    assert rows["MSELoss.mean"] == ["✗ <sup>1</sup>", "–"]
    assert len(notes) == 1


def test_an_expected_failure_is_explained_by_its_reason():
    result = failing("layer.Tanh:grads", "expected")
    result.reason = "rounds to float16 (https://example.org)"
    assert table(report(PASSED, result))[1] == ["1. rounds to float16 (https://example.org)"]


def test_a_feature_is_not_marked_wrong_by_a_finding_that_blames_another():
    rows, notes = table(report(failing("layer.Tanh:grads", blamed=("MSELoss",))))
    assert rows["Tanh"] == ["? <sup>1</sup>"]
    assert notes == ["1. MSELoss fails"]
    assert table(report(failing("layer.Tanh:grads", blamed=("Tanh",))))[0]["Tanh"][0][0] == "✗"


def test_the_last_line_of_a_traceback_is_no_line_of_marks():
    message = 'File "mine.py", line 3, in step\n    while True:\n          ^^^^\n'
    assert last_line(message).strip() == "while True:"
    assert last_line("") == ""
