"""The JSON form of a run: its errors are named, with a guess of the intended name."""

import json
from typing import Any

import numpy as np
import pytest
from examples_of_layers import example

from manualnn import (
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    SGD,
    AdamW,
    CrossEntropyLoss,
    Dropout,
    DTypeError,
    Layer,
    LeakyReLU,
    Linear,
    MSELoss,
    Sequential,
    Sigmoid,
    SpecError,
    Tanh,
    Trainer,
)
from manualnn.spec import from_spec, to_spec

LINEAR = {"type": "Linear", "in_features": 3, "out_features": 2, "bias": True}
RUN = {
    "layers": [LINEAR, {"type": "Sigmoid"}, LINEAR | {"in_features": 2}],
    "loss": {"type": "MSELoss", "reduction": "mean"},
    "optimizer": {
        "type": "SGD",
        "lr": 0.02,
        "momentum": 0.0,
        "dampening": 0.0,
        "weight_decay": 0.0,
        "nesterov": False,
        "maximize": False,
    },
    "dtype": "float64",
}


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in RUN.items() if k != key}


def test_the_articles_run_is_written_as_documented() -> None:
    net = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2))
    assert Trainer(net, MSELoss(), SGD(lr=0.02)).spec() == RUN


def test_a_run_survives_json() -> None:
    net = Sequential(Linear(3, 4, bias=False), LeakyReLU(0.3), Dropout(0.25), Linear(4, 3))
    loss = CrossEntropyLoss(weight=(1.0, 2.0, 0.5), label_smoothing=0.1)
    trainer = Trainer(net, loss, AdamW(betas=(0.5, 0.75)), dtype=np.float32)
    again = Trainer.from_spec(json.loads(json.dumps(trainer.spec())))
    assert (again.net, again.loss, again.rule) == (net, loss, trainer.rule)
    assert again.params == trainer.params
    assert again.spec() == trainer.spec()


@pytest.mark.parametrize("table", [LAYERS, LOSSES, OPTIMIZERS], ids=["layer", "loss", "optimizer"])
def test_every_description_is_rebuilt_from_its_form(table: dict[str, type[Any]]) -> None:
    for name, kind in table.items():
        description = example(name) if table is LAYERS else kind()
        spec = json.loads(json.dumps(to_spec(description)))
        assert spec["type"] == name
        assert from_spec(spec, table, "part") == description


def test_options_that_are_left_out_have_their_defaults() -> None:
    trainer = Trainer.from_spec({"layers": [{k: LINEAR[k] for k in LINEAR if k != "bias"}]})
    assert trainer.net == Sequential(Linear(3, 2))
    assert (trainer.loss, trainer.rule) == (MSELoss(), SGD())
    assert trainer.params.dtype == np.float64


def test_other_parts_of_a_run_are_not_read() -> None:
    assert Sequential.from_spec(RUN | {"x": [1]}) == Trainer.from_spec(RUN | {"x": [1]}).net


def test_an_integer_is_a_float_where_one_is_asked_for() -> None:
    assert from_spec({"type": "SGD", "lr": 1}, OPTIMIZERS, "optimizer") == SGD(lr=1)


