"""The page's engine gives the numbers and formulas of `explain`, which Python computes."""

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import Case, cases
from hypothesis import assume, given
from hypothesis import strategies as st

from manualnn.errors import SpecError
from manualnn.explain import explain

pytestmark = pytest.mark.once

EPOCHS = 3
small_cases = cases(
    dtypes=st.just(np.dtype(np.float64)),
    sizes=st.integers(1, 3),
    widths=st.integers(1, 3),
    depth=st.integers(1, 3),
)


class Engine:
    """The page's engine in one process of Node."""

    def __init__(self) -> None:
        command = [shutil.which("node") or "node", Path(__file__).with_name("quantities.mjs")]
        self.process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def engine():
    engine = Engine()
    yield engine
    engine.process.communicate()


def explanation_of(case: Case, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the explanation of a case as JSON, and its run."""
    noise = {} if case.noise_seed is None else case.net.sample(case.noise_seed, case.x)
    try:
        found = explain(
            *(case.net, case.params, case.x, case.t),
            loss=case.loss,
            rule=case.rule,
            dropout_seed=case.noise_seed,
            epochs=EPOCHS,
            **options,
        ).to_dict()
    except SpecError:  # the loss is not finite
        assume(False)
    run = {**found["spec"], "masks": {key: mask.tolist() for key, mask in noise.items()}}
    return found, run


def same(got: Any, expected: Any) -> bool:
    got, expected = float(got), float(expected)
    return got == expected or (math.isnan(got) and math.isnan(expected))


def listed(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the quantities of an explanation whose names are unique."""
    layers = found["layers"]
    t = found["targets"] if isinstance(found["spec"]["t"][0], list) else []
    return [
        *(found["inputs"] + t),
        *(q for layer in layers for part in ("outputs", "carried") for q in layer[part]),
        *(found["loss"]["terms"] + found["loss"]["slopes"] + [found["loss"]["total"]]),
    ]


@given(case=small_cases, decimals=st.sampled_from([None, None, 0, 2, 4, 15]))
def test_every_number_and_formula_is_the_one_of_python(engine, case, decimals):
    found, run = explanation_of(case, decimals=decimals)
    gradient = found["backward"] if decimals is None else None
    got = engine.ask(run=run, decimals=decimals, gradient=gradient, epochs=EPOCHS)

    def compare(q: dict[str, Any], ours: dict[str, Any]) -> None:
        place = q["symbol"], q["value"], ours
        assert same(ours["value"], q["value"]), place
        if q["formula"] != ours["formula"]: print(q["symbol"], q["formula"], ours["formula"])

    for q in listed(found):
        compare(q, got["quantities"][q["symbol"]])
    for layer in found["layers"]:
        for q in layer["derivatives"]:
            compare(q, got["derivatives"][q["symbol"]])
    for expected in found["gradients"]:
        ours = got["gradients"][expected["parameter"]["symbol"]]
        compare(expected["updated"], ours["updated"])
        for q in expected["state"]:
            compare(q, ours["state"][q["symbol"]])
        if decimals is not None:
            compare(expected["backward"], ours["backward"])
        assert ours["count"] == expected["path_count"]
        assert same(ours["sum"], expected["path_sum"]["value"])
        for path, theirs in zip(ours["paths"], expected["paths"], strict=True):
            assert same(path["product"], theirs["product"]["value"])
            for f, q in zip(path["factors"], theirs["factors"], strict=True):
                assert f["name"] == q["symbol"]
                assert same(f["value"], q["value"])
    if decimals is not None:
        for one, q in zip(got["errors"], found["errors"], strict=True):
            assert same(one, q["value"])
