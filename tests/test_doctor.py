"""`manualnn doctor`: the facts that it reads, its conclusions, and that it changes nothing."""

import json
import math
import os
import sys
from importlib import metadata

import numpy as np
import pytest
from click.testing import CliRunner

import manualnn
from manualnn.cli import cli
from manualnn.doctor import blas, extras, processor, report
from manualnn.doctor.blas import Blas, describe_blas, measure_blas, measure_products
from manualnn.doctor.extras import Package
from manualnn.doctor.processor import CORE_TYPES, Processor, core_types, parse_cpuinfo
from manualnn.doctor.report import Measured, Report, examine

CPUINFO = """processor\t: 0
model name\t: A Processor @ 2.00GHz
flags\t\t: fpu sse2 avx avx2 fma

processor\t: 1
model name\t: Another
flags\t\t: fpu
"""


def kernels(name, speed, threads=1):
    return Blas("openblas", "0.3", name, threads, {"float32": 2 * speed, "float64": speed})


def chosen(name, speed, core_type=""):
    return Measured(core_type, kernels(name, speed), kernels(name, 2 * speed, 2))


def found(present=100.0, other=50.0, **changes):
    """Return a report of a processor whose products reach these speeds."""
    facts = {
        "processor": Processor("A Processor", 2, "AVX2", frozenset({"avx2"})),
        "present": chosen("Haswell", present) if isinstance(present, (int, float)) else present,
        "others": [chosen("SkylakeX", other, "SkylakeX")],
        "failed": {},
        "extras": {"cli": [Package("click", ">=8.2", "8.3"), Package("tqdm", ">=4.66", "")]},
        "size": 1024,
        "threads": 2,
        "load": 0.0,
    }
    return Report(**facts | changes)


# ------------------------------------------------------------------ the processor


def test_first_core_of_cpuinfo_names_the_processor():
    name, flags = parse_cpuinfo(CPUINFO)
    assert name == "A Processor @ 2.00GHz"
    assert flags == {"fpu", "sse2", "avx", "avx2", "fma"}


@pytest.mark.parametrize(
    ("flags", "vectors", "choices"),
    [
        ("sse2", "SSE2", []),
        ("sse2 avx", "AVX", []),
        ("avx avx2 fma", "AVX2", ["Haswell", "Zen"]),
        ("avx2 fma avx512f", "AVX-512", ["Haswell", "Zen"]),
        (" ".join(sorted(CORE_TYPES["SkylakeX"])), "AVX-512", ["Haswell", "Zen", "SkylakeX"]),
        (" ".join(sorted(CORE_TYPES["SapphireRapids"])), "AVX-512", list(CORE_TYPES)),
        ("fp asimd sve", "SVE", []),
        ("fp asimd", "NEON", []),
        ("", "not known", []),
    ],
)
def test_flags_determine_the_vectors_and_the_kernels_that_can_run(flags, vectors, choices):
    flags = frozenset(flags.split())
    assert processor.widest_vectors(flags) == vectors
    assert core_types(flags) == choices


def test_vectors_are_not_known_without_cpuinfo(monkeypatch, tmp_path):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    here = processor.read_processor()
    assert (here.vectors, here.flags) == ("not known", frozenset())
    assert here.name
    assert here.cores >= 1


# ------------------------------------------------------------------ the BLAS


def test_gflops_are_two_for_each_multiply_add(monkeypatch):
    """A product of 100 rows and columns has 10⁶ multiply-adds; here each takes a second."""
    seconds = iter(range(1000))
    monkeypatch.setattr(blas.time, "perf_counter", lambda: float(next(seconds)))
    assert measure_products(100) == {"float32": 2e-3, "float64": 2e-3}


def test_speed_is_the_geometric_mean_of_the_precisions():
    assert math.isclose(Blas("", "", "", 1, {"float32": 8.0, "float64": 2.0}).speed, 4.0)


def test_measuring_changes_nothing_here():
    before = dict(os.environ)
    one = measure_blas(1, size=32)
    assert set(one.gflops) == {"float32", "float64"}
    assert min(one.gflops.values()) > 0
    assert one.threads == 1
    assert dict(os.environ) == before


def test_known_kernels_are_not_timed():
    kernels_here = describe_blas()["kernels"]
    assert measure_blas(1, size=32, known=[kernels_here]).gflops == {}


def test_process_that_fails_reports_its_last_line(monkeypatch):
    code = "import sys; sys.exit('first\\nIllegal instruction')"
    monkeypatch.setattr(blas, "python", lambda *_: [sys.executable, "-c", code])
    assert measure_blas(1) == "Illegal instruction"


def test_process_that_does_not_answer_times_out(monkeypatch):
    code = "import time; time.sleep(60)"
    monkeypatch.setattr(blas, "python", lambda *_: [sys.executable, "-c", code])
    monkeypatch.setattr(blas, "LIMIT", 0.25)
    assert measure_blas(1) == "no answer in 0.25 s"


def test_without_threadpoolctl_the_kernels_are_not_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    about = describe_blas()
    assert about["kernels"] == ""
    assert about["name"] == np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    blind = Blas("scipy-openblas", "0.3", "", 1, {"float32": 2.0, "float64": 1.0})
    text = found(present=Measured("", blind, blind), threads=0).text()
    assert "not known: threadpoolctl is not installed; pip install 'manualnn[cli]'" in text


# ------------------------------------------------------------------ the verdict


