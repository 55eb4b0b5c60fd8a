"""Names of the quantities of a network, and the equations in the docstrings of its parts."""

import inspect
import re
from dataclasses import fields
from typing import Any

from manualnn.explain.formula import LOSS, Symbol, derivative, word
from manualnn.explain.run import Run
from manualnn.losses import Loss
from manualnn.optimizers import Optimizer
from manualnn.spec import QUIET


class Names:
    """Symbols of the units, targets and parameters of a run, with the letters of the docstrings."""

    def __init__(self, run: Run) -> None:
        self._last = len(run.net.layers) - 1
        self._is_single = len(run.x) == 1
        self._letters = [letter(layer) for layer in run.net.layers]

    def unit(self, layer: int, unit: tuple[Any, ...]) -> Symbol:
        """Return the symbol of a unit: x[1], z0[1], a1[1], y[1]; x[n,1] if there are samples.

        The layer -1 is the input.
        """
        index = _index(unit[1:] if self._is_single else unit)
        if layer < 0 or layer == self._last:
            name = "x" if layer < 0 else "y"
            return Symbol(f"{name}[{index}]", f"{name}_{{{index}}}")
        name = self._letters[layer]
        return Symbol(f"{name}{layer}[{index}]", f"{name}^{{({layer})}}_{{{index}}}")

    def slope(self, layer: int, unit: tuple[Any, ...]) -> Symbol:
        """Return the symbol of ∂L/∂(unit)."""
        return derivative(LOSS, self.unit(layer, unit))

    def target(self, index: tuple[int, ...]) -> Symbol:
        """Return the symbol of an entry of t."""
        shown = _index(index[1:] if self._is_single and len(index) > 1 else index)
        return Symbol(f"t[{shown}]", f"t_{{{shown}}}")

    def term(self, unit: tuple[int, ...]) -> Symbol:
        """Return the symbol of the term that an output adds to the loss."""
        index = _index(unit[1:] if self._is_single else unit)
        return Symbol(f"e[{index}]", f"e_{{{index}}}")

    def parameter(self, layer: int, name: str, index: tuple[int, ...]) -> Symbol:
        """Return the symbol of a parameter, 0.weight[1,2], or of an entry of a dropout mask."""
        short = {"weight": "W", "bias": "b"}.get(name) or word(name).latex
        shown = _index(index)
        return Symbol(f"{layer}.{name}[{shown}]", f"{short}^{{({layer})}}_{{{shown}}}")

    def edge(self, layer: int, source: Any, unit: tuple[int, ...]) -> Symbol:
        """Return the symbol of ∂(unit of a layer)/∂(source), a parameter or a unit before it."""
        is_parameter = isinstance(source[0], str)
        tail = self.parameter(layer, *source) if is_parameter else self.unit(layer - 1, source)
        return derivative(self.unit(layer, unit), tail)


def _index(index: tuple[Any, ...]) -> str:
    return ",".join(map(str, index))


def brief(part: Any) -> str:
    """Return the expression that makes a layer, loss or rule, without the options that are off."""
    options = []
    for option in fields(part):
        value = getattr(part, option.name)
        is_off = value is None or (isinstance(value, bool | int | float) and value <= 0)
        if not (value == option.default and (is_off or value is True or option.metadata == QUIET)):
            options.append(f"{option.name}={value!r}")
    return f"{type(part).__name__}({', '.join(options)})"


def equations(part: Any) -> tuple[list[str], list[str]]:
    """Return the lines of the Forward and the Backward block in a layer's or loss's docstring.

    Of a loss with a constant factor, each 1/D there is factor/D, and 2/D is 2 factor/D.
    """
    blocks: dict[str, list[str]] = {"Forward": [], "Backward": []}
    block: list[str] | None = None
    for line in (inspect.getdoc(type(part)) or "").splitlines():
        title = re.match(r"(Forward|Backward)\b(?:, )?(.*)", line)
        if title:
            block = blocks[title[1]]
            if title[2]:
                block.append(f"with {title[2]}" if title[1] == "Forward" else title[2])
        elif block is not None and line.startswith(" "):
            block.append(line.strip())
        elif block:
            block = None
    if isinstance(part, Loss) and part.factor != 1:
        for block in blocks.values():
            block[:] = [re.sub(r"\b1/D", "factor/D", line) for line in block]
            block[:] = [re.sub(r"\b(\d)/D", r"\1 factor/D", line) for line in block]
    return blocks["Forward"], blocks["Backward"]


def letter(layer: Any) -> str:
    """Return a layer's letter for its output: the first letter of its Forward equations."""
    forward, _ = equations(layer)
    lines = [line for line in forward if "=" in line and not line.startswith("with ")]
    start = re.match(r"[A-Za-z]+", lines[0]) if lines else None
    return start[0] if start else "y"


def rule_equations(rule: Optimizer) -> list[str]:
    """Return the equations of an update rule and the names of its state, base classes first.

    Lines about options that are off are left out, and paragraphs that have no other such lines.
    """
    kinds = [kind for kind in reversed(type(rule).__mro__) if issubclass(kind, Optimizer)]
    docs = [inspect.getdoc(kind) or "" for kind in kinds]
    options = {option.name: getattr(rule, option.name) for option in fields(rule)}
    for option in fields(rule):
        if option.metadata == QUIET and options[option.name] == option.default:
            options[option.name] = None  # norm_type alone does nothing
    found: list[str] = []
    for paragraph in (p for doc in docs for p in doc.split("\n\n") if "←" in p):
        lines = {line: _applies(line, options) for line in paragraph.splitlines()}
        if set(lines.values()) != {False, None} and set(lines.values()) != {False}:
            found += [line for line, applies in lines.items() if applies is not False]
    states = [
        s for doc in docs for text in re.findall(r"State: ([^.]*)\.", doc) for s in text.split(", ")
    ]
    kept = [state for state in states if state.split()[0] in rule.vectors()]
    return found + [f"State: {', '.join(kept)}."] * bool(kept)


def _applies(line: str, options: dict[str, Any]) -> bool | None:
    """Return if the options that a line mentions are as it says; None if it mentions none."""
    mentioned = re.findall(rf"(without )?\b({'|'.join(options)})\b", line)
    if not mentioned or "else" in line:
        return None
    return any(bool(options[name]) != bool(without) for without, name in mentioned)
