"""The page's engine gives the numbers, names and formulas of `explain`, which Python computes.

One process of Node answers all questions (`quantities.mjs`). The oracle judges the same engine in
floats (`oracle/test_languages.py`, tests/engines/engine.mjs), so that here decimal numbers suffice:
they have to be equal, digit by digit.
"""

import json
import math
import struct
from decimal import Decimal, localcontext
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from cases import Case, cases
from examples_of_layers import example
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from values import of_kind

from manualnn import (
    ASGD,
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeEmbeddingLoss,
    HuberLoss,
    KLDivLoss,
    LeakyReLU,
    Linear,
    MSELoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    NLLLoss,
    PoissonNLLLoss,
    RMSprop,
    Sequential,
    Sigmoid,
    SmoothL1Loss,
    Softplus,
    SpecError,
    Tanh,
)
from manualnn.explain import explain
from manualnn.explain.numbers import CONTEXT, Arithmetic, Number
from manualnn.losses.indices import IndexLoss
from manualnn.oracle.protocol.features import takes_indices

pytestmark = pytest.mark.once
SCRIPT = "quantities.mjs"

EPOCHS = 3
LISTED = 12
"""Paths of a parameter that are all listed, in the same order."""
FEW = settings(max_examples=max(6, settings().max_examples // 10))
MATHML_CORE = {"mfrac", "mi", "mn", "mo", "mrow", "msqrt", "msub", "msubsup", "msup", "mtext"}

small_cases = cases(
    dtypes=st.just(np.dtype(np.float64)),
    sizes=st.integers(1, 3),
    widths=st.integers(1, 3),
    depth=st.integers(1, 3),
)


@pytest.fixture(scope="module")
def ask(node):
    """Return a function that asks the page's engine: ask("texts", numbers=…)."""
    return lambda about, **question: node({"about": about, **question})


def explanation_of(case: Case, **options: Any) -> dict[str, Any]:
    case = case.explained()
    try:
        return explain(
            *(case.net, case.params, case.x, case.t),
            loss=case.loss,
            rule=case.rule,
            dropout_seed=case.noise_seed,
            epochs=EPOCHS,
            **options,
        ).to_dict()
    except SpecError:  # the loss is not finite
        reject()


def same(got: Any, expected: Any) -> bool:
    got, expected = float(got), float(expected)
    return got == expected or (math.isnan(got) and math.isnan(expected))


def require_same(got: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare a quantity's number and formula, and look at its MathML."""
    assert same(got["value"], expected["value"]), (expected, got)
    assert got["formula"] == expected["formula"]
    for text in got["mathml"]:
        elements = ET.fromstring(f"<math>{text}</math>").iter()  # noqa: S314
        assert {element.tag for element in elements} - {"math"} <= MATHML_CORE


def quantities_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the quantities of an explanation that have a name of their own."""
    layers, loss = found["layers"], found["loss"]
    has_indices = takes_indices(found["spec"]["loss"], np.array(found["spec"]["t"]))
    return [
        *(found["inputs"] + ([] if has_indices else found["targets"])),
        *(q for layer in layers for part in ("outputs", "carried") for q in layer[part]),
        *(loss["terms"] + loss["slopes"] + [loss["total"]]),
    ]


@FEW
@given(
    case=small_cases,
    decimals=st.sampled_from([None, None, 0, 2, 4, 15]),
    factor=st.sampled_from([1.0, 1.0, 0.5, 0.3]),
)
def test_every_number_and_formula_is_the_one_of_python(ask, case, decimals, factor):
    found = explanation_of(case, decimals=decimals, loss_factor=factor)
    assume('"NaN"' not in json.dumps(found))  # rounded exponentials can be 0, and 0 / 0 a softmax
    if found["spec"]["loss"]["type"] == "BCELoss":
        # There the loss's gradient is bounded on purpose, and no derivative.
        y = np.array([q["value"] for q in found["layers"][-1]["outputs"]])
        assume(decimals is not None or (y * (1 - y) > 1e-11).all())
    require_page_shows(ask, found, decimals)


WEIGHTS = (0.5, 3.0)
CHANGES = {
    "layer": [
        *(example(name, 2) for name in LAYERS if name != "Linear"),
        LeakyReLU(0.3),
        Softplus(beta=3.0, threshold=1.0),
    ],
    "loss": [
        *(kind() for kind in LOSSES.values()),
        HuberLoss(delta=0.3, reduction="sum"),
        SmoothL1Loss(beta=0.3),
        SmoothL1Loss(beta=0.0),
        BCELoss(weight=WEIGHTS),
        BCEWithLogitsLoss(weight=WEIGHTS, pos_weight=WEIGHTS[::-1]),
        CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1),
        CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1, ignore_index=0),
        NLLLoss(weight=WEIGHTS, ignore_index=0),
        NLLLoss(weight=WEIGHTS, factor=0.3),
        MultiLabelSoftMarginLoss(weight=WEIGHTS, reduction="sum"),
        MultiLabelMarginLoss(reduction="sum", factor=0.5),
        MultiMarginLoss(weight=WEIGHTS, margin=0.3),
        MultiMarginLoss(p=2),
        MultiMarginLoss(margin=-9.0, factor=0.5),  # every term is 0
        KLDivLoss(log_target=True),
        PoissonNLLLoss(full=True),
        HingeEmbeddingLoss(margin=0.5),
    ],
    "rule": [
        *(kind() for kind in OPTIMIZERS.values()),
        SGD(0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        SGD(0.1, momentum=0.9, dampening=0.3, maximize=True),
        RMSprop(momentum=0.9, centered=True, weight_decay=0.1),
        ASGD(0.1, lambd=0.3, t0=-3.0),
        Adagrad(lr_decay=0.1, initial_accumulator_value=0.1),
        Adam(amsgrad=True, weight_decay=0.1),
        SGD(0.1, l1=0.1, l2=0.05, max_norm=0.1),
        SGD(0.1, momentum=0.9, clip_value=0.05, groups=[{"params": "*.bias", "lr": 0.3}]),
        Adam(l2=0.1, max_norm=0.3, norm_type=1.0, groups=[{"params": "0.*", "l1": 0.2}]),
        AdamW(l1=0.1, max_norm=9.0, groups=[{"params": "2.[!b]*", "type": "SGD", "lr": 0.3}]),
    ],
}


@pytest.mark.parametrize("decimals", [None, 4])
@pytest.mark.parametrize(
    ("part", "value"), [(part, value) for part, values in CHANGES.items() for value in values]
)
def test_every_layer_loss_and_rule_is_the_one_of_python(ask, part, value, decimals):
    """Two samples: one output is near its target, and the others are far from theirs."""
    found = {"layer": Tanh(), "loss": MSELoss(), "rule": SGD(0.1)} | {part: value}
    last = [Sigmoid()] if isinstance(value, BCELoss) else []
    net = Sequential(Linear(2, 2), found["layer"], Linear(found["layer"].width(2), 2), *last)
    x, t = np.array([[0.9, -0.4], [-0.7, 1.3]]), np.array([[0.3, 1.0], [0.0, 0.25]])
    every = [np.array([1, 0])] if isinstance(value, IndexLoss) else []
    takes_rows = isinstance(value, CrossEntropyLoss) and value.ignore_index < 0
    if (type(value) in LOSSES.values() and not every) or takes_rows:
        every.append(of_kind(type(value).__name__, t))
    for targets in every or [t]:
        explanation = explain(
            *(net, net.init(seed=3), x, targets),
            loss=found["loss"],
            rule=found["rule"],
            dropout_seed=1 if net.sample(0, x) else None,
            decimals=decimals,
            epochs=EPOCHS,
        )
        require_page_shows(ask, explanation.to_dict(), decimals)


@pytest.mark.parametrize("loss", CHANGES["loss"])
def test_a_loss_with_weights_of_samples_is_the_one_of_python(ask, loss):
    last = [Sigmoid()] if isinstance(loss, BCELoss) else []
    net = Sequential(Linear(2, 2), *last)
    x, t = (
        np.array([[0.9, -0.4], [-0.7, 1.3], [0.1, 0.2]]),
        np.array([[0.3, 1.0], [0, 0.25], [1, 0]]),
    )
    targets = np.array([1, 0, 1]) if isinstance(loss, IndexLoss) else t
    for decimals, weights in ((None, [1.5, 0.25, 0.0]), (4, [1.0, 0.1, 3.0])):
        found = explain(
            *(net, net.init(seed=3), x, of_kind(type(loss).__name__, targets)),
            loss=loss,
            sample_weight=weights,
            decimals=decimals,
            epochs=EPOCHS,
        )
        require_page_shows(ask, found.to_dict(), decimals)


def require_page_shows(ask, found: dict[str, Any], decimals: int | None) -> None:
    gradient = found["backward"] if decimals is None else None
    question = {"run": found["spec"], "decimals": decimals, "gradient": gradient}
    got = ask("quantities", **question, epochs=EPOCHS)

    for q in quantities_of(found):
        require_same(got["quantities"][q["symbol"]], q)
    for q in (q for layer in found["layers"] for q in layer["derivatives"]):
        require_same(got["derivatives"][q["symbol"]], q)
    if decimals is None:
        require_duals_of_backward(got["derivatives"])
    for expected in found["gradients"]:
        ours = got["gradients"][expected["parameter"]["symbol"]]
        require_same(ours["updated"], expected["updated"])
        for q in expected["state"]:
            require_same(ours["state"][q["symbol"]], q)
        if decimals is not None:
            require_same(ours["backward"], expected["backward"])
        require_same_paths(ours, expected)
    if decimals is not None:
        assert len(got["errors"]) == len(found["errors"])
        assert all(map(same, got["errors"], [q["value"] for q in found["errors"]]))


def require_duals_of_backward(derivatives: dict[str, Any]) -> None:
    """Compare the dual numbers with the backward kernels, which know nothing of each other.

    Both have 50 digits; where 1 − a or 1 − a² cancels, at least 40 of them are left.
    """
    for name, q in derivatives.items():
        by_duals, by_backward = float(q["value"]), float(q["backward"])
        assert abs(by_duals - by_backward) <= 2.0**-52 * abs(by_duals) + 1e-40, name


def require_same_paths(got: dict[str, Any], expected: dict[str, Any]) -> None:
    assert got["count"] == expected["path_count"]
    assert same(got["sum"], expected["path_sum"]["value"])
    if got["count"] > LISTED:
        return
    for path, theirs in zip(got["paths"], expected["paths"], strict=True):
        assert same(path["product"], theirs["product"]["value"])
        assert [f["name"] for f in path["factors"]] == [q["symbol"] for q in theirs["factors"]]
        values = [q["value"] for q in theirs["factors"]]
        assert all(map(same, [f["value"] for f in path["factors"]], values))


BINARY = {"plus": "__add__", "subtract": "__sub__", "times": "__mul__", "over": "__truediv__"}
UNARY = {
    "squareRoot": "sqrt",
    "exponential": "exp",
    "logarithm": "log",
    "logarithm1p": "log1p",
    "hyperbolicTangent": "tanh",
    "decimalCdf": "normal_cdf",
    "decimalPdf": "normal_pdf",
}
FARTHEST = {"exponential": 10**14, "decimalCdf": 10**7, "decimalPdf": 10**7}
"""Beyond them, the page's exp is 0 or ∞."""
DECIMALS = st.builds(
    lambda digits, sign, exponent: Decimal((sign, tuple(map(int, digits)), exponent)),
    st.text("0123456789", min_size=1, max_size=55),
    st.sampled_from([0, 1]),
    st.integers(-90, 3),
).filter(lambda number: number or not number.is_signed())  # the page has no −0


def parts(number: Decimal) -> tuple[str, Any]:
    """Return n and e of n · 10^e."""
    sign, digits, exponent = number.as_tuple()
    return "-" * sign + "".join(map(str, digits)), exponent


@FEW
@given(numbers=st.lists(st.tuples(DECIMALS, DECIMALS), min_size=5, max_size=20))
def test_decimal_numbers_are_those_of_python(ask, numbers):
    questions, expected = [], []
    with localcontext(CONTEXT):
        for a, b in numbers:
            for op, method in (BINARY | UNARY).items():
                if abs(a) > FARTHEST.get(op, math.inf):
                    continue
                operands = [a, b] if op in BINARY else [a]
                first, *others = (Number(number, Arithmetic()) for number in operands)
                expected.append(getattr(first, method)(*others).value)
                questions.append({"op": op, "args": list(map(parts, operands))})
    got = ask("decimals", questions=questions)
    for text, value, question in zip(got, expected, questions, strict=True):
        number = Decimal(text if isinstance(text, str) else f"{text[0]}e{text[1]}")
        assert number == value or (number.is_nan() and value.is_nan()), question


@FEW
@given(bits=st.lists(st.integers(0, 2**64 - 1), min_size=50), digits=st.integers(1, 17))
def test_numbers_are_written_as_python_writes_them(ask, bits, digits):
    """The nearest text with these digits; a tie goes to the even digit."""
    numbers = [x for (x,) in (struct.unpack("d", struct.pack("Q", b)) for b in bits)]
    numbers = [x for x in numbers if math.isfinite(x)] + [b / 64 for b in bits if b < 2**40]
    numbers += [0.5, 2.5, 1.015625, 0.0703125, 1e5, 1e6, 123456.5, 1e-4, 1e-5, 0.0, -0.0, -0.3]
    expected = [f"{x + 0.0:.{digits}g}" for x in numbers]
    assert ask("texts", numbers=numbers, digits=digits) == expected
