"""The drawing, by pointer: a weight lights its paths, a path alone, and a slider moves a weight."""

import numpy as np
import pytest
from browser.pages import walk

from manualnn.explain import EXAMPLE, explain

LIT = ".nn-weight.lit"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    file = tmp_path_factory.mktemp("drawing") / "page.html"
    file.write_text(explain().to_html(), encoding="utf-8")
    return file


def lit(page):
    return set(page.locator(LIT).evaluate_all("(all) => all.map((e) => e.dataset.key)"))


def test_pointing_lights_paths(open_page, example):
    """All paths of the weight, one of them alone, and another weight while it is pointed at."""
    with open_page(example, width=1440) as page:
        page.locator('.nn-label[data-of="0.weight[1,2]"]').click()
        page.mouse.move(1, 1)
        own, both = {"0.weight[1,2]"}, {"2.weight[0,1]", "2.weight[1,1]"}
        assert lit(page) == own | both
        page.locator('[data-path="1"]').hover()
        assert lit(page) == {"0.weight[1,2]", "2.weight[1,1]"}
        page.locator('[data-path="1"]').click()  # it stays alone
        page.mouse.move(1, 1)
        assert lit(page) == {"0.weight[1,2]", "2.weight[1,1]"}
        page.locator('.nn-label[data-of="2.weight[0,0]"]').hover()
        assert lit(page) == {"2.weight[0,0]"}


def test_a_slider_moves_the_chosen_weight(open_page, example):
    with open_page(example) as page:
        page.locator(".path-slider input").focus()
        page.keyboard.press("ArrowRight")
        moved = float(page.locator(".path-slider input").input_value())
        array = [list(row) for row in EXAMPLE["parameters"]["0.weight"]]
        assert moved > array[1][0]  # the strongest weight of the first layer
        array[1][0] = moved
        changed = {**EXAMPLE, "parameters": {**EXAMPLE["parameters"], "0.weight": array}}
        expected = explain(changed, weight="0.weight[1,0]").to_dict()["gradients"][0]
        shown = page.locator(".path-backward [data-value]").get_attribute("data-value")
        assert float(shown) == pytest.approx(expected["backward"]["value"], rel=1e-13)


REPAINTED = """() => {
    const added = [];
    new MutationObserver((changes) => changes.forEach(({ target, addedNodes }) => {
        if (addedNodes.length) added.push(target.className);
    })).observe(document.querySelector("#paths"), { childList: true, subtree: true });
    for (const text of document.querySelectorAll(".nn-label text")) text.dataset.kept = "yes";
    return () => added;
}"""


def test_a_step_repaints_only_itself(open_page, example):
    """The numbers of the drawing and the list of paths stay the same elements."""
    with open_page(example, width=1440) as page:
        page.locator('.nn-label[data-of="0.weight[1,2]"]').click()
        page.locator("#step-slider").focus()
        page.keyboard.press("ArrowRight")
        labels = page.locator(".nn-label text")
        added = page.evaluate_handle(REPAINTED)
        page.keyboard.press("ArrowRight")
        assert page.locator("#step").get_attribute("data-step") == "2"
        assert page.evaluate("(added) => added()", added) == []
        kept = labels.evaluate_all("(all) => all.filter((e) => e.dataset.kept).length")
        assert kept == labels.count() > 10


def test_a_chosen_weight_steps_back_while_a_step_is_told(open_page, example):
    """What the step speaks of is seen in full; choosing lights the paths again."""
    opacity = "(all) => all.map((e) => Number(getComputedStyle(e).opacity))"
    with open_page(example, width=1440) as page:
        weight = page.locator('.nn-label[data-of="0.weight[1,2]"]')
        weight.click()
        page.mouse.move(1, 1)
        page.locator("#step-slider").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.evaluate("Promise.all(document.getAnimations().map((a) => a.finished))")
        assert page.locator('[data-key="0.weight[1,2]"]').get_attribute("aria-pressed") == "true"
        told = page.locator(".nn-unit.focus, .nn-weight.focus, .nn-label.focus")
        assert told.count() == 1 + 4 + 4  # the neuron, its weights and bias, and their numbers
        assert set(told.evaluate_all(opacity)) == {1}
        assert not lit(page)
        page.locator('.nn-label[data-of="0.weight[0,1]"]').click()
        page.mouse.move(1, 1)
        assert lit(page) == {"0.weight[0,1]", "2.weight[0,0]", "2.weight[1,0]"}


def test_one_notation_on_the_whole_page(open_page, example):
    """A circle, the caption, the step and the fields name a unit alike, and α is never lr."""
    with open_page(example, width=1440) as page:
        page.locator("#step-slider").focus()
        page.keyboard.press("ArrowRight")
        circle = page.locator(".nn-neuron text", has=page.locator('[data-q="z0[0]"]')).first
        assert circle.text_content().startswith("z0(0)")  # below and above the letter
        names = "(all) => new Set(all.map((e) => e.textContent))"
        texts = page.evaluate(f"""() => [...({names})([...document.querySelectorAll(
            "#step h3, .stepper .count, #numbers th, #numbers legend, .nn-caption")])]""")
        assert "Linear: z0(0)" in texts
        assert "into z0(0)" in texts
        assert not [text for text in texts if "[" in text or ".weight" in text]
        page.locator("#step-slider").fill("33")
        assert page.locator("#step .phase").text_content() == "Update"
        written = page.locator("#step").text_content()
        assert "α" in written
        assert "lr" not in written