BAD_LAYERS = {
    "no type .Sigmiod. .did you mean 'Sigmoid'.*Known: Linear": {"type": "Sigmiod"},
    r"no type .sigmoid. .did you mean 'Sigmoid'": {"type": "sigmoid"},
    r"no type .Transformer.\. Known": {"type": "Transformer"},
    "one of your own is first entered in manualnn's LAYERS": {"type": "Mine"},
    r"layers\[1\]: there is no type \[.Sigmoid.\]": {"type": ["Sigmoid"]},
    "no type null": {"type": None},
    r"layers\[1\]: expected an object such as .* got .Sigmoid.": "Sigmoid",
    r"layers\[1\]: expected an object such as .* got \{\}": {},
    "Linear needs in_features, out_features; got no options": {"type": "Linear"},
    "Linear needs out_features; got .*'in_features': 3": {"type": "Linear", "in_features": 3},
    "no option 'n_inputs'.*Its options: in_features, out_features, bias": LINEAR | {"n_inputs": 3},
    "no option 'in_feature' .did you mean 'in_features'": {"type": "Linear", "in_feature": 3},
    "Sigmoid has no option 'p'. Its options: none": {"type": "Sigmoid", "p": 1},
    "in_features must be an integer, got 3.0": LINEAR | {"in_features": 3.0},
    'in_features must be an integer, got "3"': LINEAR | {"in_features": "3"},
    "in_features must be an integer, got true": LINEAR | {"in_features": True},
    "in_features must be an integer of at least 1, got 0": LINEAR | {"in_features": 0},
    "out_features must be an integer of at least 1, got -2": LINEAR | {"out_features": -2},
    'bias must be true or false, got "no"': LINEAR | {"bias": "no"},
    "bias must be true or false, got 1": LINEAR | {"bias": 1},
    'slope must be a number, got "0.1"': {"type": "LeakyReLU", "negative_slope": "0.1"},
    "slope must be a number, got true": {"type": "LeakyReLU", "negative_slope": True},
    r"p must be a probability from 0 to 1, got 1.5": {"type": "Dropout", "p": 1.5},
    r"p must be a probability from 0 to 1, got nan": {"type": "Dropout", "p": float("nan")},
    "p must be a number, got null": {"type": "Dropout", "p": None},
    "dim must be -1 or 1, got 0": {"type": "Softmax", "dim": 0},
    "beta must be a number other than 0, got 0": {"type": "Softplus", "beta": 0},
    "beta must be a number other than 0, got nan": {"type": "Softplus", "beta": float("nan")},
}


@pytest.mark.parametrize("message", BAD_LAYERS)
def test_a_wrong_layer_is_refused_helpfully(message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Sequential.from_spec({"layers": [{"type": "Identity"}, BAD_LAYERS[message]]})


BAD_RUNS: dict[str, Any] = {
    "expected .*layers.* got None": None,
    r"expected .*layers.* got \[\]": [],
    "expected .*layers.* got {'layer'": {"layer": [LINEAR]},
    "expected .*'type': 'Linear'": {"layers": LINEAR},
    "layer 1: .*expects 3 inputs, got 2 from layer 0": {"layers": [LINEAR, LINEAR]},
    "loss: there is no type .MSE.": RUN | {"loss": {"type": "MSE"}},
    "loss: expected an object .*Loss.* got .MSELoss.": RUN | {"loss": "MSELoss"},
    "reduction must be one of mean, sum, batchmean, got 'avg'": RUN
    | {"loss": {"type": "MSELoss", "reduction": "avg"}},
    r"loss.weight must be a list of numbers, or null, got \[.a., 1.0\]": RUN
    | {"loss": {"type": "CrossEntropyLoss", "weight": ["a", 1.0]}},
    "label_smoothing must be from 0 to 1, got 2": RUN
    | {"loss": {"type": "CrossEntropyLoss", "label_smoothing": 2}},
    "delta must be greater than 0, got 0": RUN | {"loss": {"type": "HuberLoss", "delta": 0}},
    "optimizer: there is no type .Addam. .did you mean 'Adam": RUN
    | {"optimizer": {"type": "Addam"}},
    "lr must be at least 0, got -1": RUN | {"optimizer": {"type": "SGD", "lr": -1}},
    "lr must be at least 0, got nan": RUN | {"optimizer": {"type": "SGD", "lr": float("nan")}},
    "lr must be a number, got 1000": RUN | {"optimizer": {"type": "SGD", "lr": 10**400}},
    'lr must be a number, got "0.1"': RUN | {"optimizer": {"type": "SGD", "lr": "0.1"}},
    "no option 'learning_rate'": RUN | {"optimizer": {"type": "SGD", "learning_rate": 1}},
    "momentum must be at least 0": RUN | {"optimizer": {"type": "SGD", "momentum": -0.5}},
    "nesterov must be used with momentum": RUN | {"optimizer": {"type": "SGD", "nesterov": True}},
    r"optimizer.betas must be a list of 2 numbers, got \[0.9\]": RUN
    | {"optimizer": {"type": "Adam", "betas": [0.9]}},
    r"optimizer.betas must be a list of 2 numbers, got 0.9": RUN
    | {"optimizer": {"type": "Adam", "betas": 0.9}},
    r"betas must be two numbers from 0 to below 1, got \(0.9, 1.0\)": RUN
    | {"optimizer": {"type": "Adam", "betas": [0.9, 1.0]}},
    "eps must be at least 0": RUN | {"optimizer": {"type": "RMSprop", "eps": -1e-8}},
    "no part 'optimiser' .did you mean 'optimizer'": without("optimizer")
    | {"optimiser": {"type": "Adam"}},
    "no part 'losses' .did you mean 'loss'": without("loss") | {"losses": {"type": "L1Loss"}},
}


@pytest.mark.parametrize("message", BAD_RUNS)
def test_a_wrong_run_is_refused_helpfully(message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Trainer.from_spec(BAD_RUNS[message])


@pytest.mark.parametrize("dtype", ["floaty", "int32", "float16", 64])
def test_a_wrong_dtype_is_refused(dtype: Any) -> None:
    with pytest.raises(DTypeError, match="expected"):
        Trainer.from_spec(RUN | {"dtype": dtype})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SGD, {"lr": "0.1"}),
        (Dropout, {"p": "0.5"}),
        (LeakyReLU, {"negative_slope": "0.1"}),
        (Linear, {"in_features": 3, "out_features": 2, "bias": "no"}),
        (Linear, {"in_features": 3.0, "out_features": 2}),
        (AdamW, {"betas": (0.9,)}),
        (MSELoss, {"reduction": None}),
        (CrossEntropyLoss, {"weight": ("1", "2")}),
    ],
)
def test_an_option_of_the_wrong_type_is_refused(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="must be of type"):
        kind(**options)


