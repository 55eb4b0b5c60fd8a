"""`manualnn check` and `manualnn vectors`: output, files and exit codes."""

import json
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from oracle.toys import TOY
from schemas import validate

from manualnn.cli import cli
from manualnn.oracle.command import check
from manualnn.oracle.profiles import PROFILES
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.features import TABLES
from manualnn.oracle.protocol.schemas import read_schema
from manualnn.oracle.truth.extended import mpmath_width

ONLY = "--only", "layer.Tanh:*", "--only", "layer.Linear:*"


@pytest.fixture(autouse=True)
def toy(tmp_path, monkeypatch):
    """Write the file toy.py to the folder in which the commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text(TOY, encoding="utf-8")


def manualnn(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)))


def squeezed(words):
    return " ".join(words.split())


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """Return the result of `manualnn check` for a wrong bias gradient, and its folder."""
    folder = tmp_path_factory.mktemp("failing")
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    files = [f"--{form}=report.{form}" for form in ("json", "junit", "markdown", "html")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = manualnn("check", "toy.py:MeanBias", *ONLY, *files)
    assert result.exit_code == 1, result.output
    return result, folder


@pytest.fixture
def failed(failing, tmp_path):
    """Copy the files of the failing check to the test's folder, and return its result."""
    result, folder = failing
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return result


def test_an_engine_that_is_right_exits_with_0():
    result = manualnn("check", "toy.py:Right", *ONLY)
    assert result.exit_code == 0, result.output
    assert "FAIL" not in result.output
    assert "verdict     toy 1.0 is correct in what it claims" in result.output


def test_an_engine_that_is_wrong_exits_with_1_and_is_explained(failed):
    told = squeezed(failed.output)
    assert "grads.0.bias" in told
    assert "toy 1.0 is wrong" in told
    assert re.search(r"replay manualnn check toy\.py:MeanBias --replay R-[0-9a-f]{8}", told)


def test_a_finding_is_told_before_the_summary_and_once(failed):
    first = re.search(r"^FAIL  (\S+)", failed.output, re.MULTILINE)
    assert first.start() < failed.output.index("\nchecks ")
    assert len(re.findall(rf"^FAIL  {re.escape(first[1])} ", failed.output, re.MULTILINE)) == 1


@pytest.mark.usefixtures("failed")
def test_the_report_is_written_in_every_form(tmp_path):
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["schema"], report["exit_code"]) == (1, 1)
    validate("report", report)
    suite = ET.parse(tmp_path / "report.junit").getroot()[0]  # noqa: S314
    assert int(suite.get("failures")) == report["counts"]["failed"] > 0
    assert "| Linear | ✗" in (tmp_path / "report.markdown").read_text(encoding="utf-8")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    (held,) = re.findall(r'<script type="application/json" id="report">(.*?)</script>', page)
    assert json.loads(held) == report


@pytest.mark.once
def test_a_failure_is_kept_and_seen_again_by_its_id_and_by_its_file(failed):
    name = re.search(r"--replay (R-\w+)", failed.output)[1]
    for kept in (name, f".manualnn/{name}.json"):
        again = manualnn("check", "toy.py:MeanBias", "--replay", kept)
        assert again.exit_code == 1, again.output
        assert "FAIL" in again.output
        assert "grads.0.bias" in again.output
        assert name in again.output


def test_a_replay_needs_no_target_and_writes_reports(failed, tmp_path):
    name = re.search(r"--replay (R-\w+)", failed.output)[1]
    files = ("--json", "again.json", "--html", "again.html")
    assert manualnn("check", "--replay", name, *files).exit_code == 1
    report = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    validate("report", report)
    (result,) = report["results"]
    assert (report["target"], result["status"]) == ("toy.py:MeanBias", "failed")
    assert result["findings"][0]["case_id"] == name
    assert "✗ Failed" in (tmp_path / "again.html").read_text(encoding="utf-8")


def test_a_failure_that_has_been_mended_passes_now(failed):
    name = re.search(r"--replay (R-\w+)", failed.output)[1]
    result = manualnn("check", "toy.py:Right", "--replay", name)
    assert result.exit_code == 0
    assert f"{name} was saved by a run of toy.py:MeanBias." in result.output
    assert "passes now" in result.output
    assert "MSELoss mean" in result.output


@pytest.mark.once
def test_every_check_that_failed_on_a_case_is_judged_again(failed, tmp_path):
    name = re.search(r"--replay (R-\w+)", failed.output)[1]
    kept = json.loads((tmp_path / ".manualnn" / f"{name}.json").read_text(encoding="utf-8"))
    validate("failure", kept)
    kept["checks"] += ["plain:grads"]
    (tmp_path / ".manualnn" / f"{name}.json").write_text(json.dumps(kept), encoding="utf-8")
    again = manualnn("check", "--replay", name).output
    assert re.findall(r"^FAIL  (\S+)", again, re.MULTILINE) == kept["checks"]
    assert again.count("asserts") == 1


