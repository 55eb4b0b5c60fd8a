"""Misuse of the public functions: every odd argument is refused with an error of manualnn."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from examples_of_layers import example

import manualnn as mnn
from manualnn import SGD, Linear, ManualNNError, MSELoss, Parameters, Sequential, Trainer

pytestmark = pytest.mark.once

NET = Sequential(Linear(3, 4), mnn.Dropout(), Linear(4, 2))
PARAMS = NET.init(seed=0)
LOSS = MSELoss()
X, T = np.ones((2, 3)), np.zeros((2, 2))
RNG = np.random.default_rng(0)
RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)


class NoTruthValue:
    """A frame, a sparse matrix or a tensor: it compares elementwise, and is neither true nor false.

    NumPy cannot read it.
    """

    dtype = SimpleNamespace()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert device tensor to numpy")

    def __eq__(self, _: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")

    def __sub__(self, _: Any) -> Any:
        return self


ODD = {
    "text": "a\0b",
    "object": object(),
    "list of texts": ["a", "b"],
    "recursive list": RECURSIVE,
    "table": NoTruthValue(),
    "array of texts": np.full((2, 3), "1"),
    "array of 4 axes": np.ones((1, 1, 1, 3)),
    "complex": np.ones((2, 3), complex),
    "masked": np.ma.masked_array(np.ones((2, 3)), mask=[[0, 1, 0]] * 2),
    "array of a wrong shape": np.ones((5, 7)),
    "minus one": -1,
    "half": -0.5,
}
"""Values that no argument of the functions below can be."""


def saved(name: str) -> Callable[[Any], object]:
    """Return `save` with an odd argument; it never gets so far as to write."""
    arguments = {"path": "/nowhere/model", "trainer": Trainer(NET, LOSS, SGD())}
    return lambda odd: mnn.save(**{**arguments, name: odd})


CALLS: dict[str, Callable[[Any], object]] = {
    "forward, x": lambda odd: NET.forward(PARAMS, odd),
    "forward, params": lambda odd: NET.forward(odd, X),
    "forward, noise": lambda odd: NET.forward(PARAMS, X, noise=odd),
    "value_and_grad, params": lambda odd: NET.value_and_grad(odd, LOSS, X, T),
    "value_and_grad, loss": lambda odd: NET.value_and_grad(PARAMS, odd, X, T),
    "value_and_grad, t": lambda odd: NET.value_and_grad(PARAMS, LOSS, X, odd),
    "init, seed": NET.init,
    "init, dtype": lambda odd: NET.init(0, dtype=odd),
    "init, weight": lambda odd: NET.init(0, weight=odd),
    "sample, x": lambda odd: NET.sample(0, odd),
    "sample, seed": lambda odd: NET.sample(odd, X),
    "sample, dtype": lambda odd: NET.sample(0, X, dtype=odd),
    "load_state_dict": NET.load_state_dict,
    "load_state_dict, an array": lambda odd: NET.load_state_dict({**PARAMS, "0.weight": odd}),
    "load_state_dict, dtype": lambda odd: NET.load_state_dict(PARAMS, dtype=odd),
    "load_state_dict, names": lambda odd: NET.load_state_dict(PARAMS, names=odd),
    "Sequential": Sequential,
    "Sequential.from_spec": Sequential.from_spec,
    "Sequential.from_spec, layers": lambda odd: Sequential.from_spec({"layers": odd}),
    "Sequential.from_spec, a layer": lambda odd: Sequential.from_spec({"layers": [odd]}),
    "Sequential.from_spec, type": lambda odd: Sequential.from_spec({"layers": [{"type": odd}]}),
    "Trainer.from_spec, loss": lambda odd: Trainer.from_spec({**NET.spec(), "loss": odd}),
    "Trainer.from_spec, dtype": lambda odd: Trainer.from_spec({**NET.spec(), "dtype": odd}),
    "Trainer, seed": lambda odd: Trainer(NET, LOSS, SGD(), seed=odd),
    "Trainer, params": lambda odd: Trainer(NET, LOSS, SGD(), params=odd),
    "Parameters": Parameters,
    "Parameters, a shape": lambda odd: Parameters({"0.weight": odd}),
    "Parameters, vector": lambda odd: Parameters({"0.weight": (3,)}, odd),
    "Parameters, dtype": lambda odd: Parameters({"0.weight": (3,)}, dtype=odd),
    "classify": mnn.CrossEntropyLoss().classify,
    "save, trainer": saved("trainer"),
    "save, notes": saved("notes"),
    "save, arrays": saved("arrays"),
    "load": mnn.load,
    "load_arrays": mnn.load_arrays,
    "calculate_gain": mnn.calculate_gain,
    "calculate_gain, param": lambda odd: mnn.calculate_gain(
        "leaky_relu", "x" if isinstance(odd, int | float) else odd
    ),
    "xavier_uniform, rng": lambda odd: mnn.xavier_uniform(odd, (2, 3)),
    "xavier_normal, shape": lambda odd: mnn.xavier_normal(RNG, odd),
    "kaiming_uniform, mode": lambda odd: mnn.kaiming_uniform(RNG, (2, 3), mode=odd),
    "Linear": lambda odd: Linear(3, odd),
    "CrossEntropyLoss": lambda odd: mnn.CrossEntropyLoss(weight=odd),
    "SGD": lambda odd: SGD(lr=odd),
    "Adam": lambda odd: mnn.Adam(betas=odd),
}


@pytest.mark.parametrize("name", CALLS)
def test_odd_arguments_are_refused_with_an_error_of_ours(name: str) -> None:
    for odd in ODD.values():
        if (
            name == "classify" and odd is ODD["array of a wrong shape"]
        ):  # five samples of seven classes
            continue
        with pytest.raises(ManualNNError) as error:
            CALLS[name](odd)
        assert len(str(error.value)) < 1000


def test_every_option_refuses_what_is_no_number_or_text() -> None:
    known: list[Any] = [example(name) for name in mnn.LAYERS]
    known += [kind() for kind in (*mnn.LOSSES.values(), *mnn.OPTIMIZERS.values())]
    for description in known:
        build = partial(replace, description)
        for name in (field.name for field in fields(description)):
            for odd in (RECURSIVE, ODD["table"], ODD["object"], ODD["complex"], math.nan):
                with pytest.raises(mnn.SpecError, match=name):
                    build(**{name: odd})


def test_a_seed_may_be_what_numpy_documents() -> None:
    """An integer, a sequence of them and a source of NumPy's own; each draws what NumPy draws."""
    for seed in (3, np.int64(3), [3, 4], (3, 4), np.array([3, 4]), np.random.SeedSequence(3)):
        expected = np.random.default_rng(seed).uniform(-1, 1)  # a weight is uniform in ±1/√in
        weight = Sequential(Linear(1, 1)).init(seed)["0.weight"].item()
        assert weight == pytest.approx(expected, rel=1e-15 * 8)
    assert NET.init(RNG) != NET.init(RNG)
    assert NET.init(None) != NET.init(None)