@pytest.mark.parametrize("weight", [[1.0, 2.0], np.array([1.0, 2.0])])
def test_a_list_or_an_array_of_weights_is_kept_as_a_tuple(weight: Any) -> None:
    loss = CrossEntropyLoss(weight=weight)
    assert loss == CrossEntropyLoss(weight=(1.0, 2.0))
    assert hash(loss) == hash(CrossEntropyLoss(weight=(1.0, 2.0)))


@pytest.mark.parametrize("number", [np.float64, np.float32, np.float16])
def test_a_numpy_scalar_as_an_option_is_the_python_number(number: Any) -> None:
    rule = SGD(lr=number(0.5), momentum=number(0.25))
    assert (type(rule.lr), type(rule.momentum)) == (float, float)
    assert type(AdamW(betas=[number(0.5), 0.75]).betas[0]) is float
    assert json.loads(json.dumps(to_spec(rule))) == to_spec(SGD(lr=0.5, momentum=0.25))


def test_a_misspelt_dtype_is_noticed() -> None:
    with pytest.raises(SpecError, match="no part 'dtpye'"):
        Trainer.from_spec({**RUN, "dtpye": "float32"})


def test_descriptions_are_the_same_if_type_and_options_are() -> None:
    assert SGD(lr=0.5) == SGD(lr=0.5)
    assert hash(SGD(lr=0.5)) == hash(SGD(lr=0.5))
    assert SGD(lr=0.5) != SGD(lr=0.25)
    assert Tanh() != Sigmoid()
    assert Tanh() != "Tanh()"
    assert repr(Tanh()) == "Tanh()"
    assert repr(SGD(lr=0.5)).startswith("SGD(lr=0.5, momentum=0.0, ")


def test_a_layer_that_is_no_dataclass_is_like_no_other() -> None:
    class Own(Layer):
        pass

    one, other = Own(), Own()
    assert one == one  # noqa: PLR0124 - that is the question
    assert one != other
    assert len({one, other}) == 2
    assert repr(one).startswith("Own(")


def test_a_message_shows_what_a_terminal_would_obey() -> None:
    """Controls of both ranges, a change of direction and half a surrogate pair are escaped."""
    with pytest.raises(SpecError, match=r'no type "é\\u001b\\u009b\\u202e\\ud800"'):
        from_spec({"type": "é\x1b\x9b\u202e\ud800"}, LAYERS, "layer")
