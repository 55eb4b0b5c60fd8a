"""Engines in this process: loading, calling, copies of cases, and validation of results."""

import contextlib
import functools
import operator
import re
import signal
import time
import warnings

import numpy as np
import pytest

from manualnn.oracle.engines.client import EngineError, connect
from manualnn.oracle.protocol.case import Case

X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
W = np.array([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]])
B = np.array([0.5, -0.5])
T = np.zeros((2, 2))
# y = x Wᵀ + b, L = Σ y², so ∂L/∂y = 2 y: whole numbers, from which the rest follows by hand.
Y = np.array([[-1.5, 3.5], [-1.5, 9.5]])
GW = np.array([[-15.0, -21.0, -27.0], [83.0, 109.0, 135.0]])
GB = np.array([-6.0, 26.0])
GX = np.array([[-3.0, 14.0, 3.0], [-3.0, 38.0, 3.0]])


def case(**changes):
    whole = Case(
        layers=({"type": "Linear", "in_features": 3, "out_features": 2},),
        loss={"type": "MSELoss", "reduction": "sum"},
        params={"0.weight": W.copy(), "0.bias": B.copy()},
        x=X.copy(),
        t=T.copy(),
        optimizer={"type": "SGD", "lr": 0.5, "momentum": 0.5},
        state={
            "step": 1,
            "momentum_buffer": {"0.weight": np.zeros((2, 3)), "0.bias": np.zeros(2)},
        },
    )
    return whole.but(**changes)


class Toy:
    """An engine for `case` alone; `spoil` changes a result before it is returned."""

    layout = "out,in"
    claims = {}  # noqa: RUF012 - subclasses replace it

    def capabilities(self):
        return {
            "layers": ["Linear"],
            "losses": {"MSELoss": "any"},
            "optimizers": {"SGD": "any"},
            "returns": ["loss", "grads", "params", "outputs", "input_grad", "state"],
            "accepts_state": True,
            "weight_layout": self.layout,
            **self.claims,
        }

    def step(self, case):
        w, b = case.params["0.weight"], case.params["0.bias"]
        wt = w.T if self.layout == "out,in" else w
        y = case.x @ wt + b
        dy = 2 * (y - case.t)
        dwt = case.x.T @ dy
        grads = {"0.weight": dwt.T if self.layout == "out,in" else dwt, "0.bias": dy.sum(axis=0)}
        old = case.state["momentum_buffer"]
        buffer = {key: 0.5 * old[key] + g for key, g in grads.items()}
        return self.spoil(
            {
                "loss": ((y - case.t) ** 2).sum(),
                "outputs": y,
                "grads": grads,
                "input_grad": dy @ wt.T,
                "params": {key: case.params[key] - 0.5 * buffer[key] for key in grads},
                "state": {"step": case.state["step"] + 1, "momentum_buffer": buffer},
            }
        )

    def spoil(self, result):
        return result


class Turned(Toy):
    layout = "in,out"


def toy(spoil, **claims):
    """Return a Toy class with another `spoil`."""
    return type("Spoilt", (Toy,), {"spoil": lambda _, result: spoil(result), "claims": claims})


def doing(do):
    """Return an engine whose step calls `do`, then answers correctly."""

    class Doing(Toy):
        def step(self, case):
            return do(case) or super().step(case)

    return Doing


def test_a_result_arrives_as_the_engine_computed_it():
    with connect(Toy) as bench:
        named = bench.run(case()).quantities()
    expected = {
        "outputs": Y,
        "loss": (Y**2).sum(),
        "grads.0.weight": GW,
        "grads.0.bias": GB,
        "input_grad": GX,
        "state.momentum_buffer.0.weight": GW,
        "state.momentum_buffer.0.bias": GB,
        "params.0.weight": W - GW / 2,
        "params.0.bias": B - GB / 2,
    }
    assert named.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(named[name], array, err_msg=name)


def test_a_bench_hides_the_layout_of_weights():
    with connect(Toy) as straight, connect(Turned) as turned:
        for ask in (lambda bench: bench.run(case()), lambda bench: bench.examine(case()).outcome):
            one, other = ask(straight).quantities(), ask(turned).quantities()
            assert one.keys() == other.keys()
            for name, array in one.items():
                assert other[name].shape == array.shape, name
                np.testing.assert_array_equal(other[name], array, err_msg=name)


def test_a_turned_engine_sees_weights_in_c_order():
    seen = []
    with connect(doing(lambda c: seen.append(c.params["0.weight"]))) as bench:
        bench.run(case(params={"0.weight": np.asfortranarray(W), "0.bias": B}))
        assert seen[0].flags.c_contiguous
    seen.clear()
    engine = type("Both", (doing(lambda c: seen.append(c.params["0.weight"])), Turned), {})
    with connect(engine) as bench:
        bench.run(case())
    assert seen[0].shape == (3, 2)
    assert seen[0].flags.c_contiguous
    assert seen[0].flags.writeable


