"""Embedding: rows of a table by index, the sums of their gradients, and refused indices."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manualnn as mnn
from manualnn import (
    SGD,
    Adam,
    CrossEntropyLoss,
    DomainError,
    Embedding,
    Flatten,
    Linear,
    MSELoss,
    Residual,
    Sequential,
    SpecError,
    Trainer,
)
from manualnn.explain import explain

Array = np.ndarray[Any, Any]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Embedding, Array, Array, np.random.Generator]:
    """Draw a layer, indices of which some come twice and some not at all, and a table."""
    rows, size = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    place = draw(st.one_of(st.none(), st.integers(-rows, rows - 1)))
    layer = Embedding(rows, size, place, scale_grad_by_freq=draw(st.booleans()))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(0, rows, (draw(st.integers(0, 7)), draw(st.integers(1, 5))))
    return layer, x.astype(float), rng.integers(-9, 10, (rows, size)).astype(float), rng


@given(tables())
def test_it_is_a_product_with_rows_of_the_identity(drawn: Any) -> None:
    """y = E W and dW = Eᵀ dy, where row n of E is 1 at its index; exact for small integers.

    Without duplicates, scale_grad_by_freq changes nothing, and a row of dW is divided by its count.
    """
    layer, x, w, rng = drawn
    rows, size = w.shape
    chosen = np.eye(rows)[x.astype(int).ravel()]
    y = layer.forward({"weight": w}, x)
    assert np.array_equal(y, (chosen @ w).reshape(len(x), x.shape[1] * size))
    out = np.full_like(y, np.nan)
    assert layer.forward({"weight": w}, x, out=out) is out
    assert np.array_equal(out, y)
    dy = rng.integers(-9, 10, y.shape).astype(float)
    dw = np.full_like(w, np.nan)
    layer.backward_params({"weight": w}, x, y, dy, {"weight": dw})
    wanted = chosen.T @ dy.reshape(-1, size)
    if layer.scale_grad_by_freq:
        wanted /= np.maximum(chosen.sum(axis=0), 1)[:, None]
    if layer.padding_idx is not None:
        wanted[layer.padding_idx] = 0
    assert np.array_equal(dw, wanted)
    assert np.array_equal(layer.backward({"weight": w}, x, y, dy), np.zeros_like(x))


@given(tables())
def test_another_order_of_the_rows_is_no_difference(drawn: Any) -> None:
    layer, x, w, rng = drawn
    order = rng.permutation(len(w))
    place = {int(old): new for new, old in enumerate(order)}
    moved = np.vectorize(lambda i: float(place[int(i)]), otypes=[float])(x) if x.size else x
    assert np.array_equal(
        layer.forward({"weight": w}, x), layer.forward({"weight": w[order]}, moved)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_learns_a_table(dtype: str) -> None:
    """Parity of two of five symbols: no single one tells it."""
    net = Sequential(Embedding(5, 4), Linear(8, 8), mnn.Tanh(), Linear(8, 2))
    assert (net.in_features, net.out_features) == (2, 2)
    x = np.array([[i, j] for i in range(5) for j in range(5)], dtype)
    t = (x.sum(axis=1) % 2).astype(int)
    trainer = Trainer(net, CrossEntropyLoss(), Adam(lr=0.05), dtype=dtype)
    trainer.fit(x, t, epochs=120, batch_size=5)
    assert np.array_equal(trainer.classify(x)[0], t)


def test_rows_start_normal_and_the_padding_row_stays_zero() -> None:
    net = Sequential(Embedding(1000, 50, padding_idx=-1), Linear(100, 1))
    trainer = Trainer(net, MSELoss(), SGD(lr=0.1))
    table = trainer.params["0.weight"]
    assert not table[-1].any()
    # A mean of 50,000 normal numbers is within 5 deviations, and so is their mean square.
    assert abs(table[:-1].mean()) < 5 / 50_000**0.5
    assert abs((table[:-1] ** 2).mean() - 1) < 5 * (2 / 50_000) ** 0.5
    x = np.array([[0, 999], [999, 1]])
    before = table.copy()
    trainer.step(x, np.ones((2, 1)))
    assert not table[999].any()
    assert set(np.flatnonzero((table != before).any(axis=1))) == {0, 1}


@pytest.mark.parametrize("bad", [-1.0, 3.0, 0.5, np.nan, np.inf])
def test_an_index_that_the_table_does_not_have_is_refused_before_anything_changes(
    bad: float,
) -> None:
    net = Sequential(Embedding(3, 2), Linear(4, 1))
    trainer = Trainer(net, MSELoss(), SGD(lr=0.1))
    x, t = np.array([[0.0, 1.0], [2.0, bad]]), np.ones((2, 1))
    before = trainer.params.copy()
    for call in (
        lambda: trainer.predict(x),
        lambda: net.value_and_grad(trainer.params, MSELoss(), x, t),
        lambda: trainer.step(x, t),
        lambda: trainer.fit(x, t),
        lambda: trainer.evaluate(x, t),
    ):
        with pytest.raises(DomainError, match=r"indices from 0 to 2 in x, got\s+x\[1,1\] = "):
            call()
    assert np.array_equal(trainer.params.vector, before.vector)
    assert trainer.steps == 0


def test_an_index_that_becomes_wrong_in_the_same_array_is_refused() -> None:
    trainer = Trainer(Sequential(Embedding(3, 2)), MSELoss(), SGD(lr=0.1))
    x, t = np.array([[0.0], [2.0]]), np.ones((2, 2))
    for _ in range(3):
        trainer.step(x, t)
    x[0] = 3
    with pytest.raises(DomainError, match=r"x\[0,0\] = 3"):
        trainer.step(x, t)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sequential(Linear(2, 2), Embedding(3, 2)), "layer 1.*make it the first layer"),
        (lambda: Sequential(Flatten(), Embedding(3, 2)), "layer 1.*make it the first layer"),
        (lambda: Residual((Embedding(3, 1),)), "takes indices, to which nothing can be added"),
        (lambda: Sequential(Embedding(3, 2), Linear(3, 1)), "multiple of 2 outputs, got.*3 inputs"),
        (lambda: Embedding(0, 2), "num_embeddings must be an integer of at least 1"),
        (lambda: Embedding(3, 2, padding_idx=3), "padding_idx must be None.* -3 to 2"),
        (lambda: Embedding(3, 2, padding_idx=-4), "padding_idx must be None"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make()


def test_it_is_saved_pickled_described_and_not_explained(tmp_path: Path) -> None:
    net = Sequential(Embedding(3, 2, padding_idx=1, scale_grad_by_freq=True), Linear(4, 1))
    trainer = Trainer(net, MSELoss(), Adam())
    x, t = np.array([[0, 2], [1, 0]]), np.ones((2, 1))
    trainer.step(x, t)
    mnn.save(tmp_path / "net.safetensors", trainer)
    for other in (mnn.load(tmp_path / "net.safetensors"), pickle.loads(pickle.dumps(trainer))):  # noqa: S301
        assert other.net == net
        assert np.array_equal(other.predict(x), trainer.predict(x))
    assert Sequential.from_spec(net.spec()) == net
    assert eval(repr(net), vars(mnn)) == net  # noqa: S307
    with pytest.raises(SpecError, match="an index has none; explain the layers after"):
        explain(net, trainer.params, x, t, loss=MSELoss())


def test_a_compiled_trainer_takes_the_same_steps() -> None:
    pytest.importorskip("numba")
    net = Sequential(Embedding(5, 3), Linear(6, 2))
    x = np.array([[0, 4], [4, 4], [1, 2]], float)
    both = [Trainer(net, MSELoss(), Adam(), compile=c) for c in (False, True)]
    for each in both:
        for _ in range(3):
            each.step(x, np.ones((3, 2)))
    np.testing.assert_allclose(both[1].params.vector, both[0].params.vector, rtol=1e-12)
