"""The drawing of a network: what it shows, where it stands, and what a chosen weight lights up."""

import itertools
import math

import numpy as np
import pytest

from manualnn.explain import EXAMPLE, explain

pytestmark = pytest.mark.once
SCRIPT = "drawing.mjs"


@pytest.fixture(scope="module")
def ask(node):
    """Return a function that returns the answers to questions."""
    return lambda *questions: [node(question) for question in questions]


def make_run(widths, *, between=("Sigmoid",), end=(), loss="MSELoss", samples=1, seed=0):
    """Return a run of Linear layers with these widths, and the layers between and after them."""
    rng = np.random.default_rng(seed)
    layers, parameters = [], {}
    for inputs, outputs in itertools.pairwise(widths):
        i = len(layers)
        layers.append({"type": "Linear", "in_features": inputs, "out_features": outputs})
        parameters[f"{i}.weight"] = rng.normal(size=(outputs, inputs)).tolist()
        parameters[f"{i}.bias"] = rng.normal(size=outputs).tolist()
        layers += [{"type": name} for name in between]
    layers = layers[: len(layers) - len(between)] + [{"type": name} for name in end]
    classes = loss == "CrossEntropyLoss"
    t = rng.normal(size=(samples, widths[-1]))
    t = rng.integers(widths[-1], size=samples) if classes else t
    return {
        "layers": layers,
        "loss": {"type": loss},
        "optimizer": {"type": "SGD", "lr": 0.1},
        "parameters": parameters,
        "x": rng.normal(size=(samples, widths[0])).tolist(),
        "t": t.tolist(),
    }


RUNS = {
    "3-2-2": EXAMPLE,
    "1-1": make_run([1, 1]),
    "2-3-2": make_run([2, 3, 2], loss="CrossEntropyLoss"),
    "8-16-16-4": make_run([8, 16, 16, 4]),
    "40-30-10": make_run([40, 30, 10], loss="CrossEntropyLoss", between=["ReLU"]),
    "deep": make_run([2] * 7),
    "dropout": make_run([3, 2, 2], between=["Sigmoid", "Dropout"]),
    "softmax": make_run([3, 3, 3], end=["Softmax"]),
    "no Linear at the end": make_run([2, 2], end=["Tanh"]),
    "no Linear at the start": {
        **make_run([2, 2]),
        "layers": [{"type": "Tanh"}, {"type": "Linear", "in_features": 2, "out_features": 2}],
        "parameters": {"1.weight": [[1, 2], [3, 4]], "1.bias": [0, 1]},
    },
    "batch": make_run([3, 2, 2], samples=5),
}
WIDTHS = [300, 328, 480, 625.4, 697.8, 1000, 1400]


def overlap(a, b):
    """Return True if the boxes {x, y, w, h}, around their centres, have a point in common."""
    sides = ((a["x"] - b["x"], a["w"] + b["w"]), (a["y"] - b["y"], a["h"] + b["h"]))
    return all(abs(distance) < total / 2 - 1e-9 for distance, total in sides)


@pytest.mark.parametrize("name", RUNS)
def test_nothing_covers_anything(ask, name):
    """Neither units nor labels nor titles overlap, and all of them are inside the drawing."""
    questions = [{"ask": "layout", "run": RUNS[name], "width": width} for width in WIDTHS]
    for width, layout in zip(WIDTHS, ask(*questions), strict=True):
        boxes = [unit["box"] for unit in layout["units"]]
        boxes += [label["box"] for label in layout["labels"]]
        boxes += layout["headers"] + layout["rests"]
        for a, b in itertools.combinations(boxes, 2):
            assert not overlap(a, b), (width, a, b)
        for box in boxes:
            assert box["x"] >= box["w"] / 2, (width, box)
            assert box["x"] + box["w"] / 2 <= layout["width"], (width, box)
            assert box["y"] >= box["h"] / 2, (width, box)
            assert box["y"] + box["h"] / 2 <= layout["height"], (width, box)


@pytest.mark.parametrize("name", ["3-2-2", "1-1", "2-3-2", "deep", "batch"])
def test_small_networks_show_every_number_and_fit_a_phone(ask, name):
    (layout,) = ask({"ask": "layout", "run": RUNS[name], "width": 328})
    assert layout["width"] <= 328
    keys = {label["key"] for label in layout["labels"]}
    expected = {
        f"{key}[{','.join(map(str, index))}]"
        for key, array in RUNS[name]["parameters"].items()
        for index in np.ndindex(np.shape(array))
    }
    assert keys == expected


def test_a_textbook_draws_the_example_so(ask):
    """Three inputs, two neurons with sum and activation, two outputs, two terms, one error."""
    (layout,) = ask({"ask": "layout", "run": EXAMPLE, "width": 700})
    assert [column["stages"] for column in layout["columns"]] == [[-1], [0, 1], [2], [3], [4]]
    assert [column["shown"] for column in layout["columns"]] == [[0, 1, 2], *[[0, 1]] * 3, [0]]
    links = {(tuple(line["from"]), tuple(line["to"])) for line in layout["lines"]}
    dense = itertools.product(range(3), range(2)), itertools.product(range(2), range(2))
    expected = {((c, a), (c + 1, b)) for c, pairs in enumerate(dense) for a, b in pairs}
    assert links == expected | {((2, k), (3, k)) for k in (0, 1)} | {
        ((3, k), (4, 0)) for k in (0, 1)
    }


