r"""An explanation in Markdown with LaTeX formulas.

Formulas stand in ```math blocks, which GitHub hands to its formula renderer untouched: no brace,
underscore or backslash is read as Markdown. Names stand in code spans.
"""

from collections.abc import Iterator
from functools import singledispatch

from manualnn.explain.formula import latex_number, short, to_latex
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

AT_ONCE = 8
"""Quantities in one block of formulas."""


def render(explanation: Explanation) -> str:
    """Return the narrative in Markdown."""
    blocks = (_show(block, explanation.decimals) for block in document(explanation))
    return "\n\n".join(blocks) + "\n"


@singledispatch
def _show(block: Block, decimals: int | None) -> str:
    raise NotImplementedError


@_show.register
def _(block: Heading, decimals: int | None) -> str:  # noqa: ARG001
    return f"{'#' * block.level} {block.text}"


@_show.register
def _(block: Paragraph | Naming, decimals: int | None) -> str:  # noqa: ARG001
    return block.text.replace("|", r"\|")


@_show.register
def _(block: Code, decimals: int | None) -> str:  # noqa: ARG001
    return "\n".join(["```text", *block.lines, "```"])


@_show.register
def _(block: Table, decimals: int | None) -> str:  # noqa: ARG001
    rows = [block.header, ["---"] * len(block.header), *block.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@_show.register
def _(block: Worked, decimals: int | None) -> str:
    parts = block.quantities
    chunks = (parts[i : i + AT_ONCE] for i in range(0, len(parts), AT_ONCE))
    return "\n\n".join(
        _math([line for quantity in chunk for line in _worked(quantity, decimals)])
        for chunk in chunks
    )


@_show.register
def _(block: Chain, decimals: int | None) -> str:
    path = block.path
    way = r" \to ".join(unit.latex for unit in path.units)
    names = r" \cdot ".join(factor.symbol.latex for factor in path.factors)
    numbers = r" \cdot ".join(_bracketed(short(f.value, decimals)) for f in path.factors)
    return _math(
        [rf"{way}:\quad & {names}", f"&= {numbers}", f"&= {_value(path.product, decimals)}"]
    )


def _math(lines: list[str]) -> str:
    body = " \\\\\n".join(lines)
    return f"```math\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n```"


def _worked(quantity: Quantity, decimals: int | None) -> Iterator[str]:
    steps = []
    if quantity.formula is not None:
        steps = [to_latex(quantity.formula, names=True), to_latex(quantity.formula)]
    plain = latex_number(number(quantity, decimals))
    steps = [step for step in dict.fromkeys(steps) if step != plain]
    steps.append(_value(quantity, decimals))
    for i, step in enumerate(steps):
        yield f"{'' if i else quantity.symbol.latex} &= {step}"


def _value(quantity: Quantity, decimals: int | None) -> str:
    value = latex_number(number(quantity, decimals))
    if decimals is None:
        return value
    return rf"{value} \qquad \text{{deviation }} {latex_number(off(quantity.deviation))}"


def _bracketed(text: str) -> str:
    loose = text.startswith("-") or "e" in text
    shown = latex_number(text)
    return rf"\left({shown}\right)" if loose else shown