def test_an_engine_may_take_apart_what_it_is_given():
    def ruin(given):
        for array in given.arrays().values():
            array.fill(7)
        given.params.clear()
        given.state.clear()
        given.layers[0].pop("type")
        given.loss.clear()
        given.optimizer.clear()
        return {"skipped": "all is ruined"}

    kept = case()
    with connect(doing(ruin)) as bench:
        assert bench.run(kept).skipped == "all is ruined"
    assert kept.to_json() == case().to_json()


def test_an_examination_sees_what_is_written_also_in_the_layout_of_the_engine():
    def write(given):
        given.x[1, 2] = 7
        given.params["0.weight"][...] *= 2

    for engine in (doing(write), type("Both", (doing(write), Turned), {})):
        kept = case()
        with connect(engine) as bench:
            written = bench.examine(kept).written
            assert bench.examine(kept, layout="read-only").outcome.fault == "error"
        assert written.keys() == {"x", "params.0.weight"}
        np.testing.assert_array_equal(written["params.0.weight"], 2 * W)
        assert (written["x"][1, 2], kept.x[1, 2]) == (7, 6)


def test_an_examination_sees_what_shares_memory_and_what_the_next_call_changes():
    buffer = np.zeros_like(Y)

    class Sharing(Toy):
        def step(self, case):
            result = super().step(case)
            buffer[...] = result["outputs"]
            return {**result, "outputs": buffer, "input_grad": case.x, "params": result["grads"]}

    with connect(Sharing) as bench:
        seen = bench.examine(case(), then=case(x=2 * X))
    assert seen.shared_inputs == (("input_grad", "x"),)
    assert set(seen.shared) == {(f"params.0.{key}", f"grads.0.{key}") for key in ("weight", "bias")}
    np.testing.assert_array_equal(seen.outcome.result["outputs"], Y)
    assert seen.changed.keys() == {"outputs"}
    np.testing.assert_array_equal(seen.changed["outputs"], 2 * X @ W.T + B)


def test_an_examination_sees_the_dtypes_of_what_has_one():
    class Torch:
        """An array whose dtype is no class of NumPy."""

        dtype = "torch.float64"

        def __array__(self, dtype=None, copy=None):
            return GX

    def loosen(result):
        return {
            **result,
            "loss": float(result["loss"]),
            "outputs": Y.astype("float32"),
            "input_grad": Torch(),
        }

    with connect(toy(loosen)) as bench:
        dtypes = bench.examine(case()).dtypes
    assert "loss" not in dtypes
    assert dtypes.pop("outputs") == "float32"
    assert set(dtypes.values()) == {"float64"}
    assert "input_grad" in dtypes


def fail(error):
    def step(_):
        raise error

    return step


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("no luck"), "ValueError: no luck"),
        (SystemExit(3), "SystemExit: 3"),
        (MemoryError(), "MemoryError"),
        (GeneratorExit(), "GeneratorExit"),
    ],
)
def test_an_exception_is_told_from_the_engine_s_own_line_on(error, message):
    with connect(doing(fail(error))) as bench:
        outcome = bench.run(case())
    assert outcome.fault == "error"
    assert outcome.message.endswith(message)
    assert "raise error" in outcome.message
    assert "inprocess.py" not in outcome.message


def test_a_keyboard_interrupt_is_the_user_s():
    with connect(doing(fail(KeyboardInterrupt()))) as bench, pytest.raises(KeyboardInterrupt):
        bench.run(case())


def test_warnings_of_an_engine_are_its_own_business():
    def warn(_):
        warnings.warn("beware", UserWarning, stacklevel=1)
        np.zeros(1) / np.zeros(1)

    with connect(doing(warn)) as bench:
        assert bench.run(case()).fault is None


def test_a_hang_ends_and_another_instance_takes_over():
    made = []

    class Sleepy(Toy):
        def __init__(self):
            made.append(self)

        def step(self, case):
            if len(made) == 1:
                with contextlib.suppress(Exception):  # does not save it
                    time.sleep(60)
            return super().step(case)

    begin = time.monotonic()
    with connect(Sleepy, time_limit=0.1) as bench:
        outcome = bench.run(case())
        assert outcome.fault == "hang"
        assert "no result within 0.1 s" in outcome.message
        assert "time.sleep(60)" in outcome.message
        assert bench.run(case()).fault is None
    assert time.monotonic() - begin < 10
    assert len(made) == 2


