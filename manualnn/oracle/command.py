"""The command `manualnn check`, a thin layer over the library."""

import json
import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manualnn.output.console import OUTPUT_FILE, exit_with_2
from manualnn.output.files import write_text

if TYPE_CHECKING:
    from manualnn.oracle.report.report import Report

__all__ = ["check"]


_FOLDER = click.Path(exists=True, file_okay=False)
_FILE = click.Path(exists=True, dir_okay=False)


@click.command(short_help="Test anybody's backpropagation, and explain what is wrong.")
@click.argument("target", required=False)
@click.option(
    "--profile",
    type=click.Choice(["quick", "ci", "nightly"]),
    default="quick",
    help="Number and size of the cases.",
)
@click.option(
    "--seed", type=click.IntRange(0), help="Random seed for the cases (default 0; nightly: random)."
)
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Run only the checks whose id matches PATTERN, such as 'layer.Tanh:*' (may be repeated; "
    "--list prints all ids).",
)
@click.option(
    "--expected",
    type=_FILE,
    help="File of known failures, which do not fail the run. Each line is "
    "'pattern of ids | reason | link | last day'; the link and the day may be missing.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(0, min_open=True),
    help="Timeout of each call and of the first answer, in seconds (default: 10, and 60 for the "
    "first answer).",
)
@click.option(
    "--in-process",
    is_flag=True,
    help="Run an engine in Python in this process, as for a debugger. A crash then ends the run.",
)
@click.option("--replay", metavar="FILE-OR-ID", help="Saved failure to run again.")
@click.option(
    "--failures",
    type=click.Path(file_okay=False),
    default=".manualnn",
    help="Folder in which failures are saved, and in which --replay finds them.",
)
@click.option("--json", **OUTPUT_FILE, help="File for the report as JSON.")
@click.option("--junit", **OUTPUT_FILE, help="File for the report as JUnit XML.")
@click.option(
    "--markdown",
    **OUTPUT_FILE,
    help="File for a table in Markdown: each feature, and whether it is correct.",
)
@click.option(
    "--html", **OUTPUT_FILE, help="File for the report as a page to read in a browser, in one file."
)
@click.option(
    "--combine",
    multiple=True,
    type=_FILE,
    help="JSON report of an earlier run, which becomes a column of one table for several engines "
    "(may be repeated; needs no TARGET). With --html, the table is a page; of one report, its own.",
)
@click.option("--answers", type=_FOLDER, help="Folder of answers to conformance vectors to check.")
@click.option("--vectors", type=_FOLDER, help="Folder of the vectors that --answers belongs to.")
@click.option("--list", is_flag=True, help="List the ids of the checks that TARGET's claims allow.")
@click.option("--protocol", is_flag=True, help="Print the page for authors of engines.")
@click.option(
    "--schema",
    metavar="NAME",
    help="JSON Schema to print, such as case (a wrong name lists all).",
)
def check(target: str | None, **options: Any) -> None:
    """Test an engine that computes gradients and updates, and explain what is wrong with it.

    TARGET is module:attribute, path/to/file.py:attribute, or in quotes a command line that starts
    an engine in any language. `--protocol` prints how such an engine is called, on one page.

    Exit codes: 0 no failure; 1 a check failed, or passed though a failure is expected; 2 the
    engine, a file or the command line cannot be used; 3 no failure, but too few checks ran.
    """
    run = next((run for name, run in _MODES.items() if options[name]), _test_engine)
    with exit_with_2():
        sys.exit(run(target, options))


def _connection(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("time_limit", "in_process")}


def _print_protocol(target: str | None, options: dict[str, Any]) -> int:  # noqa: ARG001
    page = resources.files("manualnn.oracle").joinpath("PROTOCOL.md")
    click.echo(page.read_text(encoding="utf-8"), nl=False)
    return 0


def _print_schema(target: str | None, options: dict[str, Any]) -> int:  # noqa: ARG001
    from manualnn.oracle.protocol.schemas import NAMES, read_schema

    name = options["schema"]
    if name not in NAMES:
        message = f"there is no schema {name!r}; there are {', '.join(NAMES)}."
        raise click.BadParameter(message, param_hint="--schema")
    click.echo(json.dumps(read_schema(name), indent=1, ensure_ascii=False))
    return 0


def _list_checks(target: str | None, options: dict[str, Any]) -> int:
    """Print the checks of an engine; without one, those of an engine that claims everything."""
    from manualnn.oracle.engines.client import connect
    from manualnn.oracle.runner import checks_for
    from manualnn.oracle.textbook.engine import Textbook

    with connect(target or Textbook, **_connection(options)) as client:
        for name, sentence in checks_for(client.capabilities):
            click.echo(f"{name}\n    {sentence}")
    return 0


def _combine_reports(target: str | None, options: dict[str, Any]) -> int:  # noqa: ARG001
    from manualnn.oracle.report.as_html import compare_in_html
    from manualnn.oracle.report.compliance import to_markdown
    from manualnn.oracle.report.reading import ReportError, from_json

    reports = []
    for file in options["combine"]:
        try:
            reports.append(from_json(json.loads(Path(file).read_text(encoding="utf-8"))))
        except ValueError as error:
            raise ReportError(f"{file}: it is not a report that --json wrote: {error}") from error
    table = to_markdown(reports)
    if options["html"] is not None:
        one = len(reports) == 1
        page = reports[0].to_html(options["failures"]) if one else compare_in_html(reports)
        write_text(options["html"], page)
    if options["markdown"] is not None:
        write_text(options["markdown"], table)
    elif options["html"] is None:
        click.echo(table, nl=False)
    return 0