@pytest.mark.once
def test_a_folder_can_be_chosen_for_failures():
    result = manualnn("check", "toy.py:MeanBias", *ONLY, "--failures", "kept")
    name = re.search(r"--replay (R-\w+) --failures kept", squeezed(result.output))[1]
    assert manualnn("check", "--replay", name, "--failures", "kept").exit_code == 1


def test_an_engine_that_is_right_leaves_no_folder(tmp_path):
    manualnn("check", "toy.py:Right", *ONLY)
    assert not (tmp_path / ".manualnn").exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("line", "code"),
    [("*:loss | what is right", 1), ("nothing:* | none", 1)],
)
def test_expected_failures_that_do_not_fit_fail_the_run(line, code, tmp_path):
    (tmp_path / "expected.txt").write_text(line, encoding="utf-8")
    result = manualnn("check", "toy.py:MeanBias", *ONLY, "--expected", "expected.txt")
    assert result.exit_code == code, result.output


@pytest.mark.usefixtures("failed")
@pytest.mark.once
def test_expected_failures_make_a_run_well_and_are_not_told_in_full(tmp_path):
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    bad = [r["id"] for r in report["results"] if r["status"] in {"failed", "errored"}]
    lines = [f"{name} | averages the bias gradient" for name in bad]
    (tmp_path / "expected.txt").write_text("\n".join(lines), encoding="utf-8")
    result = manualnn("check", "toy.py:MeanBias", *ONLY, "--expected", "expected.txt")
    assert result.exit_code == 0, result.output
    assert "FAIL" not in result.output
    assert f"{len(bad)} expected" in result.output
    assert "averages the bias gradient" in squeezed(result.output)


def test_too_little_exits_with_3():
    result = manualnn("check", "toy.py:Picky", *ONLY)
    assert result.exit_code == 3, result.output
    assert "problem" in result.output
    assert "not in the mood" in squeezed(result.output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "TARGET is missing"),
        (("toy.py:Nobody",), "Nobody"),
        (("nowhere:Engine",), "nowhere"),
        (("nonesuch --serve",), "nonesuch"),
        (("toy.py:Unclaimed",), "Conv2d"),
        (("--replay", "R-00000000"), "there is no failure 'R-00000000'"),
        (("toy.py:Right", "--profile", "slow"), "slow"),
        (("toy.py:Right", "--json", "no/such/folder.json"), "make it first"),
        (("--combine", "toy.py"), "toy.py: "),
        (("--answers", "."), "no answers"),
        (("toy.py:Right", "--time-limit", "nan"), "give a positive number of seconds"),
        (("--schema", "epoch"), "there is no schema 'epoch'; there are answer, capabilities"),
    ],
)
def test_what_cannot_be_used_exits_with_2_and_a_message(arguments, message):
    result = manualnn("check", *arguments)
    assert result.exit_code == 2, result.output
    assert message in squeezed(result.output)
    assert "Traceback" not in result.output


def test_an_engine_that_never_answers_exits_with_2_after_three_cases(tmp_path):
    code = "import sys\nfor line in sys.stdin:\n"
    hello = '{"type":"hello","layers":["Linear"],"losses":["MSELoss"]}'
    talk = f"    print({hello!r} if 'hello' in line else 'loss 0.3', flush=True)\n"
    (tmp_path / "talks.py").write_text(code + talk, encoding="utf-8")
    result = manualnn("check", f"{sys.executable} -S -E talks.py")
    assert result.exit_code == 2, result.output
    told = squeezed(result.output)
    assert "answered none of its first cases. The last failure: garbage" in told
    assert "'loss 0.3'" in told


def test_a_failure_that_was_seen_once_is_not_said_to_pass(failed, tmp_path):
    name = re.search(r"--replay (R-\w+)", failed.output)[1]
    file = tmp_path / ".manualnn" / f"{name}.json"
    kept = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(kept | {"repeatable": False}), encoding="utf-8")
    result = manualnn("check", "toy.py:Right", "--replay", name)
    assert result.exit_code == 3, result.output
    assert "passes now" not in result.output
    assert "not decided" in result.output


def test_a_malformed_line_of_expected_failures_exits_with_2(tmp_path):
    (tmp_path / "expected.txt").write_text("# fine\nlayer.Tanh:grads\n", encoding="utf-8")
    result = manualnn("check", "toy.py:Right", "--expected", "expected.txt")
    assert result.exit_code == 2
    assert "line 2" in result.output


def test_ctrl_c_prints_what_was_found_until_then():
    result = manualnn("check", "toy.py:Interrupted", "--in-process")
    assert result.exit_code == 130, result.output
    assert "FAIL" in result.output
    assert re.search(r"problem +interrupted after \d+ of \d+ checks", result.output)
    assert re.search(r"--replay R-", result.output)


