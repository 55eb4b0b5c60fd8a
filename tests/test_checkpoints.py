"""Checkpoints: a training that was cut short anywhere ends bit for bit as one that was not."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import Case, cases
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import CLASSES, NET, N, T, X, trainer

from manualnn import (
    SGD,
    Adam,
    ChainedScheduler,
    Checkpoint,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CrossEntropyLoss,
    CyclicLR,
    DivergedError,
    Dropout,
    EarlyStopping,
    ExponentialLR,
    History,
    LambdaLR,
    Linear,
    LinearLR,
    ModelFileError,
    MSELoss,
    OneCycleLR,
    ReduceLROnPlateau,
    Sequential,
    SequentialLR,
    SpecError,
    StepLR,
    Tanh,
    Trainer,
    load,
    save,
)
from manualnn.training.run import Callback, Run

DROPPING = Sequential(Linear(3, 9), Dropout(0.4), Tanh(), Linear(9, 2))


class CrashError(Exception):
    """The process is gone."""


class Crash(Callback):
    """Ends the process, as far as `fit` knows, right after a step; never if it is 0."""

    watches_steps = True

    def __init__(self, step: int = 0) -> None:
        self.step = step

    def __call__(self, trainer: Trainer, history: History) -> None:
        pass

    def after_step(self, run: Run) -> None:
        if run.trainer.steps == self.step:
            raise CrashError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


def bits(value: Any) -> Any:
    """Return an array as bytes, and the parts of a state as texts, which show every digit."""
    return value.tobytes() if isinstance(value, np.ndarray) else repr(value)


def outcome(ours: Trainer, x: Any, t: Any, callbacks: list[Any], **options: Any) -> tuple[Any, ...]:
    """Train; return everything that training changes, with floats bit for bit."""
    try:
        history, error = ours.fit(x, t, callbacks=callbacks, progress=False, **options), ""
    except DivergedError as diverged:
        history, error = diverged.history, str(diverged)  # type: ignore[assignment]
    arrays = {name: np.asarray(value).tobytes() for name, value in ours.state.items()}
    own = [c.state_dict() for c in callbacks if isinstance(c, Callback)]
    return (
        (history.loss, history.validation_loss, history.lr, history.stopped, error),
        (ours.params.vector.tobytes(), arrays, ours.steps, repr(ours.rule), repr(ours.last_loss)),
        ours.rng.bit_generator.state,
        [{name: bits(value) for name, value in state.items()} for state in own],
    )


def test_each_part_of_a_run_that_matters_is_used_in_the_search() -> None:
    """The same search with a known answer: dropout, momentum and order do change the outcome."""
    runs = []
    for seed, rule in ((0, Adam()), (1, Adam()), (0, SGD())):
        ours = Trainer(DROPPING, MSELoss(), rule, params=DROPPING.init(0), seed=seed)
        runs.append(outcome(ours, X, T, [], epochs=2, batch_size=4))
    assert len({run[1][0] for run in runs}) == 3


# ---------------------------------------------------------------------- the end of a training


def test_a_finished_training_may_be_resumed_with_more_epochs(tmp_path: Path) -> None:
    """From the last parameters, also if early stopping has copied the best ones back."""
    once = Trainer(DROPPING, MSELoss(), Adam(lr=0.1), seed=0)
    data = {"batch_size": 5, "validation_data": (X[:6], T[:6])}
    expected = once.fit(X[6:], T[6:], epochs=9, callbacks=EarlyStopping(50), **data)
    twice = Trainer(DROPPING, MSELoss(), Adam(lr=0.1), seed=0)
    checkpoint = Checkpoint(tmp_path / "run", every_epochs=100)
    twice.fit(X[6:], T[6:], epochs=4, callbacks=[EarlyStopping(50), checkpoint], **data)
    again = Trainer(DROPPING, MSELoss(), Adam(lr=0.1), seed=7)
    callbacks = [EarlyStopping(50), Checkpoint(tmp_path / "run")]
    path = tmp_path / "run"
    history = again.fit(X[6:], T[6:], epochs=9, callbacks=callbacks, resume=path, **data)
    assert (history.loss, history.lr) == (expected.loss, expected.lr)
    assert again.params == once.params
    assert history.seconds > 0


def test_what_was_over_stays_over_and_what_is_asked_anew_is_judged_anew(tmp_path: Path) -> None:
    path = tmp_path / "run"
    data = {"validation_data": (X[6:], T[6:]), "epochs": 400}

    def run(patience: int, **more: Any) -> tuple[History, Trainer]:
        ours = Trainer(DROPPING, MSELoss(), Adam(lr=0.05), seed=1)
        callbacks = [EarlyStopping(patience), Checkpoint(path, every_epochs=1000)]
        return ours.fit(X[:6], T[:6], callbacks=callbacks, **data, **more), ours

    first, ours = run(3)
    assert first.stopped == "early_stopping"
    again, other = run(3, resume=path)
    assert (again.loss, again.stopped, other.params) == (first.loss, first.stopped, ours.params)
    longer, _ = run(9, resume=path)
    assert longer.loss[: first.epochs] == first.loss
    assert longer.epochs > first.epochs
    reached, _ = run(99, resume=path, target_loss=longer.loss[-1])
    assert (reached.epochs, reached.stopped) == (longer.epochs, "target_loss")


@pytest.mark.parametrize(
    ("number", "stopped"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
@pytest.mark.parametrize("step", [1, 7, 12])
def test_a_signal_ends_the_training_after_the_step_with_a_checkpoint(
    tmp_path: Path, number: signal.Signals, stopped: str, step: int
) -> None:
    """Inside an epoch of five batches, or at its end, without any other checkpoint on the way."""

    class Signal(Crash):
        def after_step(self, run: Run) -> None:
            if run.trainer.steps == self.step:
                os.kill(os.getpid(), number)

    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}[number]
    before = signal.signal(number, usual)
    path = tmp_path / "run"
    options = {"epochs": 6, "batch_size": 5}
    try:
        ours = Trainer(DROPPING, MSELoss(), Adam(), seed=4)
        callbacks = [Signal(step), Checkpoint(path, every_epochs=100)]
        history = ours.fit(X, T, callbacks=callbacks, **options)
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, before)
    assert (history.stopped, ours.steps, history.epochs) == (stopped, step, (step - 1) // 5)
    assert load(path).params == ours.params

    def run(seed: int, **more: Any) -> tuple[Any, ...]:
        anew = Trainer(DROPPING, MSELoss(), Adam(), seed=seed)
        return outcome(anew, X, T, [Signal(), Checkpoint(tmp_path / "b")], **options, **more)

    assert run(9, resume=path) == run(4)


def test_a_callback_of_ones_own_keeps_its_state(tmp_path: Path) -> None:
    """And callbacks without a state, such as the checkpoint itself, may be left out."""

    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def __call__(self, _: Trainer, history: History) -> None:
            self.count += history.epochs

        def state_dict(self) -> dict[str, Any]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.count = state["count"]

    path, counters = tmp_path / "run", [Counter(), Counter()]
    trainer().fit(X, T, epochs=2, callbacks=[print_nothing, counters[0], Checkpoint(path)])
    trainer().fit(X, T, epochs=4, callbacks=[counters[1]], resume=path)
    assert [counter.count for counter in counters] == [1 + 2, 1 + 2 + 3 + 4]


def print_nothing(_: Trainer, __: History) -> None:
    pass


# ---------------------------------------------------------------------- what is refused


def change(name: str) -> dict[str, Any]:
    """Return the arguments of a training with one of them changed."""
    return {
        "net": Sequential(Linear(3, 5), Tanh(), Linear(5, 2)) if name == "network" else NET,
        "loss": MSELoss("sum") if name == "loss" else MSELoss(),
        "rule": SGD(lr=0.1, momentum=0.5) if name == "rule" else SGD(lr=0.1, momentum=0.9),
        "dtype": "float32" if name == "dtype" else "float64",
        "batch_size": 6 if name == "batch_size" else 5,
        "shuffle": name != "shuffle",
        "x": np.where(np.arange(3 * N).reshape(N, 3) == 3 * N - 1, X + 2**-40, X)
        if name == "samples"
        else X,
        "weights": np.arange(1.0, N + 1) if name == "weights" else None,
        "validation": (X[:4], T[:4]) if name == "validation" else None,
        "callbacks": [StepLR(2)] if name == "callbacks" else [],
    }


WORDS = {
    "network": "the network was Sequential.*, got Sequential",
    "loss": r"the loss was MSELoss\(reduction='mean'\), got MSELoss\(reduction='sum'\)",
    "rule": "the rule was SGD.*momentum=0.9.*, got SGD.*momentum=0.5",
    "dtype": "the dtype was float64, got float32",
    "batch_size": "the batch size was 5, got 6; pass the same arguments, or leave",
    "shuffle": "the shuffling was True, got False",
    "samples": "the SHA-256 of all samples was ",
    "weights": "the SHA-256 of all samples was ",
    "validation": "the SHA-256 of all samples was ",
    "callbacks": r"the list of callbacks with a state was \[\], got \['StepLR'\]",
}


@pytest.mark.parametrize("name", ["nothing", *WORDS])
def test_another_training_is_refused_and_nothing_changes(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run"

    def fit(args: dict[str, Any], **more: Any) -> tuple[Trainer, Any]:
        ours = Trainer(args["net"], args["loss"], args["rule"], dtype=args["dtype"])
        before = ours.params.copy()
        x, t = args["x"].astype(args["dtype"]), T.astype(args["dtype"])
        options = {name: args[name] for name in ("batch_size", "shuffle")}
        callbacks = [Checkpoint(path), *args["callbacks"]]
        more |= {"sample_weight": args["weights"], "validation_data": args["validation"]}
        try:
            ours.fit(x, t, epochs=2, callbacks=callbacks, **options, **more)
        except SpecError as error:
            assert ours.params == before
            return ours, error
        return ours, None

    fit(change("nothing"))
    content = path.read_bytes()
    _, error = fit(change(name), resume=path)
    if name == "nothing":
        assert error is None
        return
    with pytest.raises(SpecError, match=f"cannot resume from .*{WORDS[name]}"):
        raise error
    assert path.read_bytes() == content


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    ours = trainer()
    with pytest.raises(ModelFileError, match="there is no such file"):
        ours.fit(X, T, resume=tmp_path / "none")
    save(tmp_path / "model", ours)
    with pytest.raises(ModelFileError, match=r"is a model and no checkpoint: .* call fit of"):
        ours.fit(X, T, resume=tmp_path / "model")
    save(tmp_path / "bad", ours, notes={"checkpoint": {"batch": 0}})
    with pytest.raises(ModelFileError, match="the checkpoint's description is damaged"):
        ours.fit(X, T, resume=tmp_path / "bad")
    assert ours.steps == 0


@dataclass(frozen=True)
class OwnLoss(MSELoss):
    pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: Checkpoint(path, every_epochs=0), "every_epochs must be an integer of at le"),
        (lambda path: Checkpoint(path, every_steps=1.5), "every_steps must be an integer of at le"),
        (lambda path: Checkpoint(path, every_seconds=-1), "every_seconds must be a number of at"),
        (lambda path: trainer().fit(X, T, callbacks=Checkpoint(path)), "it is a folder"),
        (
            lambda path: trainer(dtype="longdouble").fit(
                X.astype("g"), T.astype("g"), callbacks=Checkpoint(path / "run")
            ),
            "holds float32 or float64, got parameters of",
        ),
        (
            lambda path: trainer(OwnLoss()).fit(X, T, callbacks=Checkpoint(path / "run")),
            "there is no type .OwnLoss.* first entered in manualnn's LAYERS, LOSSES or OPTIMIZERS",
        ),
    ],
)
def test_what_cannot_be_saved_is_refused_before_training(
    tmp_path: Path, make: Any, message: str
) -> None:
    with pytest.raises((SpecError, ModelFileError), match=message):
        make(tmp_path)
    assert not list(tmp_path.iterdir())


def test_checkpoints_come_as_often_as_is_asked(tmp_path: Path) -> None:
    written: list[tuple[int, int]] = []

    class Counting(Checkpoint):
        def save(self, run: Run) -> None:
            written.append((run.trainer.steps, run.history.epochs))
            super().save(run)

    def places(epochs: int, **often: Any) -> list[tuple[int, int]]:
        written.clear()
        (tmp_path / "run").unlink(missing_ok=True)
        ours = trainer(CrossEntropyLoss())
        checkpoint = Counting(tmp_path / "run", **often)
        ours.fit(X, CLASSES, epochs=epochs, batch_size=12, callbacks=checkpoint)
        return list(written)

    assert places(2) == [(0, 0), (2, 1), (4, 2)]
    assert places(5, every_epochs=2) == [(0, 0), (4, 2), (8, 4), (10, 5)]
    assert places(2, every_steps=3) == [(0, 0), (3, 1), (4, 2)]
    assert places(1, every_seconds=0) == [(0, 0), (1, 0), (2, 0), (2, 1)]
    assert places(2, every_seconds=1e9) == [(0, 0), (4, 2)]


# ---------------------------------------------------------------------- anywhere


def cycle(rule: Any) -> OneCycleLR:
    """Change the momentum as well, if the rule has any."""
    has_momentum = hasattr(rule, "betas") or hasattr(rule, "momentum")
    return OneCycleLR(0.05, epochs=4, cycle_momentum=has_momentum)


SCHEDULES: list[Callable[[Any], Any]] = [
    lambda _: StepLR(1, gamma=0.5),
    lambda _: CosineAnnealingLR(3),
    lambda _: ReduceLROnPlateau(patience=0, threshold=0.5),
    lambda _: LinearLR(total_iters=3, interval="step"),
    lambda _: LambdaLR(lambda epoch: 1 / (1 + epoch)),
    lambda _: CyclicLR(0.01, 0.1, 2, cycle_momentum=False),
    lambda rule: SequentialLR([ConstantLR(), cycle(rule)], [2], interval="step"),
    lambda _: ChainedScheduler([CosineAnnealingWarmRestarts(2), ExponentialLR(0.9)]),
    cycle,
]
SMALL = {
    "depth": st.integers(0, 2),
    "widths": st.integers(1, 5),
    "sizes": st.integers(1, 9),
    "styles": ("normal", "integers"),
}


@settings(max_examples=max(20, settings.default.max_examples // 5))
@given(case=cases(**SMALL), data=st.data())
def test_a_resumed_training_ends_as_if_it_had_never_been_cut_short(
    folder: Path, case: Case, data: st.DataObject
) -> None:
    """Whatever is trained, and after whichever steps it was cut short, twice."""
    path = folder / "run"
    path.unlink(missing_ok=True)
    options = {
        "batch_size": data.draw(st.sampled_from([None, 1, 2, 3])),
        "shuffle": data.draw(st.booleans()),
        "epochs": data.draw(st.integers(1, 4)),
        "sample_weight": data.draw(st.sampled_from([None, 1.0 + np.arange(len(case.x))])),
        "validation_data": (case.x, case.t),
    }
    if options["sample_weight"] is not None:
        options["sample_weight"] = options["sample_weight"].astype(case.x.dtype)
    batches = -(-len(case.x) // (options["batch_size"] or len(case.x)))
    stops = data.draw(st.lists(st.integers(1, options["epochs"] * batches), max_size=2))
    schedules = data.draw(st.lists(st.sampled_from(SCHEDULES), max_size=2))
    every = data.draw(st.integers(1, 3))
    seed = data.draw(st.integers(0, 2**32))

    def run(step: int, **more: Any) -> tuple[Any, ...]:
        # A trainer that resumes has another state before, which must not matter.
        ours = Trainer(case.net, case.loss, case.rule, params=case.params, seed=seed + bool(more))
        checkpoint = Checkpoint(path, every_steps=every, every_epochs=2)
        callbacks = [
            Crash(step),
            checkpoint,
            EarlyStopping(2),
            *(make(case.rule) for make in schedules),
        ]
        return outcome(ours, case.x, case.t, callbacks, **options, **more)

    for place, step in enumerate(sorted(stops)):
        try:
            run(step, **({"resume": path} if place else {}))
        except CrashError:
            load(path)
    resumed = run(0, **({"resume": path} if stops else {}))
    path.unlink()
    assert resumed == run(0)


# ---------------------------------------------------------------------- kills

KILLER = Path(__file__).with_name("kills.py")


@pytest.mark.once
def test_a_process_that_is_killed_anywhere_resumes_bit_for_bit(tmp_path: Path) -> None:
    kills = 100 if settings.default.max_examples >= 1000 else 6
    done = subprocess.run(  # noqa: S603 - the script beside this test
        [sys.executable, str(KILLER), str(tmp_path), str(kills)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    print(done.stdout)  # noqa: T201 - the figure; pytest -rP shows it
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{kills} kills"), done.stdout


def test_a_checkpoint_shows_its_options() -> None:
    assert repr(Checkpoint("run")) == "Checkpoint('run', every_epochs=1)"
    both = Checkpoint("run", every_steps=5, every_seconds=0)
    assert repr(both) == "Checkpoint('run', every_steps=5, every_seconds=0)"