def _check_answers(target: str | None, options: dict[str, Any]) -> int:  # noqa: ARG001
    from manualnn.oracle.report.progress import LiveReport
    from manualnn.oracle.vectors.answers import judge_answers

    report = judge_answers(options["answers"], options["vectors"])
    LiveReport(report.target, None).print_new(report)
    _conclude(report, options)
    return report.exit_code


def _test_engine(target: str | None, options: dict[str, Any]) -> int:
    """Run the checks, and print the findings as they come."""
    from manualnn.oracle.report.expected_failures import read
    from manualnn.oracle.report.progress import LiveReport
    from manualnn.oracle.runner import check_engine

    if target is None:
        raise click.UsageError(
            "TARGET is missing: module:attribute, file.py:attribute, or a command line in "
            "quotes. Try `manualnn check manualnn.engine:Engine`, or --protocol."
        )
    seed = options["seed"]
    if seed is None:
        seed = secrets.randbelow(2**32) if options["profile"] == "nightly" else 0
    known = read(Path(options["expected"])) if options["expected"] else []
    today = datetime.now(UTC).date()
    valid = [failure for failure in known if not failure.expired(today)]
    with LiveReport(target, options["failures"], valid) as live:
        try:
            report = check_engine(
                target,
                profile=options["profile"],
                seed=seed,
                only=options["only"],
                expected=options["expected"],
                progress=live.update,
                **_connection(options),
            )
            code = report.exit_code
        except KeyboardInterrupt:
            code = 130
            if live.report is None:
                return code
            report = live.report
            report.problems.append(f"interrupted after {live.done} of {live.total} checks.")
    if options["only"] and code != 130 and not report.results:
        raise click.UsageError(
            f"no check of {target} matches --only {' '.join(map(repr, options['only']))}. An id is "
            "that of the cases, a colon and what is asserted: 'layer.Tanh:grads', 'layer.Tanh:*'; "
            "--list shows all."
        )
    live.print_new(report)
    _conclude(report, options)
    return code


def _conclude(report: "Report", options: dict[str, Any]) -> None:
    """Print the summary, save the failures, and write the requested files."""
    from manualnn.oracle import replay
    from manualnn.oracle.report.progress import paint
    from manualnn.oracle.report.summary import summary

    counts = report.counts()
    click.echo(("\n" if counts["failed"] or counts["errored"] else "") + summary(report, paint))
    try:
        replay.save(report, options["failures"])
    except replay.ReplayError as error:
        click.echo(f"warning: {error}", err=True)
    _write_reports(report, options)


def _write_reports(report: "Report", options: dict[str, Any]) -> None:
    """Write a report to the requested files."""
    from manualnn.oracle.report.as_json import to_json
    from manualnn.oracle.report.as_junit import to_junit
    from manualnn.oracle.report.compliance import to_markdown

    writers: dict[str, Callable[[], str]] = {
        "json": lambda: json.dumps(to_json(report), indent=1, ensure_ascii=False) + "\n",
        "junit": lambda: to_junit(report, options["failures"]),
        "markdown": lambda: to_markdown([report]),
        "html": lambda: report.to_html(options["failures"]),
    }
    for name, write in writers.items():
        if options[name] is not None:
            write_text(options[name], write())


def _replay_failure(target: str | None, options: dict[str, Any]) -> int:
    """Run a saved failure again; return 1 if it still fails, and 0 if it passes now.

    Return 3 if it passes, but was not seen again in its own run either.
    """
    from manualnn.oracle.replay import load
    from manualnn.oracle.report.finding_text import FindingText
    from manualnn.oracle.report.progress import paint
    from manualnn.oracle.report.wording import case_line, case_numbers, wrapped
    from manualnn.oracle.rerun import rerun

    failure = load(options["replay"], options["failures"])
    if target and target != failure.target:
        click.echo(f"{failure.case.id} was saved by a run of {failure.target}.", err=True)
    report = rerun(failure, target or failure.target, **_connection(options))
    text = FindingText(report.target, report.capabilities.name, options["failures"], paint)
    for result in report.results:
        if result.findings:
            click.echo(text.describe(result))
        elif result.reason:
            click.echo(f"{paint('not decided', 'bad')}  {result.id}: {result.reason}")
        else:
            click.echo(f"{paint('passes now', 'good')}  {result.id}")
            for line in [case_line(failure.case), *case_numbers(failure.case)]:
                click.echo("\n".join(wrapped(line)))
    _write_reports(report, options)
    return report.exit_code


_MODES: dict[str, Callable[[str | None, dict[str, Any]], int]] = {
    "protocol": _print_protocol,
    "schema": _print_schema,
    "list": _list_checks,
    "combine": _combine_reports,
    "replay": _replay_failure,
    "answers": _check_answers,
}
"""The options that do something else than test TARGET, in the order of their precedence."""
