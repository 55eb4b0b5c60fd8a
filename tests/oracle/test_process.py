"""Engines in a process of their own: each failure is an outcome, and the next case runs."""

import asyncio
import fcntl
import json
import os
import re
import shlex
import signal
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from manualnn.oracle.engines import client, connection
from manualnn.oracle.engines import faults as failures
from manualnn.oracle.engines.client import EngineError, connect
from manualnn.oracle.protocol.case import Case

ENGINE = Path(__file__).with_name("misbehaving.py")
PYTHON = [sys.executable, "-S", "-E"]


def command(engine=ENGINE, **claims):
    return shlex.join([*PYTHON, str(engine), json.dumps(claims)])


def case(note="", x=((1.0, 2.0),), dtype="float64"):
    x = np.array(x, dtype)
    return Case(layers=(), loss={"type": "MSELoss"}, params={}, x=x, t=x, note=note, dtype=dtype)


@pytest.fixture(scope="module")
def bench():
    with connect(command(), time_limit=60) as bench:
        yield bench


@contextmanager
def hurried(bench, seconds=0.5):
    """Bound a call of an engine that hangs, and not its start, which a busy machine delays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench._transport._connection, "time_limit", seconds)  # noqa: SLF001 - one call
        yield


def open_files():
    return len(list(Path("/dev/fd").iterdir()))


def runs_on(bench):
    outcome = bench.run(case())
    assert outcome.fault is None, outcome.message
    np.testing.assert_array_equal(outcome.result["outputs"], [[1.0, 2.0]])
    return True


FAULTS = {
    "exits": ("os._exit(3)", "crash", "exited with code 3"),
    "exits as if all were well": ("raise SystemExit", "crash", "exited with code 0"),
    "raises": ("raise ValueError('no ' + 'luck')", "crash", r"exited with code 1.*no luck"),
    "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", "crash", "SIGSEGV"),
    "ends within a line": (
        'os.write(1, b\'{"type": "ok"\'), os._exit(0)',
        "crash",
        r"exited with code 0, after the half line '{\"type\": \"ok\"'",
    ),
    "closes stdout": ("os.close(1), time.sleep(60)", "crash", "closed its stdout, and runs on"),
    "hangs": ("time.sleep(60)", "hang", r"no reply within 0\.5 s .*flush stdout"),
    "hangs in a loop": ("while True: pass", "hang", r"no reply within 0\.5 s .*flush stdout"),
    "hangs within a line": ("os.write(1, b'{'), time.sleep(60)", "hang", "half line '{'"),
    "hangs and closed stdin and stderr": (
        "os.close(0), os.close(2), time.sleep(60)",
        "hang",
        r"no reply within 0\.5 s",
    ),
    "never stops complaining": (
        "while True: os.write(2, b'complaint ' * 1000)",
        "hang",
        r"no reply within 0\.5 s.*stderr: .*complaint",
    ),
    "prints": ("print('loss is', 3); reply(right)", "garbage", "'loss is 3'"),
    "prints a number": ("print(3, flush=True)", "garbage", "not a JSON object: '3'"),
    "prints an empty line": ("print(flush=True)", "garbage", "not a JSON object: ''"),
    "writes no text": ("os.write(1, bytes([255, 0, 10]))", "garbage", "xff"),
    "replies by a list": ("reply([right])", "garbage", "not a JSON object"),
    "nests endlessly": ("print('[' * 10**5, flush=True)", "garbage", r"not a JSON object: '\[\["),
    "answers another case": ("reply({**right, 'seq': 0})", "garbage", "seq 0"),
    "answers no case": ("del right['seq']; reply(right)", "garbage", "seq None"),
    "has a type of its own": ("reply({**right, 'type': 'fine'})", "garbage", "type 'fine'"),
    "has no type": ("reply({'seq': right['seq'], 'type': []})", "garbage", r"type \[\]"),
    "reports an error": (
        "reply({**right, 'type': 'errored', 'trace': 'line 7: oops'})",
        "error",
        "line 7: oops",
    ),
    "has no result": ("del right['result']; reply(right)", "malformed", "result is None"),
    "has another result": ("reply({**right, 'result': [1]})", "malformed", "has to be an object"),
    "has no numbers": (
        "reply({**right, 'result': {'outputs': [['one', 2]]}})",
        "malformed",
        "result.outputs is not an array: .*one",
    ),
    "has half a form": (
        "reply({**right, 'result': {'outputs': {'base64': '', 'dtype': 'float64'}}})",
        "malformed",
        "result.outputs is not an array: has no 'shape'",
    ),
    "names no file": (
        "reply({**right, 'result': {'outputs': {'path': '/nowhere', 'key': 'x'}}})",
        "malformed",
        "result.outputs is not an array: .*nowhere",
    ),
    "has numbers beyond all": (
        "reply({**right, 'result': {'outputs': [[10**20, 10**400]]}})",
        "malformed",
        "result.outputs is not an array: int too large",
    ),
    **{
        f"writes {word}": (
            f"print(json.dumps(right).replace('1.0', '{word}'), flush=True)",
            "malformed",
            rf'the bare word {re.escape(word)}, .*\[{re.escape(word)}, .*the string "NaN", "Inf',
        )
        for word in ("-nan", "nan", "inf", "-inf", "1.#IND", "-nan(0x8)")
    },
    "has truth values": (
        "reply({**right, 'result': {'outputs': [[True, False]]}})",
        "malformed",
        "real numbers",
    ),
}


@pytest.mark.parametrize(("note", "fault", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_and_the_run_goes_on(bench, note, fault, message):
    with hurried(bench) if fault == "hang" else nullcontext():
        outcome = bench.run(case(note))
    assert outcome.fault == fault
    assert re.search(message, outcome.message, re.DOTALL), outcome.message
    assert outcome.result is None
    assert runs_on(bench)


def test_an_endless_line_is_garbage(bench, monkeypatch):
    monkeypatch.setattr(connection, "LONGEST_LINE", 2**20)
    outcome = bench.run(case("while True: os.write(1, b'0' * 2**16)"))
    assert outcome.fault == "garbage"
    assert "longer than 1048576 bytes" in outcome.message
    assert runs_on(bench)


def test_a_line_after_the_reply_is_garbage_of_the_next_case(bench):
    assert bench.run(case("reply(right); print('bye', flush=True)")).fault is None
    time.sleep(0.05)
    outcome = bench.run(case())
    assert outcome.fault == "garbage"
    assert "'bye'" in outcome.message
    assert runs_on(bench)


def test_a_case_is_skipped_for_the_reason_given(bench):
    outcome = bench.run(case("reply({**right, 'type': 'skipped', 'reason': 'too small'})"))
    assert outcome.skipped == "too small"
    assert outcome.fault is None


def test_a_large_case_and_a_large_reply_pass():
    x = np.random.default_rng(0).normal(size=(300, 300))
    with connect(command(), time_limit=60) as bench:
        outcome = bench.run(case("os.write(2, b'note ' * 10**5); reply(right)", x))
    np.testing.assert_array_equal(outcome.result["outputs"], x)


def test_numbers_beyond_64_bits_may_lack_a_point(bench):
    outcome = bench.run(case("right['result'] = {'outputs': [[10**20, -10**300]]}; reply(right)"))
    np.testing.assert_array_equal(outcome.result["outputs"], [[1e20, -1e300]])


def test_who_does_not_read_hangs_and_nobody_waits_for_it():
    large = case("", np.zeros((300, 300)))
    with connect(command(after="time.sleep(60)")) as bench, hurried(bench):
        outcome = bench.run(large)
    assert outcome.fault == "hang"
    assert re.search(r"it has not read \d+ bytes of the case", outcome.message)


REPLY_TO_THE_FIRST = "reply({'type': 'ok', 'seq': 1, 'result': {'outputs': [[0] * 300] * 300}})"


def test_an_answer_before_the_case_was_read_does_not_cut_the_case_off():
    large = case("if message['seq'] > 1: reply(right)", np.ones((300, 300)))
    after = REPLY_TO_THE_FIRST + "; time.sleep(0.1)"
    with connect(command(after=after), time_limit=60) as bench:
        assert bench.run(large).result["outputs"].sum() == 0
        outcome = bench.run(large)
        assert outcome.fault is None, outcome.message
        assert outcome.result["outputs"].sum() == 300 * 300


def test_who_closed_stdin_may_still_answer():
    large = case("", np.ones((300, 300)))
    after = "os.close(0); time.sleep(0.1); " + REPLY_TO_THE_FIRST + "; time.sleep(60)"
    with connect(command(after=after), time_limit=60) as bench:
        assert bench.run(large).fault is None
        with hurried(bench):
            assert bench.run(large).fault == "hang"


def test_waiting_takes_no_processor_time(bench):
    """This also holds if the engine has closed its stdin and stderr."""
    before = time.process_time()
    with hurried(bench):
        assert bench.run(case("os.close(0), os.close(2), time.sleep(60)")).fault == "hang"
    assert time.process_time() - before < 0.1


def test_an_exit_is_no_hang_though_a_child_holds_stdout(bench):
    with hurried(bench):
        outcome = bench.run(case("os.fork() or time.sleep(60); os._exit(3)"))
    assert outcome.fault == "crash"
    assert "exited with code 3" in outcome.message


def test_complaints_before_a_large_case_is_read_do_not_block():
    with connect(command(after="os.write(2, b'note ' * 10**5)"), time_limit=60) as bench:
        assert bench.run(case("", np.ones((300, 300)))).fault is None


def test_stderr_of_an_earlier_case_is_not_blamed_on_a_later_one(bench):
    bench.run(case("print('early', file=sys.stderr, flush=True); reply(right)"))
    bench.run(case())
    outcome = bench.run(case("print('late', file=sys.stderr, flush=True); os._exit(1)"))
    assert "late" in outcome.message
    assert "early" not in outcome.message


def test_a_fresh_process_has_no_history(bench):
    count = case("reply({**right, 'type': 'skipped', 'reason': str(calls)})")
    bench.fresh()
    assert [bench.run(count).skipped for _ in range(2)] == ["1", "2"]
    bench.fresh()
    assert bench.run(count).skipped == "1"


def test_an_engine_that_cannot_start_again_crashes_every_case(tmp_path):
    engine = tmp_path / "engine.py"
    engine.write_text(ENGINE.read_text())
    with connect(command(engine)) as bench:
        engine.unlink()
        assert runs_on(bench)
        bench.fresh()
        for _ in range(2):
            outcome = bench.run(case())
            assert outcome.fault == "crash"
            assert "exited with code 2" in outcome.message


@pytest.mark.parametrize("ending", ["time.sleep(60)", "print('?', flush=True)", "os._exit(0)"])
def test_an_end_takes_the_children_along(tmp_path, ending):
    """A child that inherited a locked file holds the lock until it has ended."""
    path = tmp_path / "lock"
    fork = f"import fcntl; f = open({str(path)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
    fork += f"if os.fork() == 0: os.close(1), time.sleep(60)\n{ending}"
    with connect(command(), time_limit=60) as bench:
        with hurried(bench) if "sleep" in ending else nullcontext():
            assert bench.run(case(fork)).fault is not None
        with path.open() as file:
            locked = True
            for _ in range(1000):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(0.01)
                else:
                    locked = False
                    break
            assert not locked


def test_neither_processes_nor_pipes_are_left_over():
    tell = "print('pid', os.getpid(), file=sys.stderr, flush=True); "
    with connect(command(), time_limit=60) as bench:
        before = open_files()
        for ending in ("os._exit(0)", "time.sleep(60)", "print('?', flush=True)"):
            with hurried(bench, 2) if "sleep" in ending else nullcontext():
                outcome = bench.run(case(tell + ending))
            pid = int(re.search(r"pid (\d+)", outcome.message)[1])
            with pytest.raises(ChildProcessError):  # it has been waited for
                os.waitpid(pid, os.WNOHANG)
            assert runs_on(bench)
        assert open_files() == before
        bench.fresh()
        assert open_files() <= before - 3  # newer Pythons hold one more file, to learn of the exit


def test_an_interruption_leaves_no_stale_answer_behind(bench):
    def interrupt(*_):
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            bench.run(case("time.sleep(0.3); reply(right)"))
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert runs_on(bench)


SPECIAL = [[0.1, -0.0, 5e-324], [np.nan, np.inf, -np.inf]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arrays", ["list", "base64", "safetensors"])
def test_every_form_carries_every_bit(arrays, dtype):
    claims = {"arrays": arrays, "dtypes": ["float32", "float64"]}
    with np.errstate(under="ignore"), connect(command(**claims)) as bench:
        asked = case("", SPECIAL, dtype)
        outputs = bench.run(asked).result["outputs"]
    assert outputs.dtype == dtype
    np.testing.assert_array_equal(outputs, asked.x)
    np.testing.assert_array_equal(np.signbit(outputs[0]), np.signbit(asked.x[0]))


def test_an_engine_may_answer_in_a_file_of_its_own_and_all_files_are_removed(tmp_path):
    note = """
