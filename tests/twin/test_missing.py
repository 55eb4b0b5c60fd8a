"""A feature without a twin: the message names the file, and what to add."""

import re

import pytest

import reference.layers
import reference.losses
import reference.optimizers
import reference.tables
from manualnn.oracle.protocol.features import TABLES

TWINS = {
    "layers": reference.layers.LAYERS,
    "losses": reference.losses.LOSSES,
    "optimizers": reference.optimizers.OPTIMIZERS,
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, table in TABLES.items() for name in table]
)
def test_a_missing_twin_is_named(kind, name, monkeypatch):
    monkeypatch.delitem(TWINS[kind], name, raising=False)
    message = f"{re.escape(f'reference/{kind}.py')}.*{re.escape(repr(name))}.*add a line"
    with pytest.raises(LookupError, match=message):
        reference.tables.twin_of({"type": name}, TWINS[kind], kind)
