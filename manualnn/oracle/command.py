"""The commands `manualnn check` and `manualnn vectors`, thin layers over the library.

Exit codes of `check`: 0 all is well; 1 a check failed, or passed against expectation; 2 the engine
cannot be used, or the command line is wrong; 3 no check failed, but the run is worth little: too
little ran, or the file of expected failures does not fit; 130 Ctrl-C. Everything but click is
loaded when a command runs, for `manualnn --help` shall not wait.
"""

import json
import math
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manualnn.files import write_text

if TYPE_CHECKING:
    from manualnn.oracle.report.report import Report

__all__ = ["check", "vectors"]


class _UnusableError(click.ClickException):
    """The engine or a file cannot be used."""

    exit_code = 2


def _writable(ctx: Any, param: Any, value: str | None) -> str | None:  # noqa: ARG001
    if value is not None and not Path(value).absolute().parent.is_dir():
        message = f"there is no folder {Path(value).parent} to write {value} in; make it first."
        raise click.BadParameter(message)
    return value


_FOLDER = click.Path(exists=True, file_okay=False)
_FILE = click.Path(exists=True, dir_okay=False)
_OUTPUT: dict[str, Any] = {"type": click.Path(dir_okay=False, writable=True), "callback": _writable}


@click.command(short_help="Judge anybody's backpropagation, and explain what is wrong.")
@click.argument("target", required=False)
@click.option("--profile", type=click.Choice(["quick", "ci", "nightly"]), default="quick")
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Of the cases; 0 if not given, and in the profile nightly another one every time.",
)
@click.option("--only", multiple=True, metavar="PATTERN", help="Of check ids; repeatable.")
@click.option("--expected", type=_FILE, help="Known failures: id pattern | reason | link | day.")
@click.option(
    "--time-limit", type=click.FloatRange(0, min_open=True), default=10.0, help="Seconds a call."
)
@click.option("--replay", metavar="FILE-OR-ID", help="Judge one kept failure again.")
@click.option(
    "--failures", type=click.Path(file_okay=False), default=".manualnn", help="Where they are kept."
)
@click.option("--json", **_OUTPUT, metavar="FILE", help="Write the report as JSON.")
@click.option("--junit", **_OUTPUT, metavar="FILE", help="Write it as JUnit XML.")
@click.option("--markdown", **_OUTPUT, metavar="FILE", help="Write a table of compliance.")
@click.option("--combine", multiple=True, type=_FILE, help="A report in JSON; one table of all.")
@click.option("--answers", type=_FOLDER, help="Judge a folder of answers to vectors.")
@click.option("--vectors", type=_FOLDER, help="The vectors that --answers are of.")
@click.option("--list", "listing", is_flag=True, help="List the checks (of TARGET's claims).")
@click.option("--protocol", is_flag=True, help="Print what an engine has to do, on one page.")
def check(target: str | None, **options: Any) -> None:
    """Judge an engine that computes gradients and updates, and explain what is wrong with it.

    TARGET is module:attribute, path/to/file.py:attribute, or in quotes a command line that starts
    an engine in any language. `--protocol` prints what such an engine is asked, on one page.

    Exit codes: 0 well, 1 a check failed, 2 the engine or the command line cannot be used, 3 too
    little ran to tell.
    """
    with _errors_told():
        if options["protocol"]:
            page = resources.files("manualnn.oracle").joinpath("PROTOCOL.md")
            click.echo(page.read_text(encoding="utf-8"), nl=False)
        elif options["listing"]:
            _list(target, options["time_limit"])
        elif options["combine"]:
            _combine(options["combine"], options["markdown"])
        elif options["replay"] is not None:
            sys.exit(_replay(target, options))
        elif options["answers"] is not None:
            sys.exit(_judge_answers(options))
        elif target is not None:
            sys.exit(_judge(target, options))
        else:
            raise click.UsageError(
                "TARGET is missing: module:attribute, file.py:attribute, or a command line in "
                "quotes. Try `manualnn check manualnn.engine:Engine`, or --protocol."
            )


@click.command(short_help="Write cases with their truth, for engines elsewhere.")
@click.argument("out", type=click.Path(file_okay=False))
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the cases.")
def vectors(out: str, seed: int) -> None:
    """Write conformance vectors: cases, their truth, and how far off an engine may be.

    For an engine that cannot run beside Python: it reads them, writes its answers, and
    `manualnn check --answers DIR` judges those. OUT/README.md states the formats.
    """
    from manualnn.oracle.vectors.files import VectorsError, write_vectors

    with _errors_told():
        try:
            click.echo(f"{write_vectors(out, seed=seed):,} cases written to {out}")
        except VectorsError as error:
            raise _UnusableError(str(error)) from error


@contextmanager
def _errors_told() -> Iterator[None]:
    """Tell the oracle's own errors without a traceback."""
    from manualnn.oracle.engines.client import EngineError
    from manualnn.oracle.replay import ReplayError
    from manualnn.oracle.report.as_json import ReportError
    from manualnn.oracle.report.expected_failures import ExpectedFileError

    try:
        yield
    except BrokenPipeError:
        raise  # click ends silently where the reader, such as head, has gone
    except (EngineError, ExpectedFileError, ReplayError, ReportError, OSError) as error:
        raise _UnusableError(str(error)) from error


