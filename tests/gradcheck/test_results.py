"""The page of the benchmark, from made-up verdicts."""

import pytest
from gradcheck import results
from gradcheck.functions.entry import Function, Wrong

pytestmark = pytest.mark.once


def made_up(wrong, right):
    """Return functions by name, and the verdicts of one checker on them."""
    verdicts = wrong | right
    chosen = {name: Wrong(name, "numpy", None, [], mistake=f"of {name}") for name in wrong}
    chosen |= {name: Function(name, "numpy", None, []) for name in right}
    return chosen, {name: [verdict, 1.0, ""] for name, verdict in verdicts.items()}


def test_the_page_counts_what_is_caught_and_false_alarms(monkeypatch):
    monkeypatch.setattr(results, "FAULTS", {"adjudicated": "The truth is 0."})
    monkeypatch.setattr(results, "version", lambda name: f"of {name}")
    wrong = {"found": "wrong", "raises": "error", "missed": "right", "slow": "timeout"}
    right = {"fine": "right", "alarm": "wrong", "adjudicated": "wrong", "crashed": "crash"}
    chosen, verdicts = made_up(wrong, right)
    page = results.to_markdown(chosen, {"ours": verdicts})
    assert "| ours | 2 | 1 | 1 | 2 | 1 s | 1 s |" in page
    missed = page[page.index("## Wrong") : page.index("## Alarms")]
    assert [name for name in wrong if f"`{name}`" in missed] == ["missed", "slow"]
    alarms = page[page.index("## Alarms") :]
    assert [name for name in right if f"`{name}`" in alarms] == ["alarm", "adjudicated"]
    assert "The truth is 0." in alarms


@pytest.mark.parametrize(("missed", "alarms", "good"), [(2, 0, True), (3, 0, False), (0, 1, False)])
def test_ours_may_miss_two_of_a_hundred_and_raise_no_alarm(missed, alarms, good):
    wrong = {f"w{i}": "right" if i < missed else "wrong" for i in range(100)}
    right = {f"r{i}": "wrong" if i < alarms else "right" for i in range(10)}
    assert results.ours_is_good(*made_up(wrong, right)) is good
