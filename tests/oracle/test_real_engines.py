"""Real engines: correct ones raise no false alarm, and scikit-learn's bug is named."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import sklearn
from hypothesis import settings

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.partners import newcomers
from manualnn.oracle.engines.client import connect
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.report.expected_failures import read
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.step import truth

ENGINES = Path(__file__).parents[1] / "engines"
RIGHT = ["manualnn.engine:Engine"]
if importlib.util.find_spec("torch"):
    RIGHT.append(f"{ENGINES}/torch_engine.py:Engine")
SKLEARN = f"{ENGINES}/sklearn_engine.py:Engine"
DRAWS = max(1, settings.default.max_examples // 20)
"""Cases of each recipe."""

has_sample_weight = pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7),
    reason="scikit-learn's _backprop had another signature before 1.7",
)


def beyond(case, outcome):
    """Return the names of quantities with an entry beyond the bound; a NaN is."""
    assert outcome.fault is None, outcome.message
    got, wrong = outcome.quantities(), []
    for name, near in truth(case).quantities().items():
        if name in got and refutes(near, got[name]).any():
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("target", RIGHT, ids=lambda target: Path(target).name)
def test_no_recipe_accuses_a_right_engine(target):
    with connect(target) as bench:
        claims = bench.capabilities
        draws = [(recipe, "") for recipe in recipes_for(claims)]
        draws += [(r, new) for r, _ in draws if not r.feature for new in newcomers(claims)]
        for i, (recipe, newcomer) in enumerate(draws):
            for seed in range(DRAWS):
                rng = np.random.default_rng([i, seed])
                case = recipe.draw(rng, claims, Size(), newcomer)
                if case is not None:
                    assert bench.capabilities.refuses(case) is None
                    assert beyond(case, bench.run(case)) == [], (recipe.name, case.to_json())


def test_a_single_entry_one_part_in_a_million_off_is_beyond_the_bound():
    """The test above would notice."""
    case = squared_loss_of(2)
    with connect(RIGHT[0]) as bench:
        result = dict(bench.run(case).result)
    weight = np.array(result["grads"]["0.weight"])
    weight[-1, -1] *= 1 + 1e-6
    result["grads"] = {**result["grads"], "0.weight": weight}
    assert beyond(case, Outcome(result=result)) == ["grads.0.weight"]


@has_sample_weight
def test_scikit_learns_gradient_of_several_outputs_lacks_the_mean_over_them():
    """Its loss has 1/K, its gradient has not: with K outputs it is K times too large.

    https://github.com/scikit-learn/scikit-learn/issues/8349
    """
    with connect(SKLEARN) as bench:
        for outputs in (1, 2, 3, 7):
            case = squared_loss_of(outputs)
            outcome, expected = bench.run(case), truth(case)
            wrong = {"grads.0.weight", "grads.0.bias"} if outputs > 1 else set()
            assert set(beyond(case, outcome)) == wrong
            for key, g in outcome.result["grads"].items():
                near = expected.grads[key]
                assert np.all(abs(g - outputs * near.v) <= outputs * near.e)


def squared_loss_of(outputs):
    rng = np.random.default_rng(outputs)
    layer = {"type": "Linear", "in_features": 2, "out_features": outputs}
    params = {"0.weight": rng.normal(size=(outputs, 2)), "0.bias": rng.normal(size=outputs)}
    x, t = rng.normal(size=(5, 2)), rng.normal(size=(5, outputs))
    return Case((layer,), {"type": "MSELoss"}, params, x, t)


def test_every_adapter_has_its_column_and_every_expected_failure_an_engine():
    spec = importlib.util.spec_from_file_location("table", ENGINES / "table.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    adapters = {path.name.removesuffix("_engine.py") for path in ENGINES.glob("*_engine.py")}
    assert adapters == set(table.IN_PYTHON)
    for path in (ENGINES / "expected").iterdir():
        assert path.stem in table.ENGINES
        assert read(path)
