"""PROTOCOL.md: its examples run as they stand, and its tables are complete."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import manualnn.oracle
from manualnn.oracle.engines.client import connect
from manualnn.oracle.findings import FAULTS
from manualnn.oracle.protocol.capabilities import RETURNS, Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import OPTIMIZER_ROWS
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.step import truth

PAGE = Path(manualnn.oracle.__file__).with_name("PROTOCOL.md").read_text(encoding="utf-8")
CONVERSATION = re.findall(r"^([→←]) (.*)$", PAGE.split("## A whole engine")[0], re.MULTILINE)
ENGINE = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]


def written(page, heading):
    """Return the code words in the first column of the table under a heading."""
    section = page.split(f"## {heading}")[1].split("\n## ")[0]
    return {
        name for row in re.findall(r"^\| (.*?) \|", section, re.MULTILINE) for name in quoted(row)
    }


def quoted(text):
    return re.findall(r"`(\w+)`", text)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "mytoy.py"
    path.write_text(ENGINE)
    return shlex.join([sys.executable, str(path)])


def test_the_engine_of_the_page_has_the_conversation_of_the_page(engine):
    asked = [line for arrow, line in CONVERSATION if arrow == "→"]
    answers = [line for arrow, line in CONVERSATION if arrow == "←"]
    assert len(asked) == 3
    assert len(answers) == 2
    done = subprocess.run(  # noqa: S603
        shlex.split(engine), input="\n".join(asked), capture_output=True, text=True, check=True
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == list(map(json.loads, answers))


def test_the_case_of_the_page_is_what_an_engine_is_sent(tmp_path):
    """A process with the claims of the page writes what it reads to a file."""
    content = json.loads(CONVERSATION[2][1])
    case = Case.from_json(content["case"])
    reads = tmp_path / "reads"
    hello = CONVERSATION[1][1]
    script = f'read a; echo {shlex.quote(hello)}; read b; echo "$b" > {reads}'
    with connect(shlex.join(["sh", "-c", script])) as bench:
        # Options that the page shows are filled in where a case leaves them out.
        bench.run(case.but(loss={"type": "MSELoss"}, optimizer={"type": "SGD", "lr": 0.5}))
    assert json.loads(reads.read_text()) == content


def test_the_engine_of_the_page_is_right(engine):
    rng = np.random.default_rng(0)
    case = Case(
        layers=(
            {"type": "Linear", "in_features": 3, "out_features": 4},
            {"type": "Linear", "in_features": 4, "out_features": 2},
        ),
        loss={"type": "MSELoss"},
        params={
            "0.weight": rng.normal(size=(4, 3)),
            "0.bias": rng.normal(size=4),
            "1.weight": rng.normal(size=(2, 4)),
            "1.bias": rng.normal(size=2),
        },
        x=rng.normal(size=(5, 3)),
        t=rng.normal(size=(5, 2)),
        optimizer={"type": "SGD", "lr": 0.1},
    )
    expected = truth(case).quantities()
    with connect(engine) as bench:
        got = bench.run(case).quantities()
    assert {"loss", "grads.0.weight", "grads.1.bias", "params.0.weight"} <= got.keys()
    for name, array in got.items():
        assert not refutes(expected[name], array).any(), name


def test_the_page_names_everything_that_can_be_claimed_returned_and_go_wrong():
    assert written(PAGE, "Capabilities") == {entry.name for entry in fields(Capabilities)}
    case = {entry.name for entry in fields(Case)}
    assert written(PAGE, "A case") == case
    result = PAGE.split("## A result")[1].split("\n## ")[0]
    assert set(RETURNS) <= set(quoted(result))
    for optimizer, feature in OPTIMIZER_ROWS.items():
        row = next(
            line for line in result.splitlines() if line.startswith("| ") and optimizer in line
        )
        assert set(quoted(row)) - OPTIMIZER_ROWS.keys() == {kept.name for kept in feature.state}
    faults = PAGE.split("## Failures")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| (\w+) \|", faults, re.MULTILINE)) == set(FAULTS)


def test_the_page_is_one_page():
    before, function = PAGE.split("## A single function")
    function, after = function.split("\n## ", 1)
    assert len((before + after).splitlines()) < 190
    assert len(function.splitlines()) < 20
