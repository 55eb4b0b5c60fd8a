"""Plots of the results: ratios as bars, and the time of a step against its multiply-adds."""

from itertools import groupby

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt

OURS, LIMIT = "manualnn", "products"
FORMAT = "svg"


def draw_all(results, folder):
    """Write ratios-….svg for each precision, activation, rule and threads, and scaling.svg."""
    drawn = []
    steps = [row for row in results.get("steps", ()) if OURS in row.turns]
    for kind, rows in groupby(sorted(steps, key=kind_of), key=kind_of):
        drawn.append(folder / f"ratios-{'-'.join(map(str, kind))}.{FORMAT}")
        save(ratios(list(rows), kind), drawn[-1])
    if rows := [row for row in results.get("scaling", ()) if OURS in row.turns]:
        drawn.append(folder / f"scaling.{FORMAT}")
        save(scaling(rows), drawn[-1])
    return drawn


def kind_of(row):
    return row.case.dtype, row.case.activation, row.case.optimizer, row.case.threads


def ratios(rows, kind):
    """Return a bar plot of every peer's time divided by our time, on a logarithmic axis."""
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    peers = [p for p in dict.fromkeys(p for row in rows for p in row.turns) if p != OURS]
    width = 0.8 / max(len(peers), 1)
    for i, peer in enumerate(peers):
        there = [(n, row.ratio(peer, OURS)) for n, row in enumerate(rows) if peer in row.turns]
        axes.bar([n - 0.4 + (i + 0.5) * width for n, _ in there], [r for _, r in there], width)
        axes.containers[-1].set_label("bare products" if peer == LIMIT else peer)
    axes.axhline(1, color="black", linewidth=1)
    axes.set(yscale="log", ylabel="time of a step ÷ ours")
    names = [row.case.network.replace(" ", "\n") for row in rows]
    axes.set_xticks(range(len(rows)), names, fontsize="small")
    dtype, activation, optimizer, threads = kind
    axes.set_title(f"{dtype}, {activation}, {optimizer}, {threads} thread{'s' * (threads > 1)}")
    axes.legend(ncols=4, fontsize="small")
    return figure


def scaling(rows):
    """Return a log-log plot of the time of a step against its multiply-adds."""
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    for peer in dict.fromkeys(p for row in rows for p in row.turns):
        there = [row for row in rows if peer in row.turns]
        axes.plot(
            [row.case.multiply_adds for row in there],
            [row.value(peer) for row in there],
            "--" if peer == LIMIT else "o-",
            color="black" if peer == LIMIT else None,
            linewidth=2.5 if peer == OURS else 1.2,
            label="bare products" if peer == LIMIT else peer,
        )
    axes.set(xscale="log", yscale="log", xlabel="multiply-adds a step", ylabel="seconds a step")
    axes.set_title("widths w-w-w, batch 64, float32, Sigmoid, SGD, 1 thread")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    return figure


def save(figure, path):
    with mpl.rc_context({"svg.hashsalt": "manualnn"}):  # the same plot gives the same file
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
