"""Findings as HTML: mistakes, each with the case that shows it best.

    Findings(report, failures, rows).sections()      an element for each distinct mistake
    described_briefly(results)                       the same, shorter, for a notebook

A mistake shows its smallest finding. Its other findings follow, closed. Findings beyond MOST_BYTES
are one line each, so that the page of an engine with many failures stays small.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from manualnn.oracle.findings import CheckResult, Finding
from manualnn.oracle.report.advice import advise
from manualnn.oracle.report.finding_text import replay_command, shorten
from manualnn.oracle.report.mistakes import Mistake, fault_line, grouped_findings
from manualnn.oracle.report.page.evidence import case_numbers, cause, titled, wrong_numbers
from manualnn.oracle.report.page.matrices import wrong_table
from manualnn.oracle.report.wording import case_line, counted, entry_line
from manualnn.page.markup import element, to_html

if TYPE_CHECKING:
    from manualnn.oracle.report.report import Report

MOST_BYTES = 600_000
"""Length of the HTML of all findings that are shown in full."""
MOST_OPEN = 12
"""Largest number of checks, or of further findings, that are listed openly."""


class Findings:
    """The findings of a report as HTML; `rows` are the ids of the rows of the checks."""

    def __init__(self, report: "Report", failures: str | None, rows: Mapping[str, str]) -> None:
        # Answers in files come from no engine that could be asked again.
        self.target = "TARGET" if report.profile == "vectors" else report.target
        self.failures, self.rows = failures, rows
        self.groups = grouped_findings(report.results)
        self.sentences = {result.id: result.sentence for result in report.results}
        self.places = {r.id: "known" for r in report.results if r.status == "expected"}
        self.places |= {
            check: f"mistake-{number}"
            for number, (mistake, _) in reversed([*enumerate(self.groups, 1)])
            for check in mistake.checks
        }
        """The id of the element that shows what is wrong, by check."""
        self.left = MOST_BYTES
        self.shortened = 0
        """Number of findings that are one line each."""

    def contents(self) -> Iterator[Element]:
        """Yield a list of the mistakes, if there are several."""
        if len(self.groups) > 1:
            links = [
                element("a", titled(mistake.title), href=f"#mistake-{number}")
                for number, (mistake, _) in enumerate(self.groups, 1)
            ]
            yield element("ol", [element("li", link) for link in links], class_="contents")

    def sections(self) -> Iterator[Element]:
        """Yield an element for each mistake."""
        # Every mistake is shown before the further findings of the first ones take the room.
        best = [min(findings, key=_obscurity) for _, findings in self.groups]
        shown = [self.in_full(f, "h4") if self.left > 0 else self.closed(f) for f in best]
        for number, (mistake, findings) in enumerate(self.groups, 1):
            others = [finding for finding in findings if finding is not best[number - 1]]
            yield self._section(number, mistake, shown[number - 1], others)

    def _section(
        self, number: int, mistake: Mistake, shown: Element, others: list[Finding]
    ) -> Element:
        title = f"mistake-{number}-title"
        more = [
            element("h4", f"The same mistake in {counted(len(others), 'more finding')}"),
            _folded([self.closed(finding) for finding in others], "more finding"),
        ]
        return element(
            "article",
            element("h3", f"{number}. ", titled(mistake.title), id=title),
            element("p", "Fails ", self._links(mistake.checks), class_="small checks"),
            shown,
            element("div", more, class_="others") if others else None,
            class_="mistake panel",
            id=f"mistake-{number}",
            aria_labelledby=title,
        )

    def closed(self, finding: Finding) -> Element:
        """Return a finding behind its first line, as long as the page has room for it."""
        entries = finding.entries
        line = entry_line(entries[0]) if entries else f"{finding.kind}: {fault_line(finding)}"
        head = [element("code", finding.check), " ", element("span", line, class_="muted")]
        if self.left <= 0:
            self.shortened += 1
            return element("p", head, " ", element("code", self._command(finding)), class_="small")
        return element("details", element("summary", head), self.in_full(finding, "h5"))

    def in_full(self, finding: Finding, heading: str) -> Element:
        """Return everything that is known about a finding."""
        shown = element(
            "div",
            cause(finding, heading),
            wrong_numbers(finding, heading),
            self._facts(finding, heading),
            case_numbers(finding),
            self._replay(finding, heading),
            class_="finding",
            data_case=finding.case.id,
            data_check=finding.check,
        )
        self.left -= len(to_html([shown]))
        return shown

    def _facts(self, finding: Finding, heading: str) -> Element:
        case, diagnosis = finding.case, finding.diagnosis
        sentence = self.sentences.get(finding.check, "")
        is_repeated = finding.entries and finding.message.startswith(finding.entries[0].quantity)
        message = "" if is_repeated else shorten(finding.message)
        facts = [
            ("Failure", "" if finding.kind == "wrong" else finding.kind),
            ("Message", element("pre", message) if "\n" in message else message),
            ("Scope", diagnosis.scope if diagnosis else ""),
            ("Condition", diagnosis.when if diagnosis else ""),
            ("Ratio", diagnosis.ratio if diagnosis else ""),
            ("Right here", ", ".join(finding.right)),
            ("Blamed", ", ".join(finding.blamed)),
            ("Asserted", sentence),
            ("Smallest case" if finding.minimal else "Case", case_line(case)),
            ("Drawn for", "" if case.note in sentence else case.note),
            ("Claim", advise(finding)),
        ]
        pairs = [(element("dt", label), element("dd", text)) for label, text in facts if text != ""]
        return element("div", element(heading, "Where it holds"), element("dl", pairs))

    def _replay(self, finding: Finding, heading: str) -> Element:
        once = "The failure was seen once, and not again when it was repeated."
        return element(
            "div",
            element(heading, "Replay"),
            None if finding.repeatable else element("p", once),
            element("pre", element("code", self._command(finding)), class_="command"),
            element("p", class_="tools screen", hidden=""),
            class_="replay",
        )

    def _command(self, finding: Finding) -> str:
        """Return the command that replays a finding from its folder, or from a file of its own."""
        if self.failures is not None:
            return replay_command(self.target, finding, self.failures)
        name = f"{finding.case.id}.json"
        return shlex.join(["manualnn", "check", self.target, "--replay", name])

    def _links(self, checks: list[str]) -> list[Any]:
        return _folded([(self.link(check), " ") for check in checks], "more check")

    def link(self, check: str) -> Element:
        """Return a link to the row of a check."""
        return element("a", check, href=f"#{self.rows[check]}")


def described_briefly(results: Iterable[CheckResult]) -> Iterator[Element]:
    """Yield each mistake with its cause and its wrong numbers, closed, for a notebook."""
    for mistake, findings in grouped_findings(results):
        shown = min(findings, key=_obscurity)
        yield element(
            "details",
            element("summary", titled(mistake.title)),
            element("p", case_line(shown.case)),
            cause(shown, "h4"),
            wrong_table(shown.entries) if shown.entries else None,
        )


def _obscurity(finding: Finding) -> tuple[bool, bool, int]:
    """Return a key by which the finding that shows its mistake best comes first."""
    causes = len(finding.diagnosis.likely) if finding.diagnosis else 0
    return causes > 1, not finding.minimal, sum(a.size for a in finding.case.arrays().values())


def _folded(parts: list[Any], noun: str) -> list[Any]:
    """Return parts of which those after MOST_OPEN are closed."""
    if len(parts) <= MOST_OPEN:
        return parts
    summary = element("summary", counted(len(parts) - MOST_OPEN, noun))
    return [*parts[:MOST_OPEN], element("details", summary, parts[MOST_OPEN:])]
