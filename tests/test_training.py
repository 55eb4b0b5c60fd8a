"""Training steps: the effect on the parameters, and the arguments and attributes refused."""

import copy
import inspect
import io
import math
import pickle
import sys
from typing import Any

import numpy as np
import pytest
from toys import CLASSES, MOMENTUM, NET, ByHand, N, T, X, trainer

from manualnn import (
    SGD,
    Adam,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Dropout,
    DTypeError,
    HuberLoss,
    L1Loss,
    Linear,
    Loss,
    ManualNNError,
    MSELoss,
    Optimizer,
    Parameters,
    Sequential,
    ShapeError,
    Sigmoid,
    SpecError,
    StepLR,
    Tanh,
    Trainer,
    UnknownAttributeError,
)

# ---------------------------------------------------------------------- steps


@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
@pytest.mark.parametrize("rule", [SGD(lr=2**-3), MOMENTUM, Adam(lr=0.1)], ids=repr)
def test_a_step_is_forward_backward_update(rule: Optimizer, dtype: str) -> None:
    ours = trainer(rule=rule, dtype=dtype)
    hand = ByHand(ours)
    x, t = X.astype(dtype), T.astype(dtype)
    for _ in range(5):
        assert ours.step(x, t) == hand.step(x, t)
        assert ours.params == hand.params
    assert ours.steps == 5


def test_a_step_returns_the_loss_before_it() -> None:
    ours = trainer()
    before = np.mean((ours.predict(X) - T) ** 2)
    assert ours.step(X, T) == pytest.approx(before, rel=1e-14)
    assert np.mean((ours.predict(X) - T) ** 2) < before


def test_batches_of_changing_size_leave_nothing_behind() -> None:
    """Smaller after larger, larger after smaller: no stale row of a buffer is ever used."""
    ours = trainer()
    hand = ByHand(ours)
    for n in (7, 3, 23, 1, 23, 3, 7, 2, 16, 5):
        assert ours.step(X[:n], T[:n]) == hand.step(X[:n], T[:n])
        assert ours.params == hand.params


def test_many_batch_sizes_in_turn_are_all_right() -> None:
    ours = trainer(rule=SGD(lr=2**-7))
    hand = ByHand(ours)
    for n in (*range(1, N), *range(N, 0, -1)):
        ours.step(X[:n], T[:n])
        hand.step(X[:n], T[:n])
    assert ours.params == hand.params


def test_a_net_that_fixes_no_width_takes_any() -> None:
    """L is a mean of squares, none negative: two orders of summation are n roundings apart."""
    ours = Trainer(Sequential(Tanh()), MSELoss(), SGD())
    for width in (3, 2):
        x, t = X[:, :width], np.zeros((N, width))
        rounding = x.size * np.finfo(float).eps
        np.testing.assert_allclose(ours.step(x, t), np.mean(np.tanh(x) ** 2), rtol=rounding)


def test_inputs_and_targets_are_not_changed() -> None:
    x, t = X.copy(), T.copy()
    x.flags.writeable = t.flags.writeable = False
    trainer().fit(x, t, epochs=2, batch_size=5)
    assert np.array_equal(x, X)
    assert np.array_equal(t, T)


# ---------------------------------------------------------------------- what is refused


NAN = np.where(np.arange(3 * N).reshape(N, 3) == 7, np.nan, X)
INF_T = np.where(np.arange(2 * N).reshape(N, 2) == 7, np.inf, T)