def _judge(target: str, options: dict[str, Any]) -> int:
    """Run the checks, telling what is found as it comes; return the exit code."""
    from manualnn.oracle.report.expected_failures import read
    from manualnn.oracle.report.progress import LiveReport
    from manualnn.oracle.runner import check_engine

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
                time_limit=options["time_limit"],
                progress=live.update,
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


def _judge_answers(options: dict[str, Any]) -> int:
    from manualnn.oracle.report.progress import LiveReport
    from manualnn.oracle.vectors.answers import AnswersError, judge_answers
    from manualnn.oracle.vectors.files import VectorsError

    try:
        report = judge_answers(options["answers"], options["vectors"])
    except (AnswersError, VectorsError) as error:
        raise _UnusableError(str(error)) from error
    LiveReport(report.target, None).print_new(report)
    _conclude(report, options)
    return report.exit_code


def _conclude(report: "Report", options: dict[str, Any]) -> None:
    """Print the summary, keep the failures, and write the files that are wanted."""
    from manualnn.oracle import replay
    from manualnn.oracle.report.as_json import to_json
    from manualnn.oracle.report.as_junit import to_junit
    from manualnn.oracle.report.compliance import to_markdown
    from manualnn.oracle.report.progress import paint
    from manualnn.oracle.report.report import summary

    counts = report.counts()
    click.echo(("\n" if counts["failed"] or counts["errored"] else "") + summary(report, paint))
    replay.save(report, options["failures"])
    writers: dict[str, Callable[[], str]] = {
        "json": lambda: json.dumps(to_json(report), indent=1, ensure_ascii=False) + "\n",
        "junit": lambda: to_junit(report, options["failures"]),
        "markdown": lambda: to_markdown([report]),
    }
    for name, write in writers.items():
        if options[name] is not None:
            write_text(options[name], write())


def _list(target: str | None, time_limit: float) -> None:
    from manualnn.oracle.engines.client import connect
    from manualnn.oracle.protocol.capabilities import DTYPES, RETURNS, Capabilities
    from manualnn.oracle.protocol.features import TABLES
    from manualnn.oracle.runner import checks_for

    if target is None:
        everything: dict[str, Any] = {
            kind: dict.fromkeys(table, "any") for kind, table in TABLES.items()
        }
        everything |= {"dtypes": DTYPES, "returns": RETURNS, "max_steps": 1_000_000}
        claims = Capabilities.read({**everything, "accepts_state": True, "empty_batch": True})
    else:
        with connect(target, time_limit=time_limit) as bench:
            claims = bench.capabilities
    for name, sentence in checks_for(claims):
        click.echo(f"{name}\n    {sentence}")


def _combine(files: tuple[str, ...], markdown: str | None) -> None:
    from manualnn.oracle.report.as_json import ReportError, from_json
    from manualnn.oracle.report.compliance import to_markdown

    reports = []
    for file in files:
        try:
            reports.append(from_json(json.loads(Path(file).read_text(encoding="utf-8"))))
        except ValueError as error:
            message = f"{file}: it is no report that --json wrote: {error}"
            raise ReportError(message) from error
    table = to_markdown(reports)
    if markdown is None:
        click.echo(table, nl=False)
    else:
        write_text(markdown, table)


def _replay(target: str | None, options: dict[str, Any]) -> int:
    """Judge a kept failure again; return 1 if it still fails, and 0 if it passes now."""
    from manualnn.oracle.diagnosis.explainer import Explainer
    from manualnn.oracle.engines.client import connect
    from manualnn.oracle.findings import CheckResult
    from manualnn.oracle.replay import again, load
    from manualnn.oracle.report.finding_text import FindingText
    from manualnn.oracle.report.progress import paint
    from manualnn.oracle.report.wording import case_line, case_numbers, wrapped
    from manualnn.oracle.runner import checks_for

    failure = load(options["replay"], options["failures"])
    target = target or failure.target
    code = 0
    with connect(target, time_limit=options["time_limit"]) as bench:
        refused = bench.capabilities.refuses(failure.case)
        if refused:
            raise _UnusableError(
                f"{target} no longer claims what the case {failure.case.id} needs: {refused}."
            )
        sentences = dict(checks_for(bench.capabilities))
        text = FindingText(target, bench.capabilities.name, options["failures"], paint)
        explainer = Explainer(bench, math.inf)
        for check_id in failure.checks:
            finding = again(bench, check_id, failure)
            if finding is not None:
                code = 1
                sentence = sentences.get(check_id, check_id)
                found = [explainer.diagnosed(finding)]
                click.echo(text.describe(CheckResult(check_id, sentence, "failed", findings=found)))
                continue
            click.echo(f"{paint('passes now', 'good')}  {check_id}")
            for line in [case_line(failure.case), *case_numbers(failure.case)]:
                click.echo("\n".join(wrapped(line)))
    return code
