"""The watch over a page notices what the other tests rely on it to notice."""

import pytest
from browser.watch import violations, wider_than_screen

GOOD = '<html lang="en"><title>t</title><main><h1>Heading</h1><p>Text</p></main>'


@pytest.fixture
def write(tmp_path):
    def write(html):
        file = tmp_path / "page.html"
        file.write_text(f"<!doctype html><meta charset=utf-8>{html}", encoding="utf-8")
        return file

    return write


def test_good_page_passes(open_page, write):
    with open_page(write(GOOD)) as page:
        assert not violations(page)
        assert not wider_than_screen(page)


@pytest.mark.parametrize(
    "script",
    [
        "console.error('no')",
        "console.warn('no')",
        "throw new Error('no')",
        "Promise.reject(new Error('no'))",
        "fetch('http://127.0.0.1:9/').catch(() => 0)",
        "new Image().src = 'other.png'",
    ],
)
def test_misbehaviour_fails(open_page, write, script):
    with (
        pytest.raises(AssertionError, match="misbehaved"),
        open_page(write(f"{GOOD}<script>{script}</script>")) as page,
    ):
        page.wait_for_timeout(50)


def test_violation_is_found(open_page, write):
    with open_page(write(f"{GOOD}<input>")) as page:
        assert [line.partition(":")[0] for line in violations(page)] == ["label", "region"]


def test_wide_element_is_found(open_page, write):
    with open_page(write(f"{GOOD}<div id=wide style='width: 400px'>w</div>"), width=360) as page:
        (element,) = wider_than_screen(page)
        assert 'id="wide"' in element
