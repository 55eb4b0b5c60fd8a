"""Every check finds the bug that it is about, and finds nothing in a correct engine."""
# ruff: noqa: ARG001, ARG005 - a function that changes a result gets the case even if unused

from itertools import islice

import numpy as np
import pytest

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.checks import memory as sharing
from manualnn.oracle.checks.ledger import Ledger
from manualnn.oracle.checks.table import JUDGEMENTS, rejudge
from manualnn.oracle.diagnosis.observation import observe
from manualnn.oracle.engines.client import connect
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.compare import compare
from manualnn.oracle.truth.step import truth


def changed(change, **claims):
    """Return an engine that changes the results of Textbook."""

    class Changed(Textbook):
        def capabilities(self):
            return {**super().capabilities(), **claims}

        def step(self, case):
            return change(case, dict(super().step(case)))

    return Changed


def grads(change):
    return changed(
        lambda case, r: {**r, "grads": {k: change(case, k, g) for k, g in r["grads"].items()}}
    )


def findings(engine, judgement, examples=40, *, corners=True, most=None):
    """Return the findings of a judgement on cases of all its recipes, corners first.

    `most`: stop after so many.
    """
    with connect(engine) as bench:
        drawn = drawn_cases(bench.capabilities, judgement, examples, corners=corners)
        found = (rejudge(bench, f"{recipe}:{judgement}", case) for recipe, case in drawn)
        return list(islice(filter(None, found), most))


def drawn_cases(claims, judgement, examples, *, corners):
    """Yield cases of all recipes of a judgement, with the recipe's name."""
    for recipe in recipes_for(claims):
        if judgement in recipe.judgements and recipe.name.count(".") < 2:
            for i in range(examples):
                rng = np.random.default_rng([i, 3])
                case = recipe.draw(rng, claims, Size(), corner=i if corners else None)
                if case is not None:
                    yield recipe.name, case


class Counts(Textbook):
    """The second result for the same case differs from the first."""

    calls = 0

    def step(self, case):
        self.calls += 1
        result = dict(super().step(case))
        return {**result, "loss": result["loss"] * self.calls}


class Remembers(Textbook):
    """A batch smaller than the one before is divided by the size of that one."""

    last = 0

    def step(self, case):
        result = dict(super().step(case))
        share = case.n / max(case.n, self.last)
        self.last = case.n
        return {**result, "grads": {k: g * share for k, g in result["grads"].items()}}


class Shares(Textbook):
    """Two engines share their memory of earlier calls."""

    seen: list = []  # noqa: RUF012 - that is the bug

    def step(self, case):
        result = dict(super().step(case))
        strange = bool(self.seen) and self.seen[0] is not self
        self.seen[:] = [self]
        return {**result, "loss": result["loss"] + strange}


class Writes(Textbook):
    def step(self, case):
        result = super().step(case)
        case.x[...] = 0
        return result


class Reuses(Textbook):
    buffers: dict

    def step(self, case):
        result = dict(super().step(case))
        self.__dict__.setdefault("kept", {})
        out = self.kept.setdefault(result["outputs"].shape, result["outputs"])
        out[...] = result["outputs"]
        return {**result, "outputs": out}


class NeedsC(Textbook):
    def step(self, case):
        if not case.x.flags.c_contiguous:
            raise ValueError("not contiguous")
        return super().step(case)


def last_sample_only(case, key, g):
    return g * 1.5 if case.n > 3 else g


def first_unit(case, key, g):
    g = np.array(g)
    g[:1] *= 1.001
    return g


def made_finite(value):
    """Replace NaN by 0 and infinity by the largest number, in all arrays of a result."""
    if isinstance(value, dict):
        return {key: made_finite(entry) for key, entry in value.items()}
    return np.nan_to_num(value)


