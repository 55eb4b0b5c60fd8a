"""What the pictures of manualnn.plot show: their artists hold the numbers they are made of."""

import json
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from command_line import blobs, train, write
from matplotlib.figure import Figure
from sklearn import metrics

import manualnn as mnn
from manualnn import plot
from manualnn.errors import (
    DomainError,
    TableError,
)
from manualnn.plot.curves import read_curves

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
T = (X[:, 0] * X[:, 1] > 0).astype(int)
NET = mnn.Sequential(
    mnn.Linear(2, 6), mnn.ReLU(), mnn.Linear(6, 5), mnn.Sigmoid(), mnn.Linear(5, 2)
)


def new_axes():
    return Figure(figsize=(4, 3)).subplots()


@pytest.fixture(scope="module")
def trainer():
    trained = mnn.Trainer(NET, mnn.CrossEntropyLoss(), mnn.Adam(lr=0.05), seed=1)
    trained.fit(X, T, epochs=30, batch_size=10)
    return trained


def texts(ax):
    return " ".join([ax.get_title(), *(text.get_text() for text in ax.texts)])


# ------------------------------------------------------------------ the curve of the loss


def test_the_curve_has_the_numbers_of_the_history():
    history = mnn.History(loss=[3.0, 1.0, 0.5], validation_loss=[2.0, 1.5, 1.75])
    ax = new_axes()
    assert plot.loss(history, ax) is ax
    training, validation = ax.lines
    assert training.get_xydata().tolist() == [[1, 3.0], [2, 1.0], [3, 0.5]]
    assert validation.get_xydata().tolist() == [[1, 2.0], [2, 1.5], [3, 1.75]]
    assert training.get_linestyle() != validation.get_linestyle()
    (lowest,) = ax.collections
    assert lowest.get_offsets().tolist() == [[2, 1.5]]
    assert "1.5 in epoch 2" in lowest.get_label()
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize(("least", "scale"), [(0.001, "log"), (0.0, "linear"), (0.5, "linear")])
def test_losses_of_very_different_size_get_a_logarithmic_axis(least, scale):
    assert plot.loss(mnn.History(loss=[1.0, least]), new_axes()).get_yscale() == scale


@pytest.mark.parametrize("early", [[], ["--early-stopping"]])
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.json"])
def test_the_log_of_train_gives_the_curve_of_its_rows(tmp_path, name, early):
    log = tmp_path / name
    train(write(tmp_path / "data.csv", blobs()), "--epochs=3", "--log", log, *early)
    lines = log.read_text().splitlines()
    if name == "log.csv":
        rows = [line.split(",") for line in lines[1:]]
    else:
        rows = [list(json.loads(line).values()) for line in lines]
    ax = plot.loss(log, new_axes())
    for line, column in zip(ax.lines, (1, 2), strict=False):
        assert line.get_ydata().tolist() == [float(row[column]) for row in rows]
    assert len(ax.lines) == 1 + bool(early)
    # A training that is killed leaves a part of its last line.
    whole, start = log.read_text(), log.read_text().rindex(lines[-1])
    for end in range(start, len(whole)):
        log.write_text(whole[:end])
        last_comma = whole.rindex(",") if name == "log.csv" else len(whole) - 2
        epochs = 3 if end > last_comma else 2
        assert read_curves(log)["training"] == [float(row[1]) for row in rows[:epochs]]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "epoch,loss\n1,2\n",
        "loss,validation_loss\n1,\n2,nan\nx,\n",
        "loss,validation_loss\n1,\n2,3\n",
        "<html>",
        "1,2",
        '{"epoch": 1}',
    ],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "log.csv"
    path.write_text(content)
    with pytest.raises(TableError, match=r"log\.csv is no log of"):
        plot.loss(path, new_axes())
    with pytest.raises(TableError, match="No such file"):
        plot.loss(tmp_path / "none.csv", new_axes())


