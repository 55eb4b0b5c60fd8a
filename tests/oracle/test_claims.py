"""Capabilities: strict reading, and the cases that they admit."""

import re

import numpy as np
import pytest

import manualnn
from manualnn.oracle.protocol import features as options
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.claims import ClaimError
from manualnn.oracle.protocol.features import options_of, state_names
from manualnn.spec import from_spec, to_spec

LEAST = {"layers": ["Linear"], "losses": ["MSELoss"], "optimizers": ["SGD"]}


def example(loss=None, optimizer=None, **changes):
    case = Case(
        layers=({"type": "Linear", "in_features": 2, "out_features": 2},),
        loss={"type": "MSELoss", **(loss or {})},
        optimizer={"type": "SGD", "lr": 0.1, **(optimizer or {})},
        params={"0.weight": np.eye(2), "0.bias": np.ones(2)},
        x=np.ones((3, 2)),
        t=np.ones((3, 2)),
    )
    return case.but(**changes)


REQUIRED = {"layers": [{"type": "Identity"}]}
"""Values of options without a default; those of the others are 2."""


@pytest.mark.parametrize("kind", ["layers", "losses", "optimizers"])
def test_the_oracle_knows_what_the_engine_has_with_its_options_and_defaults(kind):
    ours = options.TABLES[kind]
    theirs = getattr(manualnn, kind.upper())
    if kind == "optimizers":
        theirs = theirs | manualnn.MATRIX_RULES
    without = ", ".join(ours.keys() ^ theirs.keys())
    assert not without, f"{without}: add a row to protocol/{kind}.py, or a class to the engine."
    for name, defaults in ours.items():
        required = [k for k, v in defaults.items() if v is options.REQUIRED]
        least = {"type": name, **{k: REQUIRED.get(k, 2) for k in required}}
        spec = to_spec(from_spec(least, theirs, name))
        assert spec == to_spec(from_spec(defaults | least, theirs, name))


@pytest.mark.parametrize(
    "rule",
    [
        manualnn.SGD(),
        manualnn.SGD(momentum=0.5),
        manualnn.RMSprop(),
        manualnn.RMSprop(momentum=0.5, centered=True),
        manualnn.Adagrad(),
        manualnn.Adam(amsgrad=True),
        manualnn.AdamW(),
    ],
)
def test_the_state_that_is_kept_is_the_engines(rule):
    state = rule.init(manualnn.Parameters({"0.weight": (2, 2)}))
    assert state.keys() == {"step", *state_names(options_of(to_spec(rule)))}


def test_a_case_of_what_is_claimed_is_taken():
    assert Capabilities.read(LEAST).refuses(example()) is None


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (example(dtype="float32"), "float32"),
        (example(loss={"reduction": "sum"}), "MSELoss(reduction='sum')"),
        (example(optimizer={"momentum": 0.5}), "SGD(momentum=0.5)"),
        (example(layers=({"type": "Tanh"},)), "Tanh"),
        (example(steps=2), "2 updates"),
        (example(x=np.ones((0, 2))), "an empty batch"),
        (example(state={"step": 3}), "optimizer state as an input"),
    ],
)
def test_a_case_of_what_is_not_claimed_is_refused_by_name(case, reason):
    assert Capabilities.read(LEAST).refuses(case) == reason


def test_options_are_claimed_by_value_or_wholly():
    by_value = Capabilities.read({**LEAST, "losses": {"MSELoss": {"reduction": ["sum"]}}})
    assert by_value.refuses(example(loss={"reduction": "sum"})) is None
    assert by_value.refuses(example(loss={"reduction": "batchmean"}))
    wholly = Capabilities.read({**LEAST, "optimizers": {"SGD": "any"}})
    assert wholly.refuses(example(optimizer={"momentum": 0.5, "nesterov": True})) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "has to be a mapping"),
        ({}, "claims no layers"),
        ({**LEAST, "layers": ["linear"]}, "'linear' among the layers; known are Linear"),
        ({**LEAST, "losses": {"MSELoss": {"delta": [1]}}}, "MSELoss's 'delta'"),
        ({**LEAST, "dtypes": ["float16"]}, "'float16'"),
        ({**LEAST, "returns": ["gradients"]}, "'gradients'"),
        ({**LEAST, "tolerance": 1e-3}, "has 'tolerance'; known are"),
        ({**LEAST, "protocol": 2}, "protocol 2"),
    ],
)
def test_claims_that_cannot_be_understood_are_refused(content, message):
    with pytest.raises(ClaimError, match=message.replace("(", r"\(")):
        Capabilities.read(content)


def test_every_bound_that_a_claim_widens_is_told():
    assert Capabilities.read(LEAST).relaxations() == []
    wide = {**LEAST, "accumulate_dtype": "float32", "kink": {"ReLU": 1}, "subnormals": "flushed"}
    told = " ".join(Capabilities.read(wide).relaxations())
    assert "accumulate_dtype='float32'" in told
    assert "kink" in told
    assert "subnormals='flushed'" in told


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "Sinus"}, "no layer, loss or optimizer is called 'Sinus'"),
        ({"type": "SGD", "rate": 1}, "SGD has no option 'rate'"),
        ({"type": "Linear", "in_features": 2}, "Linear needs 'out_features'"),
    ],
)
def test_a_wrong_description_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        options_of(spec)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"layers": "Linear"}, "layers 'Linear'; it has to be a list of names"),
        ({"layers": 3}, "layers 3; it has to be a list of names"),
        ({"losses": {"MSELoss": {"reduction": ["average"]}}}, "MSELoss's reduction 'average'"),
        ({"max_steps": "3"}, "max_steps '3'; it has to be an integer from 1 on"),
        ({"losses": {"MSELoss": {"reduction": "sum"}}}, "reduction 'sum'; it has to be a list"),
        ({"optimizers": {"SGD": {"momentum": 0.9}}}, "momentum 0.9; it has to be a list"),
        ({"max_steps": None}, "max_steps None;"),
        ({"max_steps": 0}, "max_steps 0;"),
        ({"max_batch": 2.5}, "max_batch 2.5;"),
        ({"max_depth": True}, "max_depth True;"),
        ({"max_width": -1}, "max_width -1;"),
    ],
)
def test_a_claim_that_no_case_could_meet_is_named_before_the_run(claims, said):
    with pytest.raises(ClaimError, match=re.escape(said)):
        Capabilities.read({**LEAST, **claims})


def test_a_label_beyond_the_classes_raises_nothing_while_a_case_is_changed():
    """The diagnosis changes ignore_index, and asks then whether the new case is admitted."""
    claims = Capabilities.read(
        {**LEAST, "losses": {"CrossEntropyLoss": {"ignore_index": "any"}}, "dtypes": ["float64"]}
    )
    loss = {"type": "CrossEntropyLoss", "ignore_index": 1}
    assert claims.refuses(example(loss, t=np.array([0, 1, -100]))) is None