BUGGY = {
    "outputs": changed(lambda case, r: {**r, "outputs": r["outputs"] + 1}),
    "loss": changed(lambda case, r: {**r, "loss": r["loss"] * 2}),
    "grads": grads(first_unit),
    "input_grad": changed(lambda case, r: {**r, "input_grad": -r["input_grad"]}),
    "state": changed(
        lambda case, r: {**r, "state": {**r["state"], "step": 0}} if "state" in r else r
    ),
    "params": changed(lambda case, r: {**r, "params": case.params} if case.optimizer else r),
    "exact": changed(
        lambda case, r: {**r, "outputs": r["outputs"] * (1 + np.finfo(case.dtype).eps)}
    ),
    "overflow": changed(lambda case, r: {name: made_finite(v) for name, v in r.items()}),
    "finite": changed(lambda case, r: {**r, "loss": np.float64("nan")}),
    "batch.permutation": changed(lambda case, r: {**r, "loss": r["loss"] + case.x[0, 0]}),
    "units.permutation": grads(first_unit),
    "batch.shards": grads(last_sample_only),
    "batch.duplicated": grads(last_sample_only),
    "bias.ones_column": grads(lambda case, key, g: g / 2 if key.endswith("bias") else g),
    "lr.zero": changed(
        lambda case, r: (
            {**r, "params": {k: p * 0.99 for k, p in r["params"].items()}} if case.optimizer else r
        )
    ),
    "update.own_gradient": changed(
        lambda case, r: (
            {**r, "params": {k: p * 0.99 for k, p in r["params"].items()}} if case.optimizer else r
        )
    ),
    "logits.sum_zero": grads(first_unit),
    "scale.power_of_two": grads(lambda case, key, g: g + g.dtype.type(1e-3)),
    "units.dead": grads(lambda case, key, g: g + g.dtype.type(1e-9)),
    "numerical": grads(lambda case, key, g: g * 2),
    "paths": grads(first_unit),
    "repeat": Counts,
    "history": Remembers,
    "interleaved": Shares,
    "trajectory": changed(
        lambda case, r: (
            {**r, "params": {k: p * 1.0001 for k, p in r["params"].items()}}
            if case.optimizer and (case.state or {}).get("step", 0) + case.steps > 4
            else r
        )
    ),
    "memory.inputs": Writes,
    "memory.aliasing": Reuses,
    "memory.dtypes": changed(
        lambda case, r: {
            **r,
            "outputs": r["outputs"].astype("float64" if case.dtype == "float32" else "float32"),
        }
    ),
    "memory.layouts": NeedsC,
}


def test_every_judgement_has_a_bug_to_find():
    assert BUGGY.keys() == JUDGEMENTS.keys()


@pytest.mark.parametrize("judgement", BUGGY)
def test_a_judgement_finds_the_bug_that_it_is_about(judgement):
    found = findings(BUGGY[judgement], judgement, 12, most=3)
    assert found
    assert all(finding.calls and finding.message for finding in found)


@pytest.mark.parametrize("quantity", ["loss", "grads", "input_grad", "state", "params"])
def test_one_unit_in_the_last_place_is_found_where_nothing_rounds(quantity):
    def off(value):
        if isinstance(value, dict):
            return {k: v if k == "step" else off(v) for k, v in value.items()}
        return value * (1 + np.finfo(value.dtype).eps)

    engine = changed(
        lambda case, r: (
            {**r, quantity: off(np.asarray(r[quantity]) if quantity == "loss" else r[quantity])}
            if quantity in r
            else r
        )
    )
    found = findings(engine, "exact", 12, most=9)
    assert found
    assert {f.entries[0].quantity.partition(".")[0] for f in found} == {quantity}


def test_an_error_in_place_of_infinity_is_accepted():
    """Python raises OverflowError for the square of a large float."""

    def refuse(case, result):
        if not np.isfinite(result["loss"]):
            raise OverflowError("Numerical result out of range")
        return result

    assert not findings(changed(refuse), "overflow", 12)


@pytest.mark.parametrize("judgement", JUDGEMENTS)
def test_a_judgement_finds_nothing_in_a_correct_engine(judgement):
    assert not findings(Textbook, judgement, 4)


