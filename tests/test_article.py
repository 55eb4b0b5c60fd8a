"""The network of the article: one training step, compared with a hand computation.

Three inputs, two sigmoid neurons, two linear outputs, one sample; E = 1/N Σₙ Σₖ (Tₙₖ − Oₙₖ)² with
N = 1; learning rate 0.02. The expected side uses no arrays and no matrix products.
"""

import math

import numpy as np
import pytest

from manualnn import SGD, Linear, MSELoss, Sequential, Sigmoid, Trainer

ALPHA = 0.02
INPUT = [0.5, -1.0, 2.0]
TARGET = [1.0, -0.5]
W1 = [[0.1, 0.4, -0.3], [-0.2, 0.5, 0.7]]
B1 = [0.2, -0.1]
W2 = [[0.6, -0.4], [0.3, 0.8]]
B2 = [-0.2, 0.1]

NET = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2))
NAMED = {"0.weight": W1, "0.bias": B1, "2.weight": W2, "2.bias": B2}


def article() -> Trainer:
    params = NET.load_state_dict(NAMED)
    return Trainer(NET, MSELoss("batchmean"), SGD(lr=ALPHA), params=params)


Numbers = dict[str, list[float]]


def step_by_hand() -> tuple[float, Numbers, Numbers]:
    """Return the error, every derivative and every new weight, in the order of the names."""
    z = [sum(W1[j][i] * INPUT[i] for i in range(3)) + B1[j] for j in range(2)]
    hidden = [1 / (1 + math.exp(-z[j])) for j in range(2)]
    output = [sum(W2[k][j] * hidden[j] for j in range(2)) + B2[k] for k in range(2)]
    error = sum((TARGET[k] - output[k]) ** 2 for k in range(2))

    d_output = [-2 * (TARGET[k] - output[k]) for k in range(2)]
    d_hidden = [sum(d_output[k] * W2[k][j] for k in range(2)) for j in range(2)]
    d_z = [d_hidden[j] * hidden[j] * (1 - hidden[j]) for j in range(2)]
    gradients = {
        "0.weight": [d_z[j] * INPUT[i] for j in range(2) for i in range(3)],
        "0.bias": d_z,
        "2.weight": [d_output[k] * hidden[j] for k in range(2) for j in range(2)],
        "2.bias": d_output,
    }
    old = {key: np.ravel(value).tolist() for key, value in NAMED.items()}
    new = {
        key: [w - ALPHA * g for w, g in zip(old[key], gradients[key], strict=True)] for key in old
    }
    return error, gradients, new


ERROR, GRADIENTS, NEW = step_by_hand()
CLOSE = {"rel": 1e-15, "abs": 0.0}
"""A few units in the last place of float64, each of 2.2e-16."""


def test_the_error_is_the_one_by_hand() -> None:
    assert article().step([INPUT], [TARGET]) == pytest.approx(ERROR, **CLOSE)


@pytest.mark.parametrize("key", NAMED)
def test_every_derivative_is_the_one_by_hand(key: str) -> None:
    ours = article()
    _, grads = NET.value_and_grad(ours.params, ours.loss, [INPUT], [TARGET])
    assert grads[key].ravel().tolist() == pytest.approx(GRADIENTS[key], **CLOSE)


@pytest.mark.parametrize("key", NAMED)
def test_every_new_weight_is_the_one_by_hand(key: str) -> None:
    ours = article()
    ours.step([INPUT], [TARGET])
    assert ours.params[key].ravel().tolist() == pytest.approx(NEW[key], **CLOSE)


def test_the_first_step_makes_the_error_smaller() -> None:
    ours = article()
    first, second = ours.step([INPUT], [TARGET]), ours.step([INPUT], [TARGET])
    assert second < first


def test_it_learns_until_the_target_is_reached() -> None:
    ours = article()
    history = ours.fit([INPUT], [TARGET], epochs=10_000, target_loss=1e-12)
    assert history.stopped == "target_loss"
    assert history.loss == sorted(history.loss, reverse=True)
    assert ours.predict([INPUT])[0].tolist() == pytest.approx(TARGET, abs=1e-6)


def test_a_small_learning_rate_stops_at_the_number_of_epochs() -> None:
    ours = article()
    ours.lr = 1e-6
    history = ours.fit([INPUT], [TARGET], epochs=50, target_loss=1e-12)
    assert (history.stopped, history.epochs) == ("epochs", 50)
