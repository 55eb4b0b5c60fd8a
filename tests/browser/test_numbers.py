"""Every number on an explanation's page is the one that Python's explanation has for its name."""

import math

import pytest
from browser.pages import edit, walk
from browser.runs import HALF, drawn_run, numbers_of
from hypothesis import settings

from manualnn.explain import explain

RUNS = max(HALF, settings().max_examples // 2)
ROUNDINGS = 2**-53 * 2000
"""A bound for at most 5 layers, 3 wide: a number takes a few hundred operations, and each of them
errs by a few units in the last place of a number that is not larger than the run's largest."""
STATE = ("momentum_buffer", "square_avg", "grad_avg", "sum", "exp_avg", "exp_avg_sq", "exp_inf")


def assert_same(found, expected, decimals):
    """Compare the numbers of a page with Python's: equal with decimals, else within rounding."""
    largest = max(1.0, *(abs(v) for values in expected.values() for v in values))
    bound = 0 if decimals is not None else ROUNDINGS * largest
    wrong = [
        (number, expected.get(number.name))
        for number in found
        if not any(is_near(number.value, v, bound) for v in expected.get(number.name, ()))
    ]
    assert not wrong
    illegible = [number for number in found if not number.is_legible()]
    assert not illegible


def is_near(a, b, bound):
    return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= bound


def told(names):
    """Return the names of what a page must show: all but the rule's state and the paths."""
    return {name for name in names if name not in {"path", *STATE}}


def assert_page_shows(page, run, decimals, errors):
    """Walk through all steps, and compare with the explanation of this run."""
    expected = numbers_of(explain(run, decimals=decimals, epochs=errors, every=True))
    found = walk(page, len(run["x"]))
    assert_same(found, expected, decimals)
    fields = page.locator("[data-edit]").evaluate_all("(all) => all.map((e) => e.dataset.edit)")
    assert not told(expected) - {shown.name for shown in found} - set(fields)


@pytest.mark.parametrize("number", range(RUNS))
def test_each_step_shows_pythons_numbers(open_page, write_page, number):
    run, decimals = drawn_run(number)
    with open_page(write_page(explain(run, decimals=decimals, epochs=3))) as page:
        edit(page, "iterations", 3)
        assert_page_shows(page, run, decimals, 3)
        assert "disagree" not in page.locator("#agreement").inner_text()
