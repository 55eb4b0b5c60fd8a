"""Configuration of the tests: four Hypothesis profiles, and torch only if it is installed.

Choose a profile by --hypothesis-profile or by the environment variable HYPOTHESIS_PROFILE: `dev`
by default, `ci` where CI is set, `nightly` for a long search, `brief` where the same tests run in
yet another environment. Every profile except nightly draws the same examples in every run. nightly
draws new examples every time, from a seed that the header prints.

Tests under tests/twin compare the engine with torch. If torch is not installed, they are not
collected; with MANUALNN_REQUIRE_TORCH=1 that is an error.

--part K/N runs one of N parts of the examples of a test, another with each K and with each commit,
or all where they are N at most. So N environments together run all, and each of them every test.

`pytest --engine module:attribute` (or path/to/file.py:attribute, or a command line in quotes) runs
the tests of an engine, tests/test_engine.py, on that engine, and no other tests. --engine-profile
is quick, ci or nightly.
"""

import os
import secrets
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from rotation import turn

SLOW_MACHINES_ARE_ALLOWED = [HealthCheck.too_slow]

# Nightly plants every bug as well, and ends within three hours on two cores.
for name, examples in {"brief": 8, "dev": 25, "ci": 32, "nightly": 1000}.items():
    settings.register_profile(
        name,
        max_examples=examples,
        derandomize=name != "nightly",
        deadline=None,
        print_blob=True,
        suppress_health_check=SLOW_MACHINES_ARE_ALLOWED,
    )
DEFAULT_PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
settings.load_profile(DEFAULT_PROFILE)

HAS_TORCH = find_spec("torch") is not None
collect_ignore = [] if HAS_TORCH else ["twin"]

ENGINE_TESTS = "test_engine.py"
ONCE = "\npytestmark = pytest.mark.once\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("manualnn")
    group.addoption("--engine", metavar="TARGET", help="judge this engine, and run no other tests")
    group.addoption(
        "--engine-profile", choices=["quick", "ci", "nightly"], default="quick", help="how long"
    )
    group.addoption(
        "--part", metavar="K/N", type=_read_part, default=(0, 1), help="one of N parts of examples"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests about this package where another engine is judged.

    With -m "not once", modules that are marked as a whole are not even imported, which takes time.
    """
    if Path(__file__).parent not in collection_path.parents or collection_path.suffix != ".py":
        return None
    if config.getoption("--engine") and collection_path.name != ENGINE_TESTS:
        return True
    unwanted = config.getoption("markexpr") == "not once"
    return True if unwanted and ONCE in collection_path.read_text("utf-8") else None


@pytest.hookimpl(tryfirst=True)  # before Hypothesis reads the option
def pytest_configure(config: pytest.Config) -> None:
    if not HAS_TORCH and os.environ.get("MANUALNN_REQUIRE_TORCH") == "1":
        message = (
            "MANUALNN_REQUIRE_TORCH=1, but torch is not installed; "
            "pip install -e '.[test,torch]', or unset the variable to leave tests/twin out."
        )
        raise pytest.UsageError(message)
    if _profile(config) == "nightly" and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(secrets.randbelow(2**32))


@pytest.hookimpl(trylast=True)  # of what -k and -m select
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part, parts = config.getoption("--part")
    examples: dict[str, list[pytest.Item]] = {}
    for item in items:
        examples.setdefault(item.nodeid.partition("[")[0], []).append(item)
    others = {
        item
        for of_one_test in examples.values()
        if len(of_one_test) > parts
        for i, item in enumerate(of_one_test)
        if i * parts // len(of_one_test) != (part + turn()) % parts
    }
    if others:
        config.hook.pytest_deselected(items=list(others))
        items[:] = [item for item in items if item not in others]


def pytest_report_header(config: pytest.Config) -> list[str]:
    lines = [f"Hypothesis profile: {_profile(config)}"]
    if config.option.hypothesis_seed is not None:
        lines[0] += f", seed: {config.option.hypothesis_seed} (--hypothesis-seed draws them again)"
    if engine := config.getoption("--engine"):
        lines.append(f"engine: {engine}; of all tests only {ENGINE_TESTS}, which is about engines")
    if not HAS_TORCH:
        lines.append("torch is not installed: tests/twin is left out")
    return lines


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Say how a failure is replayed where the examples were drawn from a random seed."""
    if exitstatus == pytest.ExitCode.TESTS_FAILED and config.option.hypothesis_seed is not None:
        profile, seed = _profile(config), config.option.hypothesis_seed
        terminalreporter.write_line(
            "To replay a failure: pytest TEST-ID "
            f"--hypothesis-profile={profile} --hypothesis-seed={seed}"
        )


def _read_part(text: str) -> tuple[int, int]:
    """Read 2/3 as the second of three parts, which begins at 1."""
    part, _, parts = text.partition("/")
    return int(part) - 1, int(parts)


def _profile(config: pytest.Config) -> str:
    return config.getoption("--hypothesis-profile") or DEFAULT_PROFILE
