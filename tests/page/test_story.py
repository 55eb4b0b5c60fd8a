"""The story of an explanation's page: its steps, its descent, its edits, and its comparison."""

import copy

import numpy as np
import pytest

from manualnn import LAYERS, LOSSES
from manualnn.explain import EXAMPLE, explain

pytestmark = pytest.mark.once
SCRIPT = "story.mjs"


def linear(inputs, outputs, **options):
    return {"type": "Linear", "in_features": inputs, "out_features": outputs, **options}


CLASSES = {
    "layers": [linear(2, 3), {"type": "ReLU"}, linear(3, 2, bias=False)],
    "loss": {"type": "CrossEntropyLoss"},
    "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
    "x": [[0.5, -1.0]],
    "t": [1],
    "seed": 0,
}
BATCH = {
    "layers": [{"type": "Tanh"}, linear(2, 2), {"type": "Dropout", "p": 0.5}, {"type": "Softmax"}],
    "loss": {"type": "BCELoss"},
    "optimizer": {"type": "Adam", "lr": 0.1},
    "x": [[0.5, -1.0], [0.25, 2.0], [1.0, 0.0]],
    "t": [[0.0, 1.0], [1.0, 0.5], [0.0, 0.0]],
    "seed": 1,
    "dropout_seed": 2,
}
SCALED = {
    "layers": [linear(1, 1), {"type": "SELU"}],
    "optimizer": {"type": "SGD", "lr": 1.0},
    "parameters": {"0.weight": [[1.0]], "0.bias": [0.0]},
    "x": [[1.0]],
    "t": [[1.263]],
}
"""The gradient 1.0507… · (−0.424) is −0.445; with the factor rounded to 1.051 it were −0.446."""
NESTED = {
    "layers": [linear(1, 2), {"type": "Residual", "layers": [linear(2, 1), linear(1, 2)]}],
    "optimizer": {"type": "SGD", "lr": 0.1},
    "x": [[0.5]],
    "t": [[1.0, 0.0]],
    "seed": 0,
}
CASES = {
    "example": (EXAMPLE, None),
    "nested": (NESTED, None),
    "rounded": (EXAMPLE, 4),
    "classes": (CLASSES, None),
    "batch": (BATCH, None),
}


@pytest.fixture(scope="module", params=CASES)
def explained(request):
    run, decimals = CASES[request.param]
    return explain(run, decimals=decimals, epochs=4).to_dict()


def of_sample(quantities, n, samples):
    size = len(quantities) // samples
    return quantities[n * size : (n + 1) * size]


def test_the_steps_tell_every_quantity_of_the_explanation(ask, explained):
    """Every quantity of a sample has its place in a step, in the order of the computation."""
    run, samples = explained["spec"], len(explained["spec"]["x"])
    n = samples - 1
    layers, loss = explained["layers"], explained["loss"]
    own = lambda quantities: of_sample(quantities, n, samples)  # noqa: E731
    expected = {
        "Forward": [q for layer in layers for q in own(layer["outputs"])],
        "Error": [*own(loss["terms"]), loss["total"]],
        "Slopes": own(loss["slopes"]),
        "Backward": [q for layer in reversed(layers) for q in own(layer["carried"])],
        "Gradients": [gradient["backward"] for gradient in explained["gradients"]],
        "Update": [gradient["updated"] for gradient in explained["gradients"]],
    }
    derivatives = {
        q["symbol"]: q["value"]
        for layer in layers
        for q in layer["derivatives"]
        if samples == 1 or f"[{n}," in q["symbol"].split("/")[0]
    }
    told = ask("steps", run=run, decimals=explained["decimals"], sample=n)
    assert len(derivatives) > 3
    for phase, quantities in expected.items():
        rows = [row for step in told if step["phase"] == phase for row in step["rows"]]
        found, wanted = dict(rows), {q["symbol"]: q["value"] for q in quantities}
        if phase == "Slopes":
            wanted |= derivatives
        assert wanted.keys() <= found.keys()
        if phase not in {"Update", "Slopes"}:
            assert found.keys() == wanted.keys()
        for symbol, value in wanted.items():
            assert found[symbol] == pytest.approx(value, rel=1e-13, abs=1e-16), symbol