@pytest.mark.parametrize(
    ("present", "other", "setting"),
    [
        (100, 50, ""),
        (100, 109, ""),
        (100, 111, "OPENBLAS_CORETYPE=SkylakeX"),
        (100, 200, "OPENBLAS_CORETYPE=SkylakeX"),
    ],
)
def test_other_kernels_are_recommended_if_they_are_a_tenth_faster(present, other, setting):
    about = found(present, other)
    assert about.setting() == setting
    assert (f"set {setting} before" in about.verdict()) == bool(setting)
    assert about.to_json()["set"] == setting


def test_verdict_gives_the_ratio():
    assert "SkylakeX is 2.00 times as fast" in found(100, 200).verdict()
    assert "on one thread SkylakeX reaches 50%" in found(100, 50).verdict()


def test_speed_on_all_threads_is_ignored_in_the_recommendation():
    """Other processes disturb measurements on all threads most."""
    slow_on_all = Measured("", kernels("Haswell", 100), kernels("Haswell", 1, 2))
    assert found(present=slow_on_all, others=[chosen("SkylakeX", 90, "SkylakeX")]).setting() == ""


def test_recommendation_is_in_the_head_of_a_benchmark():
    assert found(100, 200).brief()[-1] == found(100, 200).verdict()
    assert all("SkylakeX" not in line for line in found(100, 50).brief())


def test_without_other_kernels_there_is_nothing_to_compare():
    assert found(others=[]).verdict() == "no other kernels to compare with"


def test_products_that_cannot_be_measured_are_reported():
    about = found(present="Illegal instruction", others=[])
    assert "the products could not be measured: Illegal instruction" in about.text()
    assert about.to_json()["present"] == "Illegal instruction"


def test_speeds_stand_under_their_heads():
    lines = found().text().splitlines()
    (head,) = (line for line in lines if "float32, 1 thread" in line)
    (present,) = (line for line in lines if line.startswith("  Haswell"))
    ends = [head.index(name) + len(name) for name in report.COLUMNS]
    assert [int(present[:end].split()[-1]) for end in ends] == [200, 100, 400, 200]


# ------------------------------------------------------------------ extras


@pytest.mark.parametrize(
    ("bound", "version", "satisfied"),
    [
        (">=8.2", "8.2.0", True),
        (">=8.2", "8.10", True),
        (">=8.2", "8.1.9", False),
        (">=8.2", "", False),
        ("==2.13.0", "2.13.0+cpu", True),
        ("==2.13.0", "2.14.0", False),
        ("==2.13.0", "2.12.0", False),
        ("", "1", True),
        (">=1.5,<2", "2.0", False),
        (">=8.2", "9.0rc1", True),
    ],
)
def test_package_is_satisfied_if_it_is_new_enough(bound, version, satisfied):
    assert Package("p", bound, version).is_satisfied == satisfied


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Make manualnn an installed package with these requirements."""

    def installed(*requirements):
        folder = tmp_path / "manualnn-0.1.0.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.4", "Name: manualnn", "Version: 0.1.0"]
        lines += ["Provides-Extra: cli", "Provides-Extra: all"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requirements]
        (folder / "METADATA").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

    return installed


def test_extras_of_an_installation_have_the_packages_that_they_name(install):
    install(
        "numpy>=2.0",
        "click>=8.2; extra == 'cli'",
        "no-such-package<2,>=1.5; extra == 'cli'",
        "manualnn[cli]; extra == 'all'",
        "torch==2.13.0; extra == 'all'",
    )
    found = extras.find_extras()
    assert found["cli"] == [
        Package("click", ">=8.2", metadata.version("click")),
        Package("no-such-package", "<2,>=1.5", ""),
    ]
    assert [p.name for p in found["all"]] == ["torch"]
    assert extras.install_commands(found)[0] == "pip install 'manualnn[cli]'"


def test_a_package_that_an_extra_needs_twice_is_listed_once(install):
    install("click>=8.2; extra == 'cli'", "click>=8.1,<99; extra == 'cli'")
    (click,) = extras.find_extras()["cli"]
    assert set(click.bound.split(",")) == {">=8.1", ">=8.2", "<99"}


def test_a_package_for_other_systems_is_not_needed(install):
    """An example is colorama, which click needs only on Windows."""
    install(
        "click>=8.2; extra == 'cli'",
        "no-such-package; extra == 'cli' and python_version < '3'",
        "no-such-package; sys_platform == 'none' and extra == 'cli'",
    )
    assert [p.name for p in extras.find_extras()["cli"]] == ["click"]


def test_without_an_installation_there_are_no_extras(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert extras.find_extras() == {}


def test_without_packaging_the_extras_are_not_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert extras.find_extras() == {}
    assert "pip install 'manualnn[cli]'" in found(extras={}).text()


def test_missing_package_is_named_with_its_extra():
    text = found().text()
    assert "click 8.3, tqdm (missing, needs >=4.66)" in text
    assert "pip install 'manualnn[cli]'" in text


# ------------------------------------------------------------------ the command


def test_command_prints_the_report_and_writes_json(monkeypatch, tmp_path):
    before = dict(os.environ)
    monkeypatch.setattr(report, "examine", lambda: examine(size=32))
    path = tmp_path / "doctor.json"
    result = CliRunner().invoke(cli, ["doctor", "--json", str(path)])
    assert result.exit_code == 0, result.output
    for text in (manualnn.__version__, np.__version__, "GFLOP/s of a 32×32×32 product", "truth:"):
        assert text in result.output
    content = json.loads(path.read_text(encoding="utf-8"))
    assert set(content["present"]["one"]["gflops"]) == {"float32", "float64"}
    assert content["longdouble_bits"] == np.finfo(np.longdouble).nmant + 1
    names = [other["one"]["kernels"] for other in [content["present"], *content["others"]]]
    assert len(set(names)) == len(names) or set(names) == {""}  # without threadpoolctl
    assert dict(os.environ) == before