@pytest.mark.parametrize("name", RUNS)
def test_every_layer_has_its_place(ask, name):
    (layout,) = ask({"ask": "layout", "run": RUNS[name], "width": 700, "isBlind": True})
    stages = [stage for column in layout["columns"] for stage in column["stages"]]
    assert stages == list(range(-1, len(RUNS[name]["layers"]) + 2))
    for column in layout["columns"]:
        assert len(column["shown"]) + column["left"] == column["size"]


def test_the_strongest_units_are_shown(ask):
    """Their strength is |value · ∂L/∂value|, here by Python's engine; a wanted unit comes first."""
    run = RUNS["40-30-10"]
    given = {"ask": "layout", "run": run, "width": 700, "most": 7}
    plain, asked = ask(given, {**given, "wanted": [[0, 3], [-1, 5]]})
    x, w, b = (np.array(run[k]) if k == "x" else np.array(run["parameters"][k])
               for k in ("x", "0.weight", "0.bias"))  # fmt: skip
    z = x @ w.T + b
    a = np.maximum(z, 0)
    y = a @ np.array(run["parameters"]["2.weight"]).T + run["parameters"]["2.bias"]
    p = np.exp(y - y.max()) / np.exp(y - y.max()).sum()
    dy = p - np.eye(10)[run["t"]]
    da = dy @ np.array(run["parameters"]["2.weight"])
    dx = (da * (z > 0)) @ w
    columns = zip(plain["columns"], (x * dx, a * da, y * dy), strict=False)
    for column, strength in columns:
        assert column["shown"] == sorted(np.argsort(-abs(strength[0]))[:7].tolist())
    assert plain["columns"][3]["shown"] == plain["columns"][2]["shown"]  # the terms of the outputs
    assert 5 in asked["columns"][0]["shown"]
    assert 3 in asked["columns"][1]["shown"]
    assert all(len(column["shown"]) == 7 for column in asked["columns"][:3])


