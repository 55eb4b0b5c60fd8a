"""One process of Node for all questions of a test file."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from manualnn.explain import explain


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """Return a function that asks the script SCRIPT of the test file: a JSON line each way."""
    command = [shutil.which("node") or "node", Path(__file__).with_name(request.module.SCRIPT)]
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603
        command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8"
    ) as process:

        def answer(question: Any) -> Any:
            print(json.dumps(question), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield answer


@pytest.fixture(scope="module")
def ask(node: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function that asks a question of a kind: ask("steps", run=…)."""
    return lambda kind, **question: node({"kind": kind, **question})


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """Return the JSON form of the example's explanation, with four updates."""
    return explain(epochs=4).to_dict()
