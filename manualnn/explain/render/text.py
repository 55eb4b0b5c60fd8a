"""An explanation in plain text."""

import textwrap
from functools import singledispatch

from manualnn.explain.formula import short, to_text
from manualnn.explain.model import Explanation, Quantity
from manualnn.explain.render.blocks import (
    Block,
    Chain,
    Code,
    Heading,
    Naming,
    Paragraph,
    Table,
    Worked,
)
from manualnn.explain.render.document import document, number, off

ONE_LINE = 60
"""A quantity whose formulas take no more characters stands in one line."""


def render(explanation: Explanation) -> str:
    """Return the narrative in plain text."""
    lines: list[str] = []
    for block in document(explanation):
        # Paragraphs that follow one another stand together; everything else is set apart.
        shown = _show(block, explanation.decimals)
        if not shown:
            continue
        apart = not isinstance(block, Paragraph) or (lines and lines[-1].startswith("  "))
        lines += ([""] if lines and apart else []) + shown
    return "\n".join(line.rstrip() for line in lines) + "\n"


@singledispatch
def _show(block: Block, decimals: int | None) -> list[str]:
    raise NotImplementedError


@_show.register
def _(block: Heading, decimals: int | None) -> list[str]:  # noqa: ARG001
    text = block.text.replace("`", "")
    if block.level == 1:
        return [text.upper(), "=" * len(text)]
    return ["", text.upper(), "-" * len(text)] if block.level == 2 else [text]


@_show.register
def _(block: Paragraph, decimals: int | None) -> list[str]:  # noqa: ARG001
    return textwrap.wrap(block.text.replace("`", ""), 100)


@_show.register
def _(block: Naming, decimals: int | None) -> list[str]:  # noqa: ARG001
    return []  # plain text has the names alone


@_show.register
def _(block: Code, decimals: int | None) -> list[str]:  # noqa: ARG001
    return [f"      {line}" for line in block.lines]


@_show.register
def _(block: Table, decimals: int | None) -> list[str]:  # noqa: ARG001
    rows = [[cell.replace("`", "") for cell in row] for row in [block.header, *block.rows]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


@_show.register
def _(block: Worked, decimals: int | None) -> list[str]:
    return [line for quantity in block.quantities for line in _worked(quantity, decimals)]


@_show.register
def _(block: Chain, decimals: int | None) -> list[str]:
    path = block.path
    names = " · ".join(factor.symbol.text for factor in path.factors)
    numbers = " · ".join(_bracketed(short(factor.value, decimals)) for factor in path.factors)
    return [
        f"  {' → '.join(unit.text for unit in path.units)}",
        f"    {names}",
        f"    = {numbers}",
        f"    = {_value(path.product, decimals)}",
    ]


def _worked(quantity: Quantity, decimals: int | None) -> list[str]:
    """Return name = formula with names = formula with numbers = value, without repetitions."""
    steps = []
    if quantity.formula is not None:
        steps = [to_text(quantity.formula, names=True), to_text(quantity.formula)]
    plain = number(quantity, decimals)
    steps = [step for step in dict.fromkeys(steps) if step != plain]
    steps.append(_value(quantity, decimals))
    together = " = ".join([quantity.symbol.text, *steps])
    if len(together) <= ONE_LINE:
        return [f"  {together}"]
    indent = " " * len(quantity.symbol.text)
    names = [quantity.symbol.text, *[indent] * (len(steps) - 1)]
    return [f"  {name} = {step}" for name, step in zip(names, steps, strict=True)]


def _value(quantity: Quantity, decimals: int | None) -> str:
    value = number(quantity, decimals)
    return value if decimals is None else f"{value}    deviation {off(quantity.deviation)}"


def _bracketed(text: str) -> str:
    return f"({text})" if text.startswith("-") else text
