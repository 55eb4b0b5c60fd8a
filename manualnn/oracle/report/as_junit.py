"""Report as JUnit XML, for CI servers.

    to_junit(report, failures)      the text of the file

Each check is one testcase. Its element is `failure` if numbers are wrong or an expected failure
passes. It is `error` if a call failed. It is `skipped` if the check did not run or was expected to
fail. The last testcase stands for the whole run; it has an `error` if the run proves little. XML
has no control characters, so they are written as Python escapes.
"""

from xml.etree import ElementTree as ET

from manualnn.oracle.findings import FAILING, CheckResult
from manualnn.oracle.report.finding_text import FindingText
from manualnn.oracle.report.report import Report
from manualnn.oracle.report.wording import printable

WHOLE = "the whole run"
"""Name of the last testcase."""

_TAGS = dict.fromkeys(("expected", "not_judged", "not_claimed", "skipped"), "skipped")
_TAGS |= {"failed": "failure", "unexpected": "failure", "errored": "error"}


def to_junit(report: Report, failures: str | None = None) -> str:
    """Return a report as XML; with `failures`, each finding has the command to replay it."""
    findings = FindingText(report.target, report.engine_name, failures)
    tags = [_TAGS.get(result.status) for result in report.results]
    suite = ET.Element(
        "testsuite",
        name=printable(f"manualnn check {report.target}"),
        tests=str(len(tags) + 1),
        failures=str(tags.count("failure")),
        errors=str(tags.count("error") + bool(report.problems)),
        skipped=str(tags.count("skipped")),
        time=f"{report.seconds:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name in ("profile", "seed", "truth", "cases", "entries"):
        value = printable(str(getattr(report, name)))
        ET.SubElement(properties, "property", name=name, value=value)
    for result, tag in zip(report.results, tags, strict=True):
        recipe, _, judgement = result.id.partition(":")
        case = ET.SubElement(
            suite, "testcase", classname=f"manualnn.check.{recipe}", name=judgement, time="0"
        )
        if tag is not None:
            _add(case, tag, result.status, *_texts(result, findings))
    whole = ET.SubElement(suite, "testcase", classname="manualnn.check", name=WHOLE, time="0")
    if report.problems:
        _add(whole, "error", "problem", report.problems[0], "\n".join(report.problems))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(suites, encoding='unicode')}\n"


def _texts(result: CheckResult, findings: FindingText) -> tuple[str, str]:
    """Return one line and the whole text of a check that did not pass."""
    if result.status in FAILING and result.findings:
        finding = result.findings[0]
        return finding.message or result.sentence, findings.describe(result)
    status = result.status.replace("_", " ")
    return f"{status}: {result.reason}" if result.reason else status, ""


def _add(case: ET.Element, tag: str, kind: str, message: str, text: str) -> None:
    first = message.strip().splitlines()[:1]
    element = ET.SubElement(case, tag, type=kind, message=printable("".join(first)))
    element.text = printable(text)
