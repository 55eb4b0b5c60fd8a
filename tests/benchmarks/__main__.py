"""How long a training step takes, beside its bare matrix products and beside other libraries.

tox -e bench                                    the whole grid, in a few minutes
tox -e bench -- --rounds 15 --json bench.json   steadier medians, kept as JSON
"""

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from cases import CASES, Case
from peers import PEERS
from timing import compare, import_seconds


def main() -> None:
    """Measure, and print the Markdown table."""
    options = read_options()
    about = describe_machine()
    results = compare(options.peers, CASES, rounds=options.rounds, seconds=options.seconds)
    imported = import_seconds(options.rounds)
    lines = [
        ", ".join(f"{key} {value}" for key, value in about.items()),
        "",
        *table(options.peers, results),
        "",
        f"`import manualnn` takes {imported * 1e3:.0f} ms beyond `import numpy`.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    if options.json:
        kept = {
            "machine": about,
            "import_seconds": imported,
            "steps": [{**asdict(case), "seconds": times} for case, times in results.items()],
        }
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def read_options() -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(prog="tox -e bench --", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each peer")
    parser.add_argument("--seconds", type=float, default=0.05, help="length of a turn")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    return parser.parse_args()


def describe_machine() -> dict[str, str]:
    """Return what the numbers depend on."""
    libraries = {name: version(name) for name in ("manualnn", "numpy", "torch", "scikit-learn")}
    return {
        "Python": platform.python_version(),
        **libraries,
        "cores": str(os.cpu_count()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def table(peers: list[str], results: dict[Case, dict[str, float]]) -> list[str]:
    """Return a Markdown table: microseconds a step, and manualnn's in units of its peers'."""
    ours = [peer for peer in peers if peer.startswith("manualnn")]
    pairs = [
        (mine, other)
        for mine in ours
        for other in peers
        if other == "products" or (other not in ours and other.split()[-1] == mine.split()[-1])
    ]
    heads = ["network", "N", "dtype", "hidden"]
    heads += [f"{peer} µs" for peer in peers]
    heads += [f"{mine} / {other.removesuffix(mine.split()[-1]).strip()}" for mine, other in pairs]
    lines = ["| " + " | ".join(heads) + " |", "|---|--:|---|---|" + "--:|" * (len(heads) - 4)]
    for case, times in results.items():
        cells = [f"{times[peer] * 1e6:.1f}" for peer in peers]
        cells += [f"{times[mine] / times[other]:.2f}" for mine, other in pairs]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
