"""The narrative: an explanation as headings, paragraphs, equations and tables.

It is told once, here; `text` and `markdown` only decide how each kind of block looks. Words between
backticks are names.
"""

import math
from collections.abc import Iterable, Iterator

from manualnn.explain.formula import short
from manualnn.explain.model import Explanation, Gradient, Quantity
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

HEAD, TAIL = 12, 4
"""Of a long list of errors the first and the last."""


def document(e: Explanation) -> Iterator[Block]:
    """Yield the blocks of the narrative."""
    yield from _network(e)
    yield from _forward(e)
    yield from _error(e)
    yield from _derivatives(e)
    yield from _carried_back(e)
    yield from _gradients(e)
    yield from _update(e)
    yield from _iterations(e)


def off(deviation: float | None) -> str:
    """Return how far a quantity is from full precision; nothing where it is not rounded."""
    if deviation is None:
        return ""
    if not math.isfinite(deviation):
        return "—"
    return f"{deviation:+.1e}" if deviation else "0"


def number(quantity: Quantity, decimals: int | None) -> str:
    """Return the value as it is shown."""
    return short(quantity.value, decimals if quantity.rounded else None)


def _rows(quantities: Iterable[Quantity], decimals: int | None) -> list[list[str]]:
    rows = []
    for quantity in quantities:
        row = [f"`{quantity.symbol.text}`", number(quantity, decimals)]
        rows.append(row if decimals is None else [*row, off(quantity.deviation)])
    return rows


def _table(name: str, quantities: Iterable[Quantity], decimals: int | None) -> Table:
    header = [name, "value"] if decimals is None else [name, "value", "deviation"]
    return Table(header, _rows(quantities, decimals))


def _left_out(count: int, what: str, reason: str = "") -> Iterator[Paragraph]:
    if count:
        more = _counted(count, f"more {what}")
        yield Paragraph(f"… {more}{reason} left out.")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _network(e: Explanation) -> Iterator[Block]:
    yield Heading("Backpropagation, step by step", 1)
    yield Paragraph(
        "Everything counts from 0. `0.weight[1,2]` is a parameter of layer 0: it leads from input "
        "2 into neuron 1, as in PyTorch's layout; `0.bias[1]` goes into neuron 1. `∂L/∂q` says how "
        "the error L changes with q."
    )
    yield Naming(
        "In formulas `0.weight[1,2]` is $`W^{(0)}_{1,2}`$, `0.bias[1]` is $`b^{(0)}_{1}`$, and "
        "`z0[1]` is $`z^{(0)}_{1}`$: the layer stands above, the place below."
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
        [f"`{p.quantity.symbol.text}`", number(p.quantity, e.decimals), p.place]
        for p in e.parameters
    ]
    if e.decimals is not None:
        header.insert(2, "deviation")
        for row, parameter in zip(rows, e.parameters, strict=True):
            row.insert(2, off(parameter.quantity.deviation))
    yield Table(header, rows)
    yield from _left_out(e.parameters_left_out, "parameter")
    yield _table("input", e.inputs, e.decimals)
    yield from _left_out(e.inputs_left_out, "input")
    if isinstance(e.spec["t"][0], int):
        rows = [[f"`{q.symbol.text}`", f"class {q.value:.0f}"] for q in e.targets]
        yield Table(["target", "value"], rows)
    else:
        yield _table("target", e.targets, e.decimals)
    yield from _left_out(e.targets_left_out, "target")


def _output(outputs: list[Quantity]) -> str:
    names = [f"`{q.symbol.text}`" for q in outputs]
    return ", ".join(names if len(names) <= 3 else [names[0], "…", names[-1]])


def _forward(e: Explanation) -> Iterator[Block]:
    yield Heading("Forward pass", 2)
    for step in e.layers:
        yield Heading(f"Layer {step.index}: `{step.layer}`", 3)
        yield Code(step.forward)
        yield Worked(step.outputs)
        yield from _left_out(step.outputs_left_out, "unit")


def _error(e: Explanation) -> Iterator[Block]:
    loss = e.loss
    yield Heading("The error", 2)
    yield Code(loss.forward)
    yield Paragraph(
        f"Here D = {loss.divisor:g}: reduction {loss.reduction!r}, N = "
        f"{_counted(loss.samples, 'sample')}, K = {_counted(loss.width, 'output')}. What each "
        f"output adds, before the division by D:"
    )
    yield Worked(loss.terms)
    yield from _left_out(loss.terms_left_out, "output")
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
    yield from _left_out(e.loss.slopes_left_out, "output")
    for step in reversed(e.layers):
        if step.derivatives:
            yield Heading(f"Layer {step.index}: `{step.layer}`", 3)
            yield Code(step.backward)
            yield Worked(step.derivatives)
            yield from _left_out(step.derivatives_left_out, "derivative")


def _carried_back(e: Explanation) -> Iterator[Block]:
    carried = [step for step in reversed(e.layers) if step.carried]
    if not carried:
        return
    yield Heading("The error carried back", 2)
    yield Paragraph(
        "This is backpropagation: from ∂L/∂(its outputs) each layer makes ∂L/∂(its inputs), by the "
        "derivatives above, and those are the outputs of the layer before."
    )
    for step in carried:
        yield Heading(f"Through layer {step.index}: `{step.layer}`", 3)
        yield Worked(step.carried)
        yield from _left_out(step.carried_left_out, "unit")


