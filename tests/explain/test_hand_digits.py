"""Calculations by hand with few digits: what follows from rounded numbers, and what does not."""

from decimal import Decimal
from typing import Any

import pytest

from manualnn import OPTIMIZERS
from manualnn.explain import EXAMPLE, check, explain

pytestmark = pytest.mark.once


def verdicts(**numbers: str) -> dict[str, str]:
    mine = {name: Decimal(number) for name, number in numbers.items()}
    return {one.name: one.verdict for one in check(mine).comparisons}


@pytest.mark.parametrize("wrong", ["0.9", "1", "0", "0.6"])
def test_a_number_of_few_digits_follows_from_nothing_if_nothing_is_given(wrong: str) -> None:
    """L is 0.7538: 0.8 is right at its own digits, and 1 is too coarse to say anything."""
    assert verdicts(L=wrong) == {"L": "wrong"}
    assert verdicts(L="0.8") == {"L": "right"}
    run_itself = {f"x[{i}]": str(v) for i, v in enumerate(EXAMPLE["x"][0])}
    assert verdicts(**run_itself, L=wrong)["L"] == "wrong"


@pytest.mark.parametrize(("a", "verdict"), [("0.60", "right"), ("0.62", "wrong"), ("1", "wrong")])
def test_rounding_explains_no_more_than_a_hand_rounds(a: str, verdict: str) -> None:
    """σ lies from 0.6023 to 0.6047 for every z0 from 0.415 to 0.425."""
    assert verdicts(**{"z0[0]": "0.42", "a1[0]": a})["a1[0]"] == verdict


@pytest.mark.parametrize("rule", list(OPTIMIZERS))
def test_a_new_parameter_may_be_wrong_under_every_rule(rule: str) -> None:
    """The formula of a new parameter holds the rule's state, whose name is no quantity."""
    run = {**EXAMPLE, "optimizer": {"type": rule}}
    new = explain(run).gradients[-1].updated.value
    options: dict[str, Any] = {"epochs": 1}
    assert check({"2.bias[1]′": new}, run, **options).exit_code == 0
    assert check({"2.bias[1]′": new + 0.25}, run, **options).exit_code == 1


def test_the_half_of_a_squared_error_is_explained() -> None:
    """0.3769 is ½ Σ (t − y)², and also the mean over the two outputs."""
    found = check({"L": Decimal("0.3769")})
    assert "a factor 2 is missing" in found.first.slip
    assert "½ Σ" in found.first.slip
    assert "the mean over the 2 outputs" in found.first.slip
    assert "½" not in check({"da1[0]/dz0[0]": Decimal("0.11965")}).text()


def test_the_table_has_whole_names() -> None:
    """∂L/∂a1[0] without its second path: the slip has a comma within a name."""
    found = check({"dL/dy": [0.6973, -1.5903], "dL/da1[0]": Decimal("0.4881")})
    rows = [line for line in found.text().splitlines() if line.startswith("  ∂L/∂a1[0]")]
    assert rows[0].endswith("wrong: the term ∂L/∂y[1]·2.weight[1,0] is missing")