@pytest.mark.parametrize(("text", "says"), [
    ("0x10", "does not fit"), ("1e-400", "too small"), ("-1e999", "does not fit"),
    ("1_0", "does not fit"), ("Infinity", "does not fit"), ("1e", "does not fit"),
])  # fmt: skip
def test_a_field_takes_decimal_numbers_alone(open_page, example, text, says):
    with open_page(example) as page:
        field = page.locator('[data-edit="x[0]"]')
        before = page.locator(".nn [data-q='x[0]']").first.get_attribute("data-value")
        field.fill(text)
        assert field.get_attribute("aria-invalid") == "true"
        assert says in page.locator("#edit-x\\[0\\]-message").text_content()
        assert page.locator(".nn [data-q='x[0]']").first.get_attribute("data-value") == before
        field.fill("-0e-400")
        assert field.get_attribute("aria-invalid") is None


def test_on_a_phone_the_story_follows_the_drawing(open_page, example):
    with open_page(example, width=360) as page:
        tops = page.evaluate("""() => ["drawing", "step", "paths", "descent"].map(
            (id) => document.getElementById(id).getBoundingClientRect().top)""")
        assert tops == sorted(tops)


def test_one_slope_where_a_bound_of_the_loss_acts(open_page, write_page):
    """Steps and paths have torch's ∂L/∂y, (y − t) / max(y (1 − y), 10⁻¹²); 10⁻¹² is a float32."""
    run = {
        "layers": [{"type": "Linear", "in_features": 1, "out_features": 1}, {"type": "Sigmoid"}],
        "loss": {"type": "BCELoss"},
        "parameters": {"0.weight": [[40.0]], "0.bias": [0.0]},
        "x": [[1.0]],
        "t": [[0.0]],
    }
    with open_page(write_page(explain(run, epochs=1))) as page:
        page.locator('[data-key="0.weight[0,0]"]').press("Enter")
        found = [one for one in walk(page) if one.name == "∂L/∂y[0]"]
        # In a step, in the drawing and in a path; the first two are said in their own ways.
        assert {one.text for one in found} >= {"1 × 10¹²", "1e+12", "×\u20091e12"}
        assert {one.value for one in found} == {1 / float(np.float32(1e-12))}
        assert "rounded by float64" in page.locator("#agreement").text_content()


ADAM = {
    "layers": [
        {"type": "Linear", "in_features": 1, "out_features": 1},
        {"type": "ReLU"},
        {"type": "Linear", "in_features": 1, "out_features": 1},
    ],
    "optimizer": {"type": "Adam", "lr": 0.1},
    "parameters": {"0.weight": [[1]], "0.bias": [-2], "2.weight": [[1]], "2.bias": [1]},
    "x": [[1.0]],
    "t": [[0.0]],
}


def test_the_page_speaks_of_its_own_rule_and_chooses_a_weight_that_acts(open_page, write_page):
    """All of the first layer's gradients are 0, because its ReLU is off."""
    with open_page(write_page(explain(ADAM, epochs=1)), width=1440) as page:
        assert "Adam makes a step" in page.locator(".top").inner_text()
        assert "W′ =" not in page.locator(".top").inner_text()
        assert "Adam makes the steps" in page.locator("#descent").inner_text()
        assert (
            page.locator("[aria-pressed=true][data-key]").get_attribute("data-key") == "2.bias[0]"
        )
        page.locator('[data-key="0.bias[0]"]').focus()
        assert "Click or press Enter to choose it" in page.locator(".nn-caption").text_content()


@pytest.mark.parametrize("target", [1.1e154, 1.3407807929942596e154, 2.2e-162])
def test_the_curve_of_the_largest_and_the_smallest_errors(open_page, write_page, target):
    """The error is the target's square, almost the largest or the smallest float; nothing hangs."""
    run = {
        "layers": [{"type": "Linear", "in_features": 1, "out_features": 1}],
        "optimizer": {"type": "SGD", "lr": 0.0},
        "parameters": {"0.weight": [[1e308]], "0.bias": [0]},
        "x": [[0.0]],
        "t": [[target]],
    }
    with open_page(write_page(explain(run, epochs=1))) as page:
        page.locator("#logarithmic").check()
        page.locator("#logarithmic").uncheck()
        page.locator("[data-edit=target]").fill("-1e308")
        if not page.locator(".path-slider").count():
            page.locator('[data-key="0.weight[0,0]"]').press("Enter")
        slider = page.locator(".path-slider input")
        assert np.isfinite([float(slider.get_attribute(of)) for of in ("min", "max", "step")]).all()
