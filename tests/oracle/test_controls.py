"""Controls: correct engines of unusual build never fail a check.

In the profile nightly, each control runs the whole profile quick. In other profiles, a share of the
controls answers one case of every recipe (see rotation.py).
"""

import numpy as np
import pytest
from oracle.controls import CONTROLS
from oracle.drawn import corners_of_layers, drawn_case
from rotation import profile, share, turn

from manualnn.oracle import check_engine, profiles
from manualnn.oracle.findings import Outcome
from manualnn.oracle.profiles import PROFILES
from manualnn.oracle.protocol.features import LOSSES, OPTIMIZERS
from manualnn.oracle.textbook.engine import Textbook

EACH = profile() == "nightly"


def cases_of_each():
    """Yield random cases, some of each loss and rule, and the corners of each layer.

    Corners stay, whatever features are added to the random cases.
    """
    yield from (drawn_case(np.random.default_rng(i), dtype="float32") for i in range(60))
    for kind, names in {"loss": LOSSES, "optimizer": OPTIMIZERS}.items():
        for i, name in enumerate(names):
            yield drawn_case(np.random.default_rng(i), dtype="float32", **{kind: name})
    yield from corners_of_layers(dtypes=["float32"])


CASES = [*cases_of_each()]


@pytest.mark.parametrize("name", share(CONTROLS, len(CONTROLS)))
def test_a_right_engine_fails_no_check(name, monkeypatch):
    quick = PROFILES["quick"]
    brief = quick if EACH else profiles.Profile(1, quick.size, 0)
    monkeypatch.setitem(PROFILES, "brief", brief)
    report = check_engine(CONTROLS[name].engine, profile="brief")
    assert report.counts()["passed"] > 40
    failed = [r.findings[0] for r in report.results if r.findings]
    assert not failed, "\n".join(f"{f.check}: {f.message}" for f in failed)


@pytest.mark.parametrize("rule", share(OPTIMIZERS, 3))
def test_an_engine_of_one_rule_fails_no_check(rule):
    """Recipes that prefer one rule have to do with any."""

    class OneRule(Textbook):
        def capabilities(self):
            return {**super().capabilities(), "optimizers": {rule: "any"}}

    for seed in range(4) if EACH else [turn() % 4]:
        report = check_engine(OneRule, seed=seed, only=["lattice:*", "kinks:*", "updates:*"])
        assert not [r.id for r in report.results if r.findings]


def test_there_are_many_controls():
    assert len(CONTROLS) >= 25


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_computes_otherwise_than_the_plain_engine(name):
    """Else it would not be a control: its claims, or some of its digits differ."""
    control, plain = CONTROLS[name].engine(), Textbook()
    if control.capabilities().keys() != plain.capabilities().keys():
        return
    differ = 0
    for case in CASES:
        ours = Outcome(result=plain.step(case)).quantities()
        theirs = Outcome(result=control.step(case)).quantities()
        differ += any(np.asarray(a).tobytes() != ours[k].tobytes() for k, a in theirs.items())
    same_digits = {"few-claims", "fortran-weights", "one-vector", "updates-by-addition"}
    same_digits |= {"transposed"}  # with some BLAS
    same_digits |= {"masks-scaled-itself"}  # where p is ½; test_masks.py has the others
    assert differ or name in same_digits