REFUSED: dict[str, tuple[type[Exception], Any, Any, dict[str, Any]]] = {
    r"x must be finite, got nan at index \(2, 1\); remove or fill": (ValueError, NAN, T, {}),
    r"t must be finite, got inf at index \(3, 1\)": (ValueError, X, INF_T, {}),
    r"expects x of shape \(N, 3\)": (ShapeError, X[:, :2], T, {}),
    r"expects t of shape \(23, 2\), as y is, got \(22, 2\)": (ShapeError, X, T[:22], {}),
    r"expects t of shape \(23, 2\), as y is, got \(23,\)\.": (ShapeError, X, T[:, 0], {}),
    r"expects t of shape \(23, 2\), as y is, got \(23, 1\)": (ShapeError, X, T[:, :1], {}),
    "x is float32, the parameters are float64": (DTypeError, X.astype("f4"), T, {}),
    "t is float32": (DTypeError, X, T.astype("f4"), {}),
    "t must be an array of float64": (DTypeError, X, None, {}),
    "batch_size must be an integer of at least 1, got 0": (SpecError, X, T, {"batch_size": 0}),
    "batch_size must be .* got 2.5": (SpecError, X, T, {"batch_size": 2.5}),
    "batch_size must be .* got True": (SpecError, X, T, {"batch_size": True}),
    "epochs must be an integer of at least 0, got -1": (SpecError, X, T, {"epochs": -1}),
    "epochs must be .* got '1e3'": (SpecError, X, T, {"epochs": "1e3"}),
    "target_loss must be a number, got '0.1'": (SpecError, X, T, {"target_loss": "0.1"}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_trained_on_is_refused_before_anything_changes(message: str) -> None:
    error, x, t, options = REFUSED[message]
    ours, untouched = trainer(), trainer()
    with pytest.raises(error, match=message):
        ours.fit(x, t, **options)
    assert ours.params == untouched.params
    assert (ours.steps, ours.state["step"]) == (0, 0)
    assert ours.fit(X, T, batch_size=4).loss == untouched.fit(X, T, batch_size=4).loss


def test_a_network_that_does_not_give_probabilities_is_refused_by_the_loss_of_them() -> None:
    ours = trainer(BCELoss())
    before = ours.params.copy()
    with pytest.raises(ValueError, match=r"end the network in Sigmoid\(\)"):
        ours.fit(X, np.ones((N, 2)), epochs=3)
    assert ours.params == before


def test_a_step_refuses_what_fit_refuses() -> None:
    ours = trainer()
    with pytest.raises(ShapeError):
        ours.step(X[0], T[: len(X[0])])
    assert ours.steps == 0


# ---------------------------------------------------------------------- the parameters


def test_the_parameters_stay_the_same_object_and_cannot_be_replaced() -> None:
    ours = trainer()
    params, vector = ours.params, ours.params.vector
    ours.fit(X, T, epochs=2)
    assert ours.params is params
    assert ours.params.vector is vector
    with pytest.raises(AttributeError, match="params"):
        ours.params = NET.init(1)  # type: ignore[misc]


def test_values_written_into_the_parameters_are_used() -> None:
    ours = trainer()
    ours.step(X, T)
    ours.params.vector[...] = 0
    assert not ours.predict(X).any()
    assert ours.step(X, T) == pytest.approx(np.mean(T**2), rel=1e-14)


def test_given_parameters_are_copied_and_bring_their_dtype() -> None:
    params = NET.init(seed=9, dtype=np.float32)
    ours = trainer(params=params)
    assert ours.params == params
    ours.step(X.astype("f4"), T.astype("f4"))
    assert params == NET.init(seed=9, dtype=np.float32)
    assert ours.params != params


def test_parameters_of_another_network_are_refused() -> None:
    with pytest.raises(ShapeError, match="expects Parameters of shapes"):
        trainer(params=Sequential(Linear(3, 2)).init(0))


def test_two_trainers_whose_steps_alternate_are_independent() -> None:
    alternating, alone = [trainer(seed=s) for s in (0, 1)], [trainer(seed=s) for s in (0, 1)]
    for n in (5, 23, 2, 9):
        for ours in alternating:
            ours.step(X[:n], T[:n])
    for ours, other in zip(alone, alternating, strict=True):
        for n in (5, 23, 2, 9):
            ours.step(X[:n], T[:n])
        assert ours.params == other.params


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))],  # noqa: S301 - its own bytes
    ids=["deepcopy", "pickle"],
)
def test_a_copied_trainer_goes_on_by_itself(duplicate: Any) -> None:
    ours = Trainer(Sequential(Linear(3, 9), Dropout(), Linear(9, 2)), MSELoss(), Adam(), seed=0)
    ours.fit(X, T, epochs=2, batch_size=5)
    copied, before = duplicate(ours), ours.params.copy()
    losses = copied.fit(X, T, epochs=2, batch_size=5).loss
    assert ours.params == before
    assert ours.fit(X, T, epochs=2, batch_size=5).loss == losses
    assert ours.params == copied.params
    assert np.array_equal(ours.predict(X), copied.predict(X))


# ---------------------------------------------------------------------- classes


def test_classes_are_those_of_the_highest_output() -> None:
    ours = trainer(CrossEntropyLoss())
    classes, probability = ours.classify(X)
    y = ours.predict(X)
    assert np.array_equal(classes, y.argmax(axis=1))
    gap = np.abs(y[:, 0] - y[:, 1])
    assert np.allclose(probability, 1 / (1 + np.exp(-gap)), rtol=1e-14)


def test_binary_outputs_are_classes_by_themselves() -> None:
    logits = trainer(BCEWithLogitsLoss())
    net = Sequential(*NET.layers, Sigmoid())
    ends_in_sigmoid = Trainer(
        net, BCELoss(), SGD(), params=Parameters(net.shapes, logits.params.vector)
    )
    for ours in (logits, ends_in_sigmoid):
        classes, probability = ours.classify(X)
        assert np.array_equal(classes, logits.predict(X) >= 0)
        expected = 1 / (1 + np.exp(-np.abs(logits.predict(X))))
        assert np.allclose(probability, expected, rtol=1e-14)


