"""The form of a calculation by hand, and the command that checks one."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from manualnn import SpecError
from manualnn.cli import cli
from manualnn.explain import check, explain

pytestmark = pytest.mark.once


def verdicts(mine: Any, run: Any = None) -> dict[str, str]:
    return {one.name: one.verdict for one in check(mine, run).comparisons}


def test_names_may_be_written_in_several_ways() -> None:
    e = explain()
    values = [q.value for q in e.layers[1].outputs]
    for mine in (
        {"a1": values},
        {"a1": [values]},
        {"a1": np.array(values)},
        {"a1[0]": values[0], "a1[ 1 ]": values[1]},
    ):
        assert verdicts(mine) == {"a1[0]": "right", "a1[1]": "right"}
    updated = e.gradients[0].updated.value
    for name in ("0.weight[0,0]'", "0.weight[0,0]′"):
        assert verdicts({name: updated}) == {"0.weight[0,0]′": "right"}
    assert verdicts({"updated": {"0.weight[0,0]": updated}}) == {"0.weight[0,0]′": "right"}
    assert verdicts({"L after 3": e.errors[3].value}) == {"L after 3": "right"}
    slope = e.loss.slopes[0].value
    for name in ("dL/dy[0]", "∂L/∂y[0]", "dE/dy[0]", "d L / d y[0]"):
        assert verdicts({name: slope}) == {"∂L/∂y[0]": "right"}
    assert verdicts({"E": e.loss.total.value}) == {"L": "right"}


@pytest.mark.parametrize(
    ("mine", "message"),
    [
        ([1], r'^a calculation must be an object such as \{"a1\[0\]": 0.6035\}, got \[1\].$'),
        ({"a2": [1]}, r'^there is no quantity "a2"\. There are x, t, 0.weight'),
        ({"a1[2]": 1}, r'^there is no quantity "a1\[2\]".* There are a1\[0\], a1\[1\].$'),
        (
            {"a1": [1]},
            r"^a1 must be a list with the numbers a1\[0\], a1\[1\], null .*; got \[1\].$",
        ),
        ({"L": "1"}, '^L must be a number, or a list of numbers, got "1".$'),
        ({3: 1}, r"^the names of quantities are texts such as a1\[0\], got 3.$"),
        ({"L": True}, "^L must be a number, or a list of numbers, got true.$"),
        ({"L": float("nan")}, "^L must be a number, or a list of numbers, got NaN.$"),
        ({"L": {"a": 1}}, '^L must be a number, or a list of numbers, got {"a": 1}.$'),
        ({"L": Decimal("1e400")}, "^L must be a number of float64, .*, got 1e400.$"),
        ({"a1": [Decimal("0.60350")]}, r"; got \[0.60350\].$"),
        ({"a1[" + "9" * 5000 + "]": 1}, '^there is no quantity "a1.{0,250} There are'),
        ({"h": 1}, r"2\.bias′, L after 0 … 10.$"),
        ({"a1": [0.6, None], "a1[0]": 0.6}, r"^a1\[0\] stands in the calculation twice; leave"),
        ({"dL/dy[0]": 0.7, "∂L/∂y[0]": 0.7}, r"^∂L/∂y\[0\] stands in the calculation twice;"),
    ],
)
def test_a_calculation_that_does_not_fit_is_refused(mine: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check(mine)


@pytest.mark.parametrize(
    ("content", "code", "shown"),
    [
        ('{"a1": [0.6035, 0.5793]}', 0, "2 numbers compared: 2 right.\n"),
        ('{"a1[0]": 0.603500}', 1, "yours is 0.603500, right is 0.603483"),
        ('{"a1": [null, null]}', 3, "No number was compared"),
        ('{"b": 1}', 2, 'there is no quantity "b"'),
        ("{", 2, "expected JSON"),
        ('{"L": 0.7538, "L": 1}', 2, 'the key "L" stands twice in an object; leave one.'),
        ('{"L": 1e400}', 2, "got 1e400."),
        ('{"dL/dy": [[1, 2, 3]]}', 2, "got [[1, 2, 3]]."),
    ],
)
def test_the_exit_code_is_that_of_check(tmp_path: Any, content: str, code: int, shown: str) -> None:
    (tmp_path / "mine.json").write_text(content, encoding="utf-8")
    done = CliRunner().invoke(cli, ["explain", "--check", str(tmp_path / "mine.json")])
    assert (done.exit_code, shown in done.output) == (code, True), done.output


@pytest.mark.parametrize("options", [["--full"], ["--weight", "0.bias[0]"], ["--format", "json"]])
def test_check_takes_no_option_of_another_output(tmp_path: Any, options: list[str]) -> None:
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")
    arguments = ["explain", "--check", str(tmp_path / "mine.json"), *options]
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, "leave out --html" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("z", "y", "slope"), [(3.0, 3.0, 1.0), (-3.0, 0.0, 0.0)], ids=["passes", "cut off"]
)
def test_what_a_relu_makes_of_a_wrong_number_follows_from_it(
    z: float, y: float, slope: float
) -> None:
    """With z0 = 3 in place of 1, max(z, 0) is 3; with −3 it is 0, and so is the derivative."""
    run = {
        "layers": [{"type": "Linear", "in_features": 1, "out_features": 1}, {"type": "ReLU"}],
        "parameters": {"0.weight": [[0.5]], "0.bias": [0]},
        "x": [[2]],
        "t": [[0.5]],
    }
    dy = 2 * (y - 0.5)
    mine = {"z0[0]": z, "y[0]": y, "dL/dy[0]": dy, "dL/dz0[0]": dy * slope}
    expected = dict.fromkeys(("y[0]", "∂L/∂y[0]", "∂L/∂z0[0]"), "inherited")
    assert verdicts(mine, run) == {"z0[0]": "wrong", **expected}
    assert verdicts({**mine, "y[0]": 2.0}, run)["y[0]"] == "wrong"
