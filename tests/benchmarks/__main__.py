r"""Benchmarks of manualnn, compared with its bare matrix products and with other libraries.

    tox -e bench                                      a few minutes; numbers into build/bench
    tox -e bench -- --full --out DIR                  the whole grid, with more turns
    tox -e bench -- --only steps --network 3-2-2 --peer manualnn --peer torch
    tox -e bench -- --only steps --only products --only scaling --threads one --activation Sigmoid \
        --markdown tests/benchmarks/README.md --plots tests/benchmarks

Sections: steps, layers, products, predict, fit, estimators, update, memory, scaling, import, size.
Every peer runs in a process of its own. The processes take turns, and ratios are medians over the
turns. A peer that is not installed is left out; a line names the package to install.
"""

import argparse
import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from costs import import_seconds, installed_bytes
from estimators import CASES, EPOCHS, ESTIMATORS, show_estimators
from fitting import ACCURACY, CASE, FITTERS
from peers import ALL, LIBRARIES, MULTIPLIERS, NUMPY_BASED

from manualnn import INDEX_LAYERS, LAYERS, OPTIMIZERS
from manualnn.benchmark.cases import GRID, Case, grid
from manualnn.benchmark.command import quoted
from manualnn.benchmark.peers import ManualNN, Torch, versions
from manualnn.benchmark.tables import (
    LIMIT,
    OURS,
    microseconds,
    reasons,
    step_tables,
    value_table,
    write_markdown,
)
from manualnn.benchmark.timing import compare
from manualnn.doctor.processes import usable_cores
from manualnn.doctor.report import examine
from manualnn.output.tables import format_markdown

SECTIONS = (
    "steps",
    "layers",
    "products",
    "predict",
    "fit",
    "estimators",
    "update",
    "memory",
    "scaling",
    "import",
    "size",
)
SMALL = ("3-2-2", "4-16-3")
UNSHARED = (*SMALL, "64-128-64-10")
OF_STRUCTURE = ("Flatten", "GLU", "Identity", "Linear", "Residual")
"""Layers that cannot stand after each Linear layer, or compute nothing there."""
KEEPS_WIDTH = [name for name in LAYERS if name not in OF_STRUCTURE]