def _gradients(e: Explanation) -> Iterator[Block]:
    yield Heading("The gradients, path by path", 2)
    yield Paragraph(
        "A parameter reaches the error on every path through the neurons behind it. Along a path "
        "the derivatives multiply; over all paths the products add up. `backward` comes to the "
        "same without following each path: it takes ∂L/∂(the neuron) as carried back."
    )
    if e.decimals is not None:
        yield Paragraph(
            "Paths and `backward` round in different orders: product after product along each "
            "path, or sum after sum at each neuron. So their last decimals may differ; the update "
            "goes by `backward`."
        )
    yield Paragraph(
        "Each difference is what `backward` computed in float64 less the path sum, which is "
        "computed with 50 digits: hence fractions of a unit in the last place (ulp)."
    )
    reason = "not asked for" if len(e.gradients) == 1 else "with smaller gradients"
    yield from _left_out(e.gradients_left_out, "parameter", f", {reason},")
    for gradient in e.gradients:
        yield from _gradient(gradient, e.decimals)
    agreeing = sum(g.agrees for g in e.gradients)
    worst = max(e.gradients, key=lambda g: abs(g.difference))
    sums = "1 path sum agrees" if len(e.gradients) == 1 else f"{len(e.gradients)} path sums agree"
    yield Heading("Agreement", 3)
    yield Paragraph(
        f"{agreeing} of {sums} with `backward` within the rounding of "
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
    paths = _counted(g.path_count, "path")
    yield Heading(f"`{name}` = {number(g.parameter, decimals)}: {paths}", 3)
    if g.paths_left_out:
        strongest = "path" if len(g.paths) == 1 else f"{len(g.paths)} paths"
        yield Paragraph(
            f"The strongest {strongest}; {g.paths_left_out:,} more left out. Shown is "
            f"{g.share:.1%} of the sum of all |products|."
        )
    if all(any(factor.value == 0 for factor in path.factors) for path in g.paths):
        yield Paragraph("There is a factor 0 on each of these paths, so the products are 0.")
    else:
        for path in g.paths:
            yield Chain(path)
    summed = "The sum of all paths" if g.path_count != 1 else "The only path"
    shown, engine = g.path_sum, g.backward
    agrees = "agrees" if g.agrees else "DIFFERS"
    precise = "In full precision, difference" if decimals is not None else "Difference"
    total = f"`{shown.symbol.text}` = {number(shown, decimals)}{_deviation(shown)}"
    yield Paragraph(f"{summed}: {total}")
    yield Paragraph("`backward` computed:")
    yield Worked([engine])
    yield Paragraph(
        f"{precise}: {g.difference:.1e} ({g.ulps:.1f} ulp), and rounding may reach {g.bound:.1e}: "
        f"{agrees}"
    )


def _deviation(quantity: Quantity) -> str:
    return "" if quantity.deviation is None else f" (deviation {off(quantity.deviation)})"


def _update(e: Explanation) -> Iterator[Block]:
    yield Heading("The update", 2)
    yield Paragraph(f"`{e.rule}`, in its first step:")
    yield Code(e.rule_equations)
    if e.decimals is not None and not e.rule_rounded:
        yield Paragraph(
            "This rule divides by roots of squared gradients, which rounding would turn into 0. It "
            "is applied to the rounded gradient in full precision, and what it remembers is kept "
            "so; only the new parameter is rounded."
        )
    if any(g.state for g in e.gradients):
        yield Paragraph(
            "For each parameter first what the rule remembers of it, by the name of its state, "
            "then the new value:"
        )
    yield Worked([quantity for g in e.gradients for quantity in (*g.state, g.updated)])
    yield from _left_out(e.gradients_left_out, "parameter", ", updated likewise,")


def _iterations(e: Explanation) -> Iterator[Block]:
    yield Heading("The error after it", 2)
    if len(e.errors) > 1:
        before, behind = e.errors[:2]
        yield Paragraph(
            f"Before the update the error was {number(before, e.decimals)}{_deviation(before)}, "
            f"after it {number(behind, e.decimals)}{_deviation(behind)}."
        )
    yield Paragraph("And so on, forward, backward, update:")
    numbered = [[str(k), *row[1:]] for k, row in enumerate(_rows(e.errors, e.decimals))]
    if len(numbered) > HEAD + TAIL + 1:
        gap = ["…", *[""] * (len(numbered[0]) - 1)]
        numbered = [*numbered[:HEAD], gap, *numbered[-TAIL:]]
    header = ["updates", "error"] if e.decimals is None else ["updates", "error", "deviation"]
    yield Table(header, numbered)
    updates = len(e.errors) - 1
    after = f"after {_counted(updates, 'update')}"
    if e.stopped == "target_loss":
        yield Paragraph(f"The target error is reached {after}.")
        return
    if e.stopped == "epochs":
        yield Paragraph(f"The number of iterations is reached: {updates:,}.")
    first, last = e.errors[0], e.errors[-1]
    if last.value <= first.value or e.spec["optimizer"].get("maximize"):
        return
    what = "has grown" if e.stopped == "epochs" else f"is not finite {after}"
    if e.stopped_unrounded == "diverged" or _unrounded(last) > _unrounded(first):
        yield Paragraph(f"The error {what}: try a smaller learning rate.")
    else:
        yield Paragraph(f"The error {what}, by rounding alone: try more decimals.")


def _unrounded(quantity: Quantity) -> float:
    return quantity.value - (quantity.deviation or 0)
