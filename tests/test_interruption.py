"""Ctrl-C ends the training between two steps, and loses nothing. The signals here are real."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import MOMENTUM, Array, ByHand, N, T, X, trainer

import manualnn
from manualnn import SGD, Adam, History, MSELoss, Optimizer, Trainer

PACKAGE = str(Path(manualnn.__file__).parent)


@pytest.fixture(autouse=True)
def python_handles_interrupts() -> Iterator[None]:
    """Start from Python's own handler, and find it again afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def press_ctrl_c(times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)


@dataclass(frozen=True)
class InterruptedLoss(MSELoss):
    """Somebody presses Ctrl-C in the middle of the fourth step."""

    times: int = 1

    def forward_and_backward(
        self, y: Array, t: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        CALLS.append(len(y))
        if len(CALLS) == 4:
            press_ctrl_c(self.times)
        return MSELoss.forward_and_backward(self, y, t, out=out)


@dataclass(frozen=True)
class InterruptedRule(SGD):
    """Somebody presses Ctrl-C twice when half of the third update is done."""

    def rule(self, p: Array, g: Array, kept: list[Array], rates: Any, free: Any) -> None:
        CALLS.append(len(p))
        SGD.rule(self, p[:5], g[:5], [v[:5] for v in kept], rates, [f[:5] for f in free])
        if len(CALLS) == 3:
            press_ctrl_c(2)
        SGD.rule(self, p[5:], g[5:], [v[5:] for v in kept], rates, [f[5:] for f in free])


CALLS: list[int] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def steps_by_hand(like: Trainer, steps: int, batch_size: int) -> tuple[ByHand, list[float]]:
    hand = ByHand(like)
    hand.loss = MSELoss()
    starts = [*range(0, N, batch_size)] * steps
    return hand, [hand.step(X[i : i + batch_size], T[i : i + batch_size]) for i in starts[:steps]]


@pytest.mark.parametrize(("times", "finished"), [(1, 4), (2, 3)])
def test_the_first_press_waits_for_the_step_and_the_second_does_not(
    times: int, finished: int
) -> None:
    """In either case the history so far is returned, and the last finished step is the last."""
    ours = trainer(InterruptedLoss(times=times))
    hand, losses = steps_by_hand(ours, finished, batch_size=10)
    history = ours.fit(X, T, epochs=1000, batch_size=10, shuffle=False)
    assert history.stopped == "interrupted"
    assert history.loss == [pytest.approx((10 * losses[0] + 10 * losses[1] + 3 * losses[2]) / N)]
    assert ours.steps == finished
    assert ours.params == hand.params


def test_a_half_done_update_is_taken_back_and_training_can_go_on() -> None:
    ours = trainer(rule=InterruptedRule(lr=0.1, momentum=0.9))
    hand, losses = steps_by_hand(trainer(), 2, batch_size=N)
    history = ours.fit(X, T, epochs=1000)
    assert history.stopped == "interrupted"
    assert history.loss == losses
    assert ours.params == hand.params
    hand.state = hand.rule.init(hand.params)
    assert ours.step(X, T) == hand.step(X, T)
    assert ours.params == hand.params


def cut_short(trained: Trainer, line: int) -> bool:
    """Do a step in which Ctrl-C comes before so many lines have run; return whether it came."""
    seen = 0

    def watch(frame: Any, event: str, _: Any) -> Any:
        nonlocal seen
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                sys.settrace(None)
                raise KeyboardInterrupt
        return watch

    sys.settrace(watch)
    try:
        trained.step(X, T)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("earlier", range(4))  # an update is planned by and by
@pytest.mark.parametrize("rule", [MOMENTUM, Adam(lr=0.1)], ids=["SGD", "Adam"])
def test_wherever_a_step_is_cut_short_the_state_fits_the_parameters(
    rule: Optimizer, earlier: int
) -> None:
    """It is that of before the step, or of after it, or one that remembers nothing."""

    def trained(steps: int) -> Trainer:
        made = trainer(rule=rule)
        for _ in range(steps):
            made.step(X, T)
        return made

    before, after = trained(earlier), trained(earlier + 1)
    fresh = rule.init(before.params)
    allowed = [(a.params, state) for a in (before, after) for state in (a.state, fresh)]
    line, came = 0, True
    while came:
        line += 1
        ours = trained(earlier)
        came = cut_short(ours, line)
        assert any(
            ours.params == params and all(np.array_equal(ours.state[k], state[k]) for k in state)
            for params, state in allowed
        ), line
    assert line > 20


def press(_: Trainer, history: History) -> bool:
    if history.epochs == 2:
        press_ctrl_c()
    return False


@pytest.mark.parametrize("epochs", [2, 1000])
def test_a_press_between_two_epochs_ends_it_there(epochs: int) -> None:
    ours = trainer()
    hand, losses = steps_by_hand(ours, 2, batch_size=N)
    history = ours.fit(X, T, epochs=epochs, callbacks=[press])
    assert (history.loss, history.stopped) == (losses, "interrupted")
    assert ours.params == hand.params


def test_a_press_is_not_lost_where_a_callback_stops_at_the_same_time() -> None:
    history = trainer().fit(X, T, epochs=9, callbacks=[press, lambda _, h: h.epochs == 2])
    assert (history.epochs, history.stopped) == (2, "interrupted")


def test_after_an_interruption_the_next_fit_trains() -> None:
    ours = trainer(InterruptedLoss())
    ours.fit(X, T, epochs=10)
    history = ours.fit(X, T, epochs=3)
    assert (history.epochs, history.stopped) == (3, "epochs")


@pytest.mark.usefixtures("python_handles_interrupts")
def test_a_handler_of_the_programs_own_stays_in_charge() -> None:
    heard: list[int] = []

    def own(number: int, _: Any) -> None:
        heard.append(number)

    signal.signal(signal.SIGINT, own)
    try:
        history = trainer().fit(X, T, epochs=4, callbacks=[press])
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert heard == [signal.SIGINT]
    assert (history.epochs, history.stopped) == (4, "epochs")


def test_errors_leave_the_handler_as_it_was() -> None:
    def fail(_: Trainer, __: History) -> bool:
        raise LookupError

    with pytest.raises(LookupError):
        trainer().fit(X, T, callbacks=[fail])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_thread_trains_without_touching_the_handler() -> None:
    seen: list[Any] = []

    def look(_: Trainer, __: History) -> bool:
        seen.append(signal.getsignal(signal.SIGINT))
        return False

    ours = trainer()
    worker = threading.Thread(target=ours.fit, args=(X, T), kwargs={"callbacks": [look]})
    worker.start()
    worker.join()
    assert seen == [signal.default_int_handler]
    assert ours.steps == 1


SCRIPT = """
import numpy as np
from manualnn import SGD, Linear, MSELoss, Sequential, Trainer

trainer = Trainer(Sequential(Linear(3, 2)), MSELoss(), SGD(lr=1e-6))

def tell(_, history):
    if history.epochs == 5:
        print("training", flush=True)

history = trainer.fit(np.ones((4, 3)), np.ones((4, 2)), epochs=10**9, callbacks=[tell])
assert history.stopped == "interrupted"
assert trainer.steps - history.epochs in {0, 1}
assert np.isfinite(trainer.params.vector).all()
print("stopped")
"""


def test_a_program_goes_on_after_the_interrupted_fit() -> None:
    with subprocess.Popen(  # noqa: S603 - the script above
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "training\n"
        program.send_signal(signal.SIGINT)
        rest, _ = program.communicate(timeout=600)
    assert rest == "stopped\n"
    assert program.returncode == 0
