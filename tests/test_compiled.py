"""Compiled steps do what the recorded NumPy calls do, on any network, batch and rule.

The source code is run by Python on many random networks (see interpreted.py), and compiled by Numba
on a few.
"""

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples_of_layers import STILL, example
from hypothesis import given
from hypothesis import strategies as st
from interpreted import interpreted  # noqa: F401 - a fixture
from rotation import share
from toys import CLASSES, NET, RULES, T, X, trainer

from manualnn import (
    LAYERS,
    SGD,
    Adam,
    CrossEntropyLoss,
    DivergedError,
    Linear,
    MissingExtraError,
    Muon,
    Optimizer,
    ReLU,
    RMSNorm,
    RMSprop,
    Sequential,
    Sigmoid,
    Softmax,
    SpecError,
    Tanh,
    Trainer,
)
from manualnn.compiling import compiled
from manualnn.compiling.loops import EXPRESSIONS
from manualnn.engine import CompiledEngine
from manualnn.errors import NotFiniteError
from manualnn.oracle import check_engine
from manualnn.oracle.engines.client import connect
from manualnn.oracle.profiles import PROFILES
from manualnn.oracle.runner import checks_for

pytestmark = pytest.mark.once

Array = np.ndarray[Any, Any]
ARTICLE = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2))
SEVERAL = Sequential(Linear(3, 4), RMSNorm(4), ReLU(), Linear(4, 2), Softmax())


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MANUALNN_CACHE", str(tmp_path_factory.mktemp("compiled")))
        yield


def close(got: Array, wanted: Array, steps: int) -> None:
    """Sums of a few terms in another order, in each step, differ in the last digits."""
    eps = np.finfo(wanted.dtype).eps
    np.testing.assert_allclose(got, wanted, rtol=200 * steps * eps, atol=200 * steps * eps)


