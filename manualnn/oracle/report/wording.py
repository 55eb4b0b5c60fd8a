"""Text of cases, wrong entries and numbers.

    case_line(case)       "2→3 Tanh 3→1, MSELoss mean, N=3, SGD lr=0.5, float64"
    case_numbers(case)    one line for each array; no lines for a large case
    entry_line(entry)     "grads.0.weight[1,0]  got 0.4500  truth 0.3000  |err| 0.15  bound 3e-17"
    counted(2, "case")    "2 cases"
    wrapped(text, label)  lines as wide as the terminal, indented under their label
    printable(text)       a text that is safe for terminals and XML

Numbers are written with as many digits as distinguish them.
"""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from manualnn.oracle.findings import Entry
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import ALWAYS, LOSSES, TABLES

NARROWEST = 40
"""Columns below which lines are not wrapped any further."""
FEW = 40
"""Largest number of array entries of a case that are printed."""
LABEL = 12
"""Columns of the label before a text."""

_UNPRINTABLE = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def case_line(case: Case) -> str:
    """Return a case on one line: network, loss, batch, optimizer, dtype."""
    parts = [
        " ".join(map(_layer, case.layers)) or f"no layers, {counted(case.widths[0], 'column')}"
    ]
    reduction = case.loss.get("reduction", LOSSES[case.loss["type"]]["reduction"])
    parts.append(" ".join([case.loss["type"], reduction, *_options("losses", case.loss)]))
    parts.append(f"N={case.n}")
    if case.optimizer is not None:
        options = _options("optimizers", case.optimizer)
        parts.append(" ".join([case.optimizer["type"], *options]))
    if case.state is not None:
        parts.append(f"after {counted(int(case.state['step']), 'update')}")
    if case.steps != 1:
        parts.append(counted(case.steps, "update"))
    return ", ".join([*parts, case.dtype])


def case_numbers(case: Case) -> list[str]:
    """Return one line for each array of a small case, and no lines for a large case."""
    arrays = case.arrays()
    if sum(array.size for array in arrays.values()) > FEW:
        return []
    return [f"{name.removeprefix('params.')} = {array_text(a)}" for name, a in arrays.items()]


def entry_line(entry: Entry) -> str:
    """Return a wrong entry with its truth, error and error bound."""
    got, truth, error, bound = four_numbers(entry.got, entry.expected, entry.bound)
    name = f"{entry.quantity}{index_text(entry.index)}"
    line = f"{name}  got {got}  truth {truth}  |err| {error}  bound {bound}"
    return line if entry.size == 1 else f"{line}  ({entry.wrong} of {entry.size} wrong)"


def four_numbers(got: float, truth: float, bound: float) -> tuple[str, str, str, str]:
    """Return a wrong number, the truth, the error and its bound, with the digits they need."""
    error = abs(got - truth)
    digits = next((n for n in range(1, 18) if f"{error:.{n}g}" != f"{bound:.{n}g}"), 1)
    return (*_distinguish(got, truth), f"{error:.{max(2, digits)}g}", f"{bound:.{digits}g}")


def index_text(index: Iterable[int]) -> str:
    """Return an index as it stands after a name: "[0,1]", and nothing for a single number."""
    return f"[{joined}]" if (joined := ",".join(map(str, index))) else ""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 case, 2,000 cases."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def wrapped(text: str, label: str = "", indent: int = 2) -> list[str]:
    """Return the lines of a text, wrapped and indented under its label; line breaks stay."""
    start = " " * indent + (label and label.ljust(LABEL))
    hanging = " " * (len(start) if label else indent + 4)
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        lines += textwrap.wrap(
            paragraph,
            columns(),
            initial_indent=hanging if lines else start,
            subsequent_indent=hanging,
            break_on_hyphens=False,
        ) or [hanging.rstrip()]
    return lines


def columns() -> int:
    """Return the width of the terminal; lines that go to a file are not wrapped."""
    if "COLUMNS" in os.environ or sys.stdout.isatty():
        return max(NARROWEST, shutil.get_terminal_size().columns)
    return sys.maxsize


def printable(text: str) -> str:
    """Replace characters that harm a terminal or XML by Python escapes."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def _layer(layer: Mapping[str, Any]) -> str:
    options = _options("layers", layer)
    if layer["type"] == "Linear":
        sizes = f"{layer['in_features']}→{layer['out_features']}"
        return sizes if layer.get("bias", True) else f"{sizes}(no bias)"
    return f"{layer['type']}({', '.join(options)})" if options else str(layer["type"])


def _options(kind: str, spec: Mapping[str, Any]) -> list[str]:
    """Return the options that differ from the default, except those printed elsewhere."""
    defaults = TABLES[kind][spec["type"]]
    excluded = {"type", "in_features", "out_features", "reduction"}
    return [
        f"{name}={_value(value)}"
        for name, value in spec.items()
        if name not in excluded and (name in ALWAYS or _value(value) != _value(defaults[name]))
    ]


def _value(value: Any) -> str:
    if isinstance(value, bool | str | None):
        return str(value)
    array = np.asarray(value)
    is_short = array.ndim == 0 and float(f"{array.item():g}") == array.item()
    return f"{array.item():g}" if is_short else array_text(array)


def array_text(array: Array) -> str:
    """Return an array on one line, with the digits that identify each floating-point number."""
    if not np.size(array):
        return f"[] {np.shape(array)}"
    if np.ndim(array) == 0:
        return str(np.asarray(array)[()])
    return f"[{', '.join(map(array_text, array))}]"


def _distinguish(a: float, b: float) -> tuple[str, str]:
    """Return two numbers with enough digits to show their difference."""
    for digits in range(4, 18):
        shown = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if not np.isfinite(a - b) or abs(float(shown[0]) - float(shown[1])) > abs(a - b) / 2 > 0:
            return shown
    return f"{a:.17g}", f"{b:.17g}"
