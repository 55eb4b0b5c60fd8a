"""The oracle's checks of an engine, one test each: of this package, or of `--engine TARGET`.

For this package, only the Hypothesis profile nightly draws all cases of each recipe.
"""

from dataclasses import replace

import pytest
from hypothesis import settings

from manualnn.oracle.profiles import PROFILES
from manualnn.oracle.pytest_checks import checks

OURS = "manualnn.engine:Engine"


def pytest_generate_tests(metafunc):
    option = metafunc.config.getoption
    found = checks(option("--engine") or OURS, profile=option("--engine-profile"))
    metafunc.parametrize("check", found, ids=repr)


@pytest.fixture(autouse=True)
def _few(request, monkeypatch):
    """Draw 3, 10, 16 or all cases of each recipe, by the number of Hypothesis examples."""
    quick = PROFILES["quick"]
    examples = min(quick.examples, 2 * settings().max_examples // 5)
    if not request.config.getoption("--engine"):
        monkeypatch.setitem(PROFILES, "quick", replace(quick, examples=examples))


def test_engine(check):
    """The assertion of the check's sentence."""
    check()
