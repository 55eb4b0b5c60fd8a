"""An explanation's page and a report by keyboard alone, without a mouse."""

import pytest
from browser.pages import read
from browser.watch import focusable, looks_focused, press_tabs
from oracle.reports import EVERY_STATUS

from manualnn.explain import EXAMPLE, explain


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    file = tmp_path_factory.mktemp("keyboard") / "page.html"
    file.write_text(explain(EXAMPLE).to_html(), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    file = tmp_path_factory.mktemp("keyboard") / "report.html"
    file.write_text(EVERY_STATUS.to_html(".manualnn"), encoding="utf-8")
    return file


def focus(page, selector):
    """Press Tab until an element that matches has the focus."""
    for _ in press_tabs(page):
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
    pytest.fail(f"Tab does not reach {selector}")


@pytest.mark.parametrize("name", ["example", "report"])
def test_tab_reaches_every_control_and_shows_where_it_is(open_page, request, name):
    with open_page(request.getfixturevalue(name)) as page:
        reached = []
        for place in press_tabs(page):
            reached.append(place)
            assert place["outlined"] or looks_focused(page), place
        assert {place["path"] for place in reached} >= set(focusable(page))


def test_arrows_move_the_steps(open_page, example):
    with open_page(example) as page:
        step = page.locator("#step")
        last = int(step.get_attribute("data-steps")) - 1
        focus(page, "#step-slider")
        for key, place in [
            ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", last),
            ("ArrowRight", last), ("Home", 0), ("ArrowLeft", 0),
        ]:  # fmt: skip
            page.keyboard.press(key)
            assert int(step.get_attribute("data-step")) == place


def test_a_step_is_announced(open_page, example):
    with open_page(example) as page:
        focus(page, "#step-slider")
        page.keyboard.press("ArrowRight")
        assert "Step 2 of" in page.locator("[role=status]#announcement").inner_text()


def test_a_weight_is_chosen_and_left(open_page, example):
    with open_page(example) as page:
        focus(page, "[data-key]")
        first = page.evaluate("document.activeElement.dataset.key")
        page.keyboard.press("End")
        key = page.evaluate("document.activeElement.dataset.key")
        assert key != first
        page.keyboard.press("Enter")
        weight = page.locator(f'[data-key="{key}"]')
        assert weight.get_attribute("aria-pressed") == "true"
        assert key in weight.get_attribute("aria-label")
        assert {shown.name for shown in read(page, ".path-sum")} == {f"∂L/∂{key}"}
        page.keyboard.press("Escape")
        assert weight.get_attribute("aria-pressed") == "false"
        assert not page.locator(".path-sum").count()


def test_every_weight_is_reached_by_arrows(open_page, example):
    with open_page(example) as page:
        focus(page, "[data-key]")
        reached = set()
        # One arrow leads from weight to weight, the other from layer to layer; which one is which
        # depends on the direction of the drawing.
        for arrow in ("ArrowRight", "ArrowDown"):
            page.keyboard.press("Home")
            for _ in range(14):
                reached.add(page.evaluate("document.activeElement.dataset.key"))
                page.keyboard.press(arrow)
        every = page.locator("[data-key]").evaluate_all("(all) => all.map((e) => e.dataset.key)")
        assert reached >= set(every)
        assert len(set(every)) == 14  # 6 + 2 + 4 + 2 parameters


def test_a_number_is_changed(open_page, example):
    with open_page(example) as page:
        focus(page, '[data-edit="0.weight[0,0]"]')
        page.keyboard.press("Control+A")
        page.keyboard.type("0.25")
        page.keyboard.press("Tab")
        changed = {**EXAMPLE, "parameters": {**EXAMPLE["parameters"]}}
        changed["parameters"]["0.weight"] = [[0.25, -0.4, 0.6], [0.5, 0.3, -0.1]]
        (z,) = {s.value for s in read(page) if s.name == "z0[0]"}
        assert z == pytest.approx(0.25 * 0.9 - 0.4 * 0.4 + 0.6 * 0.5 + 0.1, rel=1e-15)
