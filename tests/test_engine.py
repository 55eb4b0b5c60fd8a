"""The oracle's checks of an engine, one test each: of this package, or of `--engine TARGET`."""

from manualnn.oracle.pytest_checks import checks

OURS = "manualnn.engine:Engine"


def pytest_generate_tests(metafunc):
    option = metafunc.config.getoption
    found = checks(option("--engine") or OURS, profile=option("--engine-profile"))
    metafunc.parametrize("check", found, ids=repr)


def test_engine(check):
    """The assertion of the check's sentence."""
    check()