def small(**changes):
    rng = np.random.default_rng(3)
    case = Case(
        layers=({"type": "Linear", "in_features": 2, "out_features": 3},),
        loss={"type": "MSELoss"},
        optimizer={"type": "SGD", "lr": 0.5},
        params={"0.weight": rng.normal(size=(3, 2)), "0.bias": rng.normal(size=3)},
        x=rng.normal(size=(4, 2)),
        t=rng.normal(size=(4, 3)),
    )
    return case.but(**changes)


def test_a_quantity_is_judged_by_itself_where_earlier_ones_are_wrong():
    """Gradients do not follow from the loss, and updates are judged by the engine's gradients."""
    wrong = changed(
        lambda case, r: {
            **r,
            "loss": r["loss"] * 2,
            "grads": {k: g * 2 for k, g in r["grads"].items()},
            "params": {k: p - case.params[k] / 8 for k, p in r["params"].items()},
        }
    )
    with connect(wrong) as bench:
        loss, grads, params = (
            rejudge(bench, f"plain:{name}", small()) for name in ("loss", "grads", "params")
        )
        assert [entry.quantity for entry in loss.entries][:2] == ["loss", "grads.0.weight"]
        assert "outputs" in loss.right
        assert grads.entries[0].quantity == "grads.0.weight"
        assert params.entries[0].quantity == "params.0.weight"
        got, case = params.entries[0], small()
        g = (
            2
            * (2 / 12)
            * ((case.x @ case.params["0.weight"].T + case.params["0.bias"] - case.t).T @ case.x)[
                0, 0
            ]
        )
        assert got.expected == pytest.approx(case.params["0.weight"][0, 0] - 0.5 * g)
        assert rejudge(bench, "plain:outputs", small()) is None


@pytest.mark.parametrize("steps", [1, 3])
def test_an_update_that_follows_from_wrong_gradients_is_right(steps):
    class Doubled(Textbook):
        def linear_db(self, o, dz):
            return 2 * super().linear_db(o, dz)

    momentum = {"type": "SGD", "lr": 0.5, "momentum": 0.5}
    with connect(Doubled) as bench:
        case = small(optimizer=momentum, steps=steps)
        assert rejudge(bench, "plain:params", case) is None
        assert rejudge(bench, "plain:state", case) is None


def test_entries_count_what_is_wrong():
    def corner(case, key, g):
        g = np.array(g)
        g[-1] *= 1 + 1e-9
        return g

    with connect(grads(corner)) as bench:
        (weight, bias) = rejudge(bench, "plain:grads", small()).entries
    assert (weight.quantity, weight.index, weight.wrong, weight.size) == (
        "grads.0.weight",
        (2, 0),
        2,
        6,
    )
    assert (bias.index, bias.wrong, bias.size) == ((2,), 1, 3)
    assert abs(weight.got / weight.expected - 1) == pytest.approx(1e-9, rel=1e-3)
    assert 0 < weight.bound < 1e-13


def test_nan_is_not_equal_to_anything():
    v, e = {"loss": np.zeros(())}, {"loss": np.ones(())}
    entries, right = compare({"loss": np.float64("nan")}, v, e)
    assert entries
    assert not right
    assert compare({"loss": np.float64("inf")}, v, e)[0]
    assert compare({"loss": np.float64(1)}, v, e) == ((), ("loss",))


def test_what_has_no_bound_is_not_compared_but_counted():
    x = np.full((4, 2), 1e200)
    with connect(Textbook) as bench:
        assert rejudge(bench, "plain:loss", small(x=x)) is None
    expected = truth(small(x=x))
    assert not np.isfinite(expected.loss.e)


def test_a_loss_near_the_end_of_the_range_is_judged_as_any_other():
    """The judge and the diagnosis both find a loss of 1e307 that is 50 % too large."""
    too_large = changed(lambda case, r: {**r, "loss": r["loss"] * 1.5})
    case = small(x=np.full((4, 2), 6e153))
    assert 1e306 < truth(case).loss.v < 1e308
    with connect(too_large) as bench:
        assert observe(bench, [case]).is_wrong
        finding = rejudge(bench, "plain:loss", case)
    assert finding.entries[0].quantity == "loss"


