"""The oracle's checks of an engine, one test each: of this package, or of `--engine TARGET`.

In the Hypothesis profile brief, few cases of each recipe are drawn for this package.
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
def _brief(request, monkeypatch):
    is_brief = settings().max_examples <= settings.get_profile("brief").max_examples
    if is_brief and not request.config.getoption("--engine"):
        monkeypatch.setitem(PROFILES, "quick", replace(PROFILES["quick"], examples=6))


def test_engine(check):
    """The assertion of the check's sentence."""
    check()