def test_somebody_else_s_alarm_still_rings():
    rung = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with connect(Toy) as bench:
            assert bench.run(case()).fault is None
            assert not rung
        time.sleep(0.3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert rung


class Counting(Toy):
    def __init__(self):
        self.calls = 0

    def step(self, _):
        self.calls += 1
        return {"skipped": str(self.calls)}


def test_a_fresh_instance_and_another_have_no_history():
    with connect(Counting) as bench:
        assert [bench.run(case()).skipped for _ in range(2)] == ["1", "2"]
        assert bench.another().run(case()).skipped == "1"
        assert bench.run(case()).skipped == "3"
        bench.fresh()
        assert bench.run(case()).skipped == "1"


def test_a_factory_makes_instances_and_an_instance_stays_itself():
    with connect(lambda: Counting()) as bench:  # noqa: PLW0108 - a factory that is not a class
        bench.run(case())
        bench.fresh()
        assert bench.run(case()).skipped == "1"
    with connect(Counting()) as bench:
        bench.run(case())
        bench.fresh()
        assert bench.run(case()).skipped == "2"


def without(name):
    return lambda result: {key: value for key, value in result.items() if key != name}


def instead(path, *value):
    """Return a function that replaces a value of a result, or removes it if none is given."""

    def spoil(result):
        *groups, last = path.split("/")
        place = functools.reduce(operator.getitem, groups, result)
        place.pop(last, None)
        place.update(zip([last], value, strict=False))
        return result

    return spoil


MALFORMED = {
    "no mapping": (lambda _: [1, 2], r"the result is \[1, 2\]; it has to be a mapping"),
    "nothing": (lambda _: None, "step returned None: is a return missing"),
    "no loss": (without("loss"), "the result lacks 'loss'"),
    "a name of its own": (instead("gradients", {}), "the result has 'gradients'; it may have loss"),
    "a list of losses": (instead("loss", [1.0, 2.0]), r"loss has shape \(2,\); .* have \(\)"),
    "a complex loss": (instead("loss", 1j), "loss is 1j, of dtype complex128"),
    "a loss in words": (instead("loss", "small"), "loss is 'small', of dtype"),
    "an object for a loss": (instead("loss", object()), "loss is <object .* of dtype object"),
    "ragged outputs": (
        instead("outputs", [[1.0], [1.0, 2.0]]),
        "outputs is not an array of numbers",
    ),
    "turned outputs": (instead("outputs", np.zeros((1, 4))), r"outputs has shape \(1, 4\); .*2, 2"),
    "flat inputs": (instead("input_grad", np.zeros(6)), r"input_grad has shape \(6,\)"),
    "gradients in a list": (instead("grads", [GW, GB]), "grads is .* a mapping from names"),
    "no bias": (instead("grads/0.bias"), "grads lacks '0.bias'; .* 0.weight, 0.bias"),
    "too much": (instead("grads/1.bias", GB), "grads has '1.bias'"),
    "a turned weight": (
        instead("grads/0.weight", GW.T),
        r"grads.0.weight has shape \(3, 2\); it has to have \(2, 3\)",
    ),
    "a bias per sample": (instead("params/0.bias", T), r"params.0.bias has shape \(2, 2\)"),
    "a bias as a row": (instead("params/0.bias", [B]), r"params.0.bias has shape \(1, 2\)"),
    "no buffer": (instead("state/momentum_buffer"), "state lacks 'momentum_buffer'"),
    "too many buffers": (instead("state/exp_avg", {}), "state has 'exp_avg'"),
    "half a step": (instead("state/step", 1.5), "state.step is 1.5"),
    "a state in a list": (instead("state", []), r"state is \[\]"),
}


@pytest.mark.parametrize(("spoil", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_result_is_told_by_name(spoil, message):
    with connect(toy(spoil)) as bench:
        outcome = bench.run(case())
    assert outcome.fault == "malformed"
    assert re.search(message, outcome.message), outcome.message


def test_lists_single_numbers_and_other_dtypes_are_numbers_as_well():
    def loosen(result):
        result = {**result, "loss": [[int(result["loss"])]], "outputs": Y.tolist()}
        return {**result, "input_grad": GX.astype(np.longdouble)}

    with connect(toy(loosen)) as bench:
        result = bench.run(case()).result
    assert result["loss"].shape == ()
    assert result["loss"] == 107  # of 1.5² + 3.5² + 1.5² + 9.5² = 107
    for name, array in (("outputs", Y), ("input_grad", GX)):
        assert result[name].dtype == np.float64
        np.testing.assert_array_equal(result[name], array)


def test_results_have_the_dtype_of_the_case():
    single = case(dtype="float32").map(lambda _, a: a.astype(np.float32))
    engine = toy(instead("loss", 1 + 2.0**-40), dtypes=["float32"])
    with connect(engine) as bench:
        named = bench.run(single).quantities()
    assert {array.dtype for array in named.values()} == {np.dtype(np.float32)}
    assert named["loss"] == 1


def test_nan_is_no_matter_of_form():
    with connect(toy(instead("loss", np.nan))) as bench:
        assert np.isnan(bench.run(case()).result["loss"])


def test_what_is_not_claimed_is_not_looked_at():
    spoil = instead("outputs", "whatever")
    with connect(toy(spoil, returns=["loss", "grads"])) as bench:
        assert set(bench.run(case()).result) == {"loss", "grads"}


def test_without_an_optimizer_neither_parameters_nor_state_are_asked_for():
    class Gradients(Toy):
        def step(self, given):
            whole = super().step(given.but(state=case().state))
            return {key: whole[key] for key in ("loss", "grads", "outputs", "input_grad")}

    with connect(Gradients) as bench:
        outcome = bench.run(case(optimizer=None, state=None))
    assert outcome.fault is None, outcome.message
    assert "params" not in outcome.result


@pytest.mark.parametrize("state", [{}, {"momentum_buffer": {}}])
def test_a_network_without_parameters_has_no_state_under_whichever_name(state):
    class Bare(Toy):
        def step(self, given):
            zero = np.zeros_like(given.x)
            result = {"loss": 0.0, "outputs": zero, "grads": {}, "input_grad": zero}
            return {**result, "params": {}, "state": state}

    with connect(Bare) as bench:
        outcome = bench.run(case(layers=(), params={}, state=None))
    assert outcome.fault is None, outcome.message


def test_an_empty_array_may_have_lost_its_shape():
    class Empty(Toy):
        def step(self, given):
            return {**super().step(given), "outputs": [], "input_grad": []}

    with connect(Empty) as bench:
        outcome = bench.run(case(x=np.zeros((0, 3)), t=np.zeros((0, 2))))
        assert outcome.result["outputs"].shape == (0, 2)
        assert outcome.result["input_grad"].shape == (0, 3)
        assert bench.run(case()).fault == "malformed"


def test_a_module_of_the_current_directory_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # restores sys.path afterwards
    (tmp_path / "mytoy_beside.py").write_text("LAYERS = ['Identity']\n")
    (tmp_path / "mytoy.py").write_text(
        "from types import SimpleNamespace\n"
        "from mytoy_beside import LAYERS\n"
        "class Engine:\n"
        "    def capabilities(self): return {'layers': LAYERS, 'losses': ['MSELoss']}\n"
        "    def step(self, case): return {'skipped': 'always'}\n"
        "inside = SimpleNamespace(one=Engine())\n"
    )
    for target in ("mytoy:Engine", "mytoy.py:Engine", "./mytoy.py:inside.one"):
        with connect(target) as bench:
            assert bench.target == target
            assert bench.run(case()).skipped == "always"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Engine", "No module named 'no_such_module'\nInstall no_such_module, or"),
        ("nowhere/engine.py:Engine", "there is no file nowhere/engine.py in "),
        ("nowhere/engine.py", "such as nowhere/engine.py:Engine"),
        ("json:Engine", "json has no 'Engine'; it has .*JSONDecoder"),
        ("json:JSONDecoder.scan", "json has no 'JSONDecoder.scan'"),
        ("json:JSONDecoder", "have no capabilities"),
        ("json:loads", "missing 1 required positional argument.*without arguments"),
        ("json:__name__", "json:__name__ is 'json', which is not an engine"),
        (toy(None, colour="red"), "Spoilt claims what cannot be understood: .*'colour'"),
        (toy(None, layers=7), "claims what cannot be understood"),
        (type("Sad", (Toy,), {"capabilities": fail(OSError("sad"))}), "OSError: sad"),
        (type("Stepless", (), {"capabilities": dict}), "have no step"),
    ],
)
def test_what_is_no_engine_is_refused_with_a_reason(target, message):
    with pytest.raises(EngineError) as caught:
        connect(target)
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)
    assert "inprocess.py" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [("1 / 0", "ZeroDivisionError"), ("raise SystemExit(2)", "SystemExit: 2"), ("(", "SyntaxErr")],
)
def test_a_file_that_cannot_be_imported_is_told(tmp_path, code, message):
    (tmp_path / "broken.py").write_text(code)
    with pytest.raises(EngineError, match="(?s)cannot be imported.*" + message):
        connect(f"{tmp_path}/broken.py:Engine")
