"""The oracle's report in a browser: filter, order, links, drawings, what is copied and saved."""

import json

import numpy as np
import pytest
from oracle.reports import CASE, EVERY_STATUS, KNOWN, UNKNOWN, failing, report
from schemas import validate

from manualnn.oracle.findings import Entry
from manualnn.oracle.replay import load
from manualnn.oracle.report.as_json import to_json
from manualnn.oracle.truth.compare import first_entry

LATER = CASE.but(steps=3, optimizer={"type": "Adam", "lr": 0.1})
NOT_FINITE = CASE.but(x=np.array([[np.nan, np.inf], [1.0, 2.0]]), t=np.array([[1.0], [0.0]]))
EMPTY = CASE.but(x=np.zeros((0, 2)), t=np.zeros((0, 1)))


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    def write(made, failures=".manualnn"):
        file = tmp_path_factory.mktemp("report") / "report.html"
        file.write_text(made.to_html(failures), encoding="utf-8")
        return file

    return write


@pytest.fixture(scope="module")
def every_status(write):
    return write(EVERY_STATUS)


def rows(page):
    return page.locator("#all-checks tbody tr:visible th").all_inner_texts()


def test_the_filter_shows_the_checks_with_the_words_and_the_status(open_page, every_status):
    with open_page(every_status) as page:
        usual = {r.id for r in EVERY_STATUS.results if r.status != "not_claimed"}
        failed = ["loss.MSELoss.mean:grads", "loss.MSELoss.sum:loss"]
        assert set(rows(page)) == usual
        page.get_by_label("Show the checks").fill("LOSS gradient")
        assert rows(page) == failed
        status = page.locator("#filter [role=status]")
        assert status.inner_text() == f"2 of {len(EVERY_STATUS.results)} checks are shown."
        page.get_by_label("failed (2)").uncheck()
        assert rows(page) == []
        page.get_by_label("Show the checks").fill("")
        assert set(rows(page)) == usual - {*failed}


def test_each_column_sorts_up_and_down_by_keyboard(open_page, every_status):
    with open_page(every_status) as page:
        page.get_by_label("not claimed").check()
        ids = sorted((result.id for result in EVERY_STATUS.results), key=str.lower)
        head = page.get_by_role("button", name="Check", exact=True)
        head.focus()
        page.keyboard.press("Enter")
        assert rows(page) == ids
        page.keyboard.press("Space")
        assert rows(page) == ids[::-1]
        assert page.locator("[aria-sort=descending]").inner_text() == "Check"
        page.get_by_role("button", name="Cases").click()
        counts = page.locator("#all-checks tbody td:nth-child(3)").all_inner_texts()
        numbers = [int(count.split()[0]) for count in counts]
        assert numbers == sorted(result.cases for result in EVERY_STATUS.results)


def test_a_link_leads_to_a_check_that_is_filtered_out_and_back(open_page, every_status):
    with open_page(every_status) as page:
        page.get_by_label("Show the checks").fill("Tanh")
        page.locator("#mistake-1").get_by_role("link", name="loss.MSELoss.mean:grads").press(
            "Enter"
        )
        row = page.locator("#all-checks tr:focus")
        assert "loss.MSELoss.mean:grads" in row.inner_text()
        row.get_by_role("link").press("Enter")
        page.locator("#mistake-1:focus").wait_for()  # the browser tells of a new hash later


REFUSE = """() => {
    window.copied = "";
    document.addEventListener("copy", () => { copied = document.activeElement.value; });
    const writeText = () => Promise.reject(new Error("not allowed"));
    Object.defineProperty(navigator, "clipboard", { value: { writeText } });
}"""


