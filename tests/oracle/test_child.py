"""Engines in Python in a process of their own: faults, what they print, restarts."""

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from manualnn.oracle.engines import child, host
from manualnn.oracle.engines.client import EngineClient, EngineError, connect
from manualnn.oracle.engines.in_process import load_target
from manualnn.oracle.engines.work import WORK
from manualnn.oracle.profiles import PROFILES
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.runner import check_engine

WILD = Path(__file__).with_name("wild.py")
CRASH = "ctypes.string_at(0)"
QUITS = "class Engine:\n def step(self, case): pass\n def capabilities(self): "
THREADED = (
    "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
)


def case(note="", n=1):
    x = np.arange(2.0 * n).reshape(n, 2)
    return Case(layers=(), loss={"type": "MSELoss"}, params={}, x=x, t=x, note=note)


@pytest.fixture(scope="module", params=["forks", "starts again"])
def bench(request, tmp_path_factory):
    """Return the client of an engine that forks, and of one whose import starts a thread."""
    file = tmp_path_factory.mktemp("wild") / "wild.py"
    start = THREADED if request.param == "starts again" else ""
    file.write_text(start + WILD.read_text(encoding="utf-8"), encoding="utf-8")
    with connect(f"{file}:Engine", time_limit=5) as bench:
        assert bench.restarts_cheaply == (request.param == "forks" and sys.platform == "linux")
        yield bench


def runs_on(bench):
    outcome = bench.run(case())
    assert outcome.fault is None, outcome.message
    np.testing.assert_array_equal(outcome.result["outputs"], [[0.0, 1.0]])
    return True


@pytest.mark.parametrize(
    ("note", "fault", "message"),
    [
        (CRASH, "crash", r"^SIGSEGV ended it\.?\nprinted: Fatal Python error: Segmentation fault"),
        (
            "print('bye'); sys.stdout.flush(); os._exit(3)",
            "crash",
            "^it exited with code 3\nprinted: bye$",
        ),
        ("os._exit(0)", "crash", "^it exited with code 0$"),
        ("os.abort()", "crash", "^SIGABRT ended it"),
        ("os.kill(os.getpid(), 9)", "crash", "^SIGKILL ended it .*memory is short"),
        ("sys.exit(3)", "error", "SystemExit: 3$"),
        ("raise KeyboardInterrupt", "error", "KeyboardInterrupt$"),
        ("input()", "error", "EOFError"),
        ("1 / 0", "error", "ZeroDivisionError"),
        ("reply = {}", "malformed", "lacks 'outputs'"),
    ],
)
def test_a_failure_belongs_to_its_case_and_the_next_case_runs(bench, note, fault, message):
    for outcome in (bench.run(case(note)), bench.examine(case(note)).outcome):
        assert outcome.fault == fault
        assert re.search(message, outcome.message, re.DOTALL), outcome.message
        assert "oracle/engines" not in outcome.message
        assert runs_on(bench)


def test_a_hang_shows_its_place_also_in_compiled_code(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "GRACE", 0.2)
    file = tmp_path / "wild.py"
    file.write_text(WILD.read_text(encoding="utf-8"), encoding="utf-8")
    blocked = "signal = __import__('signal'); signal.pthread_sigmask(0, [14]); time.sleep(60)"
    transport = child.Child(f"{file}:Engine", 0.2, 60.0)  # the start may be slow
    with EngineClient(transport, transport.capabilities(), 0.2) as bench:
        for note, place in (("while True: pass", "step"), (blocked, "line \\d+ in step")):
            outcome = bench.run(case(note))
            assert outcome.fault == "hang"
            assert re.search(f"no result within .*{place}", outcome.message, re.DOTALL)
            assert "oracle/engines" not in outcome.message
            assert runs_on(bench)


def test_what_an_engine_prints_is_shown_only_with_its_crash(bench, capfd):
    bench.run(case("print('loud'); os.write(1, b'louder'); os.write(2, b'loudest')"))
    assert "loud" not in bench.run(case("os._exit(1)")).message
    bench.run(case("print('x' * 10**6)"))
    assert len(bench.run(case("print('y' * 10**6); os._exit(1)")).message) < 3000
    assert capfd.readouterr() == ("", "")


def test_an_answer_is_never_that_of_another_case(bench):
    """A thread that ends the process after the answer may fail the next case, but mixes up none."""
    late = "import threading; threading.Timer(0.05, os._exit, (4,)).start()"
    bench.run(case(late))
    time.sleep(0.2)
    for n in (2, 3, 4):
        outcome = bench.run(case(n=n))
        assert outcome.fault == "crash" or outcome.result["outputs"].shape == (n, 2)
    assert runs_on(bench)