# ------------------------------------------------------------------ predictions


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_the_confusion_matrix_is_that_of_scikit_learn(normalize):
    true, predicted = np.array(["a", "b", "c", "d"])[
        np.random.default_rng(2).integers(4, size=(2, 9))
    ]
    ax = new_axes()
    plot.confusion_matrix(true, predicted, normalize=normalize, ax=ax)
    labels = np.unique([true, predicted])
    expected = metrics.confusion_matrix(true, predicted, labels=labels, normalize=normalize)
    shown = np.array([text.get_text() for text in ax.texts], float).reshape(expected.shape)
    assert np.allclose(shown, expected, rtol=0, atol=0.005 + 1e-9 if normalize else 0)
    (image,) = ax.images
    shares = metrics.confusion_matrix(true, predicted, labels=labels, normalize="true")
    assert np.array_equal(image.get_array(), shares)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == labels.tolist()
    assert f"{metrics.accuracy_score(true, predicted):.1%}" in ax.get_title()


def test_labels_set_the_order_of_the_classes():
    ax = plot.confusion_matrix(["x", "y"], ["x", "x"], labels=["y", "x", "z"], ax=new_axes())
    assert [text.get_text() for text in ax.texts] == ["0", "1", "0", "0", "1", "0", "0", "0", "0"]
    with pytest.raises(DomainError, match="y_pred has the label 'w'"):
        plot.confusion_matrix(["x", "y"], ["x", "w"], labels=["y", "x"])


def test_the_residual_is_the_distance_from_the_diagonal():
    true, predicted = RNG.normal(size=(2, 20))
    ax = plot.prediction_error(true, predicted[:, None], ax=new_axes())
    lines, points = ax.collections
    assert points.get_offsets().tolist() == np.c_[predicted, true].tolist()
    for (start, end), x, y in zip(lines.get_segments(), predicted, true, strict=True):
        assert (start.tolist(), end.tolist()) == ([x, x], [x, y])
    rmse = metrics.root_mean_squared_error(true, predicted)
    r2 = metrics.r2_score(true, predicted)
    assert f"RMSE {rmse:.4g}, R² {r2:.3f}" in ax.get_title()
    (points,) = plot.residuals(true, predicted, ax=new_axes()).collections
    assert points.get_offsets().tolist() == np.c_[predicted, true - predicted].tolist()


@pytest.mark.parametrize("kind", ["trainer", "object", "function"])
def test_the_boundary_shows_the_classes_that_the_model_predicts(trainer, kind):
    class Model:
        def predict(self, x):
            return np.where(trainer.classify(x)[0], "yes", "no")

    model = {"trainer": trainer, "object": Model(), "function": Model().predict}[kind]
    t = T if kind == "trainer" else np.where(T, "yes", "no")
    ax = plot.decision_boundary(model, X, t, resolution=23, ax=new_axes())
    mesh, *_ = ax.collections
    corners = np.asarray(mesh.get_coordinates())
    centers = (corners[:-1, :-1] + corners[1:, 1:]) / 2
    classes = trainer.classify(centers.reshape(-1, 2))[0]
    assert {*classes.tolist()} == {0, 1}
    assert np.array_equal(mesh.get_array().ravel(), classes)
    samples = ax.collections[-2:]
    for i, points in enumerate(samples):
        assert points.get_offsets().tolist() == X[i == T].tolist()
    markers = [points.get_paths()[0].vertices.tolist() for points in samples]
    assert markers[0] != markers[1]


def test_names_are_no_formulas_and_none_is_left_out():
    names = np.array(["$a$", "_b", "a long name " * 9])

    def predict(x):
        return names[np.digitize(x[:, 0], [-0.5, 0.5])]

    ax = plot.decision_boundary(predict, X, predict(X), names=("$u$", "v"), ax=new_axes())
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(shown) == 3
    assert not any(map(mpl.cbook.is_math_text, [*shown, ax.get_xlabel()]))
    assert max(map(len, shown)) == 30


def test_a_boundary_of_float32_networks_and_of_one_output():
    net = mnn.Sequential(mnn.Linear(2, 1))
    binary = mnn.Trainer(net, mnn.BCEWithLogitsLoss(), mnn.SGD(), dtype="float32")
    ax = plot.decision_boundary(binary, X.astype("float32"), resolution=5, ax=new_axes())
    assert ax.collections[0].get_array().size == 25


# ------------------------------------------------------------------ networks