def test_the_median_of_the_sharpness_is_that_of_the_numbers():
    ledger = Ledger()
    v = np.ones(101)
    e = np.logspace(-14, -4, 101)
    ledger.note("float64", v, e)
    assert ledger.sharpness()["float64"] == pytest.approx(np.median(e), rel=2 ** (1 / 8) - 1)
    assert ledger.entries == 101


def test_plain_recipes_have_a_median_of_their_own():
    ledger = Ledger()
    ledger.note("float32", np.ones(3), np.full(3, 1e-6), plain=True)
    ledger.note("float32", np.ones(9), np.full(9, 1e-2))
    assert ledger.sharpness(plain=True)["float32"] == pytest.approx(1e-6, rel=0.1)
    assert ledger.sharpness()["float32"] == pytest.approx(1e-2, rel=0.1)


@pytest.mark.parametrize("fault", ["error", "malformed"])
def test_a_fault_is_a_finding_of_its_kind(fault):
    def fails(case, r):
        if fault == "error":
            raise RuntimeError("no such thing")
        return {**r, "loss": np.zeros(3)}

    with connect(changed(fails)) as bench:
        finding = rejudge(bench, "plain:outputs", small())
    assert finding.kind == fault
    assert finding.message


@pytest.mark.parametrize("layout", sharing.LAYOUTS)
def test_a_layout_keeps_the_numbers_and_is_what_it_says(layout):
    a = np.arange(12.0).reshape(4, 3)
    laid = sharing.LAYOUTS[layout]("x", a)
    expected = np.broadcast_to(a[:1], a.shape) if layout == "broadcast" else a
    np.testing.assert_array_equal(laid, expected)
    for other in (a, a[0], a[:, :1].copy(), np.asfortranarray(a)):
        if layout != "broadcast":
            assert not np.shares_memory(sharing.LAYOUTS[layout]("x", other), other)
    flags = laid.flags
    seen = {
        "in Fortran order": flags.f_contiguous and not flags.c_contiguous,
        "strided": laid.strides[-1] == 16,
        "of negative strides": laid.strides[0] < 0,
        "read-only": not flags.writeable,
        "unaligned": not flags.aligned,
        "broadcast": laid.strides[0] == 0,
    }
    assert seen[layout]


class SteepAtZero(Textbook):
    """ReLU has the slope 1 at 0, an input that ordinary numbers never have."""

    def relu_slope(self, _, z, __):
        return np.asarray(z >= 0, self.kind)


def test_a_slope_at_a_kink_is_decided_where_nothing_rounds():
    assert not findings(SteepAtZero, "grads", 12, corners=False)
    assert findings(SteepAtZero, "exact", 60, most=1)


def test_what_is_infinite_is_not_finite():
    infinite = changed(lambda case, r: {**r, "loss": np.float64("inf")})
    assert findings(infinite, "finite", examples=3, most=1)


def test_a_slope_at_a_kink_is_decided_where_no_sum_rounds():
    """z = 1 − 1 is exactly 0, so a slope of 1 there is wrong; elsewhere a sum may round."""

    class SlopeAtZero(Textbook):
        def relu_slope(self, _o, z, _a):
            return np.where(z >= 0, z.dtype.type(1), z.dtype.type(0))

    linear = {"type": "Linear", "in_features": 2, "out_features": 2, "bias": False}
    weight, x, t = np.array([[1.0, -1.0]] * 2), np.ones((1, 2)), np.ones((1, 2))
    loss = {"type": "MSELoss", "reduction": "sum"}
    case = Case((linear, {"type": "ReLU"}), loss, {"0.weight": weight}, x, t)
    for engine, is_wrong in ((SlopeAtZero, True), (Textbook, False)):
        with connect(engine) as bench:
            assert bool(rejudge(bench, "kinks:exact", case)) == is_wrong