@pytest.mark.parametrize("loss", [MSELoss(), L1Loss(), HuberLoss()])
def test_regression_has_no_classes(loss: Loss) -> None:
    with pytest.raises(SpecError, match=f"{type(loss).__name__} is a loss for regression"):
        trainer(loss).classify(X)


# ---------------------------------------------------------------------- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "progress", "shown"),
    [
        (Terminal, None, True),
        (Terminal, False, False),
        (io.StringIO, None, False),
        (io.StringIO, True, True),
    ],
)
def test_the_bar_is_shown_where_a_person_is_looking_or_asks(
    stream: type[io.StringIO], progress: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tqdm")
    screen = stream()
    monkeypatch.setattr(sys, "stderr", screen)
    history = trainer().fit(X, T, epochs=3, progress=progress)
    text = screen.getvalue()
    assert bool(text) == shown
    assert not shown or ("3/3" in text and f"loss {history.loss[-1]:.6g}" in text)


def test_without_a_standard_error_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert trainer().fit(X, T, epochs=2).epochs == 2


def test_a_bar_that_is_asked_for_needs_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    ours = trainer()
    before = ours.params.copy()
    with pytest.raises(ImportError, match=r"pip install 'manualnn\[cli\]', or progress=False"):
        ours.fit(X, T, progress=True)
    assert ours.params == before
    assert math.isfinite(ours.fit(X, T).loss[0])


P = NET.init(0)
MISUSED: dict[str, Any] = {
    "seed must be an integer of at least 0, .* got -1": lambda: trainer(seed=-1),
    "seed must be .* got 'a'": lambda: NET.init("a"),
    r"seed must be .* got 1\.5": lambda: NET.sample(1.5, X),
    r"SGD: .* argument 'learning_rate' \(did you mean 'lr'\?\). Its arguments: lr, momentum, ": (
        lambda: SGD(learning_rate=0.1)
    ),
    r"SGD: .* 'momentun' \(did you mean 'momentum'\?\)": lambda: SGD(momentun=0.9),
    "Linear: missing a required argument: 'out_features'. Its arguments: in_features, out_feat": (
        lambda: Linear(3)
    ),
    "MSELoss: too many positional arguments. Its arguments: reduction": lambda: MSELoss("sum", 1),
    r"Trainer: .*'optimizer' \(did you mean 'rule'\?\)": (
        lambda: Trainer(NET, MSELoss(), optimizer=SGD())
    ),
    r"expected a loss such as MSELoss\(\), got 'MSELoss'": (
        lambda: NET.value_and_grad(P, "MSELoss", X, T)
    ),
    "noise must be a mapping, got 3; draw it": lambda: NET.forward(P, X, noise=3),
    "the initializer of weight must be callable": lambda: NET.init(0, weight=3),
    "expects Parameters of shapes .* got int": lambda: trainer(params=3),
    "the parameters need a mapping from keys such as .* got 3": lambda: Parameters(3),
    "an update rule expects the Parameters of Sequential.init": lambda: Adam().init(None),
    "an update rule expects the dict of rule.init": lambda: SGD().update(P, P, None),
    r"Trainer expects MSELoss\(\) or the like, got 'MSELoss'": (
        lambda: setattr(trainer(), "loss", "MSELoss")
    ),
    r"Trainer expects rule.init\(params\) or the like, got None": (
        lambda: setattr(trainer(), "state", None)
    ),
    "steps must be an integer of at least 0, got 'a'": lambda: setattr(trainer(), "steps", "a"),
    "shuffle must be True or False, got 'no'": lambda: trainer().fit(X, T, shuffle="no"),
    "progress must be True or False, got 'no'": lambda: trainer().fit(X, T, progress="no"),
    "expected the path of a file, got 3": lambda: trainer().fit(X, T, resume=3),
}


@pytest.mark.parametrize("message", MISUSED)
def test_what_is_called_wrong_says_what_is_right(message: str) -> None:
    with pytest.raises(ManualNNError, match=message):
        MISUSED[message]()


@pytest.mark.parametrize("name", ["net", "params"])
def test_what_cannot_be_replaced_says_what_to_do(name: str) -> None:
    ours = trainer()
    with pytest.raises(UnknownAttributeError, match=f"{name} of a Trainer cannot be replaced; "):
        setattr(ours, name, None)
    assert ours.step(X, T) == trainer().step(X, T)


def test_the_signature_of_a_constructor_is_shown() -> None:
    options = "step_size: int, gamma: float = 0.1, *, interval: str = 'epoch'"
    assert str(inspect.signature(StepLR)) == f"({options}) -> None"
    assert [*inspect.signature(HuberLoss).parameters] == ["reduction", "delta", "factor"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NET, MSELoss, SGD()), r"expects MSELoss\(\) or the like"),
        ((NET, MSELoss(), SGD), r"expects SGD\(lr=0.02\) or the like"),
        ((NET.layers, MSELoss(), SGD()), r"expects Sequential\(Linear\(3, 2\)\) or the like"),
    ],
)
def test_what_is_no_network_loss_or_rule_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Trainer(*arguments)