def test_every_step_has_a_title_and_a_sentence(ask, explained):
    for step in ask("steps", run=explained["spec"]):
        assert step["title"]
        assert step["sentence"].endswith(".")
        assert "undefined" not in step["sentence"] + step["title"]


def test_every_layer_and_every_loss_has_its_sentences(ask):
    forward, slope, term = map(set, ask("words"))
    assert forward == slope == set(LAYERS)
    assert term == set(LOSSES)


@pytest.mark.parametrize("more", ["momentum", "weight_decay", "maximize", None])
def test_the_formula_of_a_step_stands_where_it_is_all_of_the_step(ask, example, more):
    rule = {"type": "SGD", "lr": 0.02} | ({more: 0.5} if more else {})
    told = ask("steps", run=example["spec"] | {"optimizer": rule})
    steps = [step for step in told if step["phase"] == "Update"]
    assert len(steps) == 4
    assert all(("W′ = W − α · ∂L/∂W" in step["sentence"]) == (not more) for step in steps)


@pytest.mark.parametrize(("maximize", "way"), [(False, "against"), (True, "along")])
def test_a_gradient_step_says_which_way_the_weight_goes(ask, maximize, way):
    run = EXAMPLE | {"optimizer": {"type": "SGD", "lr": 0.02, "maximize": maximize}}
    found = explain(run, epochs=1).to_dict()
    gradients = {g["parameter"]["symbol"]: g for g in found["gradients"]}
    told = ask("steps", run=found["spec"])
    steps = [step for step in told if step["phase"] == "Gradients"]
    assert len(steps) == len(gradients) == 14
    for step in steps:
        name = step["title"].removeprefix("The gradient of ")
        grows = gradients[name]["updated"]["value"] > gradients[name]["parameter"]["value"]
        assert step["sentence"].endswith(
            f"the step {way} the gradient makes {name} {'larger' if grows else 'smaller'}."
        )


def test_an_update_says_what_its_rule_keeps(ask):
    told = ask("steps", run=explain(BATCH, epochs=1).spec)
    (step, *_) = [step for step in told if step["phase"] == "Update"]
    kept = {symbol.split("[")[0] for symbol, _ in step["rows"]} - {"1.weight"}
    assert kept == {"exp_avg", "exp_avg_sq"}
    assert all(f"Here {name} is an average" in step["sentence"] for name in kept)
    assert "eps avoids a division by 0" in step["sentence"]


def test_a_large_network_has_few_steps_and_few_rows(ask):
    run = {
        "layers": [linear(20, 15), {"type": "Sigmoid"}, linear(15, 14), {"type": "Softmax"}],
        "loss": {"type": "MSELoss"},
        "optimizer": {"type": "Adam"},
        "parameters": {
            "0.weight": np.eye(15, 20).tolist(),
            "0.bias": [0.0] * 15,
            "2.weight": np.eye(14, 15).tolist(),
            "2.bias": [0.0] * 14,
        },
        "x": [np.linspace(-1, 1, 20).tolist()],
        "t": [np.linspace(0, 1, 14).tolist()],
    }
    told = ask("steps", run=run)
    assert len(told) <= 30
    assert max(len(step["rows"]) for step in told) <= 3 * 12
    (gradient,) = [step for step in told if step["title"] == "The gradients of 0.weight"]
    assert gradient["more"].startswith("288 more parameters are left out")
    shown = {symbol for symbol, _ in gradient["rows"]}
    explained = explain(run, epochs=1).to_dict()["backward"]["0.weight"]
    order = np.argsort(-np.abs(np.array(explained)), axis=None)
    strongest = {f"∂L/∂0.weight[{k // 20},{k % 20}]" for k in order[:8].tolist()}
    assert strongest <= shown


def test_the_numbers_of_page_and_python_agree(ask, explained):
    found = ask("agreement", explanation=explained)
    assert found["worst"]["difference"] < 1e-13
    assert "disagree" not in found["text"]
    assert found["count"] >= 30