def main():
    """Measure section by section; print each result at once, and write all results at the end."""
    options = read_options()
    about = examine()
    head = [*about.brief(), *versions(ALL[name] for name in options.peer)]
    sys.stdout.write("\n".join(head) + "\n")
    results, lines = {}, []
    for name in options.only:
        started = time.monotonic()
        results[name] = measure(name, options)
        new = "\n".join([f"### {TITLES[name]}", "", *show(name, results[name])]).rstrip()
        sys.stdout.write(f"\n{new}\n")
        sys.stderr.write(f"{name}: {time.monotonic() - started:.0f} s\n")
        lines += [new, ""]
    report = [*quoted(head), "", *lines[:-1]]
    if options.markdown:
        write_markdown(options.markdown, report)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.md").write_text("\n".join(report) + "\n", encoding="utf-8")
    content = {"machine": about.to_json()} | {
        name: [row.to_json() for row in found] if isinstance(found, list) else found
        for name, found in results.items()
    }
    (options.out / "bench.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if find_spec("matplotlib"):
        from plots import draw_all

        folder = options.plots or options.out
        folder.mkdir(parents=True, exist_ok=True)
        draw_all({n: found for n, found in results.items() if isinstance(found, list)}, folder)
    else:
        sys.stdout.write("no plots: matplotlib is not installed; pip install matplotlib\n")
    sys.stdout.write(f"\nwritten to {options.out}\n")


def read_options():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="tox -e bench --",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--full", action="store_true", help="both precisions and activations, more turns")
    add("--only", action="append", choices=SECTIONS, help="section to measure; repeatable")
    add("--network", action="append", choices=GRID, help="network of the steps; repeatable")
    add("--activation", action="append", choices=["Sigmoid", "ReLU"], help="layer; repeatable")
    add("--peer", action="append", choices=ALL, help="library; repeatable")
    add(
        "--threads",
        action="append",
        choices=["one", "all"],
        help="number of threads; repeatable; default: both",
    )
    add("--rounds", type=int, help="turns of each peer; default: 5, or 15 with --full")
    add("--seconds", type=float, default=0.04, help="length of a turn, in seconds")
    add("--out", type=Path, default=Path("build/bench"), help="folder for the results")
    add("--plots", type=Path, help="folder for the plots; default: --out")
    add("--markdown", type=Path, help="file that also gets the tables, between its marks")
    options = parser.parse_args()
    options.only = options.only or SECTIONS
    options.rounds = options.rounds or (15 if options.full else 5)
    options.peer = options.peer or list(ALL)
    words = options.threads or ["one", "all"]
    options.threads = list(dict.fromkeys({"one": 1, "all": usable_cores()}[w] for w in words))
    return options


# ------------------------------------------------------------------ sections


def measure(name, options):
    """Return the rows of a section, or its numbers."""
    if name == "import":
        return import_seconds(options.rounds)
    if name == "size":
        return installed_bytes()
    cases, peers, task = {
        "steps": (steps(options), ALL.values(), "step"),
        "layers": (layers(options), (ManualNN, Torch), "step"),
        "products": (bare(options), MULTIPLIERS, "products"),
        "predict": (predictions(), ALL.values(), "predict"),
        "fit": ([CASE], FITTERS, "fit"),
        "estimators": (CASES, ESTIMATORS, "classify"),
        "update": (updates(options), (ManualNN, Torch), "update"),
        "memory": (grid(networks=options.network or GRID), NUMPY_BASED, "memory"),
        "scaling": (scaling(), LIBRARIES, "step"),
    }[name]
    if name != "estimators":
        peers = [peer for peer in peers if peer.name in options.peer]
    rounds = 1 if name == "memory" else options.rounds
    rows = []
    for row in compare(peers, cases, task=task, rounds=rounds, seconds=options.seconds):
        sys.stderr.write(f"{name} {len(rows) + 1}/{len(cases)}: {row.case}\n")
        rows.append(row)
    return rows


def steps(options):
    """Return the cases of the grid; without --full only float32 and Sigmoid.

    The two smallest networks also have ReLU with SGD, because micrograd has no sigmoid and no Adam.
    Networks without work to share have one thread only.
    """
    networks = options.network or list(GRID)
    full = ("Sigmoid", "ReLU") if options.full else ("Sigmoid",)
    kinds = {"activations": options.activation or full}
    if options.full:
        kinds["dtypes"] = ("float32", "float64")
        return grid(networks=networks, threads=options.threads, **kinds)
    large = [network for network in networks if network not in UNSHARED]
    cases = []
    for count in options.threads:
        cases += grid(networks=networks if count == 1 else large, threads=[count], **kinds)
        if count == 1 and not options.activation:
            small = [network for network in networks if network in SMALL]
            cases += grid(networks=small, activations=["ReLU"], optimizers=("SGD",))
    return cases


def layers(options):
    """Return networks of every layer that keeps its width, and of those that take indices."""
    networks = options.network or ["64-128-64-10", "784-512-256-10"]
    return grid(networks=networks, activations=[*KEEPS_WIDTH, *INDEX_LAYERS], optimizers=("SGD",))


def bare(options):
    """Return the grid with one rule, because the products use none."""
    dtypes = ("float32", "float64") if options.full else ("float32",)
    return grid(
        networks=options.network or GRID,
        threads=options.threads,
        dtypes=dtypes,
        optimizers=("SGD",),
    )


def predictions():
    """Return cases of one sample and of a thousand."""
    return [Case((784, 128, 10), n) for n in (1, 1000)]


def updates(options):
    """Return networks of 812, 109,230 and 2,998,092 parameters, and every rule of gradients."""
    return [
        Case((width, width), 1, optimizer=rule, threads=threads)
        for threads in options.threads
        for rule, kind in OPTIMIZERS.items()
        if not kind.needs_closure
        for width in (28, 330, 1731)
    ]


def scaling():
    """Return networks whose steps have 20 thousand to 300 million multiply-adds."""
    return [Case((2**power,) * 3, 64) for power in range(3, 11)]


# ------------------------------------------------------------------ tables

TITLES = {
    "steps": "A training step",
    "layers": "A training step with each layer: float32, SGD, 1 thread",
    "products": "The bare matrix products of a step, by whose library",
    "predict": "Prediction: 784-128-10, float32, Sigmoid, 1 thread",
    "fit": f"A whole training: the digits, until {ACCURACY:.0%} of those held out are right",
    "estimators": f"MLPClassifier: {EPOCHS} epochs on the digits, and how many others are right",
    "update": "The update alone, float32; torch's by its fastest implementation",
    "memory": "Traced peak memory of a step",
    "scaling": "Cost beside arithmetic: w-w-w, batch 64, float32, Sigmoid, SGD, 1 thread",
    "import": "Import, beyond NumPy's",
    "size": "Installed size",
}


def show(name, found):
    """Return the table of a section."""
    if name == "import":
        body = [[library, f"{seconds * 1e3:.1f}"] for library, seconds in found.items()]
        return format_markdown(["library", "ms"], body, "lr")
    if name == "size":
        heads = ["library", "alone, MB", "with what it needs, MB"]
        body = [
            [library, *(f"{size / 1e6:.1f}" for size in sizes.values())]
            for library, sizes in found.items()
        ]
        return format_markdown(heads, body, "lr")
    if name == "estimators":
        return [*show_estimators(found), "", *left_out(found)]
    if name == "steps":
        return [*step_tables(found), *left_out(found)]
    first, label, form, unit = SHOWN[name]
    base = LIMIT if name == "products" else OURS
    return [
        *value_table(found, first, label, show=form, unit=unit, base=base),
        "",
        *left_out(found),
    ]


SHOWN = {
    "products": (
        "network (batch), precision, threads",
        lambda row: f"{row.case.network}, {row.case.dtype}, {row.case.threads}",
        microseconds,
        "µs",
    ),
    "predict": ("samples", lambda row: f"{row.case.batch:,}", microseconds, "µs"),
    "fit": ("network (batch)", lambda row: row.case.network, lambda s: f"{s:.2f}", "s"),
    "layers": (
        "layer, network (batch)",
        lambda row: f"{row.case.activation}, {row.case.network}",
        microseconds,
        "µs",
    ),
    "update": (
        "rule, parameters, threads",
        lambda row: f"{row.case.optimizer}, {row.case.parameters:,}, {row.case.threads}",
        microseconds,
        "µs",
    ),
    "memory": (
        "network (batch), rule",
        lambda row: f"{row.case.network}, {row.case.optimizer}",
        "{:,.0f}".format,
        "bytes",
    ),
    "scaling": ("multiply-adds", lambda row: f"{row.case.multiply_adds:,}", microseconds, "µs"),
}


def left_out(rows):
    """Return the skipped peers with the reasons, as a list in Markdown."""
    return [f"- {line}" for line in reasons(rows)]


if __name__ == "__main__":
    main()
