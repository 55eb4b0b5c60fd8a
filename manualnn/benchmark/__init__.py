"""Benchmark: time of a training step, compared with its matrix products and with other libraries.

    cases       a case: network, batch, precision, rule, number of threads
    peers       the programs that are timed: the bare products, manualnn, torch
    worker      the process of a peer: builds a case and times it
    timing      lets the workers take turns, and collects the times
    tables      tables of times and ratios in Markdown
    command     `manualnn bench`

No other part of manualnn imports this package. `tox -e bench` adds more peers and measurements.
"""

__all__: list[str] = []  # import public names from the modules
