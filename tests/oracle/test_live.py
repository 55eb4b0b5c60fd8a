"""Live output of a run: each finding once, and a progress bar on a terminal."""

import io
import sys

import numpy as np

from manualnn.oracle.findings import CheckResult, Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.report.expected_failures import read
from manualnn.oracle.report.progress import LiveReport
from manualnn.oracle.report.report import Report

CASE = Case((), {"type": "MSELoss"}, {}, np.ones((1, 1)), np.ones((1, 1)))
CLAIMS = Capabilities.read({"name": "toy", "layers": ["Tanh"], "losses": ["MSELoss"]})


def result(name, status="failed", message="it is wrong"):
    findings = [Finding(name, CASE, (CASE,), message=message)] if status == "failed" else []
    return CheckResult(name, "It is right.", status, 1, 0, findings)


def report(*results):
    return Report("toy:Engine", CLAIMS, "quick", 0, "longdouble", list(results))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_mistake_is_printed_once_when_it_is_found(capsys):
    growing = report(result("a:x"))
    with LiveReport("toy:Engine", None) as live:
        live.update(1, 3, growing)
        assert "FAIL  a:x  toy (float64)" in capsys.readouterr().out
        live.update(2, 3, growing)
        assert not capsys.readouterr().out
        growing.results.append(result("same:x"))
        live.update(2, 3, growing)
        assert not capsys.readouterr().out
        growing.results.append(result("b:x", message="it is wrong as well"))
        live.update(3, 3, growing)
        assert "FAIL  b:x" in capsys.readouterr().out
    live.print_new(growing)
    assert not capsys.readouterr().out


def test_what_passes_or_is_expected_is_not_printed(capsys):
    with LiveReport("toy:Engine", None, read("b:* | known")) as live:
        live.update(2, 2, report(result("a:x", "passed"), result("b:x")))
    assert not capsys.readouterr().out


def test_there_is_no_bar_where_nobody_looks(capsys):
    with LiveReport("toy:Engine", None) as live:
        live.update(1, 2, report())
    assert not capsys.readouterr().err


def test_a_bar_counts_the_checks_on_a_terminal_and_goes_away(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with LiveReport("toy:Engine", None) as live:
        live.update(1, 2, report())
        live.update(2, 2, report(result("a:x")))
        shown = sys.stderr.getvalue()
    assert "checking" in shown
    assert "2/2" in shown
    assert sys.stderr.getvalue().rstrip(" \r").endswith("]")  # cleared by blanks and a return


def test_a_bar_is_done_without_where_its_package_is_missing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with LiveReport("toy:Engine", None) as live:
        live.update(1, 2, report())
    assert not sys.stderr.getvalue()
