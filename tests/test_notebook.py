"""What notebooks show of histories, networks and models, and the curve that grows in training."""

import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from command_line import blobs, train, write

import manualnn as mnn
from manualnn.page.notebook import chart, table
from manualnn.tabular import load_model

X, T = np.eye(4, 3), np.ones((4, 2))


def parse(html: str) -> ET.Element:
    """Return the elements of HTML, which must be well-formed."""
    return ET.fromstring(f"<html>{html}</html>")  # noqa: S314 - our own


def cells(html: str) -> list[list[str]]:
    return [[cell.text or "" for cell in row] for row in parse(html).iter("tr")]


def points(html: str) -> list[list[tuple[float, float]]]:
    """Return the places of each polyline, in pixels."""
    svg = "{http://www.w3.org/2000/svg}"
    lines = [line.get("points", "").split() for line in parse(html).iter(f"{svg}polyline")]
    return [[tuple(map(float, place.split(","))) for place in line] for line in lines]


@pytest.mark.parametrize("scale", ["linear", "logarithmic"])
def test_a_chart_is_to_scale(scale: str) -> None:
    curves = {"a": [4.0, 1.0, 2.0], "b": [3.0, 400.0 if scale == "logarithmic" else 5.0]}
    html = chart(curves, x_name="epoch", y_name="loss")
    assert ("logarithmic scale" in html) == (scale == "logarithmic")
    heights = math.log if scale == "logarithmic" else float
    found = points(html)
    (left, bottom), (_, top) = found[0][1], found[1][1]
    assert left == found[1][1][0]
    expected_top = heights(curves["b"][1]) - heights(1.0)
    for line, curve in zip(found, curves.values(), strict=True):
        for (x, y), i in zip(line, range(3), strict=False):
            assert x == pytest.approx(found[0][0][0] + (left - found[0][0][0]) * i, abs=0.11)
            share = (heights(curve[i]) - heights(1.0)) / expected_top
            assert y == pytest.approx(bottom + (top - bottom) * share, abs=0.11)


@pytest.mark.parametrize("curve", [[1.0], [0.0, 0.0], [1e308, -1e308], [5e-324, 1e308]])
def test_a_chart_of_odd_numbers_stays_within_its_frame(curve: list[float]) -> None:
    ((*places,),) = points(chart({"a": curve}, x_name="x", y_name="y"))
    assert all(0 <= x <= 480 and 0 <= y <= 220 for x, y in places)


def test_a_long_curve_keeps_its_peaks() -> None:
    curve = [0.0] * 10_000
    curve[3456], curve[7890] = 9.0, -9.0
    html = chart({"a": curve}, x_name="x", y_name="y")
    (line,) = points(html)
    assert len(html) < 10_000
    assert {y for _, y in line} == {28.0, 107.0, 186.0}  # top, middle and bottom of the frame


def test_a_history_shows_its_losses() -> None:
    history = mnn.History([3.0, 1.0, 2.0], 1.5, "epochs", [5.0, 4.0, 6.0])
    html = history._repr_html_()
    assert "3 epochs, 1.5 s, stopped: epochs" in html
    assert cells(html) == [
        ["loss", "last", "lowest", "in epoch"],
        ["training", "2", "1", "2"],
        ["validation", "6", "4", "2"],
    ]
    assert [len(line) for line in points(html)] == [3, 3]
    assert "0 epochs, running" in mnn.History()._repr_html_()


def test_a_network_shows_its_layers() -> None:
    net = mnn.Sequential(mnn.Linear(3, 4), mnn.Tanh(), mnn.Linear(4, 2, bias=False))
    assert cells(net._repr_html_())[1:] == [
        ["0", "Linear(in_features=3, out_features=4, bias=True)", "4", "16"],
        ["1", "Tanh()", "4", ""],
        ["2", "Linear(in_features=4, out_features=2, bias=False)", "2", "8"],
    ]
    assert "3 inputs, 24 parameters" in net._repr_html_()
    assert "any number of inputs" in mnn.Sequential(mnn.Tanh())._repr_html_()


def test_a_model_shows_its_columns_and_scores_and_executes_nothing(tmp_path: Any) -> None:
    data = blobs()
    data["<script>"] = data.pop("a")
    train(write(tmp_path / "data.csv", data), "--epochs=2", output=tmp_path / "model")
    model = load_model(tmp_path / "model")
    html = model._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    rows = {name: rest for name, *rest in cells(html)}
    assert rows["features"] == ["2: b, <script>"]
    assert rows[""] == ["trained on", "held out", "no features"]
    scores = [part["accuracy"] for part in model.about["scores"].values()]
    assert rows["accuracy"] == [f"{score:.1%}" for score in scores]