def same_training(net: Sequential, rule: Optimizer, x: Array, t: Array, loss: Any = None) -> None:
    """Steps on batches of two sizes give the same, compiled or not."""
    loss = loss or trainer().loss
    both = [Trainer(net, loss, rule, dtype=x.dtype, compile=c) for c in (False, True)]
    for part in (slice(0, 7), slice(0, 5), slice(9, 14), slice(14, 21)):
        plain, ours = (each.step(x[part], t[part]) for each in both)
        np.testing.assert_allclose(ours, plain, rtol=1e3 * np.finfo(x.dtype).eps)
    close(both[1].params.vector, both[0].params.vector, 4)
    assert both[1].state.keys() == both[0].state.keys()
    for name in rule.state_names():
        close(both[1].state[name], both[0].state[name], 4)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("kind", [name for name in LAYERS if name != "Linear"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_through_any_layer_is_that_of_numpy(kind: str, dtype: str) -> None:
    layer = example(kind, 4, **STILL.get(kind, {}))
    net = Sequential(Linear(3, 4), layer, Linear(layer.width(4), 2))
    same_training(net, SGD(lr=0.1), X.astype(dtype), T.astype(dtype))


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_step_of_any_rule_is_that_of_numpy_bit_for_bit(rule: Optimizer) -> None:
    """The entrywise operations are the same ones, in the same order."""
    net = Sequential(Linear(3, 1, bias=False))
    both = [Trainer(net, trainer().loss, rule, compile=c) for c in (False, True)]
    for i in range(7):  # one sample: its products are rounded in one way only
        for each in both:
            each.step(X[i, None], T[i, :1, None])
    assert np.array_equal(both[0].params.vector, both[1].params.vector)
    for name in rule.state_names():
        assert np.array_equal(both[0].state[name], both[1].state[name])


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("function", [*EXPRESSIONS, np.maximum.reduce, np.add.reduce])
def test_a_function_is_numpys_of_any_number(function: Any) -> None:
    """Also of infinities and NaN, which a training reports, and of both zeros."""
    a, b = np.meshgrid(SPECIAL, SPECIAL)
    out, wanted, copy_of = np.empty(a.shape), np.empty(a.shape), np.empty(a.shape)
    options = {"casting": "unsafe"} if function in COMPARISONS else {}
    if isinstance(function, np.ufunc):
        arguments = (a, b)[: function.nin]
        function(*arguments, out=wanted, **options)
        calls = [compiled.Call(function, (*arguments, out), options)]
    else:
        out, wanted = out[:, :1], np.empty((len(a), 1))
        options = {"axis": -1, "keepdims": True, "out": out}
        function(a, axis=-1, keepdims=True, out=wanted)
        calls = [compiled.Call(function, (a,), options)]
    calls.append(compiled.Call(np.positive, (a, copy_of)))
    (part,) = compiled.compile_step(calls, [out, copy_of])
    part()
    assert np.array_equal(out, wanted, equal_nan=True)


def test_a_large_update_that_overflows_in_one_block_is_taken_back_in_all() -> None:
    pytest.importorskip("numba")
    net = Sequential(Linear(100, 101))
    ours = Trainer(net, trainer().loss, SGD(lr=1.0, momentum=0.5), compile=True)
    for place in (0, 5000, -1):
        before = ours.params.copy()
        grads = ours._plans.grads  # noqa: SLF001 - no loss has such a gradient
        grads.vector[:] = 1.0
        grads.vector[place] = np.inf
        with pytest.raises(NotFiniteError):
            ours._update()  # noqa: SLF001
        assert np.array_equal(ours.params.vector, before.vector)


@pytest.mark.usefixtures("interpreted")
@given(st.data())
def test_calls_on_overlapping_memory_are_done_in_turn(data: st.DataObject) -> None:
    """Random entrywise calls on parts, rows, columns and transposes of two arrays."""
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n = data.draw(st.integers(1, 4))
    arrays = [rng.integers(-4, 5, (n, n)).astype(float) for _ in range(2)]
    copies = [a.copy() for a in arrays]
    picks = st.tuples(st.integers(0, 1), st.integers(0, len(VIEWS) - 1))
    functions = st.sampled_from([np.add, np.subtract, np.maximum, np.multiply])
    steps = data.draw(
        st.lists(st.tuples(functions, picks, picks, st.integers(0, 1)), min_size=2, max_size=8)
    )

    def calls(memory: list[Array]) -> list[compiled.Call]:
        return [
            compiled.Call(f, (VIEWS[v](memory[a]), VIEWS[w](memory[b]), memory[out]))
            for f, (a, v), (b, w), out in steps
        ]

    for call in calls(copies):
        np.copyto(call.args[2], call.function(*call.args[:2]))  # as if nothing overlapped
    for part in compiled.compile_step(calls(arrays), arrays):
        if isinstance(part, compiled.Call):
            np.copyto(part.args[2], part.function(*part.args[:2]))
        else:
            part()
    for got, wanted in zip(arrays, copies, strict=True):
        assert np.array_equal(got, wanted)


SPECIAL = [0.0, -0.0, 1.0, -2.0, 0.5, 1e300, -1e300, np.inf, -np.inf, np.nan]
COMPARISONS = {np.greater, np.greater_equal, np.less, np.less_equal}
VIEWS = [
    lambda a: a,
    lambda a: a.T,
    lambda a: a[:1],
    lambda a: a[:, :1],
    lambda a: a[-1],
    lambda a: a[0, :1],
    lambda a: a[:, -1:],
]


@pytest.mark.usefixtures("interpreted")
def test_compiled_steps_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged as anybody's engine is: by a truth of more digits and a bound of roundings."""
    few = replace(PROFILES["quick"], examples=1, explaining=0)
    monkeypatch.setitem(PROFILES, "quick", few)
    with connect(CompiledEngine(), in_process=True) as client:
        ids = [check for check, _ in checks_for(client.capabilities)]
    report = check_engine(CompiledEngine, profile="quick", only=share(ids, 24), in_process=True)
    assert not report.counts()["failed"], report
    assert report.counts()["passed"] > len(ids) / 48


# ---------------------------------------------------------------------- compiled by Numba


@pytest.mark.parametrize(
    ("net", "rule", "loss"),
    [(ARTICLE, SGD(lr=0.02), None), (NET, Adam(), CrossEntropyLoss()), (SEVERAL, Adam(), None)],
    ids=["article", "classes", "several"],
)
def test_numba_makes_the_same_of_it(net: Sequential, rule: Optimizer, loss: Any) -> None:
    pytest.importorskip("numba")
    same_training(net, rule, X, T if loss is None else CLASSES, loss)


def test_any_layout_of_a_batch_is_read_and_its_changes_too() -> None:
    pytest.importorskip("numba")
    net = Sequential(Linear(3, 3), Tanh(), Linear(3, 3))
    x = np.asfortranarray(X[:6])
    still = X[:6].copy()
    still.flags.writeable = False
    backwards, plain = X[:6].copy()[::-1], X[:6].copy()
    both = [Trainer(net, trainer().loss, SGD(lr=0.1), compile=c) for c in (False, True)]
    for given_x, given_t in ((still, still), (x, x), (backwards, X[:6]), (plain, X[:6])):
        for _ in range(2):
            losses = [each.step(given_x, given_t) for each in both]
            assert losses[1] == pytest.approx(losses[0], rel=1e-13)
            if given_x.flags.writeable:
                given_x[0] = 0.5  # the next step reads the same array
        close(both[1].params.vector, both[0].params.vector, 8)


def test_a_step_that_overflows_leaves_the_parameters_as_they_were() -> None:
    pytest.importorskip("numba")
    ours = trainer(rule=RMSprop(), compile=True)
    ours.step(X, T)
    before = ours.params.copy()
    ours.lr = 1e308  # the step is ten times the rate at first
    with pytest.raises(DivergedError, match="a parameter is not finite"):
        ours.step(X, T)
    assert np.array_equal(ours.params.vector, before.vector)
    assert not ours.state["square_avg"].any()
    assert ours.steps == 1


def test_another_rule_rate_state_and_copy_are_what_the_next_step_uses() -> None:
    pytest.importorskip("numba")
    both = [trainer(rule=Adam(), compile=c) for c in (False, True)]
    for each in both:
        each.step(X, T)
        each.lr = 0.5
        each.step(X, T)
        each.rule = SGD(lr=0.1, momentum=0.5)
        each.state = each.rule.init(each.params)
        each.step(X, T)
    close(both[1].params.vector, both[0].params.vector, 3)
    for twin in (copy.deepcopy(both[1]), pickle.loads(pickle.dumps(both[1]))):  # noqa: S301
        twin.step(X, T)
        assert not np.array_equal(twin.params.vector, both[1].params.vector)
        assert "kernel" in twin.compiled_source()


def test_the_code_names_no_size_and_another_process_finds_it_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv("MANUALNN_CACHE", str(tmp_path / "cache"))
    compiled.compiled.cache_clear()
    ours = Trainer(ARTICLE, trainer().loss, SGD(lr=0.1), compile=True)
    ours.step(X[:7], T[:7])
    first = ours.compiled_source()
    ours.step(X[:6], T[:6])
    assert ours.compiled_source() == f"{first}\n{first}"
    files = sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.suffix in {".nbc", ".py"})
    assert any(name.endswith(".nbc") for name in files)
    program = (
        "import numpy as np, manualnn as mnn\n"
        "net = mnn.Sequential(mnn.Linear(3, 2), mnn.Sigmoid(), mnn.Linear(2, 2))\n"
        "ours = mnn.Trainer(net, mnn.MSELoss(), mnn.SGD(lr=0.1), compile=True)\n"
        "ours.step(np.ones((7, 3)), np.ones((7, 2)))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ)  # noqa: S603
    again = sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.suffix in {".nbc", ".py"})
    assert again == files


def test_where_the_folder_cannot_be_written_a_process_compiles_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MANUALNN_CACHE", str(tmp_path / "file" / "folder"))
    compiled.compiled.cache_clear()
    same_training(ARTICLE, SGD(lr=0.1), X, T)


def test_a_missing_numba_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"compile=True needs Numba.*manualnn\[fast\]"):
        trainer(compile=True)


def test_a_trainer_that_does_not_compile_has_no_code() -> None:
    with pytest.raises(SpecError, match="pass compile=True"):
        trainer().compiled_source()


def test_a_rule_of_whole_matrices_is_left_to_numpy() -> None:
    pytest.importorskip("numba")
    net = Sequential(Linear(3, 2, bias=False))
    both = [Trainer(net, trainer().loss, Muon(lr=0.1), compile=c) for c in (False, True)]
    for each in both:
        each.step(X, T)
    close(both[1].params.vector, both[0].params.vector, 1)