def test_a_number_of_another_library_is_an_option() -> None:
    assert SGD(lr=Fraction(1, 3)).lr == Fraction(1, 3)


NO_NUMBERS = {
    "complex": np.ones((4, 3), complex),
    "texts": np.full((4, 3), "1"),
    "dates": np.zeros((4, 3), "M8[s]"),
    "nothing": np.full((4, 3), None),
    "objects": np.full((4, 3), object()),
    "too large": np.full((4, 3), 1e300),
}


@pytest.mark.parametrize("values", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_parameters_take_no_values_that_numpy_would_change_in_silence(values: Any) -> None:
    """The imaginary part of a number would be lost, a date would become one, 1e300 infinite."""
    params = PARAMS.astype("float32")
    before = params.copy()
    with pytest.raises((mnn.DTypeError, mnn.DomainError)):
        params["0.weight"] = values
    assert params == before
    with pytest.raises((mnn.DTypeError, mnn.DomainError)):
        NET.load_state_dict({**PARAMS, "0.weight": values}, dtype="float32")
    with pytest.raises((mnn.DTypeError, mnn.DomainError)):
        NET.init(0, dtype="float32", weight=lambda _, shape: np.resize(values, shape))


def test_parameters_take_numbers_of_any_other_dtype() -> None:
    params = PARAMS.copy()
    for dtype in (bool, "int8", "uint64", "float16", "float32", "longdouble", object):
        params["0.weight"] = np.ones((4, 3), dtype)
        assert (params["0.weight"] == 1).all()
