"""The report as a page: what stands in the HTML itself, before any script runs."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from oracle.reports import CASE, CAUSE, ENTRY, EVERY_STATUS, KNOWN, PASSED, failing, finding, report
from pages import Page
from schemas import validate

from manualnn.oracle.findings import CheckResult
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.report.as_html import compare_in_html
from manualnn.oracle.report.as_json import to_json
from manualnn.oracle.report.reading import from_json
from manualnn.oracle.report.wording import index_text
from manualnn.oracle.truth.compare import MOST_SHOWN, first_entry

pytestmark = pytest.mark.once

VOID = {"br", "hr", "input", "link", "meta"}


class Tree(HTMLParser):
    """Text and attributes of every element; end tags have to match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.all = [], []
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        node = {"tag": tag, "text": "", "path": [*self.open], **dict(attrs)}
        self.all.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for node in self.open:
            node["text"] += data

    def having(self, **wanted):
        return [n for n in self.all if all(n.get(k) == v for k, v in wanted.items())]


def held(html):
    return json.loads(Page(html).scripts[0])


@pytest.fixture(scope="module")
def html():
    return EVERY_STATUS.to_html(".manualnn")


@pytest.fixture(scope="module")
def tree(html):
    return Tree(html)


def test_every_link_leads_to_an_element_of_the_page(tree):
    ids = [node["id"] for node in tree.all if "id" in node]
    assert len(ids) == len(set(ids))
    links = [node["href"] for node in tree.all if "href" in node]
    assert (
        len(links) == 1 + 3 * 3 + 2
    )  # for each mistake: contents, check and back; a known failure
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert not [node for node in tree.all if "src" in node]


def test_the_sharpness_is_explained_behind_the_mistakes(html):
    main = html.index("<main")
    assert html.index("What is wrong") < html.index("The sharpness is") < html.index("3e-15 (fl")
    assert "harpness" not in html[:main]
    assert html.index("3e-15 (fl") > html.index("All checks") > main


def test_every_heading_begins_with_a_capital(tree):
    headings = [node["text"] for node in tree.all if node["tag"] in {"h1", "h2", "h3", "h4", "h5"}]
    begins = [re.sub(r"^(\d+\. |\W+ )", "", text)[0] for text in headings]
    assert len(begins) > 10
    assert [begin for begin in begins if begin.islower()] == []


def test_findings_lead_to_their_checks_and_back(tree):
    (row,) = [r for r in tree.having(tag="tr") if "loss.MSELoss.mean:grads" in r["text"]]
    (there,) = [a for a in tree.having(tag="a") if row in a["path"]]
    (mistake,) = tree.having(id=there["href"][1:])
    back = [a for a in tree.having(href=f"#{row['id']}") if mistake in a["path"]]
    assert [a["text"] for a in back] == ["loss.MSELoss.mean:grads"]


def test_the_page_holds_the_report_that_json_writes(html):
    content = held(html)
    validate("report", content)
    assert content == to_json(EVERY_STATUS)
    assert from_json(content).to_html(".manualnn") == html


@pytest.mark.parametrize(
    ("results", "problems", "word"),
    [
        ([PASSED], [], "✓ Passed"),
        ([failing("plain:grads")], ["only 3 cases ran"], "✗ Failed"),
        ([PASSED], ["only 3 cases ran"], "? Could not be judged"),
    ],
)
def test_the_verdict_is_a_word_with_a_symbol(results, problems, word):
    tree = Tree(report(*results, problems=problems).to_html())
    (head,) = tree.having(tag="h1")
    assert head["text"] == f"{word} mytoy 0.2"
    for problem in problems:
        assert problem in [item["text"] for item in tree.having(tag="li")]


def test_every_check_has_a_row_with_its_status_in_words(tree):
    rows = [row for row in tree.having(tag="tr") if "data-status" in row]
    assert len(rows) == len(EVERY_STATUS.results)
    assert rows[0]["data-status"] == "failed"
    for result in EVERY_STATUS.results:
        (row,) = [row for row in rows if f"{result.id}{result.cases}" in row["text"]]
        assert row["data-status"] == result.status
        for text in (result.status.replace("_", " "), result.id, result.sentence, result.reason):
            assert text in row["text"]


@pytest.mark.parametrize("shape", [(3, 4), (5,), (2, 1), (30, 20), (40,)])
def test_exactly_the_wrong_entries_are_marked_and_have_four_numbers(shape):
    rng = np.random.default_rng(sum(shape))
    truth = rng.normal(size=shape)
    is_wrong = rng.random(shape) < 0.3
    is_wrong.flat[-1] = True
    got = truth + is_wrong * rng.normal(size=shape)
    bound = rng.uniform(1e-13, 1e-12, shape)
    entry = first_entry("grads.0.weight", is_wrong, got, truth, bound)
    tree = Tree(report(failing("plain:grads", entries=(entry,))).to_html())
    (table,) = tree.having(**{"class": "matrix"})
    shown = {n["data-q"]: n for n in tree.all if "data-q" in n and table in n["path"]}
    assert f"bound grads.0.weight{index_text(entry.index)}" in shown
    number = 0
    for index in np.ndindex(shape):
        name = f"grads.0.weight{index_text(index)}"
        if name not in shown:
            continue
        number += 1
        cell = shown[name]["path"][-1 if not is_wrong[index] else -2]
        assert (cell["class"] == "number wrong") == is_wrong[index] == ("✗" in cell["text"])
        assert float(shown[name]["data-value"]) == got[index]
        if is_wrong[index]:
            others = {"truth": truth, "error": np.abs(got - truth), "bound": bound}
            for label, array in others.items():
                assert float(shown[f"{label} {name}"]["data-value"]) == array[index]
    assert number == np.prod([min(MOST_SHOWN, size) for size in shape])
    assert f"{is_wrong.sum()} of {is_wrong.size} entries wrong" in table["text"]
    assert ("are shown" in table["text"]) == (number < is_wrong.size)