def test_texts_are_escaped() -> None:
    odd = '<b a="1">&\''
    assert cells(table([[odd]], [odd])) == [[odd], [odd]]
    tags: list[str] = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, _: tags.append(tag)  # type: ignore[method-assign]
    reader.feed(chart({odd: [1.0]}, x_name=odd, y_name=odd))
    assert "svg" in tags
    assert "b" not in tags


# ------------------------------------------------------------------ the live curve


class Handle:
    """A display of a notebook that keeps how many epochs each renewal has shown."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def __call__(self, view: Any, *, display_id: bool) -> "Handle":
        assert display_id
        self.update(view)
        return self

    def update(self, view: Any) -> None:
        self.epochs.append(int(parse(view.data)[0][0].tail.split()[0]))


def fit(live: mnn.LiveCurve, epochs: int = 5) -> None:
    net = mnn.Sequential(mnn.Linear(3, 2))
    mnn.Trainer(net, mnn.MSELoss(), mnn.SGD()).fit(X, T, epochs=epochs, callbacks=live)


@pytest.mark.parametrize(
    ("every", "shown"), [(0, [0, 1, 2, 3, 4, 5, 5]), (1.5, [0, 2, 4, 5]), (1e9, [0, 5])]
)
def test_the_curve_is_renewed_now_and_then_and_at_the_end(
    every: float, shown: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock goes on by a second at each look; a look follows each renewal."""
    import IPython.display

    handle, clock = Handle(), iter(np.arange(1000.0))
    monkeypatch.setattr(IPython.display, "display", handle)
    monkeypatch.setattr("manualnn.training.live.time.monotonic", lambda: next(clock))
    live = mnn.LiveCurve(every_seconds=every)
    fit(live)
    assert handle.epochs == shown
    fit(live)
    assert handle.epochs == shown * 2


@pytest.mark.parametrize("reason", ["diverged", "error"])
def test_the_curve_of_a_training_that_fails_says_so(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import IPython.display

    class Views(list[str]):
        def __call__(self, view: Any, *, display_id: bool) -> "Views":  # noqa: ARG002
            self.update(view)
            return self

        def update(self, view: Any) -> None:
            self.append(view.data)

    views = Views()
    monkeypatch.setattr(IPython.display, "display", views)

    def fail(_: Any, history: mnn.History) -> None:
        if history.epochs == 3 and reason == "error":
            raise ZeroDivisionError

    trainer = mnn.Trainer(mnn.Sequential(mnn.Linear(3, 2)), mnn.MSELoss(), mnn.SGD())
    trainer.lr = 0.1 if reason == "error" else 1e20
    live = mnn.LiveCurve(every_seconds=1e9)
    with pytest.raises((mnn.DivergedError, ZeroDivisionError)):
        trainer.fit(X, T, epochs=99, callbacks=[live, fail])
    assert "running" in views[0]
    assert f"stopped: {reason}" in views[-1]
    assert "0 epochs" not in views[-1]


@pytest.mark.once
def test_ipython_renews_one_display(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    try:
        shell.display_pub = CapturingDisplayPublisher()
        fit(mnn.LiveCurve(every_seconds=0), epochs=2)
        outputs = shell.display_pub.outputs
    finally:
        InteractiveShell.clear_instance()
    assert [output["update"] for output in outputs] == [False, True, True, True]
    assert len({output["transient"]["display_id"] for output in outputs}) == 1
    assert "2 epochs" in outputs[-1]["data"]["text/html"]
    assert "loss=" not in outputs[-1]["data"]["text/plain"]  # the text of all losses may be long


def test_outside_of_a_notebook_the_training_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    fit(mnn.LiveCurve(every_seconds=0))
    assert capsys.readouterr().out.count("\n") == 1  # IPython prints one line in place of a display


@pytest.mark.once
def test_without_ipython_its_name_is_said() -> None:
    code = """
import sys; sys.modules["IPython"] = None
import numpy as np, manualnn as mnn
trainer = mnn.Trainer(mnn.Sequential(mnn.Linear(2, 1)), mnn.MSELoss(), mnn.SGD())
try:
    trainer.fit(np.ones((4, 2)), np.ones((4, 1)), callbacks=mnn.LiveCurve())
except mnn.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "LiveCurve needs IPython, as notebooks have it; pip install ipython.\n"


def test_an_impossible_period_is_refused() -> None:
    with pytest.raises(mnn.SpecError, match="every_seconds"):
        mnn.LiveCurve(every_seconds=-1)
