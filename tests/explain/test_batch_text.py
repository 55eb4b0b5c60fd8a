"""The text of a batch: one sample with formulas, the others in tables."""

import re

import numpy as np
import pytest

from manualnn import Linear, Sequential, Sigmoid
from manualnn.explain import Explanation, explain

pytestmark = pytest.mark.once


def batch(samples: int, width: int = 2) -> Explanation:
    net = Sequential(Linear(2, width), Sigmoid(), Linear(width, 1))
    x = np.arange(2.0 * samples).reshape(samples, 2) % 3 / 2
    return explain(net, net.init(seed=0), x, x[:, :1] * x[:, 1:])


def test_the_text_of_four_samples_is_short_and_has_every_number() -> None:
    e = batch(4)
    text = e.to_text()
    assert text.count("\n") <= 215
    assert all(len(line) <= 100 or " = " in line for line in text.splitlines())
    lists = [*(s.outputs for s in e.layers), e.loss.terms, e.loss.slopes]
    lists += [step.carried for step in e.layers]
    for quantity in (q for found in lists for q in found):
        assert f"{quantity.value:.6g}" in text
    assert "z0[0,1] = x[0,0]·0.weight[1,0]" in text
    assert "z0[1,1] = " not in text


def test_the_tables_have_the_numbers_of_their_sample_and_unit() -> None:
    e = batch(4)
    table = e.to_text().partition("The other samples\n\n")[2].partition("\n\n")[0].splitlines()
    names, *rows = (re.split(r"\s{2,}", line.strip()) for line in table)
    values = {q.symbol.text: f"{q.value:.6g}" for step in e.layers for q in step.outputs}
    assert names == ["n", "z0[n,0]", "z0[n,1]", "a1[n,0]", "a1[n,1]", "y[n,0]"]
    for n, *numbers in rows:
        assert numbers == [values[name.replace("[n,", f"[{n},")] for name in names[1:]]
    assert [row[0] for row in rows] == ["1", "2", "3"]


def test_what_the_tables_leave_out_is_counted_and_in_the_full_text() -> None:
    e = batch(12, width=7)
    text = e.to_text()
    assert "… 3 more samples left out." in text  # the first, and 8 in the table
    assert "… 3 more numbers left out of each sample." in text  # 7 + 7 + 1, of which 12 are there
    assert "The other samples" not in e.to_text(full=True)
    assert "z0[11,6] = " in e.to_text(full=True)
