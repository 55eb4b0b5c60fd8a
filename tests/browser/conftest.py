"""One Chromium for all tests of the pages. A machine without one fails, and the message says why.

`tox -e browser` runs these tests and no other environment does, because only it installs a browser.
The screenshots lie in the folder that MANUALNN_SCREENSHOTS names.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browser.chromium import NAMES, find
from browser.watch import Pages
from playwright.sync_api import Browser, Page, sync_playwright

from manualnn.explain import Explanation

Opener = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find()
    if path is None:
        pytest.fail(f"no browser: none of {', '.join(NAMES)}; run python tests/browser/chromium.py")
    with sync_playwright() as playwright:
        # Root may not use Chromium's sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def open_page(browser) -> Opener:
    """Return `opened` of this browser's pages: open_page(file, width=360, color_scheme="dark")."""
    return Pages(browser).opened


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory) -> Path:
    named = os.environ.get("MANUALNN_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def write_page(tmp_path) -> Callable[[Explanation], Path]:
    def write(explanation: Explanation) -> Path:
        file = tmp_path / "page.html"
        file.write_text(explanation.to_html(), encoding="utf-8")
        return file

    return write
