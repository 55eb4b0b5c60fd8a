"""Run the oracle's own tests in one environment, because they judge numbers, not versions.

On other versions of Python and NumPy the oracle is put to the proof by tests/test_engine.py, which
runs all its checks, and by the modules in VERSIONED, which rest on the standard library.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
VERSIONED = {"test_case", "test_command", "test_engines", "test_process", "test_protocol"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no module of which no test would be selected."""
    once = collection_path.suffix == ".py" and collection_path.stem not in VERSIONED
    return True if once and config.option.markexpr == "not once" else None


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.path.stem not in VERSIONED:
            item.add_marker("once")
