"""A feature that has no entry where it needs one: the message names the file, and what to add."""

import re
from dataclasses import replace

import pytest
from examples_of_layers import example
from oracle import exactly

from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS, options_of
from manualnn.oracle.protocol.rows import MissingEntryError
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth import layers, losses
from manualnn.spec import to_spec

ROWS = {"layers": LAYER_ROWS, "losses": LOSS_ROWS}
TRUTHS = {
    "layers": (layers.LAYERS, layers.layer_truth),
    "losses": (losses.LOSSES, losses.loss_truth),
}
METHODS = {"layers": ("", "_backward"), "losses": ("_terms", "_slopes")}
FEATURES = [(kind, name) for kind, rows in ROWS.items() for name in rows]


def says(*parts):
    return ".*".join(map(re.escape, parts))


@pytest.mark.parametrize(("kind", "name"), FEATURES)
def test_the_truth(kind, name, monkeypatch):
    table, truth_of = TRUTHS[kind]
    monkeypatch.delitem(table, name, raising=False)
    monkeypatch.setitem(ROWS[kind], name, replace(ROWS[kind][name], statement=None))
    with pytest.raises(MissingEntryError, match=says(f"truth/{kind}.py", repr(name), "add one")):
        truth_of(name)


@pytest.mark.parametrize(("kind", "name"), FEATURES)
def test_the_textbook_engine(kind, name, monkeypatch):
    for suffix in METHODS[kind]:
        method = ROWS[kind][name].method + suffix
        (owner,) = (base for base in Textbook.__mro__ if method in vars(base))
        monkeypatch.delattr(owner, method)
        spec = to_spec(example(name, 1)) if kind == "layers" else {"type": name}
        with pytest.raises(MissingEntryError, match=says(method, repr(name), f"{kind}.py")):
            Textbook().equation(options_of(spec), suffix)


@pytest.mark.parametrize(("kind", "name"), FEATURES)
def test_the_exact_values(kind, name, monkeypatch):
    monkeypatch.setitem(ROWS[kind], name, replace(ROWS[kind][name], statement=None))
    with pytest.raises(MissingEntryError, match=says("exactly.py", repr(name), "add")):
        exactly.statement_of(ROWS[kind], name)
