"""Explanations as text, as Markdown and as JSON."""

import json
import re
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from explain.networks import network_of, seed_for
from rotation import choose, file_of
from schemas import validate

from manualnn import (
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    Adam,
    Dropout,
    LeakyReLU,
    Linear,
    MSELoss,
    Parameters,
    Sequential,
    Sigmoid,
    SpecError,
    Tanh,
)
from manualnn.explain import EXAMPLE, explain
from manualnn.explain.naming import brief, letter
from manualnn.explain.render.drawing import draw_network

pytestmark = pytest.mark.once


@pytest.mark.parametrize("layer", choose(LAYERS, lambda n: [file_of(LAYERS[n])], parts=6, most=2))
def test_every_layer_and_loss_is_shown_in_every_form(layer: str) -> None:
    for loss, decimals in product(LOSSES, (None, 3)):
        net, params, x, t = network_of(layer, loss)
        e = explain(
            net,
            params,
            x,
            t,
            loss=LOSSES[loss](),
            decimals=decimals,
            dropout_seed=seed_for(net),
            epochs=1,
        )
        assert f"{layer}(" in e.to_text()
        assert json.loads(e.to_json())["loss"]["loss"].startswith(loss)
        assert_balanced(e.to_markdown())
    validate("explanation", e.to_json())


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("decimals", [None, 12])
def test_the_update_is_the_rules_own(rule: str, decimals: int | None) -> None:
    net, params, x, t = network_of("Tanh", "MSELoss")
    e = explain(net, params, x, t, rule=OPTIMIZERS[rule](), decimals=decimals, epochs=1)
    _, grads = net.value_and_grad(params, MSELoss(), x, t)
    after = params.copy()
    OPTIMIZERS[rule]().update(after, grads, OPTIMIZERS[rule]().init(after))
    tolerance = 1e-14 if decimals is None else 1e-9
    found = [g.updated.value for g in e.gradients]
    np.testing.assert_allclose(found, after.vector, rtol=0, atol=tolerance)
    validate("explanation", e.to_json())
    assert rule == "SGD" or "θ ← θ −" in e.to_text()
    assert_balanced(e.to_markdown())


