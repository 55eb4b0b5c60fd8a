"""Changed numbers: all others follow; a bad number is refused; a divergence is told."""

import math
import re
from copy import deepcopy

import pytest
from browser.pages import POWER, edit, read
from browser.runs import drawn_run
from browser.test_numbers import assert_page_shows

from manualnn.explain import EXAMPLE, explain

CHANGES = {
    "0.weight[1,2]": (("parameters", "0.weight", 1, 2), -1.25),
    "2.bias[0]": (("parameters", "2.bias", 0), 3),
    "x[1]": (("x", 0, 1), -0.3),
    "t[0]": (("t", 0, 0), 0.7),
    "lr": (("optimizer", "lr"), 0.5),
}


def changed(run, place, value):
    run = deepcopy(run)
    part = run
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return run


@pytest.fixture
def example(open_page, write_page):
    with open_page(write_page(explain(EXAMPLE, epochs=3))) as page:
        edit(page, "iterations", 3)
        yield page


@pytest.mark.parametrize("decimals", [None, 4, 0])
def test_all_numbers_follow_each_change(example, decimals):
    """A walk takes long, so that with decimals only the numbers after all changes are compared."""
    run = EXAMPLE
    if decimals is not None:
        edit(example, "decimals", decimals)
    for name, (place, value) in CHANGES.items():
        edit(example, name, value)
        run = changed(run, place, value)
        if decimals is None or name == [*CHANGES][-1]:
            assert_page_shows(example, run, decimals, 3)


@pytest.mark.parametrize("number", [4, 7, 13, 26])
def test_all_numbers_of_random_runs_follow_changes(open_page, write_page, number):
    run, decimals = drawn_run(number)
    with open_page(write_page(explain(run, decimals=decimals, epochs=3))) as page:
        edit(page, "iterations", 3)
        edit(page, "0.weight[0,0]", 0.125)
        edit(page, "0.bias[0]", -0.75)
        run = changed(run, ("parameters", "0.weight", 0, 0), 0.125)
        run = changed(run, ("parameters", "0.bias", 0), -0.75)
        assert_page_shows(page, run, decimals, 3)


def test_reset_brings_every_number_back(example):
    before = read(example)
    for name, (_, value) in CHANGES.items():
        edit(example, name, value)
    assert read(example) != before
    example.get_by_role("button", name="Reset").click()
    edit(example, "iterations", 3)
    assert read(example) == before


@pytest.mark.parametrize("name", ["x[0]", "t[1]", "0.weight[0,0]", "lr", "decimals", "iterations"])
def test_bad_number_is_refused_with_a_message(example, name):
    before = read(example)
    field = example.locator(f'[data-edit="{name}"]')
    good = field.input_value() or "15"
    message = example.locator(f'[id="{field.get_attribute("aria-describedby")}"]')
    for text in ["abc", "1,5", "--2", "1e999", "NaN"]:
        edit(example, name, text)
        assert field.get_attribute("aria-invalid") == "true"
        assert message.is_visible()
        assert text in message.inner_text()
        assert read(example) == before
        edit(example, name, good)
        assert field.get_attribute("aria-invalid") is None
        assert not message.is_visible()
        edit(example, name, "" if name == "decimals" else good)


def test_too_large_a_constant_diverges_and_the_page_says_so(example):
    edit(example, "lr", 50)
    edit(example, "iterations", 1000)
    message = example.locator("#descent-message")
    message.get_by_text("It diverges").wait_for()
    told = re.search(r"goes from (\S+) to (\S+) × 10(\S+) in (\d+) updates", message.inner_text())
    reached = explain(EXAMPLE, lr=50, epochs=1000)
    assert reached.stopped == "diverged"
    finite = [error.value for error in reached.errors if math.isfinite(error.value)]
    assert float(told[1]) == pytest.approx(finite[0], rel=1e-5)
    assert float(f"{told[2]}e{told[3].translate(POWER)}") == pytest.approx(finite[-1], rel=1e-4)
    assert int(told[4]) == len(finite) - 1


def test_a_good_constant_is_told_to_fall(example):
    edit(example, "iterations", 100)
    told = example.locator("#descent-message").inner_text()
    assert "falls" in told
    assert "diverges" not in told
