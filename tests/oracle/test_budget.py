"""CPU time spends a budget, and so does wall-clock time at a lower rate. Clocks are fakes."""

import pytest

from manualnn.oracle.diagnosis.budget import PATIENCE, Budget
from manualnn.oracle.engines.work import Work


class Clocks:
    clock = work = 100.0

    def __init__(self):
        self.engines = Work()

    def monotonic(self):
        return self.clock

    def process_time(self):
        return self.work


@pytest.fixture
def clocks(monkeypatch):
    clocks = Clocks()
    monkeypatch.setattr("manualnn.oracle.diagnosis.budget.time", clocks)
    monkeypatch.setattr("manualnn.oracle.diagnosis.budget.WORK", clocks.engines)
    return clocks


def test_work_spends_it_and_others_work_does_not(clocks):
    budget = Budget(2.0)
    clocks.clock += 2.0
    clocks.work += 1.0
    assert budget.spent == 1
    assert not budget.over
    clocks.work += 1.0
    assert budget.over


def test_work_of_an_engine_in_another_process_spends_it(clocks):
    budget = Budget(2.0)
    clocks.clock += 4.0
    clocks.engines.seconds += 1.5
    assert budget.spent == 1.5


def test_waiting_spends_it_in_the_end(clocks):
    budget = Budget(2.0)
    clocks.clock += 2.0 * PATIENCE - 0.5
    assert not budget.over
    clocks.clock += 0.5
    assert budget.over


def test_threads_side_by_side_do_not_count_twice(clocks):
    budget = Budget(2.0)
    clocks.clock += 1.5
    clocks.work += 3.0
    assert budget.spent == 1.5


def test_what_is_left_is_topped_up_only_where_it_is_less(clocks):
    budget = Budget(2.0)
    assert budget.with_at_least(0.5) is budget
    clocks.clock += 1.8
    clocks.work += 1.8
    more = budget.with_at_least(0.5)
    assert not more.over
    clocks.clock += 0.5
    clocks.work += 0.5
    assert more.over


def test_nothing_is_over_at_once():
    assert Budget(0.0).over