def test_a_constant_of_a_formula_is_not_rounded(ask):
    """Neither in the formulas of a step nor in the errors of the iterations."""
    explained = explain(SCALED, decimals=3, epochs=2).to_dict()
    assert explained["backward"]["0.bias"] == [-0.445]
    found = ask("agreement", explanation=explained)
    assert found["worst"]["difference"] == 0
    assert "disagree" not in found["text"]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (lambda e: e["layers"][0]["outputs"][1], "z0[1]"),
        (lambda e: e["layers"][2]["carried"][0], "∂L/∂a1[0]"),
        (lambda e: e["loss"]["total"], "L"),
        (lambda e: e["gradients"][3]["backward"], "∂L/∂0.weight[1,0]"),
        (lambda e: e["gradients"][3]["updated"], "0.weight[1,0]′"),
        (lambda e: e["errors"][4], "L after 4"),
    ],
)
def test_a_number_that_disagrees_is_named(ask, example, place, name):
    changed = copy.deepcopy(example)
    place(changed)["value"] += 1e-6
    found = ask("agreement", explanation=changed)
    assert found["worst"]["name"] == name
    assert f"they disagree: {name} is" in found["text"]


BOUND = {
    "layers": [linear(1, 1), {"type": "Sigmoid"}],
    "loss": {"type": "BCELoss"},
    "parameters": {"0.weight": [[40.0]], "0.bias": [0.0]},
    "x": [[1.0]],
    "t": [[0.0]],
}
"""float64 rounds y to 1, where the logarithm is bounded at −100; with 50 digits it is −40."""


def test_numbers_that_float64_rounds_are_told_from_wrong_ones(ask):
    explained = explain(BOUND, epochs=1).to_dict()
    found = ask("agreement", explanation=explained)
    assert {"name": "e[0]", "here": 100, "there": 40} in [
        {key: one[key] for key in ("name", "here", "there")} for one in found["rounded"]
    ]
    assert "rounded by float64" in found["text"]
    assert "disagree" not in found["text"]
    explained["errors"][1]["value"] = 40.0  # 50 digits after an update of 4e-9
    assert "disagree" not in ask("agreement", explanation=explained)["text"]
    explained["layers"][0]["outputs"][0]["value"] += 1e-6
    assert "they disagree: z0[0] is" in ask("agreement", explanation=explained)["text"]


def test_an_edit_changes_the_named_number_alone(ask):
    for run, names in (
        (explain(CLASSES, epochs=1).spec, {"x[1]": ("x", 0, 1), "t[0]": ("t", 0)}),
        (
            explain(BATCH, epochs=1).spec,
            {"x[2,1]": ("x", 2, 1), "t[1,0]": ("t", 1, 0), "1.bias[1]": ("1.bias", 1)},
        ),
        (explain(NESTED, epochs=1).spec, {"1.1.weight[1,0]": ("1.1.weight", 1, 0)}),
        (explain(epochs=1).spec, {"0.weight[1, 2]": ("0.weight", 1, 2), "t[1]": ("t", 0, 1)}),
    ):
        for name, (array, *index) in names.items():
            wanted = copy.deepcopy(run)
            inner = wanted[array] if array in wanted else wanted["parameters"][array]
            for i in index[:-1]:
                inner = inner[i]
            assert inner[index[-1]] != 7
            inner[index[-1]] = 7
            assert ask("edit", run=run, name=name, value=7) == wanted


@pytest.mark.parametrize(
    "name", ["x[3]", "x", "t[2]", "0.weight[2,0]", "1.weight[0,0]", "y[0]", "L"]
)
def test_no_edit_of_what_is_not_there(ask, example, name):
    assert ask("edit", run=example["spec"], name=name, value=7) is None


def test_numbers_in_sentences_are_typeset(ask):
    values = [0, 0.25, -0.25, 123456, 1e-9, -1.5e-9, 1e300, 5e-324, 1234567]
    assert ask("written", values=values, options={}) == [
        "0", "0.25", "−0.25", "123456", "1 × 10⁻⁹", "−1.5 × 10⁻⁹", "1 × 10³⁰⁰",
        "4.94066 × 10⁻³²⁴", "1.23457 × 10⁶",
    ]  # fmt: skip
    assert ask("written", values=[-0.12344, 2], options={"decimals": 4}) == ["−0.1234", "2.0000"]
