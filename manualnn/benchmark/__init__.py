"""How long a training step takes, beside its bare matrix products and beside other libraries.

    cases       what is timed: a network, a batch, a precision, a rule, a number of threads
    peers       who is timed: the bare products, manualnn, torch
    worker      a peer's process: builds a case, and times it as often as it is asked to
    timing      asks the workers in turns, and keeps the numbers
    tables      ratios, as Markdown that is also readable as it is
    command     `manualnn bench`

Nothing here is imported by the rest of manualnn. `tox -e bench` adds more peers and measurements.
"""

__all__: list[str] = []  # its modules have the names
