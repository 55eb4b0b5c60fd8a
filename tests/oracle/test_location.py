"""The location of an error follows from the quantities that were compared, and from no others."""

from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest
from oracle.drawn import drawn_case
from rotation import profile

from manualnn.oracle.bugs import BUGS
from manualnn.oracle.diagnosis.isolate import part_of
from manualnn.oracle.diagnosis.location import locate
from manualnn.oracle.diagnosis.observation import Observation, observe
from manualnn.oracle.engines.client import connect
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.compare import group_of

GROUPS = ("outputs", "loss", "grads", "input_grad", "state", "params")
REFUTED_BY = {
    "so the forward pass is": {"outputs"},
    "only the value of the loss is wrong": {"outputs", "grads", "input_grad"},
    "the error is probably in the value of the loss": {"grads", "input_grad"},
    "the value of the loss is wrong": {"outputs"},
    "outputs are wrong only as they are returned": {"loss", "grads", "input_grad"},
    "passes back the right gradient": {"outputs", "loss", "input_grad"},
    "the error is in the update": {"outputs", "loss", "grads", "input_grad"},
}
"""The groups of which none may be wrong, by the statement about the location."""
ONLY_FOR = {
    "the forward pass is wrong already": {"activations", "backward", "losses", "precision"},
    "the error is in the update": {"optimizers", "precision", "backward"},
    "the error is in the weight alone;": {"backward", "precision"},
    "the error is in the bias alone;": {"backward", "precision"},
}
"""The kinds of bugs that a statement may be about."""


def cut(seen, returned):
    """Return the observation of an engine that returns these groups only."""
    result = {name: a for name, a in seen.outcomes[-1].result.items() if name in returned}
    return Observation(seen.calls, (replace(seen.outcomes[-1], result=result),), seen.truths)


def observations(step):
    """Yield catalogue bugs with observations of single calls that show them."""
    rng = np.random.default_rng(5)
    cases = [drawn_case(rng) for _ in range(40)]
    bugs = [bug for bug in BUGS.values() if bug.kind != "memory"]
    for bug in bugs[:: 1 if profile() == "nightly" else step]:
        with connect(bug.engines[0]) as bench:
            seen = (observe(bench, [case]) for case in cases)
            shown = (s for s in seen if s is not None and s.is_wrong and s.case.steps == 1)
            yield bug, [*islice(shown, 2)]


def test_a_location_is_refuted_by_no_quantity_that_the_engine_does_not_return():
    rng, statements = np.random.default_rng(6), 0
    for bug, shown in observations(step=24):
        for seen in shown:
            wrong = {group_of(name) for name in seen.wrong_names}
            for _ in range(6):
                returned = {g for g in GROUPS if rng.random() < 0.6}
                part = cut(seen, returned)
                if not part.is_wrong:
                    continue
                place = locate(part)[1] + ";"
                for statement, groups in REFUTED_BY.items():
                    assert statement not in place or not wrong & groups, (bug.id, place, wrong)
                for statement, kinds in ONLY_FOR.items():
                    assert statement not in place or bug.kind in kinds, (bug.id, place, wrong)
                statements += 1
    assert statements > 50


@pytest.mark.parametrize(
    ("returned", "advice"),
    [
        (("loss", "grads"), "the error is in the forward pass or in the loss: return outputs"),
        (("grads",), "in the forward pass, in the gradient of the loss"),
        (("params",), "the error is in a gradient or in the update of SGD: return grads"),
    ],
)
def test_an_engine_that_returns_little_is_told_what_to_return(returned, advice):
    rng = np.random.default_rng(7)
    cases = (drawn_case(rng, optimizer="SGD", loss="MSELoss", dtype="float64") for _ in count())
    first = next(case for case in cases if case.params)
    first = first.but(steps=1).map(lambda name, a: a / 100 if name == "x" else a)
    with connect(Textbook) as bench:
        seen = observe(bench, [first])
    right = seen.outcomes[-1].result
    shifted = {"loss": right["loss"] + 1}
    for group in ("grads", "params"):
        shifted |= {group: {key: a + 1 for key, a in right[group].items()}}
    seen = Observation(seen.calls, (Outcome(result=shifted),), seen.truths)
    assert advice in locate(cut(seen, returned))[1]


def test_an_engine_that_returns_outputs_is_not_told_to_return_them():
    """Outputs of 0 are right whatever the layers below give, so they prove nothing."""
    case = drawn_case(np.random.default_rng(8), optimizer="SGD", loss="MSELoss", dtype="float64")
    layers = (
        {"type": "Linear", "in_features": 1, "out_features": 1, "bias": True},
        {"type": "Tanh"},
    )
    params = {"0.weight": np.zeros((1, 1)), "0.bias": np.zeros(1)}
    one = {"x": np.ones((1, 1)), "t": np.ones((1, 1)), "steps": 1, "state": None, "noise": None}
    with connect(Textbook) as bench:
        seen = observe(bench, [case.but(layers=layers, params=params, **one)])
    result = dict(seen.outcomes[-1].result)
    result["grads"] = {key: 2 * a for key, a in result["grads"].items()}
    wrong = Observation(seen.calls, (Outcome(result=result),), seen.truths)
    place = locate(cut(wrong, {"outputs", "loss", "grads"}))[1]
    assert "in the gradient of the loss or of Tanh" in place
    assert "return outputs" not in place


def test_a_layer_whose_input_overflows_in_the_data_type_is_no_case_of_its_own():
    one = {"type": "Linear", "in_features": 1, "out_features": 1, "bias": False}
    weights = {f"{i}.weight": np.array([[1e30]], np.float32) for i in range(2)}
    x = np.array([[1e30]], np.float32)
    case = Case((one, one), {"type": "MSELoss"}, weights, x, x, dtype="float32")
    assert part_of(case, 1, 2) is None
