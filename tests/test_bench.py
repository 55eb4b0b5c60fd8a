"""`manualnn bench` and `tox -e bench`: arithmetic, messages and processes, but no times."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import numpy as np
import odd_peers
import pytest
from click.testing import CliRunner

import manualnn as mnn
from manualnn.benchmark import tables, worker
from manualnn.benchmark.cases import GRID, Case, grid
from manualnn.benchmark.peers import PEERS, ManualNN, Products, Run, draw, quickest, versions
from manualnn.benchmark.tables import BEGIN, END
from manualnn.benchmark.timing import Row, compare
from manualnn.cli import cli
from manualnn.doctor import report
from manualnn.errors import TableError
from manualnn.output.tables import format_markdown

pytestmark = pytest.mark.once

TINY = Case((3, 2, 2), 1)


def row(case=TINY, **turns):
    return Row("step", case, turns)


def measured(*peers, case=TINY, task="step", rounds=1):
    (found,) = compare(peers, [case], task=task, rounds=rounds, seconds=1e-3)
    return found


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def quick_doctor(monkeypatch):
    """Measure small products, because the doctor has tests of its own."""
    monkeypatch.setattr(report, "examine", lambda examine=report.examine: examine(size=32))


@pytest.fixture
def no_torch(monkeypatch):
    """Leave torch out, because its import takes seconds."""
    monkeypatch.setattr("manualnn.benchmark.peers.PEERS", (Products, ManualNN))


# ------------------------------------------------------------------ arithmetic


def test_ratio_is_the_median_of_the_rounds_ratios():
    """The ratio of the medians is 2. The median of ratios cancels a slow phase of the machine."""
    found = row(a=[1.0, 2.0, 30.0], b=[1.0, 1.0, 10.0])
    assert found.ratio("a", "b") == 2.0
    assert row(a=[1.0, 2.0, 30.0], b=[1.0, 0.5, 10.0]).ratio("a", "b") == 3.0
    assert found.value("a") == 2.0


def test_ratio_without_measurements_is_none():
    assert row(a=[1.0]).ratio("a", "b") is None
    assert row(a=[1.0]).value("b") is None


@pytest.mark.parametrize(
    ("case", "products"),
    [
        # forward and ∂L/∂W of each layer, ∂L/∂x of all but the first
        (Case((3, 2, 2), 1), 2 * 6 + 3 * 4),
        (Case((64, 128, 64, 10), 64), 64 * (2 * 64 * 128 + 3 * 128 * 64 + 3 * 64 * 10)),
    ],
)
def test_multiply_adds_are_those_of_the_matrix_products(case, products):
    assert case.multiply_adds == products


@pytest.mark.parametrize("network", ["3-2-2", "784-128-10"])
def test_parameters_are_as_many_as_the_network_has(network):
    case = Case(*GRID[network])
    net = mnn.Sequential.from_spec({"layers": case.specs})
    assert case.parameters == net.init(seed=0).vector.size


def test_full_grid_has_every_combination_once():
    kinds = {"dtypes": ("float32", "float64"), "activations": ("Sigmoid", "ReLU")}
    cases = grid(threads=(1, 2), **kinds)
    assert len(set(cases)) == len(cases) == 6 * 2 * 2 * 2 * 2


def test_cases_survive_json():
    case = Case((784, 128, 10), 64, "float64", "ReLU", "Adam", 2)
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


def test_every_peer_gets_the_same_batch():
    first, second = draw(TINY), draw(TINY)
    assert np.array_equal(first.x, second.x)
    assert (first.x.shape, first.t.shape, first.x.dtype) == ((1, 3), (1, 2), np.float32)


def test_a_table_gets_indices_for_the_width_of_the_network():
    """The vectors of all indices together are as wide as the first Linear layer expects."""
    case = Case(*GRID["64-128-64-10"], activation="Embedding")
    batch, net = draw(case), mnn.Sequential.from_spec({"layers": case.specs})
    assert net.in_features == batch.x.shape[1]
    assert net.forward(net.init(0, case.dtype), batch.x).shape == batch.t.shape


class Clock:
    """A clock that advances only with calls."""

    def __init__(self, costs):
        self.costs, self.now, self.calls = iter(costs), 0.0, 0

    def perf_counter(self):
        return self.now

    def call(self):
        self.calls += 1
        self.now += next(self.costs)


def test_turn_is_the_median_of_its_blocks(monkeypatch):
    """The first call only sets the length of a block; one of the three others is slow."""
    clock = Clock([0.125, 0.25, 4.0, 0.5])
    monkeypatch.setattr(worker, "time", clock)
    assert worker.turn(clock.call, seconds=4.5) == 0.5
    assert clock.calls == 4


def test_turn_of_quick_calls_is_divided_by_their_number(monkeypatch):
    clock = Clock([2.0**-20] * 100_000)
    monkeypatch.setattr(worker, "time", clock)
    assert worker.turn(clock.call, seconds=0.01) == 2.0**-20
    assert 0.01 <= clock.now < 0.02


def test_a_very_long_call_is_a_turn(monkeypatch):
    clock = Clock([8.0])
    monkeypatch.setattr(worker, "time", clock)
    assert worker.turn(clock.call, seconds=0.5) == 8.0


def test_quickest_implementation_is_taken(monkeypatch):
    clock = Clock([])
    monkeypatch.setattr("manualnn.benchmark.peers.time", clock)

    def lasting(seconds):
        def call():
            clock.now += seconds

        return Run(call, str(seconds))

    assert quickest(map(lasting, (0.5, 0.25, 2.0))).note == "0.25"


# ------------------------------------------------------------------ tables


def test_table_shows_ours_in_microseconds_and_the_ratios():
    found = row(products=[5e-6], manualnn=[2e-5], torch=[5e-5])
    lines = tables.step_tables([found])
    assert lines[0] == "**SGD, float32, Sigmoid, 1 thread**"
    assert cells(lines[2]) == ["network (batch)", "ours, µs", "ours ÷ products", "torch ÷ ours"]
    assert cells(lines[4]) == ["3-2-2 (1)", "20.0", "4.00", "2.50"]


def test_each_kind_of_case_has_a_table_of_its_own():
    cases = grid(networks=["3-2-2", "4-16-3"], threads=(1, 2))
    lines = tables.step_tables([row(case, manualnn=[1e-6]) for case in cases])
    titles = [line for line in lines if line.startswith("**")]
    assert titles == [
        f"**{rule}, float32, Sigmoid, {threads}**"
        for threads in ("1 thread", "2 threads")
        for rule in ("SGD", "Adam")
    ]
    assert sum(line.startswith("| 4-16-3 (32)") for line in lines) == 4


def test_missing_measurement_is_a_dash():
    rows = [row(manualnn=[1.0], torch=[2.0]), row(Case((4, 16, 3), 32), manualnn=[1.0])]
    assert tables.step_tables(rows)[-2].endswith(" – |")


def test_columns_are_aligned():
    lines = format_markdown(["a", "bcde"], [["long first cell", "1"], ["x", "123,456"]], "lr")
    assert len(set(map(len, lines))) == 1
    assert lines[1].endswith("-: |")


def test_values_of_another_task_have_their_ratios_in_the_same_table():
    found = row(manualnn=[2.0], torch=[3.0])
    lines = tables.value_table(
        [found], "net", lambda row: row.case.network, show="{:.1f}".format, unit="s"
    )
    assert cells(lines[0]) == ["net", "manualnn, s", "torch, s", "torch ÷ ours"]
    assert cells(lines[2]) == ["3-2-2 (1)", "2.0", "3.0", "1.50"]


def test_markdown_is_written_between_the_marks_of_a_file(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    tables.write_markdown(path, ["new"])
    assert path.read_text(encoding="utf-8") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_markdown_file_is_written_and_written_again(tmp_path):
    path = tmp_path / "bench.md"
    for text in ("first", "second"):
        tables.write_markdown(path, [text])
        assert path.read_text(encoding="utf-8") == f"{BEGIN}\n\n{text}\n\n{END}\n"


def test_file_without_marks_is_left_as_it_is(tmp_path):
    path = tmp_path / "notes.md"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(TableError, match="add them, or name a new file"):
        tables.write_markdown(path, ["new"])
    assert path.read_text(encoding="utf-8") == "mine"


# ------------------------------------------------------------------ processes


def test_every_peer_is_measured_in_every_round():
    found = measured(Products, ManualNN, rounds=3)
    assert {name: len(turns) for name, turns in found.turns.items()} == {
        "products": 3,
        "manualnn": 3,
    }
    assert min(map(min, found.turns.values())) > 0
    assert found.ratio("manualnn", "products") > 0


@pytest.mark.parametrize("task", ["predict", "update"])
def test_ours_has_every_task(task):
    found = measured(ManualNN, case=Case((28, 28), 1, optimizer="Adam"), task=task)
    assert found.skipped == {}
    assert len(found.turns["manualnn"]) == 1


def test_number_of_threads_is_set_only_in_the_worker():
    before = dict(os.environ)
    cases = [Case((3, 2), 1, threads=threads) for threads in (1, 2)]
    rows = list(compare([odd_peers.Threads], cases, rounds=1, seconds=1e-3))
    assert [found.notes["threads"] for found in rows] == ["11", "22"]
    assert dict(os.environ) == before


def test_output_of_a_library_is_no_answer():
    note = measured(odd_peers.Noisy, case=Case((3, 2), 4, "float64")).notes["noisy"]
    assert note == "(4, 3) (4, 2) float64 3-2 (4) float64 Sigmoid SGD, 1 thread"


def test_traced_peak_is_what_a_call_allocates():
    (peak,) = measured(odd_peers.Allocating, task="memory").turns["allocating"]
    assert 1_000_000 < peak < 1_010_000


def test_missing_package_is_named_and_the_others_are_measured():
    found = measured(odd_peers.AbsentStep, odd_peers.Threads)
    assert found.skipped == {"absent": "not installed: pip install no-such-package"}
    assert list(found.turns) == ["threads"]
    assert tables.reasons([found]) == [
        "absent is left out: not installed: pip install no-such-package"
    ]


def test_peer_without_the_task_is_not_asked():
    assert measured(odd_peers.Absent, odd_peers.Threads).skipped == {}


def test_peer_may_refuse_a_case_and_do_the_next():
    cases = [Case((3, 2), 1, optimizer=rule) for rule in ("Adam", "SGD")]
    first, second = compare([odd_peers.Choosy], cases, rounds=2, seconds=1e-3)
    assert (first.skipped, first.turns) == ({"choosy": "has no Adam"}, {})
    assert (second.skipped, len(second.turns["choosy"])) == ({}, 2)


def test_fault_of_a_peer_is_reported_and_the_others_go_on():
    found = measured(odd_peers.Failing, odd_peers.Dying, odd_peers.Threads, rounds=2)
    assert found.skipped == {
        "failing": "RuntimeError: of its own",
        "dying": "the process of dying ended: Illegal instruction",
    }
    assert len(found.turns["threads"]) == 2


def test_head_names_the_versions_of_what_is_installed():
    class Here(odd_peers.Absent):
        needs: ClassVar = {"click": "click", "no_such_module": "no-such-package"}

    assert versions([Here]) == [f"click {metadata.version('click')}"]
    assert versions([odd_peers.Absent]) == []


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_missing_packages_are_reported_for_every_peer(peer, monkeypatch):
    monkeypatch.setattr("manualnn.benchmark.peers.find_spec", lambda _: None)
    assert peer.missing() == list(peer.needs.values())


# ------------------------------------------------------------------ commands


@pytest.mark.usefixtures("quick_doctor", "no_torch")
def test_command_prints_tables_and_writes_both_files(tmp_path):
    files = [tmp_path / "bench.json", tmp_path / "bench.md"]
    options = ["--network", "3-2-2", "--rounds", "2", "--seconds", "0.001"]
    options += ["--json", str(files[0]), "--markdown", str(files[1])]
    result = CliRunner().invoke(cli, ["bench", *options])
    assert result.exit_code == 0, result.output
    assert f"manualnn {mnn.__version__}, Python" in result.stdout
    content = json.loads(files[0].read_text(encoding="utf-8"))
    assert [found["case"]["optimizer"] for found in content["step"]] == ["SGD", "Adam"]
    assert {len(t) for found in content["step"] for t in found["turns"].values()} == {2}
    text = files[1].read_text(encoding="utf-8")
    for line in tables.step_tables(
        [Row("step", Case(**found["case"]), found["turns"]) for found in content["step"]]
    ):
        assert line.replace("[3, 2, 2]", "") in text


def test_benchmarks_of_the_repository_write_their_folder(tmp_path):
    script = Path(__file__).parent / "benchmarks"
    options = "--only steps --only memory --network 3-2-2 --threads one --activation ReLU"
    options += " --peer manualnn --peer products --rounds 1 --seconds 0.001 --out"
    done = subprocess.run(  # noqa: S603  # our own interpreter and code
        [sys.executable, script, *options.split(), tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8"))
    assert set(content["steps"][0]["medians"]) == {"manualnn", "products"}
    assert content["memory"][0]["task"] == "memory"
    assert "| 3-2-2 (1)" in (tmp_path / "out" / "bench.md").read_text(encoding="utf-8")
    assert "| 3-2-2 (1)" in done.stdout


def test_help_loads_neither_the_benchmark_nor_the_doctor():
    code = (
        "import sys; from manualnn.cli import cli; cli(['--help'], standalone_mode=False); "
        "print(*sorted(m for m in sys.modules if m.startswith(('manualnn.bench', 'manualnn.doc'))))"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)  # noqa: S603
    assert printed.splitlines()[-1].split() == [
        *("manualnn.benchmark", "manualnn.benchmark.cases", "manualnn.benchmark.command"),
        *("manualnn.doctor", "manualnn.doctor.command"),
    ]