def test_a_trainer_says_what_it_trains() -> None:
    assert repr(Trainer(NET, MSELoss(), SGD())).endswith("maximize=False)) after 0 steps")


# ---------------------------------------------------------------------- unknown attributes

UNKNOWN = {
    "learning_rate": "Trainer has no attribute 'learning_rate'; set lr.",
    "optimizer": "Trainer has no attribute 'optimizer'; set rule.",
    "last_los": "Trainer has no attribute 'last_los'; set last_loss.",
    "batch_size": "Trainer has no attribute 'batch_size'; pass it to fit(batch_size=…).",
    "momentum": "Trainer has no attribute 'momentum'; "
    "set rule = dataclasses.replace(trainer.rule, momentum=…).",
    "x": "Trainer has no attribute 'x'; "
    "its attributes are net, loss, rule, rng, state, steps, last_loss, lr, lrs.",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_attribute_is_refused_and_the_right_one_is_named(name: str) -> None:
    ours = trainer()
    with pytest.raises(AttributeError) as error:
        setattr(ours, name, 5)
    assert str(error.value) == UNKNOWN[name]
    assert not hasattr(ours, name)


def test_the_attributes_of_a_trainer_can_be_set() -> None:
    ours = trainer()
    ours.lr, ours.steps, ours.last_loss, ours.loss = 0.25, 7, 0.5, L1Loss()
    assert (ours.rule.lr, ours.steps, ours.last_loss) == (0.25, 7, 0.5)
    ours.step(X, T)
    assert ours.steps == 8
    assert math.isfinite(ours.last_loss)


def test_a_subclass_declares_attributes_of_its_own() -> None:
    class Best(Trainer):
        best: float
        note = "none yet"

    ours = Best(NET, MSELoss(), SGD())
    ours.best, ours.note = 0.5, "half"
    assert (ours.best, ours.note) == (0.5, "half")
    with pytest.raises(AttributeError, match="Best has no attribute 'bset'"):
        ours.bset = 0.5  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- masked arrays

MASKED_X = np.ma.masked_less(X, 0)
MASKED_T = np.ma.masked_less(T, 0)
MASKED_VECTOR = np.ma.masked_less(NET.init(0).vector, 0)


MASKED: dict[str, Any] = {
    "x of fit": lambda: trainer().fit(MASKED_X, T),
    "t of fit": lambda: trainer().fit(X, MASKED_T),
    "x of a step": lambda: trainer().step(MASKED_X, T),
    "x of rows": lambda: trainer().step(list(MASKED_X), T),
    "x of a prediction": lambda: trainer().predict(MASKED_X),
    "x of value_and_grad": lambda: NET.value_and_grad(NET.init(0), MSELoss(), MASKED_X, T),
    "x of noise": lambda: NET.sample(0, MASKED_X),
    "noise": lambda: Sequential(Dropout()).forward(
        Sequential(Dropout()).init(0), X, noise={"0.mask": MASKED_X}
    ),
    "classes": lambda: trainer(CrossEntropyLoss()).step(X, np.ma.masked_less(CLASSES, 1)),
    "y of a loss": lambda: MSELoss().value(MASKED_X, X),
    "t of a loss": lambda: MSELoss().grad(X, MASKED_X),
    "weights of a loss": lambda: CrossEntropyLoss(weight=np.ma.masked_less([1.0, -2.0], 0)),
    "vector": lambda: Parameters(NET.shapes, MASKED_VECTOR),
    "an array of parameters": lambda: NET.init(0).__setitem__(
        "0.bias", np.ma.masked_less([1.0, 2.0, 3.0, -1.0], 0)
    ),
    "a state_dict": lambda: NET.load_state_dict(
        NET.init(0).state_dict() | {"0.bias": np.ma.masked_less([1.0, 2.0, 3.0, -1.0], 0)}
    ),
    "an initializer": lambda: NET.init(
        0, bias=lambda _, shape: np.ma.masked_less(np.full(shape, -1.0), 0)
    ),
}


@pytest.mark.parametrize("place", MASKED)
def test_a_masked_array_is_refused_and_not_unmasked(place: str) -> None:
    message = r"must be a plain array, got a masked array with \d+ of \d+ entries masked; pass "
    with pytest.raises(DTypeError, match=message + r"[\w\[\]'.]+\.filled\(value\)"):
        MASKED[place]()