def expected_outputs(trainer):
    """Return the outputs of each layer of NET, by hand."""
    p = trainer.params
    z0 = X @ p["0.weight"].T + p["0.bias"]
    a1 = np.maximum(z0, 0)
    z2 = a1 @ p["2.weight"].T + p["2.bias"]
    a3 = 1 / (1 + np.exp(-z2))
    return [z0, a1, z2, a3, a3 @ p["4.weight"].T + p["4.bias"]]


def heights(ax):
    """Return the heights of the histograms: one patch is filled, one is an outline."""
    return [patch.get_data() for patch in ax.patches[::2]]


def test_each_histogram_of_activations_counts_every_value(trainer):
    ax = plot.activations(NET, trainer.params, X, bins=7, ax=new_axes())
    for row, (shown, y) in enumerate(zip(heights(ax), expected_outputs(trainer), strict=True)):
        ends = (0, 1) if row == 3 else (y.min(), y.max())
        counts = np.histogram(y, 7, ends)[0]
        assert counts.sum() == y.size
        assert np.allclose(row - shown.values, 0.58 * counts / counts.max(), atol=1e-12)
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == ["0 Linear 6", "1 ReLU 6", "2 Linear 5", "3 Sigmoid 5", "4 Linear 2"]


def test_dead_and_saturated_units_are_counted():
    net = mnn.Sequential(mnn.Linear(2, 4), mnn.ReLU(), mnn.Linear(4, 3), mnn.Sigmoid())
    params = net.init(0)
    params["0.weight"] = [[0, 0], [0, 0], [1, 0], [0, 0]]
    params["0.bias"] = [-1, -1, 0, 1]
    params["2.weight"] = np.zeros((3, 4))
    # The slope of Sigmoid, y (1 − y), is 5 % of its largest value 1/4 at ln(39 + 38.97) = 4.356…
    params["2.bias"] = [0, 4.35, 4.36]
    ax = plot.activations(net, params, X, ax=new_axes())
    zeros = (2 + np.mean(X[:, 0] <= 0)) / 4
    assert f"2 of 4 units dead; {zeros:.0%} of the outputs are 0" in texts(ax)
    assert "33% saturated; 1 of 3 units for every sample" in texts(ax)


@pytest.mark.parametrize(
    ("layer", "edge"), [(mnn.Tanh(), np.arctanh(0.95**0.5)), (mnn.Softsign(), 0.05**-0.5 - 1)]
)
def test_saturation_begins_where_the_slope_is_a_twentieth_of_the_largest(layer, edge):
    net = mnn.Sequential(layer)
    x = edge * np.array([[-1.01, -0.99], [1.01, 0.99]])
    ax = plot.activations(net, net.init(0), x, ax=new_axes())
    assert "50% saturated; 1 of 2 units for every sample" in texts(ax)


@pytest.mark.parametrize("y", [[[0.0]], [[1e16], [1e16 + 2]], [[3.0], [3.0]], [[5e-324]]])
def test_outputs_that_hardly_differ_have_a_histogram(y):
    net = mnn.Sequential(mnn.Identity())
    ax = plot.activations(net, net.init(0), y, ax=new_axes())
    assert np.count_nonzero(heights(ax)[0].values) in {1, 2}


@pytest.mark.once
@pytest.mark.parametrize("what", ["activations", "gradients"])
def test_in_a_deep_network_no_remark_covers_a_histogram_or_a_number(what):
    from matplotlib import pyplot as plt

    net = mnn.Sequential(*[mnn.Linear(2, 2), mnn.Sigmoid()] * 7)
    params = net.init(0)
    draw = {
        "activations": lambda: plot.activations(net, params, X),
        "gradients": lambda: plot.gradients(net, params, mnn.MSELoss(), X, X),
    }[what]
    with plt.rc_context({"backend": "agg"}):
        ax = draw()
    try:
        ax.figure.canvas.draw()
        boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
        for row, shown in enumerate(heights(ax)):
            top = ax.transData.transform((0, shown.values.min()))[1]
            bottom = ax.transData.transform((0, row))[1]
            assert not any(box.y0 < top - 1 and box.y1 > bottom + 1 for box in boxes)
    finally:
        plt.close(ax.figure)
    assert len(boxes) >= 14
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_dropout_changes_no_activation():
    net = mnn.Sequential(mnn.Linear(2, 3), mnn.Dropout(0.5), mnn.Tanh())
    ax = plot.activations(net, net.init(0), X, ax=new_axes())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0 Linear 3", "2 Tanh 3"]


