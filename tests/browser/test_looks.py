"""How the pages look: accessible, no wider than the screen, printed whole; with screenshots."""

from itertools import product

import pytest
from browser.watch import cut_texts, violations, wider_than_screen
from oracle.reports import EVERY_STATUS
from rotation import profile

from manualnn.explain import EXAMPLE, explain

BATCH = {
    "layers": [
        {"type": "Linear", "in_features": 2, "out_features": 3},
        {"type": "ReLU"},
        {"type": "Linear", "in_features": 3, "out_features": 3},
    ],
    "loss": {"type": "CrossEntropyLoss"},
    "optimizer": {"type": "Adam", "lr": 0.1},
    "seed": 1,
    "x": [[0.5, -1.0], [1.5, 0.25], [-0.75, 1.0]],
    "t": [2, 0, 1],
}
WIDE = {
    "layers": [
        {"type": "Linear", "in_features": 40, "out_features": 20},
        {"type": "Tanh"},
        {"type": "Linear", "in_features": 20, "out_features": 10},
        {"type": "Softmax"},
    ],
    "seed": 0,
    "x": [[((7 * i) % 11 - 5) / 5 for i in range(40)]],
    "t": [[1.0] + [0.0] * 9],
}
DEEP = {
    "layers": 5 * [{"type": "Linear", "in_features": 2, "out_features": 2}, {"type": "Tanh"}],
    "seed": 3,
    "x": [[0.5, -1.0]],
    "t": [[0.3, -0.2]],
}
RUNS = {"example": EXAMPLE, "batch": BATCH, "wide": WIDE, "deep": DEEP}
NAMES = [*RUNS, "report"]
WIDTHS = (360, 768, 1440)
AUDITS = [("example", 360, "light"), ("example", 1440, "dark")]
AUDITS += [("report", 360, "dark"), ("report", 1440, "light")]
if profile() == "nightly":  # axe-core takes seconds for hundreds of elements
    AUDITS = list(product(NAMES, WIDTHS, ("light", "dark")))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write explanations and a report; return their files by name."""
    folder = tmp_path_factory.mktemp("pages")
    html = {name: explain(run).to_html() for name, run in RUNS.items()}
    html["report"] = EVERY_STATUS.to_html(".manualnn")
    files = {name: folder / f"{name}.html" for name in html}
    for name, file in files.items():
        file.write_text(html[name], encoding="utf-8")
    return files


def choose_weight(page):
    """Choose a weight of an explanation by keyboard unless one is chosen: its paths are shown."""
    weight = page.locator("[data-key][tabindex='0']")
    if weight.count() and weight.get_attribute("aria-pressed") == "false":
        weight.focus()
        page.keyboard.press("Enter")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_page_fits_its_screen(open_page, pages, screenshots, name, width):
    with open_page(pages[name], width=width) as page:
        choose_weight(page)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            whole = name in {"example", "report"}
            page.screenshot(path=screenshots / f"{name}-{width}-{scheme}.png", full_page=whole)
        assert not wider_than_screen(page)
        assert not cut_texts(page)


@pytest.mark.parametrize(("name", "width", "scheme"), AUDITS)
def test_axe_finds_no_violation(open_page, pages, name, width, scheme):
    with open_page(pages[name], width=width, color_scheme=scheme) as page:
        choose_weight(page)
        if name == "example":
            page.locator('[data-edit="x[0]"]').fill("no number")
        assert not violations(page)


@pytest.mark.parametrize("name", ["example", "report"])
def test_page_fits_at_twice_the_size(open_page, pages, name):
    """A browser that zooms a window of 1280 pixels to 200 % lays the page out for 640."""
    with open_page(pages[name], width=640, device_scale_factor=2) as page:
        assert not wider_than_screen(page)
        assert not cut_texts(page)


def test_nothing_moves_for_who_wants_no_motion(open_page, pages):
    moving = """() => [...document.querySelectorAll("*")].filter((e) => {
        const style = getComputedStyle(e), seconds = style.transitionDuration.split(",");
        return style.animationName !== "none" || seconds.some((s) => parseFloat(s) > 0.01);
    }).map((e) => e.outerHTML.slice(0, 100))"""
    with open_page(pages["example"], reduced_motion="reduce") as page:
        choose_weight(page)
        assert not page.evaluate(moving)


@pytest.mark.parametrize("name", ["example", "report"])
def test_print_has_everything_and_no_controls(open_page, pages, screenshots, name):
    with open_page(pages[name]) as page:
        steps = int(page.locator("#step").get_attribute("data-steps")) if name == "example" else 0
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("#all-steps h3:visible").count() == steps
        assert not page.locator("button:visible, input:visible").count()
        assert not wider_than_screen(page)
        pdf = page.pdf(path=screenshots / f"{name}.pdf", format="A4")
        assert pdf.startswith(b"%PDF-")
