"""Text of a report for a person.

text(report)             the whole report
finding_text(…)          one failed check: point, wrong entries, region, likely causes
summary(report)          counts, figures, conventions, verdict
verdict(report)          one sentence
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from manualnn.gradcheck.data import Array, Entry, Finding
from manualnn.gradcheck.report.replay import point_id
from manualnn.oracle.report.finding_text import Paint, no_paint, shorten
from manualnn.oracle.report.wording import (
    FEW,
    array_text,
    counted,
    four_numbers,
    index_text,
    wrapped,
)

if TYPE_CHECKING:
    from manualnn.gradcheck.report.report import Report

ENTRIES = 3
"""Largest number of wrong entries that are listed for a finding."""
LIKELY = 3
"""Largest number of likely causes that are listed for a finding."""
CONVENTIONS = 5
"""Largest number of conventions at kinks that are listed."""


def text(report: "Report", paint: Paint = no_paint) -> str:
    """Return the whole report: every finding in full, then the summary."""
    found = [
        finding_text(report, finding, paint, result.sentence)
        for result in report.results
        for finding in result.findings
    ]
    return "\n\n".join([*found, summary(report, paint)]) + "\n"


def finding_text(
    report: "Report", finding: Finding, paint: Paint = no_paint, sentence: str = ""
) -> str:
    """Return the text of one finding; `sentence` is what its check asserts."""
    point, entries = finding.point, finding.entries
    rows = [("asserts", sentence)]
    names = dict(enumerate(report.inputs))
    # A second derivative is that of a gradient, which has the cotangents as further inputs.
    other = "cotangent" if finding.check.startswith("second:") else "input {}"
    for k, array in enumerate(point.arrays):
        rows.append(("input" if k == 0 else " ", _named(names.get(k, other.format(k)), array)))
    for k, array in enumerate(point.cotangents):
        number = f" of output {k}" if len(point.cotangents) > 1 else ""
        rows.append((f"cotangent{number}" if not number else " ", _named(f"dy{number}", array)))
    rows.append(("message", shorten(finding.message)))
    rows += [("", entry_line(entry)) for entry in entries[:ENTRIES]]
    if finding.wrong > len(entries[:ENTRIES]) > 0:
        rows.append(("", f"… {finding.wrong} of {counted(finding.size, 'number')} wrong"))
    rows += [("reference", finding.method), ("where", finding.region)]
    rows += [("likely", cause) for cause in finding.likely[:LIKELY]]
    if report.command:
        rows.append(("replay", f"{report.command} --replay {point_id(point)}"))
    head = f"{paint('FAIL', 'bad')}  {finding.check}  {report.target} ({_dtypes(finding)})"
    return "\n".join([head, *(line for label, t in rows if t for line in wrapped(t, label))])


def entry_line(entry: Entry) -> str:
    """Return a wrong entry with its reference, error and error bound."""
    name = f"d{entry.input}{index_text(entry.index)}"
    if entry.low < entry.high:
        slopes = f"{entry.low:.6g} to {entry.high:.6g} (a kink)"
        return f"{name}  got {entry.got:.6g}  reference {slopes}  bound {entry.bound:.2g}"
    got, reference, error, bound = four_numbers(entry.got, entry.low, entry.bound)
    line = f"{name}  got {got}  reference {reference}  |err| {error}  bound {bound}"
    ratio = entry.got / entry.low if entry.low else np.inf
    return f"{line}  ratio {_ratio(ratio)}" if np.isfinite(ratio) else line


def summary(report: "Report", paint: Paint = no_paint) -> str:
    """Return what was not judged, the figures, the conventions, the problems and the verdict."""
    kind = "bad" if report.exit_code else "good"
    lines = [
        line
        for label, words in (
            *_unjudged(report),
            *figures(report),
            *(("problem", p) for p in report.problems),
        )
        for line in wrapped(words, label, indent=0)
    ]
    return "\n".join(
        [*lines, *(paint(v, kind) for v in wrapped(verdict(report), "verdict", indent=0))]
    )


def verdict(report: "Report") -> str:
    """Return one sentence on everything that was judged."""
    counts = report.counts()
    bad = counts["failed"] + counts["errored"]
    judged = bad + counts["passed"]
    if bad:
        return f"{report.target} is wrong: {bad} of {counted(judged, 'check')} failed."
    if report.problems:
        return f"{report.target}: no check failed, but too little was judged; see the problems."
    return f"{report.target} is right, as far as tested: {counted(judged, 'check')} passed."


def figures(report: "Report") -> Iterator[tuple[str, str]]:
    """Yield a label and its text for each line of figures."""
    counts = {s.replace("_", " "): n for s, n in report.counts().items() if n}
    yield "checks", ", ".join(f"{n:,} {status}" for status, n in counts.items()) or "none"
    judged = f"{counted(report.points, 'point')}, {report.entries:,} entries"
    yield "compared", f"{judged} in {report.seconds:.1f} s; seed {report.seed}"
    methods = sorted(report.methods.items(), key=lambda pair: -pair[1])
    if methods:
        yield "reference", ", ".join(f"{method} ({n:,} entries)" for method, n in methods)
    if np.isfinite(report.sharpness):
        undecided = f"{report.undecided:.2%} of the entries undecided"
        yield "sharpness", f"median of bound/|value|: {report.sharpness:.1g}; {undecided}"
    if report.imprecise:
        digits = int(-np.log10(report.imprecise))
        yield "precision", f"the gradient has only {digits} right digits in places"
    for result in report.results:
        if result.status == "passed" and result.reason:
            yield "remark", f"{result.id}: {result.reason}"
    for convention in report.conventions[:CONVENTIONS]:
        yield "convention", convention
    if (more := len(report.conventions) - CONVENTIONS) > 0:
        yield " ", f"… and {counted(more, 'convention')} more; see the JSON form"


def _unjudged(report: "Report") -> Iterator[tuple[str, str]]:
    for status in ("not_judged", "not_claimed"):
        reasons: dict[str, list[str]] = {}
        for result in (result for result in report.results if result.status == status):
            reasons.setdefault(result.reason, []).append(result.id)
        for reason, ids in reasons.items():
            listed = ", ".join(ids) + (f": {reason}" if reason else "")
            yield status.replace("_", " "), listed


def _named(name: str, array: Array) -> str:
    shown = array_text(array) if 0 < array.size <= FEW else f"{array.size:,} numbers"
    layout = "" if array.flags.c_contiguous else ", not contiguous"
    return f"{name} = {shown}  {array.dtype} {array.shape}{layout}"


def _dtypes(finding: Finding) -> str:
    dtypes = (a.dtype for a in finding.point.arrays if a.dtype.kind == "f")
    return ", ".join(dict.fromkeys(map(str, dtypes))) or "no real input"


def _ratio(ratio: float) -> str:
    """Return a ratio, by its distance from 1 if it is near 1."""
    if 0 < abs(ratio - 1) < 1e-3:
        return f"1 {'+' if ratio > 1 else '−'} {abs(ratio - 1):.3g}"
    return f"{ratio:.6g}"