def test_each_histogram_of_gradients_counts_every_value(trainer):
    bins, x, t = 9, X[:1], T[:1]  # of one sample, whose dead units have gradients of 0
    ax = plot.gradients(NET, trainer.params, trainer.loss, x, t, bins=bins, ax=new_axes())
    _, grads = NET.value_and_grad(trainer.params, trainer.loss, x, t)
    labels = [text.get_text() for text in ax.texts]
    assert any("are 0" in label for label in labels)
    for row, (key, g) in enumerate(grads.items()):
        shown = heights(ax)[row]
        edges = np.log10(shown.edges)
        assert np.allclose(np.diff(edges), (edges[-1] - edges[0]) / bins)
        zeros = np.count_nonzero(g == 0)
        assert (f"{zeros} of {g.size} are 0" in labels[row]) == (zeros > 0)
        counts = np.histogram(np.log10(np.abs(g[g != 0])), edges)[0]
        assert counts.sum() + zeros == g.size, key
        assert np.allclose(row - shown.values, 0.58 * counts / max(counts.max(), 1), atol=1e-12)


def test_the_diagram_has_a_line_for_each_weight():
    net = mnn.Sequential(mnn.Linear(3, 2), mnn.Sigmoid(), mnn.Linear(2, 2))
    params = net.init(0)
    params["0.weight"] = [[1.0, -0.5, 0.25], [-2.0, 0.0, 4.0]]
    params["2.weight"] = [[1.0, 1.0], [1.0, -1.0]]
    ax = plot.network(net, params, ax=new_axes())
    positive, negative, *units = ax.collections
    assert positive.get_linestyle() != negative.get_linestyle()
    found = {}
    for lines, sign in ((positive, 1), (negative, -1)):
        for (start, end), width in zip(lines.get_segments(), lines.get_linewidths(), strict=True):
            found[*start, *end] = sign * (width - 0.2) / 2.8 * 4  # the widest is the weight 4
    expected = {}
    for column, key in enumerate(("0.weight", "2.weight")):
        for (j, k), weight in np.ndenumerate(params[key]):
            y = [(len(u.get_offsets()) - 1) / 2 for u in units]
            expected[column, y[column] - k, column + 1, y[column + 1] - j] = weight
    assert found.keys() == expected.keys()
    assert all(found[place] == pytest.approx(expected[place]) for place in expected)
    assert "Sigmoid" in texts(ax)


def test_a_wide_layer_shows_its_strongest_units():
    net = mnn.Sequential(mnn.Linear(30, 5))
    params = net.init(0)
    params["0.weight"] = np.linspace(0, 1, 30) * np.ones((5, 1))
    ax = plot.network(net, params, most=4, ax=new_axes())
    assert [len(units.get_offsets()) for units in ax.collections[1:]] == [4, 4]
    assert "x[26] x[27] x[28] x[29]" in texts(ax)
    assert "26 more" in texts(ax)
    assert "1 more" in texts(ax)


# ------------------------------------------------------------------ the range test


def test_the_range_test_is_a_training_by_hand():
    net = mnn.Sequential(mnn.Linear(2, 1))
    made = mnn.Trainer(net, mnn.MSELoss(), mnn.SGD(lr=0.5), seed=0)
    before = made.params.copy()
    x, t = X[:1], X[:1, :1]  # of one sample, so that no order is drawn
    found = plot.range_test(made, x, t, lr_min=1e-3, lr_max=1e3, steps=61)
    assert made.params == before
    assert made.lr == 0.5
    assert np.allclose(found.lr, 10 ** (np.arange(len(found.lr)) / 10 - 3))
    hand = mnn.Trainer(net, mnn.MSELoss(), mnn.SGD(), params=before)
    for i, lr in enumerate(found.lr):
        hand.lr = float(lr)
        assert found.loss[i] == hand.step(x, t)
        near = [(found.loss[k], 1 - abs(k - i) / 6.1) for k in range(len(found.lr))]
        total = sum(w for _, w in near if w > 0)
        assert found.smooth[i] == pytest.approx(sum(v * w for v, w in near if w > 0) / total)
    # With one sample, a step multiplies the error by 1 − 2 lr (|x|² + 1): it grows beyond this lr.
    assert found.diverged
    assert found.lr[-1] > 1 / (1 + (x**2).sum()) > found.suggestion
    assert found.lr[-1] >= 10 * found.suggestion
    ax = plot.learning_rate_range(found, ax=new_axes())
    assert ax.lines[0].get_xydata().tolist() == np.c_[found.lr, found.loss].tolist()
    assert ax.lines[1].get_xydata().tolist() == np.c_[found.lr, found.smooth].tolist()