def test_a_shown_number_is_its_full_value_rounded(tree):
    numbers = [node for node in tree.all if "data-value" in node]
    assert len(numbers) > 10
    for node in numbers:
        value, text = float(node["data-value"]), node["text"].removeprefix("✗ ")
        digits = len(re.sub(r"e.*|\D", "", text).lstrip("0")) or 1
        assert float(text) == pytest.approx(value, rel=10 ** (1 - digits))


def test_a_finding_shows_where_it_holds_its_cause_and_its_replay(tree):
    shown = tree.having(**{"class": "finding", "data-check": "loss.MSELoss.mean:grads"})[0]["text"]
    for text in (
        "dW = dzᵀx / (N − 1)",
        "dW = dzᵀx / N",
        "every entry of grads.0.weight",
        "1.5 = N/(N−1)",
        "2→1 Tanh, MSELoss mean, N=3",
        f"manualnn check mytoy:Engine --replay {CASE.id}",
        "outputs, loss",
    ):
        assert text in shown


def test_texts_of_an_engine_are_no_html():
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)> \" ' & \x00\x1b"
    claims = Capabilities.read({"name": hostile, "layers": ["Linear"], "losses": ["MSELoss"]})
    results = [
        failing("plain:grads", message=hostile, diagnosis=None, blamed=(hostile,)),
        failing("plain:loss", "errored", kind="error", message=f"{hostile}\n{hostile}", entries=()),
        CheckResult("lattice:exact", hostile, "skipped", 0, 5, reason=hostile),
    ]
    engine = replace(report(*results), target=hostile, capabilities=claims)
    for html in (engine.to_html(), compare_in_html([engine, engine]), engine._repr_html_()):
        tree = Tree(html)
        assert len(tree.having(tag="script")) in {0, 2}
        assert not tree.having(tag="img")
        assert not re.search("[\x00-\x08\x0b-\x1f]", html)
    assert held(engine.to_html())["target"] == hostile


def named(bug):
    return replace(KNOWN, likely=(replace(CAUSE, bug=bug),))


def test_many_and_large_findings_leave_a_page_small_and_that_is_said():
    large = np.random.default_rng(0).normal(size=(200, 200))
    layers = ({"type": "Linear", "in_features": 200, "out_features": 200},)
    case = CASE.but(layers=layers, params={"0.weight": large}, x=large[:3], t=large[:3])
    entry = first_entry("grads.0.weight", large > 0, large, large + 1, np.zeros_like(large))
    big = [failing(f"plain:{i}", case=case, entries=(entry,), diagnosis=None) for i in range(2)]
    many = [
        failing(f"layer.{i}:grads", diagnosis=named(f"bug-{i}"), entries=(ENTRY,) * 9)
        for i in range(500)
    ]
    html = report(*big, *many).to_html()
    assert len(html.encode()) < 2_000_000
    content = held(html)
    assert html.count('<article class="mistake panel"') == 501
    kept = sum(len(result["findings"]) for result in content["results"])
    assert 0 < kept < 502
    assert f"leave out {502 - kept} findings" in html
    in_full = html.count('<div class="finding"')
    assert 0 < in_full < 502
    assert f"{502 - in_full} findings in one line each" in html
    assert "8 × 8 of them are shown" in html


def test_every_mistake_is_shown_before_the_further_findings_of_others():
    first = [
        failing(f"plain:{i}", diagnosis=named("bug-0"), entries=(ENTRY,) * 9) for i in range(200)
    ]
    html = report(*first, failing("depth:grads", diagnosis=named("bug-1"))).to_html()
    (mistake,) = re.findall(r'id="mistake-2".*?</article>', html, re.DOTALL)
    assert '<div class="finding"' in mistake
    assert "in one line each" in html


def test_a_notebook_shows_the_verdict_and_every_mistake():
    shown = Tree(EVERY_STATUS._repr_html_())
    text = "".join(node["text"] for node in shown.having(tag="div")[:1])
    assert "✗ Failed mytoy 0.2" in text
    for mistake in to_json(EVERY_STATUS)["mistakes"]:
        assert mistake["title"][1:] in text  # as a heading it begins with a capital
    assert not [node for node in shown.all if "id" in node or "href" in node]


def test_a_comparison_has_a_cell_for_each_engine_and_feature():
    other = report(PASSED)
    tree = Tree(compare_in_html([EVERY_STATUS, other]))
    (row,) = [r for r in tree.having(tag="tr") if r["text"].startswith("memory.inputs")]
    assert [c["text"][0] for c in tree.having(tag="td") if row in c["path"]] == ["e", "–"]
    links = [node["href"][1:] for node in tree.all if "href" in node]
    assert set(links) - {"main"} <= {node["id"] for node in tree.all if "id" in node}


def test_the_cases_before_a_failure_are_in_the_page_and_read_back():
    before = CASE.but(x=CASE.x + 1)
    result = CheckResult("history:history", "", "failed", findings=[finding(calls=(before, CASE))])
    content = held(report(result).to_html())
    (back,) = from_json(content).results[0].findings
    assert [case.id for case in back.calls] == [before.id, CASE.id]