def distance(point, line):
    """Return the distance of a point from a line between two points."""
    a, b = np.array([line["x1"], line["y1"]]), np.array([line["x2"], line["y2"]])
    f = np.clip((point - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return float(np.linalg.norm(a + f * (b - a) - point))


def test_a_point_chooses_the_nearest_weight_within_reach(ask):
    run = make_run([3, 4, 2])
    for i in (0, 2):
        run["layers"][i]["bias"] = False
        del run["parameters"][f"{i}.bias"]
    points = np.random.default_rng(3).uniform((0, 0), (800, 500), size=(300, 2))
    question = {"ask": "layout", "run": run, "width": 1000, "points": points.tolist(), "reach": 20}
    (layout,) = ask(question)
    lines = {line["key"]: line for line in layout["lines"] if line["key"]}
    chosen = 0
    for point, key in zip(points, layout["nearest"], strict=True):
        distances = {name: distance(point, line) for name, line in lines.items()}
        least = min(distances.values())
        if key is None:
            assert least >= 20
        else:
            name = f"{key['layer']}.{key['name']}[{','.join(map(str, key['index']))}]"
            assert distances[name] == pytest.approx(least)
            chosen += least < 20
    assert 50 < chosen < 250


WEIGHT = {"layer": 0, "name": "weight", "index": [1, 2]}


def test_a_chosen_weight_lights_its_paths_alone(ask):
    question = {"ask": "lit", "run": EXAMPLE, "width": 700, "selected": WEIGHT}
    whole, one = ask(question, {**question, "only": 1})
    lines = ["0.weight[1,2]", "2.weight[0,1]", "2.weight[1,1]"]
    assert whole["edges"] == sorted([*lines, "2.0-3.0", "2.1-3.1", "3.0-4.0", "3.1-4.0"])
    assert whole["units"] == ["0.2", "1.1", "2.0", "2.1", "3.0", "3.1", "4.0"]
    assert whole["factors"] == {
        "0.weight[1,2]": ["∂z0[1]/∂0.weight[1,2]"],
        "1.1": ["∂a1[1]/∂z0[1]"],
        "2.weight[0,1]": ["∂y[0]/∂a1[1]"],
        "2.weight[1,1]": ["∂y[1]/∂a1[1]"],
        "3.0": ["∂L/∂y[0]"],
        "3.1": ["∂L/∂y[1]"],
    }
    assert one["edges"] == sorted(["0.weight[1,2]", "2.weight[1,1]", "2.1-3.1", "3.1-4.0"])
    assert one["units"] == ["0.2", "1.1", "2.1", "3.1", "4.0"]
    assert set(one["factors"]) == {"0.weight[1,2]", "1.1", "2.weight[1,1]", "3.1"}


@pytest.mark.parametrize("name", ["deep", "8-16-16-4", "softmax", "batch"])
def test_the_strongest_paths_are_those_of_explain(ask, name):
    """`explain` finds them by decimals of 50 digits; here are more paths than are listed."""
    run = RUNS[name]
    key = {"layer": 0, "name": "weight", "index": [1, 1]}
    found = explain(run, weight="0.weight[1,1]", epochs=1, paths=5).to_dict()["gradients"][0]
    (paths,) = ask({"ask": "paths", "run": run, "key": key, "most": 5})
    assert paths["count"] == found["path_count"] > 5
    for ours, theirs in zip(paths["paths"], found["paths"], strict=True):
        assert [f["name"] for f in ours["factors"]] == [f["symbol"] for f in theirs["factors"]]
        assert ours["product"] == pytest.approx(theirs["product"]["value"], rel=1e-12)
    tolerance = 1e-12 * paths["size"]
    assert paths["share"] == pytest.approx(found["share"], rel=1e-12)
    assert paths["sum"] == pytest.approx(found["path_sum"]["value"], rel=0, abs=tolerance)
    assert paths["backward"] == pytest.approx(found["backward"]["value"], rel=0, abs=tolerance)


def test_arrows_follow_the_layers(ask):
    question = {"ask": "walk", "run": EXAMPLE, "from": {"layer": 0, "name": "bias", "index": [0]}}
    presses = ["ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "Home", "ArrowUp"]
    presses += ["End", "ArrowRight", "x"]
    across, down = ask(
        {**question, "presses": presses},
        {**question, "presses": ["ArrowRight", "ArrowDown", "ArrowLeft"], "vertical": True},
    )
    there = ["0.weight[0,0]", "2.bias[0]", "0.weight[1,2]"]
    assert across == [*there, None, "0.bias[0]", None, "2.weight[1,1]", None, "unmoved"]
    assert down == there


@pytest.mark.parametrize("room", [6, 7])
def test_a_short_number_fits_and_is_near(ask, room):
    rng = np.random.default_rng()
    special = [0.0, 999950.0, -99995.0, 0.1 + 0.2, 1e22, 5e-324, -1.8e308, math.inf, math.nan]
    values = [*special, *(rng.normal(size=500) * 10.0 ** rng.integers(-99, 99, size=500))]
    written = [str(value).replace("inf", "Infinity") for value in values]
    texts = ask(*({"ask": "short", "value": value, "room": room} for value in written))
    for value, text in zip(values, texts, strict=True):
        assert len(text) <= (room if 1e-99 < abs(value) < 1e99 else 7), (value, text)
        read = float(text.replace("−", "-").replace("∞", "inf"))
        if not math.isfinite(value):
            assert read == value or math.isnan(value)
        else:
            mantissa, _, power = text.replace("−", "-").partition("e")
            last = 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
            assert abs(read - value) <= 0.5001 * last, (value, text)  # every digit is right
            digits = 3 if 0.1 < abs(value) < 1e4 else 1  # besides a sign and a power of ten
            assert abs(read - value) <= 5 * 10.0**-digits * abs(value), (value, text)


@pytest.mark.parametrize(
    ("numbers", "decimals", "expected"),  # the sum, backward, Σ |product|
    [
        ([0.1, 0.1, 1], None, [True, "equal to the last digit"]),
        ([1.0, 1.0 + 2**-52, 1], None, [True, "equal to 15 digits"]),
        ([1e-20, 0, 1], None, [True, "equal up to rounding: the products cancel"]),
        ([1.001, 1.0, 1], None, [False, "equal to 3 digits only"]),
        ([2.0, 1.0, 1], None, [False, "different"]),
        ([0.5, 0.25, 1], 2, [True, "0.25 apart, because each operation is rounded to 2 decimals"]),
        (["NaN", 1.0, 1], None, [False, "not numbers: the run has diverged"]),
    ],
)
def test_the_verdict_on_a_sum(ask, numbers, decimals, expected):
    question = dict(zip(("sum", "backward", "size"), numbers, strict=True), ask="verdict")
    assert ask(question | ({} if decimals is None else {"decimals": decimals})) == [expected]


@pytest.mark.parametrize(("name", "index"), [("weight", [1, 0]), ("bias", [1])])
def test_moving_a_weight_both_ways_measures_its_slope(ask, name, index):
    """The error is a quadratic in the last layer's weights: both ways together are exact."""
    key = {"layer": 2, "name": name, "index": index}
    (found,) = ask({"ask": "measure", "run": EXAMPLE, "key": key})
    gradients = {g.parameter.symbol.text: g for g in explain().gradients}
    slope = gradients[f"2.{name}[{','.join(map(str, index))}]"].backward.value
    rounding = 20 * 2**-53 * max(found["up"], found["down"]) / found["step"]
    assert abs(found["slope"] - slope) <= rounding
    assert found["up"] - found["down"] == pytest.approx(2 * found["step"] * slope, rel=1e-9)
