"""Every number of a training step, compared with torch within bounds derived from its size."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from cases import KEEPS_WIDTH, Case, cases
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rotation import profile
from twin.judge import BLUNT, BLUNT_AT_THE_END, Judge, apart, oracle_case

import reference.layers
import reference.losses
import reference.optimizers
from manualnn import LAYERS, LOSSES, MATRIX_RULES, OPTIMIZERS, Parameters, Trainer
from manualnn.oracle.protocol import features as options
from manualnn.oracle.truth.layers import layer_truth
from manualnn.oracle.truth.losses import loss_truth
from manualnn.oracle.truth.step import Expected, truth
from reference import Twin

PART = 2 if profile() == "nightly" else 4
"""A test of one feature draws so much fewer cases than a test of all."""
SMALL = {
    "depth": st.integers(1, 2),
    "widths": st.integers(1, 7),
    "sizes": st.sampled_from([1, 2, 3, 7, 9]),
    "steps": st.sampled_from([1, 2, 5]),
}
PARTNERS = {
    "layer_names": tuple(n for n in KEEPS_WIDTH if options.LAYER_ROWS[n].is_partner),
    "loss_names": options.names_with("losses", "is_partner"),
    "rule_names": options.names_with("optimizers", "is_partner"),
}
"""What a test of one feature has beside it: none of these has wide bounds of its own."""
FLOAT32_INSIDE = {rule: {np.dtype(np.float64): 1e-7} for rule in ("NAdam", "ASGD")}
"""Rules of which torch keeps numbers in float32, which the bounds allow."""


def agree_in_every_step(case: Case, judge: Judge) -> None:
    """Both sides do each step from the same point, so that no error outlives its step."""
    params = case.params.copy()
    state = case.rule.init(params)
    for i in range(case.steps):
        noise = case.noise(i)
        expected = truth(oracle_case(case, params=params, state=state, noise=noise))
        judge.note_jumps(expected)
        if not np.isfinite(expected.outputs.e).all():  # something overflows
            return

        twin = Twin(case.spec(), params.state_dict(), noise=noise, optimizer_state=state)
        theirs = twin.step(case.x, case.t)
        outputs = case.net.forward(params, case.x, noise=noise)
        value, grads, dx = case.net.value_and_grad(
            params, case.loss, case.x, case.t, noise=noise, input_grad=True
        )
        judge.agree("outputs", expected.outputs, engine=outputs, torch=theirs.outputs)
        judge.agree("loss", expected.loss, engine=value, torch=theirs.loss)
        judge.agree_all(expected.grads, engine=grads, torch=theirs.grads)
        judge.agree("input gradient", expected.input_grad, engine=dx, torch=theirs.input_grad)

        if not len(params):
            return
        if noise is not None:
            case.net.track(params, case.x, noise=noise)
        case.rule.update(params, grads, state)
        agree_after(judge, expected, params, state, twin)
        if not np.isfinite(params.vector).all():
            return


def agree_at_the_end(case: Case, judge: Judge) -> None:
    """Both sides go their own way from the first step to the last, and so do the bounds."""
    expected = truth(oracle_case(case, steps=case.steps, noise={}))
    # Without a bound the sides may part, torch to NaN: its centered RMSprop has such roots.
    assume(all(near.bounded.all() for near in (expected.loss, *expected.params.values())))
    trainer = Trainer.from_spec(case.spec(), params=case.params)
    twin = Twin(case.spec(), case.params.state_dict(), noise={})
    for _ in range(case.steps):
        trainer.step(case.x, case.t)
        twin.step(case.x, case.t)
    judge.note_jumps(expected)
    agree_after(judge, expected, trainer.params, trainer.state, twin)


def agree_after(
    judge: Judge, expected: Expected, params: Parameters, state: dict[str, Any], twin: Twin
) -> None:
    """Both sides come to the parameters and the state that are expected."""
    theirs = twin.optimizer_state()
    assert state["step"] == theirs["step"] == expected.steps
    ours, theirs = apart(params, state), apart(params, theirs)
    for name, arrays in expected.state.items():
        judge.agree_all(arrays, engine=ours[name], torch=theirs[name])
    judge.agree_all(expected.params, engine={**params, **params.buffers}, torch=twin.state_dict())


def hold(
    check: Callable[[Case, Judge], None],
    drawn: st.SearchStrategy[Case],
    *,
    share: int = 1,
    blunt: Mapping[np.dtype[Any], float] = BLUNT,
) -> None:
    """Run the check on drawn cases, 1/share of the profile's number, and require sharp bounds."""
    judge = Judge()

    @settings(max_examples=max(12, settings.default.max_examples // share))
    @given(drawn)
    def holds(case: Case) -> None:
        of_case = Judge()
        check(case, of_case)
        judge.add(of_case)

    holds()
    print(judge)  # noqa: T201 - pytest -s or -rP shows it
    judge.require_worth(blunt)


def hold_for_a_feature(blunt: Mapping[np.dtype[Any], float] = BLUNT, **chosen: Any) -> None:
    """Compare the steps of small cases that have the chosen feature."""
    known: dict[str, Any] = {**SMALL, **PARTNERS, **chosen}
    hold(agree_in_every_step, cases(**known), share=PART, blunt=blunt)


def test_every_step_agrees_with_torch() -> None:
    hold(agree_in_every_step, cases())


@pytest.mark.parametrize("name", KEEPS_WIDTH)
def test_every_step_through_a_layer_agrees_with_torch(name: str) -> None:
    # The gradients of a normalization of one or two numbers cancel, whatever the formula.
    wide = {"widths": st.just(6), "sizes": st.just(6)} if name.endswith("Norm") else {}
    hold_for_a_feature(layer_names=(name,), **wide)


@pytest.mark.parametrize("name", LOSSES)
def test_every_step_down_a_loss_agrees_with_torch(name: str) -> None:
    hold_for_a_feature(loss_names=(name,))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_step_by_a_rule_agrees_with_torch(name: str) -> None:
    hold_for_a_feature(BLUNT | FLOAT32_INSIDE.get(name, {}), rule_names=(name,))


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_every_step_with_penalties_and_clipping_agrees_with_torch(name: str) -> None:
    around = {
        "l1": st.sampled_from([0.0, 0.1]),
        "l2": st.sampled_from([0.0, 0.3]),
        "clip_value": st.sampled_from([None, 0.05, 1.0]),
        "max_norm": st.sampled_from([None, 0.1, 5.0]),
    }
    hold_for_a_feature(rule_names=(name,), options=around)


def test_whole_trajectories_agree_with_torch() -> None:
    drawn = cases(
        **{**SMALL, "steps": st.sampled_from([2, 5, 20])},
        styles=("normal",),
        options={"lr": st.sampled_from([0.02, 1e-3])},
    )
    without_noise = drawn.filter(
        lambda case: (
            not case.net.sample(0, case.x)
            and not any(a.refuses(len(case.x), is_training=True) for a in case.net.layers)
        )
    )
    hold(agree_at_the_end, without_noise, blunt=BLUNT_AT_THE_END)


def test_the_twin_and_the_oracle_know_every_layer_loss_and_rule() -> None:
    for tables in (
        (LAYERS, reference.layers.LAYERS, options.LAYERS),
        (LOSSES, reference.losses.LOSSES, options.LOSSES),
        (
            OPTIMIZERS | MATRIX_RULES,
            reference.optimizers.OPTIMIZERS | reference.optimizers.MATRIX_RULES,
            options.OPTIMIZERS,
        ),
    ):
        assert all(table.keys() == tables[0].keys() for table in tables)
    assert all(map(layer_truth, LAYERS))
    assert all(map(loss_truth, LOSSES))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_options_of_a_rule_and_their_defaults_are_torchs(name: str) -> None:
    """torch has more options, for its own speed alone."""
    torchs = inspect.signature(reference.optimizers.OPTIMIZERS[name]).parameters
    rows = options.OPTIMIZER_ROWS[name].options
    ours = {option: row.default for option, row in rows.items() if row.is_in_any}
    assert ours == {option: torchs[option].default for option in ours}
    for_speed = {"foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay"}
    assert torchs.keys() - ours.keys() - {"params"} <= for_speed
