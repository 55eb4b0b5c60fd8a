"""Table of the compliance of all engines in this folder.

    python tests/engines/table.py --brief                        the README's table
    python tests/engines/table.py                                every feature, profile quick
    python tests/engines/table.py ci --engine torch --engine jax
    python tests/engines/table.py --markdown TABLE.md --reports DIR

`manualnn check` judges each engine in a process of its own. The file expected/NAME.txt lists the
known failures of an engine, each with its reason. The exit code is 0 if exactly these failures are
found, and 1 otherwise.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from manualnn.oracle.report.compliance import to_markdown
from manualnn.oracle.report.reading import from_json

HERE = Path(__file__).parent
IN_PYTHON = ("torch", "jax", "sklearn", "autograd", "mygrad", "micrograd", "tinygrad")
ENGINES = ("manualnn", *IN_PYTHON, "c", "javascript")
AT_ONCE = 2
"""Engines that are judged at the same time, each with one thread."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("profile", nargs="?", default="quick", choices=["quick", "ci", "nightly"])
    parser.add_argument(
        "--engine", action="append", choices=ENGINES, help="repeatable; all of them if none"
    )
    parser.add_argument(
        "--markdown", type=Path, help="write the table there, in place of printing it"
    )
    parser.add_argument("--brief", action="store_true", help="groups of features alone")
    parser.add_argument("--reports", type=Path, help="keep every engine's report as JSON there")
    options = parser.parse_args()
    names = options.engine or ENGINES
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        reports = options.reports or scratch
        reports.mkdir(parents=True, exist_ok=True)
        targets = {name: target(name, scratch) for name in names}

        def judge(name: str) -> int:
            return judged(name, targets[name], options.profile, reports / f"{name}.json", scratch)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            codes = dict(zip(names, pool.map(judge, names), strict=True))
        files = [file for name in names if (file := reports / f"{name}.json").exists()]
        found = [from_json(json.loads(f.read_text(encoding="utf-8"))) for f in files]
        table = to_markdown(found, brief=options.brief)
    if options.markdown:
        options.markdown.write_text(table, encoding="utf-8")
    else:
        say(table)
    bad = [name for name, code in codes.items() if code]
    say(f"Not as expected: {', '.join(bad)}." if bad else "Every engine is as expected.")
    return 1 if bad else 0


def judged(name: str, engine: str, profile: str, report: Path, scratch: Path) -> int:
    """Run `manualnn check`, which writes the report, and show what it prints; return its code."""
    command = [sys.executable, "-m", "manualnn", "check", engine]
    command += ["--profile", profile, "--time-limit", "60", "--json", str(report)]
    command += ["--failures", str(scratch / "failures" / name)]
    expected = HERE / "expected" / f"{name}.txt"
    if expected.exists():
        command += ["--expected", str(expected)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    report.unlink(missing_ok=True)
    run = subprocess.run(  # noqa: S603 - our own command
        command,
        env=os.environ | threads,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    say(f"===== {name}: exit code {run.returncode}\n\n{run.stdout}")
    return run.returncode


def target(name: str, scratch: Path) -> str:
    """Return what `manualnn check` calls the engine; compile it first, if it is in C."""
    if name == "manualnn":
        return "manualnn.engine:Engine"
    if name == "c":
        program = scratch / "engine"
        compiler = needed("cc", "a C compiler")
        command = [compiler, "-O2", "-o", program, HERE / "engine.c", "-lm"]
        subprocess.run(command, check=True)  # noqa: S603 - our own source
        return str(program)
    if name == "javascript":
        return f"{needed('node', 'Node')} {HERE / 'engine.mjs'}"
    return f"{HERE / name}_engine.py:Engine"


def needed(program: str, what: str) -> str:
    found = shutil.which(program)
    if found is None:
        sys.exit(f"there is no {program} here; install {what}, or name other engines by --engine.")
    return found


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
