"""The narrative: an explanation as headings, paragraphs, equations and tables.

It is told once, here; `text` and `markdown` only decide how each kind of block looks. Words between
backticks are names.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from manualnn.explain.formula import short
from manualnn.explain.model import Explanation, Gradient, PathStep, Quantity

HEAD, TAIL = 12, 4
"""Of a long list of errors the first and the last."""


@dataclass(frozen=True)
class Heading:
    """A title, of level 1 to 3."""

    text: str
    level: int


@dataclass(frozen=True)
class Paragraph:
    """A line or more of prose."""

    text: str


@dataclass(frozen=True)
class Code:
    """Equations as the source states them."""

    lines: list[str]


@dataclass(frozen=True)
class Worked:
    """Quantities, each with its formula: first with names, then with numbers."""

    quantities: list[Quantity]


@dataclass(frozen=True)
class Chain:
    """A path: the product of its factors."""

    path: PathStep


@dataclass(frozen=True)
class Table:
    """Rows under a header; names in the first column, numbers in the others."""

    header: list[str]
    rows: list[list[str]]


Block = Heading | Paragraph | Code | Worked | Chain | Table


def document(e: Explanation) -> Iterator[Block]:
    """Yield the blocks of the narrative."""
    yield from _network(e)
    yield from _forward(e)
    yield from _error(e)
    yield from _derivatives(e)
    yield from _gradients(e)
    yield from _update(e)
    yield from _iterations(e)


def off(deviation: float | None) -> str:
    """Return how far a quantity is from full precision; nothing where it is not rounded."""
    if deviation is None:
        return ""
    return f"{deviation:+.1e}" if deviation else "0"


def _number(quantity: Quantity, decimals: int | None) -> str:
    return short(quantity.value, decimals)


def _rows(quantities: Iterable[Quantity], decimals: int | None) -> list[list[str]]:
    rows = []
    for quantity in quantities:
        row = [f"`{quantity.symbol.text}`", _number(quantity, decimals)]
        rows.append(row if decimals is None else [*row, off(quantity.deviation)])
    return rows


def _table(name: str, quantities: Iterable[Quantity], decimals: int | None) -> Table:
    header = [name, "value"] if decimals is None else [name, "value", "deviation"]
    return Table(header, _rows(quantities, decimals))


def _left_out(count: int, what: str) -> Iterator[Paragraph]:
    if count:
        yield Paragraph(f"… {count:,} more {what} left out.")


def _network(e: Explanation) -> Iterator[Block]:
    yield Heading("Backpropagation, step by step", 1)
    yield Paragraph(
        "Everything counts from 0. `0.weight[1,2]` is a parameter of layer 0: it leads from input "
        "2 into neuron 1, as in PyTorch's layout; `0.bias[1]` goes into neuron 1. `∂L/∂q` says how "
        "the error L changes with q."
    )
    if e.decimals is not None:
        yield Paragraph(
            f"As by hand: what is given and the result of every single operation are rounded to "
            f"{e.decimals} decimals, a tie to the even digit; the constants of the formulas are "
            f"not. Each deviation is the rounded value less the one in full precision."
        )
    for note in e.notes:
        yield Paragraph(note)
    yield Heading("The network", 2)
    yield Table(
        ["layer", "", "output"],
        [[f"{s.index}", f"`{s.layer}`", _output(s.outputs)] for s in e.layers],
    )
    yield Paragraph(f"Loss: `{e.loss.loss}`")
    yield Paragraph(f"Update rule: `{e.rule}`")
    header = ["parameter", "value", "place"]
    rows = [
        [f"`{p.quantity.symbol.text}`", _number(p.quantity, e.decimals), p.place]
        for p in e.parameters
    ]
    if e.decimals is not None:
        header.insert(2, "deviation")
        for row, parameter in zip(rows, e.parameters, strict=True):
            row.insert(2, off(parameter.quantity.deviation))
    yield Table(header, rows)
    yield from _left_out(e.parameters_left_out, "parameters")
    yield _table("input", e.inputs, e.decimals)
    yield from _left_out(e.inputs_left_out, "inputs")
    yield _table("target", e.targets, e.decimals)
    yield from _left_out(e.targets_left_out, "targets")


def _output(outputs: list[Quantity]) -> str:
    names = [f"`{q.symbol.text}`" for q in outputs]
    return ", ".join(names if len(names) <= 3 else [names[0], "…", names[-1]])


def _forward(e: Explanation) -> Iterator[Block]:
    yield Heading("Forward pass", 2)
    for step in e.layers:
        yield Heading(f"Layer {step.index}: `{step.layer}`", 3)
        yield Code(step.forward)
        yield Worked(step.outputs)
        yield from _left_out(step.outputs_left_out, "units")


def _error(e: Explanation) -> Iterator[Block]:
    loss = e.loss
    yield Heading("The error", 2)
    yield Code(loss.forward)
    yield Paragraph("What each output adds, before the division by D:")
    yield Worked(loss.terms)
    yield from _left_out(loss.terms_left_out, "outputs")
    yield Paragraph("In all:")
    yield Worked([loss.total])


def _derivatives(e: Explanation) -> Iterator[Block]:
    yield Heading("The derivatives that the chain rule needs", 2)
    if e.decimals is None:
        yield Paragraph(
            "The values come from dual numbers, pushed through the forward pass alone; the "
            "formulas show what the layers' hand-written derivatives make of the same numbers."
        )
    yield Heading("The error with respect to the outputs", 3)
    yield Code(e.loss.backward)
    yield Worked(e.loss.slopes)
    yield from _left_out(e.loss.slopes_left_out, "outputs")
    for step in reversed(e.layers):
        if step.derivatives:
            yield Heading(f"Layer {step.index}: `{step.layer}`", 3)
            yield Code(step.backward)
            yield Worked(step.derivatives)
            yield from _left_out(step.derivatives_left_out, "derivatives")


def _gradients(e: Explanation) -> Iterator[Block]:
    yield Heading("The gradients, path by path", 2)
    yield Paragraph(
        "A parameter reaches the error on every path through the neurons behind it. Along a path "
        "the derivatives multiply; over all paths the products add up."
    )
    yield from _left_out(e.gradients_left_out, "parameters (not asked for, or smaller) are")
    for gradient in e.gradients:
        yield from _gradient(gradient, e.decimals)
    agreeing = sum(g.agrees for g in e.gradients)
    worst = max(e.gradients, key=lambda g: abs(g.difference))
    yield Heading("Agreement", 3)
    yield Paragraph(
        f"{agreeing} of {len(e.gradients)} path sums agree with `backward` within the rounding of "
        f"float64. The largest difference is {abs(worst.difference):.1e} ({worst.ulps:.1f} units "
        f"in the last place), at `{worst.parameter.symbol.text}`; rounding may reach "
        f"{worst.bound:.1e} there."
    )
    if agreeing < len(e.gradients):
        yield Paragraph(
            "Where they differ, the Backward block of a layer or the loss sets the derivative "
            "otherwise on purpose (a bound, a kink), or rounding decides on which side of a kink "
            "a number lies, or `backward` is wrong."
        )


def _gradient(g: Gradient, decimals: int | None) -> Iterator[Block]:
    name = g.parameter.symbol.text
    paths = "1 path" if g.path_count == 1 else f"{g.path_count:,} paths"
    yield Heading(f"`{name}` = {_number(g.parameter, decimals)}: {paths}", 3)
    if g.paths_left_out:
        yield Paragraph(
            f"The {len(g.paths)} strongest paths; {g.paths_left_out:,} more are left out. Shown is "
            f"{g.share:.1%} of the sum of all |products|."
        )
    for path in g.paths:
        yield Chain(path)
    summed = "The sum of all paths" if g.path_count != 1 else "The only path"
    shown, engine = g.path_sum, g.backward
    agrees = "agrees" if g.agrees else "DIFFERS"
    precise = "In full precision, difference" if decimals is not None else "Difference"
    lines = [
        f"{summed}: `{shown.symbol.text}` = {_number(shown, decimals)}{_deviation(shown)}",
        f"`backward` computed: {_number(engine, decimals)}{_deviation(engine)}",
        f"{precise}: {g.difference:.1e} ({g.ulps:.1f} ulp), and rounding may reach {g.bound:.1e}: "
        + agrees,
    ]
    for line in lines:
        yield Paragraph(line)


def _deviation(quantity: Quantity) -> str:
    return "" if quantity.deviation is None else f" (deviation {off(quantity.deviation)})"


def _update(e: Explanation) -> Iterator[Block]:
    yield Heading("The update", 2)
    yield Paragraph(f"`{e.rule}`, in its first step:")
    yield Code(e.rule_equations)
    yield Worked([g.updated for g in e.gradients])
    yield from _left_out(e.gradients_left_out, "parameters, updated likewise,")


def _iterations(e: Explanation) -> Iterator[Block]:
    yield Heading("The error after it", 2)
    if len(e.errors) > 1:
        before, after = e.errors[:2]
        yield Paragraph(
            f"Before the update the error was {_number(before, e.decimals)}{_deviation(before)}, "
            f"after it {_number(after, e.decimals)}{_deviation(after)}."
        )
    yield Paragraph("And so on, forward, backward, update:")
    numbered = [[str(k), *row[1:]] for k, row in enumerate(_rows(e.errors, e.decimals))]
    if len(numbered) > HEAD + TAIL + 1:
        gap = ["…", *[""] * (len(numbered[0]) - 1)]
        numbered = [*numbered[:HEAD], gap, *numbered[-TAIL:]]
    header = ["updates", "error"] if e.decimals is None else ["updates", "error", "deviation"]
    yield Table(header, numbered)
    updates = len(e.errors) - 1
    remedy = "a smaller learning rate" + ("" if e.decimals is None else ", or more decimals")
    ended = {
        "epochs": f"The number of iterations is reached: {updates}.",
        "target_loss": f"The target error is reached after {updates} updates.",
        "diverged": f"The error is no longer finite after {updates} updates; try {remedy}.",
    }
    yield Paragraph(ended[e.stopped])
