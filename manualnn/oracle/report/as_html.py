"""Report as a page: one HTML file, readable without JavaScript.

    to_html(report, failures)       the page
    compare_in_html(reports)        a page that compares several engines
    to_fragment(report)             verdict and mistakes, for a notebook

Python writes the verdict, the findings and the table of checks, so that a mail client or a printer
shows them. The script of the page adds drawings, sorting, filters and buttons to copy. The page
holds the JSON form of the report, too. Findings with large cases are left out of that JSON, which
is said, so that the page stays below two megabytes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from manualnn.oracle.findings import STATUSES, CheckResult
from manualnn.oracle.report.as_json import to_json
from manualnn.oracle.report.compliance import compare
from manualnn.oracle.report.page.comparison import comparison
from manualnn.oracle.report.page.findings import Findings, described_briefly
from manualnn.oracle.report.summary import figures, unjudged, verdict
from manualnn.oracle.report.wording import counted, printable
from manualnn.page import assemble
from manualnn.page.markup import element, scrolling
from manualnn.page.markup import to_html as as_text

if TYPE_CHECKING:
    from manualnn.oracle.report.report import Report

FOLDER = Path(__file__).parent / "page"
STYLES = ("style.css", "drawing/network.css")
"""Styles that the report shares with other pages."""
MOST_JSON = 600_000
"""Length of the JSON of all findings in a page."""
MARKS = dict(zip(STATUSES, ("✓", "✗", "!", "≈", "+", "?", "–", "○"), strict=True))
"""A symbol for each status of a check."""
ORDER = (
    *("failed", "errored", "unexpected", "expected"),
    *("not_judged", "skipped", "passed", "not_claimed"),
)
"""Statuses in the order of the table: what asks for attention comes first."""
PRECISION = {"sharpness", "truth"}
"""The figures that tell how precise the judgement is; they stand behind the mistakes."""
SHARPNESS = (
    "A number is wrong if its distance from the right one exceeds a bound, which allows for the "
    "rounding of floating-point numbers. The sharpness is the median of the bound divided by the "
    "number's size: with 1e-15, a relative error of 1e-15 is found in half of the numbers. At a "
    "kink, such as ReLU at 0, rounding may leave undecided which of two slopes is right; "
    "then either is accepted."
)
VERDICTS = {
    0: ("passed", "✓", "Passed"),
    1: ("failed", "✗", "Failed"),
    3: ("unclear", "?", "Could not be judged"),
}
"""Class, symbol and word of a verdict, by exit code."""


def to_html(report: "Report", failures: str | None = None) -> str:
    """Return a report as a page; with `failures`, each finding is replayed from that folder."""
    rows = {result.id: f"check-{number}" for number, result in enumerate(report.results, 1)}
    findings = Findings(report, failures, rows)
    content, left_out = _fitting(to_json(report))
    main = (*_mistakes(report, findings), *_checks(report, findings))
    main = (*main, *_unjudged(report), *_precision(report))
    _, _, word = VERDICTS[report.exit_code]
    title = f"{word}: {report.engine_name}"
    return _page(title, _verdict(report), main, _note(left_out, findings.shortened), content)


def compare_in_html(reports: "Sequence[Report]") -> str:
    """Return a page that compares several engines, feature by feature."""
    title = f"{len(reports)} engines compared"
    verdicts = [
        element("li", _mark_of(report), " ", verdict(report), class_="small") for report in reports
    ]
    head = [element("h1", title), element("ul", verdicts)]
    return _page(title, head, comparison(compare(reports)), (), {})


def _page(
    title: str,
    head: Iterable[Element],
    main: Iterable[Element],
    note: Iterable[Element],
    content: dict[str, Any],
) -> str:
    return assemble.page(
        FOLDER / "template.html",
        styles=[*(assemble.FOLDER / name for name in STYLES), FOLDER / "report.css"],
        entry=FOLDER / "app.mjs",
        data={"report": json.dumps(content, ensure_ascii=False)},
        title=printable(title),
        parts={"head_of_page": as_text(head), "main": as_text(main), "note": as_text(note)},
    )


def to_fragment(report: "Report") -> str:
    """Return verdict and mistakes of a report as HTML without links, styles and scripts."""
    return as_text([element("div", _verdict(report, "h3"), described_briefly(report.results))])


def _mark_of(report: "Report") -> Element:
    kind, mark, word = VERDICTS[report.exit_code]
    return element("span", f"{mark} {word}", class_=f"mark {kind}")


def _verdict(report: "Report", heading: str = "h1") -> Iterator[Element]:
    yield element(heading, _mark_of(report), f" {report.engine_name}")
    yield element("p", verdict(report), class_="lead")
    if report.problems:
        yield element("ul", [element("li", problem) for problem in report.problems])
    facts = {"target": [report.target]} | _facts(report)
    for name in PRECISION & facts.keys():
        del facts[name]
    counts = [(status, count) for status, count in report.counts().items() if count]
    facts["checks"] = [
        ", ".join(f"{MARKS[s]} {count:,} {s.replace('_', ' ')}" for s, count in counts) or "none"
    ]
    yield _list_of(facts)


def _facts(report: "Report") -> dict[str, list[str]]:
    """Return the figures of the summary, all lines of each label."""
    facts: dict[str, list[str]] = {}
    label = ""
    for name, text in figures(report):
        label = name.strip() or label
        facts.setdefault(label, []).append(text)
    return facts


def _list_of(facts: Mapping[str, Iterable[str]]) -> Element:
    pairs = [
        (element("dt", name.capitalize()), [element("dd", text) for text in texts])
        for name, texts in facts.items()
    ]
    return element("dl", pairs, class_="figures")


def _mistakes(report: "Report", findings: Findings) -> Iterator[Element]:
    if findings.groups:
        count = counted(len(findings.groups), "distinct mistake")
        yield element(
            "section",
            element("h2", f"What is wrong: {count}"),
            findings.contents(),
            findings.sections(),
            id="mistakes",
        )
    known = [result for result in report.results if result.status == "expected"]
    if known:
        described = [
            (
                element("p", findings.link(result.id), f": {result.reason}"),
                map(findings.closed, result.findings),
            )
            for result in known
        ]
        yield element("section", element("h2", "Known failures"), described, id="known")


def _checks(report: "Report", findings: Findings) -> Iterator[Element]:
    table = scrolling(_table(report, findings), "Table of all checks")
    form = element("form", id="filter", class_="screen", hidden="")
    yield element("section", element("h2", "All checks"), form, table, id="checks")


def _table(report: "Report", findings: Findings) -> Element:
    heads = ("Status", "Check", "Cases", "What is asserted, and the reason")
    results = sorted(report.results, key=lambda result: ORDER.index(result.status))
    rows = [_row(r, findings.rows[r.id], findings.places.get(r.id)) for r in results]
    return element(
        "table",
        element("caption", "All checks", class_="visually-hidden"),
        element("thead", element("tr", [element("th", head, scope="col") for head in heads])),
        element("tbody", rows),
        id="all-checks",
    )


def _row(result: CheckResult, row: str, place: str | None) -> Element:
    status = result.status.replace("_", " ")
    reason = element("span", f" {result.reason}", class_="muted") if result.reason else None
    link = element("a", "see what is wrong", href=f"#{place}") if place else None
    skipped = f" ({result.skipped:,} skipped)" if result.skipped else ""
    return element(
        "tr",
        element("td", element("span", MARKS[result.status], class_="mark"), f" {status}"),
        element("th", element("code", result.id), scope="row"),
        element("td", f"{result.cases:,}{skipped}", class_="number", data_sort=str(result.cases)),
        element("td", result.sentence, reason, " " if link is not None else None, link),
        id=row,
        data_status=result.status,
    )


def _unjudged(report: "Report") -> Iterator[Element]:
    pairs: list[Any] = []
    for status, reason, names in unjudged(report, ("skipped", "not_judged", "not_claimed")):
        pairs.append(element("dt", status.replace("_", " ") + (f": {reason}" if reason else "")))
        pairs.append(element("dd", ", ".join(names)))
    if pairs:
        listed = element("dl", pairs, class_="reasons")
        yield element("section", element("h2", "Not judged, and why"), listed)


def _precision(report: "Report") -> Iterator[Element]:
    facts = _facts(report)
    yield element(
        "section",
        element("h2", "How precisely it was judged"),
        element("p", SHARPNESS),
        _list_of({name: facts[name] for name in sorted(PRECISION & facts.keys())}),
        id="precision",
    )


def _note(left_out: int, shortened: int) -> Iterator[Element]:
    if shortened:
        yield element(
            "p",
            f"Because of its size, the page has {counted(shortened, 'finding')} in one line each.",
        )
    if left_out:
        reason = "because of their size; the option --json writes all"
        yield element("p", f"The page's data leave out {counted(left_out, 'finding')}, {reason}.")


def _fitting(content: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the JSON form with the findings that fit into a page, and the number of others."""
    left, left_out = MOST_JSON, 0
    for result in content["results"]:
        kept = []
        for finding in result["findings"]:
            size = len(json.dumps(finding))
            if size <= left:
                kept.append(finding)
                left -= size
        left_out += len(result["findings"]) - len(kept)
        result["findings"] = kept
    return content, left_out