def assert_balanced(markdown: str) -> None:
    """Every formula block and every bracket in it is closed; every table has its columns."""
    fences = re.findall(r"^```(\w*)$", markdown, re.MULTILINE)
    assert fences[1::2] == [""] * (len(fences) // 2)
    assert set(fences[::2]) <= {"math", "text"}
    for block in re.findall(r"^```math\n(.*?)\n```$", markdown, re.MULTILINE | re.DOTALL):
        bare = block.replace("\\\\", "")
        assert bare.count("{") == bare.count("}")
        assert bare.count(r"\left") == bare.count(r"\right")
        assert bare.count(r"\begin{aligned}") == bare.count(r"\end{aligned}") == 1
        assert not re.search(r"\}\^\{?[^{}]*\}?\^", bare)
    tables = re.findall(r"(?:^\|.*\|\n?)+", markdown, re.MULTILINE)
    assert tables
    for table in tables:
        assert len({row.count("|") for row in table.splitlines()}) == 1


def test_json_has_the_numbers_of_the_explanation() -> None:
    e = explain(decimals=5)
    read = json.loads(e.to_json())
    assert read == e.to_dict()
    assert read["schema"] == "manualnn.explain/1"
    assert read["gradients"][3]["path_sum"]["value"] == e.gradients[3].path_sum.value
    assert read["layers"][1]["outputs"][0]["formula"]["names"] == "1 / (1 + exp(-z0[0]))"
    again = explain({**read["spec"], "dtype": "float64"}, decimals=5)
    assert again.to_json() == e.to_json()


def test_a_large_network_explains_the_largest_gradients_and_counts_the_others() -> None:
    net = Sequential(Linear(30, 20), Tanh(), Linear(20, 20), Tanh(), Linear(20, 10))
    params, x, t = net.init(0), np.ones((1, 30)), np.zeros((1, 10))
    e = explain(net, params, x, t, epochs=1)
    _, grads = net.value_and_grad(params, MSELoss(), x, t)
    largest = np.sort(np.abs(grads.vector))[::-1][: len(e.gradients)]
    assert [abs(g.backward.value) for g in e.gradients] == list(largest)
    assert e.gradients_left_out == params.vector.size - len(e.gradients)
    (one,) = explain(net, params, x, t, epochs=1, weight="0.weight[3,4]", paths=5).gradients
    assert (one.path_count, one.paths_left_out, one.agrees) == (200, 195, True)
    assert 0 < one.share < 1


def test_json_has_every_gradient_even_if_the_text_leaves_some_out() -> None:
    net = Sequential(Linear(30, 20), Tanh(), Linear(20, 10))
    params, x, t = net.init(0), np.ones((1, 30)), np.zeros((1, 10))
    read = json.loads(explain(net, params, x, t, epochs=1).to_json())
    _, grads = net.value_and_grad(params, MSELoss(), x, t)
    assert read["backward"] == {key: array.tolist() for key, array in grads.items()}
    assert read["spec"]["parameters"] == {key: array.tolist() for key, array in params.items()}


def test_adam_shows_its_state_and_the_names_of_its_options() -> None:
    e = explain({**EXAMPLE, "optimizer": {"type": "Adam"}}, weight="0.bias[1]", decimals=3)
    m, v = e.gradients[0].state
    g = e.gradients[0].backward.value
    assert m.value == pytest.approx(0.1 * g, rel=1e-12)
    assert v.value == pytest.approx(0.001 * g * g, rel=1e-12)
    text = e.to_text()
    assert "exp_avg = ∂L/∂0.bias[1]·(1 - β₁)" in text
    assert "- exp_avg / (√(exp_avg_sq) + eps·√(1 - β₂))·(lr·√(1 - β₂) / (1 - β₁))" in text
    assert "only the new parameter is rounded" in " ".join(text.split())


def test_divisor_and_classes_are_printed() -> None:
    net = Sequential(Linear(2, 3))
    params, x = net.init(0), np.ones((2, 2))
    loss = LOSSES["CrossEntropyLoss"](weight=(0.5, 1.0, 2.0))
    text = explain(net, params, x, np.array([2, 0]), loss=loss, decimals=2).to_text()
    assert "Here D = 2.5: reduction 'mean', N = 2 samples, K = 3 outputs" in text
    assert "Targets: t[0] = class 2, t[1] = class 0." in text
    assert "Here D = 4: reduction 'mean'" in explain(
        Sequential(Linear(2, 2)), Sequential(Linear(2, 2)).init(0), x, x
    ).to_text().replace("\n", " ")


def test_classes_left_out_are_counted() -> None:
    net = Sequential(Linear(1, 2))
    loss, t = LOSSES["CrossEntropyLoss"](), np.arange(30) % 2
    text = explain(net, net.init(0), np.ones((30, 1)), t, loss=loss, epochs=1).to_text()
    assert "18 more targets left out" in text


def test_an_output_has_the_letter_of_its_equation() -> None:
    class Unit:
        """Some unit.

        Forward, α = alpha
            a = z where z > 0, else α (exp(z) − 1)
        """

    assert letter(Unit()) == "a"
    assert [letter(Linear(1, 1)), letter(Sigmoid())] == ["z", "a"]


def test_dropout_does_nothing_unless_a_seed_is_given() -> None:
    net = Sequential(Linear(2, 8), Dropout(0.5), Linear(8, 1))
    params, x, t = net.init(0), np.ones((1, 2)), np.ones((1, 1))
    silent, masked = (explain(net, params, x, t, dropout_seed=seed) for seed in (None, 4))
    assert silent.loss.total.value == pytest.approx(MSELoss().value(net.forward(params, x), t))
    y = net.forward(params, x, noise=net.sample(4, x))
    assert masked.loss.total.value == pytest.approx(MSELoss().value(y, t))
    assert "as in prediction" in silent.to_text()
    assert "as in training" in masked.to_text()


# ---------------------------------------------------------------------- the text, short and full


def test_the_text_of_the_example_is_short_unless_it_is_full() -> None:
    short, full = explain().to_text(), explain().to_text(full=True)
    assert short.count("\n") <= 200
    assert [line for line in short.splitlines() if ": 2 paths" in line or ": 1 path" in line] == [
        "0.weight[1,0] = 0.5: 2 paths",
        "2.weight[1,0] = 0.4: 1 path",
    ]
    assert len(re.findall(r"^\S+ = \S+: \d paths?$", full, re.MULTILINE)) == 14
    others = re.findall(r"^  ([02]\.\w+\S+) +(?:from|into) ", short, re.MULTILINE)
    assert len(others) == 12
    assert "momentum" not in full
    assert not re.search(r"\bulps?\b|dual number", full)


def test_a_long_list_of_errors_is_cut_unless_the_text_is_full() -> None:
    def numbers(*, full: bool) -> list[str]:
        table = explain(epochs=30).to_text(full=full).partition("updates  ")[2]
        return [line.split()[0] for line in table.splitlines()[1:32] if line.startswith("  ")]

    assert numbers(full=True) == [str(k) for k in range(31)]
    assert numbers(full=False) == [*"01234", "…", "28", "29", "30"]


def test_all_gradients_and_new_values_are_in_the_short_text() -> None:
    e = explain()
    shown = " ".join(e.to_text().split())
    for g in e.gradients:
        for quantity in (g.backward, g.updated):
            assert f"{quantity.value:.6g}" in shown


@pytest.mark.parametrize("digits", [1, 9, 17])
def test_numbers_have_as_many_digits_as_wanted(digits: int) -> None:
    e = explain()
    text = e.to_text(digits=digits)
    assert f" = {e.loss.total.value:.{digits}g}\n" in text
    assert f"= {e.layers[2].outputs[0].value:.{digits}g}\n" in text
    assert f"{e.loss.total.value:.{digits}g}" in e.to_markdown(digits=digits)


@pytest.mark.parametrize("digits", [0, 18, True, 2.0])
def test_other_numbers_of_digits_are_refused(digits: Any) -> None:
    with pytest.raises(SpecError, match="digits must be an integer from 1 to 17"):
        explain().to_text(digits=digits)


def test_options_that_are_off_are_not_printed() -> None:
    run = {**EXAMPLE, "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}}
    text = explain(run).to_text()
    assert "SGD(lr=0.1, momentum=0.9)" in text
    assert "θ ← θ − α b" in text
    assert not re.search("nesterov|dampening=|maximize|weight_decay|bias=True", text)
    assert brief(Adam()) == "Adam(lr=0.001, betas=(0.9, 0.999), eps=1e-08)"
    assert brief(Linear(1, 2, bias=False)) == "Linear(in_features=1, out_features=2, bias=False)"
    assert brief(LeakyReLU()) == "LeakyReLU(negative_slope=0.01)"
    assert (
        "nesterov" in explain({**run, "optimizer": run["optimizer"] | {"nesterov": True}}).to_text()
    )


def test_with_several_samples_the_text_says_what_the_first_index_is() -> None:
    net, params, x, t = network_of("Tanh", "MSELoss")
    assert "The first index of an input, unit or target is the sample" in " ".join(
        explain(net, params, x, t, epochs=1).to_text().split()
    )
    assert "first index" not in explain().to_text()


def test_masks_are_part_of_the_run() -> None:
    """The run of an explanation with dropout gives the same explanation again."""
    net, params, x, t = network_of("Dropout", "MSELoss")
    e = explain(net, params, x, t, dropout_seed=2, epochs=1)
    assert e.spec["masks"] == {"1.mask": net.sample(2, x)["1.mask"].tolist()}
    again = explain(e.spec, epochs=1)
    assert [g.backward.value for g in again.gradients] == [g.backward.value for g in e.gradients]
    assert "the masks are given" in again.to_text()
    validate("explanation", again.to_json())
    validate("run", e.spec)
    unmasked = {key: value for key, value in e.spec.items() if key != "masks"}
    assert explain(unmasked | {"dropout_seed": 2}, epochs=1).spec == e.spec


# ---------------------------------------------------------------------- the drawing


def test_a_small_network_is_drawn_with_every_weight_and_unit() -> None:
    text = explain().to_text()
    drawing = text[text.index("THE NETWORK") : text.index("Loss:")]
    for unit in ("x[0]", "x[1]", "x[2]", "z0[0] → a1[0]", "z0[1] → a1[1]", "y[0]", "y[1]", "L"):
        assert unit in drawing
    weights = re.findall(r"·(-?[\d.]+)", drawing)
    for key in ("0.weight", "2.weight"):  # from top to bottom, a line each
        flat = [f"·{weight:g}" for row in EXAMPLE["parameters"][key] for weight in row]
        assert [w for w in re.findall(r"·-?[\d.]+", drawing) if w in flat] == flat
    assert len(weights) == 10
    assert len(re.findall(r"[⠁-⣿] ·", drawing)) == 10  # a wire ends at each weight
    assert max(map(len, drawing.splitlines())) <= 100
    assert drawing.splitlines()[4].strip() in explain().to_markdown()


def test_each_wire_of_the_drawing_ends_at_its_weight() -> None:
    """One input, one neuron: a straight line of dots without a gap."""
    net = Sequential(Linear(1, 1))
    params = Parameters(net.shapes, np.array([2.0, -3.0]))
    lines = draw_network(explain(net, params, [[1.0]], [[1.0]], epochs=1))
    assert re.fullmatch(r"x\[0\] [⠀-⣿]+ ·2 ┬ y\[0\] [⠀-⣿]+ L", lines[0])
    assert lines[1].split() == ["-3", "┘"]


@pytest.mark.parametrize("widths", [(3, 9, 2), (40, 2, 2), (2, 2, 2, 2, 2, 2, 2, 2)])
def test_a_large_network_is_listed_and_not_drawn(widths: tuple[int, ...]) -> None:
    net = Sequential(*(Linear(*pair) for pair in pairwise(widths)))
    text = explain(net, net.init(0), np.ones((1, widths[0])), np.ones((1, 2)), epochs=1).to_text()
    assert "┐" not in text
    assert re.search(r"^  0 +Linear\(", text, re.MULTILINE)
