"""Checks of a gradient as tests of a pytest suite, one test for each check.

    from manualnn.gradcheck import Array, parametrize_with_gradchecks

    @parametrize_with_gradchecks(MySwish.apply, [Array((5, 7))])
    def test_my_swish(check):
        check()

Collecting calls no function. The first test runs all checks. A failed check raises
`CheckFailedError` with the report's text. A check is skipped, with the reason, if it does not apply
to the function or if too little could be decided.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from manualnn.errors import GradcheckError
from manualnn.gradcheck.check import check_ids, gradcheck
from manualnn.gradcheck.data import CheckResult
from manualnn.gradcheck.report.report import Report
from manualnn.gradcheck.report.text import finding_text
from manualnn.oracle.pytest_checks import Check


def parametrize_with_gradchecks(
    f: Any, inputs: Sequence[Any], *, only: Sequence[str] = (), **options: Any
) -> Any:
    """Return a decorator that repeats a test with the argument `check`, once for each check.

    The arguments are those of `gradcheck`; `only` are patterns of ids. Raises GradcheckError if no
    check matches.
    """
    import pytest

    subject = _Gradient(f, inputs, {**options, "only": only})
    found = [
        Check(name, sentence, subject)
        for name, sentence in check_ids(second=options.get("second"))
        if not only or any(fnmatchcase(name, pattern) for pattern in only)
    ]
    if not found:
        names = ", ".join(name for name, _ in check_ids())
        raise GradcheckError(f"no check matches {list(only)}; there are {names}.")
    return pytest.mark.parametrize("check", found, ids=repr)


class _Gradient:
    """A function with its gradient; one run serves all checks."""

    def __init__(self, f: Any, inputs: Sequence[Any], options: dict[str, Any]) -> None:
        self._call = f, inputs, options

    @cached_property
    def _report(self) -> Report:
        f, inputs, options = self._call
        return gradcheck(f, inputs, **options)

    def result(self, check: str) -> CheckResult:
        """Return the result of a check."""
        for result in self._report.results:
            if result.id == check:
                return result
        return CheckResult(check, "", "not_claimed", reason="it does not apply to this function.")

    def describe(self, result: CheckResult) -> str:
        """Return the likely cause or the first message of a failed check, then the findings."""
        texts = [
            finding_text(self._report, finding, sentence=result.sentence)
            for finding in result.findings
        ]
        finding = result.findings[0] if result.findings else None
        line = finding and (finding.likely or finding.message.strip().splitlines()[-1:])
        return "\n\n".join([line[0] if line else result.reason, *texts])