from safetensors import numpy as files
import numpy as np
sent = files.load_file(case["x"]["path"])
path = message["directory"] + "/answer"
files.save_file({"y": sent["x"]}, path)
right["result"]["outputs"] = {"path": path, "key": "y"}
open(FILE, "w").write(message["directory"])
reply(right)
""".replace("FILE", repr(str(tmp_path / "where")))
    engine = shlex.join([sys.executable, str(ENGINE), json.dumps({"arrays": "safetensors"})])
    with connect(engine) as bench:
        outcome = bench.run(case(note))
    np.testing.assert_array_equal(outcome.result["outputs"], [[1.0, 2.0]])
    assert not Path((tmp_path / "where").read_text()).exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no-such-program", "cannot be started: .*no-such-program"),
        ("engine.py", "is a Python file, .* such as engine.py:Engine"),
        ("'", "is not a command line: No closing quotation"),
        ("", "the target is empty"),
        ("true", "exited with code 0"),
        ("sh -c 'echo no such model >&2; exit 3'", "exited with code 3.*no such model"),
        ("sh -c 'echo hello; sleep 60'", "not a JSON object: 'hello'"),
        (command(type="hi"), "the first line has type 'hi', not 'hello'"),
        (command(layers=["Conv2d"]), "claims 'Conv2d' among the layers; known are Linear"),
        (command(layers=3), "claims what cannot be understood"),
        (command(colour="red"), "has 'colour'; known are"),
        (command(protocol=2), "protocol 2"),
        (command(before="time.sleep(60)"), r"no reply within 0\.5 s"),
    ],
)
def test_what_is_no_engine_is_refused_with_a_reason(target, message, monkeypatch):
    if "no reply" in message or "sleep" in target:
        monkeypatch.setattr(client, "START_LIMIT", 0.5)
    before = open_files()
    with pytest.raises(EngineError) as caught:
        connect(target)
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)
    assert open_files() == before


def test_a_file_that_is_no_command_is_told_how_to_run(tmp_path, monkeypatch):
    (tmp_path / "engine.rs").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineError, match=r"engine\.rs is a file in this folder: write \./engine"):
        connect("engine.rs --fast")


def test_a_long_complaint_keeps_its_beginning():
    text = failures.shorten("panicked: no such key\n" + "  at a frame\n" * 1000 + "exit")
    assert text.startswith("panicked: no such key")
    assert text.endswith("exit")
    assert len(text) < failures.TAIL + 20


def test_a_process_is_asked_where_an_event_loop_runs():
    """A notebook is such a place."""

    async def run():
        with connect(command(), time_limit=60) as bench:
            return runs_on(bench)

    assert asyncio.run(run())