def test_a_case_sent_ahead_is_answered_once_and_only_if_it_is_asked_for(bench):
    count, other = case("reply = {'skipped': str(calls)}"), case("reply = {'skipped': 'no'}")
    bench.restart()
    bench.begin(count)
    assert bench.run(count).skipped == "1"
    assert bench.run(count).skipped == "2"
    bench.begin(other)
    assert bench.run(count).skipped == "4"
    bench.begin(case("os._exit(3)"))
    assert bench.run(count).fault == "crash"
    ends = case("os._exit(4)")
    bench.begin(ends)
    assert "code 4" in bench.run(ends).message
    assert runs_on(bench)


def test_only_a_restart_forgets_the_globals_of_a_module(bench):
    count = "reply = {'skipped': str(calls)}"
    bench.restart()
    assert bench.run(case(count)).skipped == "1"
    bench.fresh()
    assert bench.run(case(count)).skipped == "2"
    with bench.another() as other:
        assert other.run(case(count)).skipped == "3"
    bench.restart()
    assert bench.run(case(count)).skipped == "1"


def test_a_module_is_never_imported_in_this_process(bench):
    assert bench.is_python
    assert not any(WILD.name in str(getattr(m, "__file__", "")) for m in list(sys.modules.values()))


def test_large_arrays_arrive_whole(bench):
    x = np.random.default_rng(0).normal(size=(3000, 300))
    big = case().but(x=x, t=x)
    np.testing.assert_array_equal(bench.run(big).result["outputs"], x)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV ended it"),
        ("import os; os._exit(5)", "it exited with code 5"),
        ("import time; time.sleep(60)", r"no result within .* s\nprinted: .*line 1 in <module>"),
        (f"{QUITS}import os; os._exit(6)", "it exited with code 6"),
    ],
)
def test_an_import_that_crashes_or_hangs_is_an_error_with_a_reason(
    tmp_path, code, message, monkeypatch
):
    monkeypatch.setattr(host, "GRACE", 0.2)
    (tmp_path / "broken.py").write_text(code, encoding="utf-8")
    with pytest.raises(EngineError, match=f"(?s)failed before its first case: {message}"):
        connect(f"{tmp_path}/broken.py:Engine", time_limit=2)


def test_a_file_is_read_as_it_is_now_whatever_its_size_and_time(tmp_path, monkeypatch):
    """Cached bytecode is known by the size and the second of its source alone."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "sign.py"
    for sign in "+", "-":
        file.write_text(f"value = {sign}1", encoding="utf-8")
        os.utime(file, (0, 0))
        assert load_target(f"{file}:value") == int(f"{sign}1")


def test_no_process_is_left_behind(tmp_path):
    (tmp_path / "wild.py").write_text(WILD.read_text(encoding="utf-8"), encoding="utf-8")
    with connect(f"{tmp_path}/wild.py:Engine") as bench:
        bench.run(case("__import__('subprocess').Popen(['sleep', '61.7'])"))
        group = int(bench.capabilities.name)
        bench.restart()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail(f"processes of group {group} still run")


def test_the_process_ends_with_its_parent(tmp_path):
    """The parent is killed while its engine waits."""
    (tmp_path / "wild.py").write_text(WILD.read_text(encoding="utf-8"), encoding="utf-8")
    code = (
        "from manualnn.oracle.engines.client import connect\n"
        f"bench = connect({str(tmp_path / 'wild.py:Engine')!r})\n"
        "print(bench.capabilities.name, flush=True)\n"
        "import os; os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(int(printed.stdout), 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("the engine's process still runs")


def test_state_in_a_global_is_reported_as_history_and_blames_no_feature(tmp_path, monkeypatch):
    monkeypatch.setitem(PROFILES, "quick", replace(PROFILES["quick"], examples=6, explaining=3))
    (tmp_path / "wild.py").write_text(WILD.read_text(encoding="utf-8"), encoding="utf-8")
    report = check_engine(f"{tmp_path}/wild.py:Global", only=["layer.Tanh:loss", "history:*"])
    assert "history:history" in {r.id for r in report.results if r.status == "failed"}
    alone = [r.id for r in report.results for f in r.findings if len(f.calls) == 1]
    assert not alone
    assert [r.id for r in report.results].count("history:history") == 1


def test_the_cpu_time_of_an_engine_is_known_in_every_process_of_it(bench):
    """A loop counts with at least its own CPU time, and a pause with less than half of its time.

    The pause is a later call of the same process, so that no start of a process counts with it.
    """
    loop = "import time\nend = time.process_time() + 0.02\nwhile time.process_time() < end: pass"
    for _ in range(2):
        before = WORK.seconds
        bench.run(case(loop))
        between = WORK.seconds
        bench.run(case("import time; time.sleep(0.2)"))
        after = WORK.seconds
        assert between - before >= 0.02
        assert after - between < 0.1
        bench.restart()