def test_the_list_of_checks_has_an_id_and_a_sentence_each():
    result = manualnn("check", "--list", "toy.py:Right")
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert "layer.Tanh:grads" in lines[::2]
    assert "layer.ReLU:grads" not in lines
    assert all(re.fullmatch(r"\S+:\S+", line) for line in lines[::2])
    assert all(re.fullmatch(r"    \S.{20,}", line) for line in lines[1::2])
    assert set(lines[::2]) < set(manualnn("check", "--list").output.splitlines())


def test_the_protocol_is_printed():
    result = manualnn("check", "--protocol")
    assert result.exit_code == 0
    assert '"hello"' in result.output


def test_a_schema_is_printed():
    printed = manualnn("check", "--schema", "capabilities")
    assert json.loads(printed.output) == read_schema("capabilities")


def test_the_profiles_are_those_of_the_library():
    (option,) = (option for option in check.params if option.name == "profile")
    assert tuple(option.type.choices) == tuple(PROFILES)


def test_vectors_are_written_for_a_seed_and_for_claims_and_counted(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "manualnn.oracle.vectors.files.write_vectors",
        lambda out, **options: asked.append((out, options)) or 1234,
    )
    assert manualnn("vectors", "out", "--seed", 5).output == "1,234 cases written to out\n"
    (tmp_path / "claims.json").write_text('{"type": "hello", "layers": ["Tanh"]}')
    manualnn("vectors", "out", "--claims", "claims.json")
    wanted = [(options["seed"], options["claims"]) for _, options in asked]
    assert wanted == [(5, None), (0, {"layers": ["Tanh"]})]


def test_vectors_that_cannot_be_written_are_told_with_exit_code_2(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpmath", None)
    mpmath_width.cache_clear()  # it may have been found before
    result = manualnn("vectors", "out")
    assert result.exit_code == 2, result.output
    assert "pip install mpmath" in squeezed(result.output)


@pytest.mark.usefixtures("failed")
def test_reports_are_combined_to_one_table(tmp_path):
    manualnn("check", "toy.py:Right", *ONLY, "--json", "Right.json")
    combine = "check", "--combine", "Right.json", "--combine", "report.json"
    printed = manualnn(*combine)
    assert printed.exit_code == 0
    assert re.search(r"^\| Linear \| ✓ \| ✗", printed.output, re.MULTILINE)
    manualnn(*combine, "--markdown", "table.md", "--html", "table.html")
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == printed.output
    assert "2 engines compared" in (tmp_path / "table.html").read_text(encoding="utf-8")


@pytest.mark.once
@pytest.mark.usefixtures("failed")
def test_the_page_of_an_earlier_run_is_made_from_its_json(tmp_path):
    made = manualnn("check", "--combine", "report.json", "--html", "again.html")
    assert (made.exit_code, made.output) == (0, "")
    first, again = (tmp_path / f"{name}.html" for name in ("report", "again"))
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.once
def test_the_same_seed_gives_the_same_findings(failed):
    again = manualnn("check", "toy.py:MeanBias", *ONLY)
    first, second = (re.findall(r"^FAIL.*", r.output, re.MULTILINE) for r in (failed, again))
    assert first == second


def test_the_list_without_a_target_is_that_of_an_engine_which_claims_everything():
    names = manualnn("check", "--list").output.splitlines()[::2]
    claims = Capabilities.read({kind: dict.fromkeys(t, "any") for kind, t in TABLES.items()})
    for layer in claims.layers:
        assert any(layer in name for name in names), layer


def test_help_does_not_wait_for_the_oracle():
    code = (
        "import sys; from manualnn.cli import cli; cli(['--help'], standalone_mode=False); "
        "print([m for m in sys.modules if m.startswith('manualnn.oracle')])"
    )
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True)  # noqa: S603
    modules = [f"manualnn.oracle{m}" for m in ("", ".command", ".vectors", ".vectors.command")]
    assert loaded.stdout.splitlines()[-1] == str(modules)


def test_a_pattern_that_matches_no_check_is_a_wrong_command_line():
    result = manualnn("check", "toy.py:Right", "--only", "layer.Tanh")
    assert result.exit_code == 2, result.output
    told = squeezed(result.output)
    assert "no check of toy.py:Right matches --only 'layer.Tanh'" in told
    assert "'layer.Tanh:*'" in told


@pytest.mark.once
def test_a_folder_that_cannot_keep_failures_costs_a_warning_only(tmp_path):
    (tmp_path / "file").touch()
    options = "--failures", "file/kept", "--json", "report.json"
    result = manualnn("check", "toy.py:MeanBias", *ONLY, *options)
    assert result.exit_code == 1, result.output
    assert "toy 1.0 is wrong" in squeezed(result.output)
    assert "warning: the failures cannot be saved in file/kept (Not a directory)" in result.output
    validate("report", json.loads((tmp_path / "report.json").read_bytes()))
