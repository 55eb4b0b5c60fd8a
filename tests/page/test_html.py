"""The page of an explanation as a file: complete, valid, small and whole. No browser is needed."""

import json
import re
from html import unescape

import numpy as np
import pytest
from command_line import run
from pages import Page
from schemas import validate

import manualnn as mnn
from manualnn.errors import SpecError
from manualnn.explain import explain
from manualnn.explain.render import html as html_module

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def html():
    return explain().to_html()


def test_the_page_holds_the_explanation_as_valid_json(html):
    data = json.loads(Page(html).scripts[0])
    assert data == explain().to_dict()
    validate("explanation", data)


def test_the_page_loads_nothing(html):
    """No element refers to another file, and the content policy refuses what scripts might ask."""
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "img", "object", "embed", "base"}, tag
        for name in ("src", "srcset", "action", "data", "style"):
            assert name not in attributes, (tag, name)
        assert (attributes.get("href") or "#").startswith("#")
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    assert "connect-src" not in policy
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|sendBeacon|import\(", html)
    names = set(re.findall(r"https?://[^\s\"'<>)`]+", html))
    assert names <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"}


def test_identifiers_are_distinct_and_labels_point_to_them(html):
    elements = Page(html).elements
    named = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(named) == len(set(named))
    for _, attributes in elements:
        for name in ("for", "aria-labelledby", "aria-describedby"):
            assert set((attributes.get(name) or "").split()) <= set(named)


def test_the_text_is_there_without_javascript(html):
    (text,) = re.findall(r"<noscript>.*<pre>(.*)</pre></noscript>", html, re.DOTALL)
    assert unescape(text) == explain().to_text()


def test_the_page_of_the_example_is_small(html):
    assert len(html.encode()) < 400_000


def test_a_network_too_large_for_a_page_is_refused(monkeypatch):
    assert html_module.MAX_BYTES == 1_000_000
    net = mnn.Sequential(mnn.Linear(60, 30))
    e = explain(net, net.init(0), np.ones((1, 60)), np.ones((1, 30)), epochs=1)
    size = len(e.to_html().encode())
    monkeypatch.setattr(html_module, "MAX_BYTES", size)
    e.to_html()
    monkeypatch.setattr(html_module, "MAX_BYTES", size - 1)
    with pytest.raises(
        SpecError, match=rf"1,830 parameters.*{size:,} bytes.*{size - 1:,};.*1,829 p"
    ):
        e.to_html()
    assert e._repr_html_().startswith("<pre>")  # a notebook shows the text


def test_a_batch_of_many_samples_has_a_page():
    """The page holds the run; the lists of its units are cut, because the page computes them."""
    net, samples = mnn.Sequential(mnn.Linear(3, 2), mnn.Sigmoid(), mnn.Linear(2, 2)), 250
    e = explain(net, net.init(0), np.ones((samples, 3)), np.ones((samples, 2)), epochs=1)
    (data,) = re.findall(r'<script [^>]*id="explanation">(.*?)</script>', e.to_html(), re.DOTALL)
    read = json.loads(data)
    validate("explanation", read)
    assert read["spec"] == e.spec
    assert len(read["layers"][2]["outputs"]) < len(e.layers[2].outputs) == 2 * samples


def test_a_notebook_shows_the_page_in_a_frame(html):
    shown = explain()._repr_html_()  # the name that notebooks call
    ((tag, attributes),) = Page(shown).elements
    assert tag == "iframe"
    assert attributes["srcdoc"] == html
    assert attributes["title"]


def test_the_command_writes_the_file_and_says_so(tmp_path, html):
    target = tmp_path / "page.html"
    result = run("explain", "--html", target)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"wrote {target}; open it in a browser\n"
    assert target.read_text(encoding="utf-8") == html


def test_the_command_says_why_it_cannot_write(tmp_path):
    result = run("explain", "--html", tmp_path / "absent" / "page.html")
    assert result.exit_code != 0
    assert "absent" in str(result.exception) + result.output


def test_the_page_does_not_replace_the_run(tmp_path):
    spec = tmp_path / "run.json"
    spec.write_text(json.dumps(explain().spec))
    before = spec.read_bytes()
    result = run("explain", spec, "--html", spec)
    assert result.exit_code == 2
    assert "is the run itself" in result.output
    assert spec.read_bytes() == before
