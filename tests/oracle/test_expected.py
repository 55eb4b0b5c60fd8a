"""A file of expected failures excuses the failures that it lists, as long as they occur."""

from datetime import date

import pytest

from manualnn.oracle.findings import CheckResult
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.report.expected_failures import ExpectedFileError, apply, read
from manualnn.oracle.report.report import Report

TODAY = date(2030, 6, 1)


def report(**statuses):
    """Checks named loss_mean → "loss.mean:grads", each with its status."""
    results = [
        CheckResult(f"{name.replace('_', '.')}:grads", "A sentence.", status, cases=3)
        for name, status in statuses.items()
    ]
    claims = Capabilities.read({"layers": ["Linear"], "losses": ["MSELoss"]})
    return Report("toy:Engine", claims, "quick", 0, "longdouble", results)


def applied(text, known=None, **statuses):
    """The statuses, the problems and the exit code once the file is taken into account."""
    made = report(**statuses)
    apply(made, read(text), TODAY, known)
    return [result.status for result in made.results], made.problems, made.exit_code


@pytest.mark.parametrize("status", ["failed", "errored"])
def test_a_failure_that_is_named_does_not_fail_the_run(status):
    assert applied("a:grads | known", a=status, b="passed") == (["expected", "passed"], [], 0)


def test_a_failure_that_is_not_named_fails_the_run_all_the_same():
    assert applied("a:grads | known", a="failed", b="failed") == (["expected", "failed"], [], 1)


def test_a_check_that_passes_against_expectation_fails_the_run():
    assert applied("a:* | known", a="passed") == (["unexpected"], [], 1)


def test_of_a_family_one_member_has_to_fail_and_others_may_pass():
    statuses, problems, code = applied("a* | known", a_x="passed", a_y="failed", a_z="errored")
    assert (statuses, problems, code) == (["passed", "expected", "expected"], [], 0)


def test_a_family_of_which_no_member_fails_fails_the_run():
    statuses, problems, code = applied("a* | known", a_x="passed", a_y="skipped", b="failed")
    assert (statuses, problems, code) == (["unexpected", "skipped", "failed"], [], 1)


def test_an_exact_id_is_strict_beside_a_family_that_holds():
    text = "a* | known\na.x:grads | known"
    assert applied(text, a_x="passed", a_y="failed")[0] == ["unexpected", "expected"]


def test_a_family_is_not_stale_while_members_were_left_out():
    known = ["a.x:grads", "a.y:grads"]
    assert applied("a* | known", known, a_x="passed") == (["passed"], [], 0)
    assert applied("a.x* | known", known, a_x="passed")[0] == ["unexpected"]


def test_a_pattern_that_matches_nothing_fails_the_run():
    statuses, [problem], code = applied("# header\nb:* | known", a="passed")
    assert (statuses, code) == (["passed"], 3)
    assert "line 2" in problem
    assert "'b:*' matches no check;" in problem


@pytest.mark.parametrize("status", ["not_claimed", "skipped"])
def test_a_pattern_that_matches_only_what_did_not_run_fails_the_run(status):
    statuses, [problem], code = applied("a:* | known", a=status)
    assert (statuses, code) == ([status], 3)
    assert "only checks that did not run" in problem


def test_a_pattern_for_a_check_that_was_left_out_is_no_problem():
    assert applied("b:* | known", ["a:grads", "b:grads"], a="passed") == (["passed"], [], 0)


def test_a_line_holds_on_its_last_day_and_no_longer():
    assert applied("a:* | known | | 2030-06-01", a="failed") == (["expected"], [], 0)
    statuses, [problem], code = applied("a:* | known | | 2030-05-31", a="failed")
    assert (statuses, code) == (["failed"], 1)
    assert "expired on 2030-05-31" in problem


def test_an_expired_line_fails_the_run_even_where_the_check_passes():
    statuses, problems, code = applied("a:* | known | | 2030-05-31", a="passed")
    assert (statuses, len(problems), code) == (["passed"], 1, 3)


def test_the_reason_and_the_link_are_reported_with_the_check():
    made = report(a="failed")
    apply(made, read("a:grads | averages over rows | https://example.org/8"), TODAY)
    assert made.results[0].reason == "averages over rows (https://example.org/8)"


def test_the_first_of_two_lines_gives_the_reason_and_both_count_as_used():
    made = report(a="failed")
    apply(made, read("a:grads | first\na:* | second"), TODAY)
    assert (made.results[0].reason, made.problems) == ("first", [])


def test_a_file_is_read_as_its_text_is(tmp_path):
    text = "# comment\n\n  a:grads | why | https://example.org/#b | 2031-01-31\nb:* | because\n"
    (tmp_path / "expected.txt").write_text(text, encoding="utf-8")
    first, second = lines = read(tmp_path / "expected.txt")
    assert lines == read(str(tmp_path / "expected.txt")) == read(text)
    assert (first.pattern, first.reason, first.link) == ("a:grads", "why", "https://example.org/#b")
    assert (first.expires, first.line) == (date(2031, 1, 31), 3)
    assert (second.pattern, second.link, second.expires, second.line) == ("b:*", "", None, 4)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a:grads", "1 parts"),
        ("a | b | c | 2030-01-01 | e", "5 parts"),
        ("a:grads | ", "the reason is missing"),
        (" | why", "the check id is missing"),
        ("a:grads | why | | soon", "'soon' is not a date"),
        ("a:grads | why | | 2030-02-30", "'2030-02-30' is not a date"),
        ("a:grads | why | 2030-01-01", "where the link belongs"),
    ],
)
def test_a_malformed_line_is_named(line, message):
    with pytest.raises(ExpectedFileError, match="line 2") as caught:
        read(f"# first\n{line}\n")
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ExpectedFileError, match=r"nowhere\.txt, cannot be read"):
        read(tmp_path / "nowhere.txt")


def test_a_line_about_a_check_that_was_not_judged_is_no_problem():
    """Another feature fails, so that the check says neither that it passes nor that it fails."""
    assert applied("a:grads | known", a="not_judged", b="passed") == (
        ["not_judged", "passed"],
        [],
        0,
    )
