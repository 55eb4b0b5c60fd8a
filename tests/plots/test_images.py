"""What the pictures look like: small images, compared with those in the folder images.

Texts and legends are left out, because fonts differ between versions of Matplotlib; other tests
read them. An image may differ by TOLERANCE: the root of the mean square of the difference of all
pixels, which go from 0 to 255. `python tests/plots/test_images.py` draws the images anew; look at
each.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text

import manualnn as mnn
from manualnn import plot

pytestmark = pytest.mark.once

IMAGES = Path(__file__).with_name("images")
TOLERANCE = 2.0

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))


def guess(x, shift=0.2):
    """Return one of three classes for each place; lines are the boundaries."""
    return np.array(["a", "b", "c"])[1 * (x @ [1, 1] > shift) + (x @ [1, -1] > 1 + shift)]


CLASSES = guess(X, 0)
NET = mnn.Sequential(
    mnn.Linear(2, 7), mnn.ReLU(), mnn.Linear(7, 6), mnn.Sigmoid(), mnn.Linear(6, 3)
)
PARAMS = NET.init(seed=0)
PARAMS["2.weight"] *= 12
PARAMS["0.bias"][:2] = -9
EPOCHS = np.arange(1, 26)
FALLING = 3 / EPOCHS
RANGE = plot.RangeTest(
    np.geomspace(1e-4, 1, 25), FALLING[::-1], 1.5 + np.cos(EPOCHS / 8), diverged=True
)


PICTURES = {
    "loss": lambda ax: plot.loss(mnn.History([*FALLING], 1, "", [*abs(FALLING - 0.2) + 0.3]), ax),
    "confusion_matrix": lambda ax: plot.confusion_matrix(CLASSES, guess(X), ax=ax),
    "prediction_error": lambda ax: plot.prediction_error(X[:, 0], X[:, 0] * 0.8 + 0.1, ax=ax),
    "residuals": lambda ax: plot.residuals(X[:, 0], X[:, 0] + X[:, 1], ax=ax),
    "decision_boundary": lambda ax: plot.decision_boundary(guess, X, CLASSES, ax=ax),
    "network": lambda ax: plot.network(NET, PARAMS, most=6, ax=ax),
    "activations": lambda ax: plot.activations(NET, PARAMS, X, bins=20, ax=ax),
    "gradients": lambda ax: plot.gradients(
        NET, PARAMS, mnn.CrossEntropyLoss(), X, np.arange(60) % 3, bins=20, ax=ax
    ),
    "learning_rate_range": lambda ax: plot.learning_rate_range(RANGE, ax=ax),
}


def draw(name, path):
    with mpl.rc_context(mpl.rcParamsDefault | {"backend": mpl.get_backend()}):
        figure = Figure(figsize=(4, 3))
        PICTURES[name](figure.subplots())
        for artist in (*figure.findobj(Text), *figure.findobj(Legend)):
            artist.set_visible(False)
        figure.savefig(path, dpi=50, metadata={"Software": None})


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_the_one_that_was_looked_at(name, tmp_path):
    path = tmp_path / f"{name}.png"
    draw(name, path)
    assert compare_images(IMAGES / path.name, path, TOLERANCE) is None


def test_another_picture_differs_by_more(tmp_path):
    """The tolerance is far below what one missing line of a picture changes."""
    for name in PICTURES:
        blank = tmp_path / f"{name}.png"
        Figure(figsize=(4, 3)).savefig(blank, dpi=50)
        found = compare_images(IMAGES / blank.name, blank, TOLERANCE, in_decorator=True)
        assert found["rms"] > 5 * TOLERANCE, name


if __name__ == "__main__":
    for each in PICTURES:
        draw(each, IMAGES / f"{each}.png")