def test_no_rate_is_suggested_where_the_loss_never_falls():
    rates = np.geomspace(0.1, 1, 4)
    rising = plot.RangeTest(rates, np.arange(4.0), np.arange(4.0), diverged=False)
    assert rising.suggestion is None
    falls = plot.RangeTest(rates, rates, np.array([9.0, 8, 3, 2]), diverged=False)
    assert falls.suggestion == rates[1]  # (3 − 9) / 2 is the least slope; then (2 − 8) / 2 and −1


def test_no_rate_is_suggested_at_the_bottom_of_the_valley_or_near_the_divergence():
    rates = np.geomspace(1e-6, 1e2, 9)  # a factor of 10 a step
    valley = np.array([9.0, 9, 8, 5, 3, 2, 30, 15, 4])  # 30 → 4 is a wiggle behind the lowest loss
    found = plot.RangeTest(rates, valley, valley, diverged=False)
    assert found.suggestion == rates[3]  # (3 − 8) / 2 is the least slope before the lowest loss
    cliff = np.array([9.0, 9, 9, 9, 9, 9, 8, 1, 99])  # the steepest descent is at the divergence
    found = plot.RangeTest(rates, cliff, cliff, diverged=True)
    assert found.suggestion == rates[6]  # and not rates[7], though it is a tenth of the last
    late = plot.RangeTest(rates[:3] ** 0.01, cliff[:3], np.array([3.0, 2, 1]), diverged=True)
    assert late.suggestion is None  # all rates are within a tenth of the last one


@pytest.mark.once
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_suggested_rate_trains_well(seed):
    """Half-moons with Adam: a wiggle of the noise at a rate of 1 was once the steepest descent."""
    rng = np.random.default_rng(seed)
    angle, t = rng.uniform(0, np.pi, 300), rng.integers(2, size=300)
    x = np.c_[np.cos(angle) + t, np.where(t, 0.5 - np.sin(angle), np.sin(angle))]
    net = mnn.Sequential(mnn.Linear(2, 16), mnn.Tanh(), mnn.Linear(16, 2))
    made = mnn.Trainer(net, mnn.CrossEntropyLoss(), mnn.Adam(), seed=seed)
    made.lr = plot.range_test(made, x, t).suggestion
    assert 1e-3 < made.lr < 0.1
    losses = made.fit(x, t, epochs=20, batch_size=32).loss
    assert losses[-1] < losses[0] / 2
    assert losses[-1] < 1.5 * min(losses)


# ------------------------------------------------------------------ axes, imports


def test_no_setting_of_matplotlib_changes_and_no_figure_is_made(trainer):
    from matplotlib import pyplot as plt

    before, figures = dict(mpl.rcParams), plt.get_fignums()
    for axes in Figure().subplots(2, 2).ravel():
        plot.loss(mnn.History([1.0, 2.0]), axes)
        plot.activations(NET, trainer.params, X, ax=axes)
    assert (dict(mpl.rcParams), plt.get_fignums()) == (before, figures)
    ax = plot.loss(mnn.History([1.0, 2.0]))
    assert plt.get_fignums() == [*figures, ax.figure.number]
    plt.close(ax.figure)


@pytest.mark.once
def test_without_matplotlib_the_extra_is_named_and_the_range_test_runs():
    code = """
import sys; sys.modules["matplotlib"] = None
import numpy as np, manualnn as mnn
from manualnn import plot
trainer = mnn.Trainer(mnn.Sequential(mnn.Linear(2, 1)), mnn.MSELoss(), mnn.SGD())
print(len(plot.range_test(trainer, np.ones((4, 2)), np.ones((4, 1)), steps=3).lr))
try:
    plot.loss(mnn.History([1.0]))
except mnn.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "3\npictures need Matplotlib; pip install 'manualnn[plot]'.\n"