@pytest.mark.parametrize("allowed", [True, False])
def test_the_command_is_copied_and_that_is_said(open_page, every_status, allowed):
    permissions = ["clipboard-read", "clipboard-write"]
    with open_page(every_status, permissions=permissions) as page:
        if not allowed:
            page.evaluate(REFUSE)
        replay = page.locator("#mistake-1 .replay").first
        button = replay.get_by_role("button", name="Copy command")
        button.press("Enter")
        replay.locator("[role=status]").get_by_text("Copied.").wait_for()
        read = "navigator.clipboard.readText()" if allowed else "copied"
        assert page.evaluate(read) == f"manualnn check mytoy:Engine --replay {CASE.id}"
        assert button.evaluate("(e) => e === document.activeElement")


def test_the_saved_case_is_what_replay_reads(open_page, every_status, tmp_path):
    with open_page(every_status) as page:
        with page.expect_download() as saved:
            page.locator("#mistake-1").get_by_role("button", name="Download case").first.click()
        assert saved.value.suggested_filename == f"{CASE.id}.json"
        saved.value.save_as(tmp_path / "failure.json")
    content = json.loads((tmp_path / "failure.json").read_text(encoding="utf-8"))
    validate("failure", content)
    failure = load(str(tmp_path / "failure.json"))
    assert failure.case.id == CASE.id
    failed = [f.check for r in EVERY_STATUS.results for f in r.findings]
    assert list(failure.checks) == failed
    assert failure.target == EVERY_STATUS.target


def test_the_drawing_marks_exactly_the_wrong_weights_and_units(open_page, write):
    is_wrong = np.array([[False, True]])
    truth = np.array([[1.0, 2.0]])
    entries = (
        first_entry("grads.0.weight", is_wrong, truth + is_wrong, truth),
        Entry("loss", (), 2.0, 1.0, 0.0),
        Entry("outputs", (1, 0), 2.0, 1.0, 0.0),
    )
    case = CASE.but(layers=CASE.layers[:1])
    made = report(failing("plain:grads", case=case, entries=entries, diagnosis=KNOWN))
    with open_page(write(made)) as page:
        drawing = page.locator("#mistake-1 .network svg[role=img]")
        drawing.wait_for()
        assert drawing.locator(".nn-weight.wrong").count() == 1
        assert drawing.locator(".nn-loss.wrong").count() == 1
        assert drawing.locator(".nn-unit.wrong").count() == 2
        assert not drawing.locator(".nn-input.wrong").count()
        assert drawing.get_by_text("✗").count() == 3
        assert drawing.get_attribute("aria-label") == "Network 2-1, sample 1 of 3"
        caption = page.locator("#mistake-1 figcaption").inner_text()
        assert "✗ marks where the engine is wrong" in caption


@pytest.mark.parametrize(
    ("case", "is_drawn"), [(CASE, True), (LATER, True), (NOT_FINITE, True), (EMPTY, False)]
)
def test_any_case_is_drawn_if_it_has_a_sample(open_page, write, case, is_drawn):
    with open_page(write(report(failing("plain:grads", case=case, diagnosis=UNKNOWN)))) as page:
        page.get_by_role("button", name="Copy command").wait_for()
        drawing = page.locator(".network svg[role=img]")
        if is_drawn:
            drawing.wait_for()
        assert drawing.count() == is_drawn


def test_the_last_of_several_steps_is_drawn(open_page, write):
    """The numbers in the units are those before the last update, as the findings are."""
    from manualnn.engine import Engine

    made = report(failing("plain:grads", case=LATER, diagnosis=UNKNOWN))
    loss = float(Engine().step(LATER)["loss"])
    with open_page(write(made)) as page:
        title = page.locator(".nn-loss title")
        title.wait_for(state="attached")
        name, _, value = title.text_content().partition(" = ")
        assert name == "L"
        assert float(value) == pytest.approx(loss, rel=1e-12)


def test_without_scripts_the_whole_report_is_readable(open_page, every_status):
    with open_page(every_status, java_script_enabled=False) as page:
        text = page.locator("body").inner_text()
        for result in EVERY_STATUS.results:
            assert result.id in text
        for mistake in to_json(EVERY_STATUS)["mistakes"]:
            assert mistake["title"][1:].split(" [")[0] in text
        assert f"--replay {CASE.id}" in text
        assert not page.get_by_role("button").count()
