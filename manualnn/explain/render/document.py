"""The document of an explanation: its headings, prose, equations and tables.

The text is written once, here, for every output format. A page decides how each block looks.
Words between backticks are names.
"""

from manualnn.explain.model import ExplanationData, Gradient, Quantity
from manualnn.explain.render.notation import format_deviation
from manualnn.explain.render.text import TextPage

HEAD, TAIL = 12, 4
"""A long list of errors shows its first and its last entries."""


def write_document(e: ExplanationData, page: TextPage) -> str:
    """Write an explanation to an empty page; return the finished page."""
    _write_network(page, e)
    _write_forward(page, e)
    _write_error(page, e)
    _write_derivatives(page, e)
    _write_carried_back(page, e)
    _write_gradients(page, e)
    _write_update(page, e)
    _write_iterations(page, e)
    return page.finish()


def _write_network(page: TextPage, e: ExplanationData) -> None:
    page.heading("Backpropagation, step by step", 1)
    page.paragraph(
        "All indices count from 0. `0.weight[1,2]` is a parameter of layer 0: it leads from input "
        "2 into neuron 1, as in PyTorch's layout; `0.bias[1]` leads into neuron 1. `∂L/∂q` is the "
        "derivative of the error L with respect to q."
    )
    page.formula_names(
        "In formulas `0.weight[1,2]` is $`W^{(0)}_{1,2}`$, `0.bias[1]` is $`b^{(0)}_{1}`$, and "
        "`z0[1]` is $`z^{(0)}_{1}`$: the layer is the superscript, the index is the subscript."
    )
    if e.decimals is not None:
        page.paragraph(
            f"As in a hand computation, the numbers of the run and the result of every operation "
            f"are rounded to {e.decimals} decimals; a tie goes to the even digit. The constants of "
            f"the formulas are not rounded. A deviation is the rounded value minus the value in "
            f"full precision."
        )
    for note in e.notes:
        page.paragraph(note)
    page.heading("The network", 2)
    page.table(
        ["layer", "", "output"],
        [[f"{s.index}", f"`{s.layer}`", _output(s.outputs)] for s in e.layers],
    )
    page.paragraph(f"Loss: `{e.loss.loss}`")
    page.paragraph(f"Update rule: `{e.rule}`")
    quantities = [parameter.quantity for parameter in e.parameters]
    _add_table(page, "parameter", quantities, [parameter.place for parameter in e.parameters])
    _add_left_out(page, e.parameters_left_out, "parameter")
    _add_table(page, "input", e.inputs)
    _add_left_out(page, e.inputs_left_out, "input")
    if isinstance(e.spec["t"][0], int):
        rows = [[f"`{q.symbol.text}`", f"class {q.value:.0f}"] for q in e.targets]
        page.table(["target", "value"], rows)
    else:
        _add_table(page, "target", e.targets)
    _add_left_out(page, e.targets_left_out, "target")


def _output(outputs: list[Quantity]) -> str:
    names = [f"`{q.symbol.text}`" for q in outputs]
    return ", ".join(names if len(names) <= 3 else [names[0], "…", names[-1]])


def _write_forward(page: TextPage, e: ExplanationData) -> None:
    page.heading("Forward pass", 2)
    for step in e.layers:
        page.heading(f"Layer {step.index}: `{step.layer}`", 3)
        page.code(step.forward)
        _add_quantities(page, step.outputs, step.outputs_left_out, "unit")


def _write_error(page: TextPage, e: ExplanationData) -> None:
    loss = e.loss
    page.heading("The error", 2)
    page.code(loss.forward)
    page.paragraph(
        f"Here D = {loss.divisor:g}: reduction {loss.reduction!r}, "
        f"N = {_format_count(loss.samples, 'sample')}, K = {_format_count(loss.width, 'output')}. "
        f"The term of each output, before the division by D:"
    )
    _add_quantities(page, loss.terms, loss.terms_left_out, "output")
    page.paragraph("The sum of all terms, divided by D:")
    page.quantities([loss.total])


def _write_derivatives(page: TextPage, e: ExplanationData) -> None:
    page.heading("The local derivatives", 2)
    if e.decimals is None:
        page.paragraph(
            "The values come from dual numbers that pass through the forward pass only. The "
            "formulas are the hand-written derivatives of the layers, with the same numbers."
        )
    page.heading("The derivatives of the error with respect to the outputs", 3)
    page.code(e.loss.backward)
    _add_quantities(page, e.loss.slopes, e.loss.slopes_left_out, "output")
    for step in reversed(e.layers):
        if step.derivatives:
            page.heading(f"Layer {step.index}: `{step.layer}`", 3)
            page.code(step.backward)
            _add_quantities(page, step.derivatives, step.derivatives_left_out, "derivative")


def _write_carried_back(page: TextPage, e: ExplanationData) -> None:
    carried = [step for step in reversed(e.layers) if step.carried]
    if not carried:
        return
    page.heading("The backward pass", 2)
    page.paragraph(
        "This is backpropagation: each layer computes ∂L/∂(its inputs) from ∂L/∂(its outputs), by "
        "the derivatives above. Its inputs are the outputs of the layer before."
    )
    for step in carried:
        page.heading(f"Through layer {step.index}: `{step.layer}`", 3)
        _add_quantities(page, step.carried, step.carried_left_out, "unit")


def _write_gradients(page: TextPage, e: ExplanationData) -> None:
    page.heading("The gradients, path by path", 2)
    page.paragraph(
        "A parameter acts on the error along every path through the neurons after it. The "
        "derivatives along a path are multiplied, and the products of all paths are added. "
        "`backward` computes the same sum without following each path, from ∂L/∂(the neuron) of "
        "the backward pass."
    )
    if e.decimals is not None:
        page.paragraph(
            "Paths and `backward` round in different orders: after each product along a path, or "
            "after each sum at a neuron. So their last decimals may differ. The update uses the "
            "result of `backward`."
        )
    page.paragraph(
        "A difference is the result of `backward` in float64 minus the path sum, which is computed "
        "with 50 digits. So it may be a fraction of a unit in the last place (ulp)."
    )
    reason = "only one is selected" if len(e.gradients) == 1 else "their gradients are smaller"
    _add_left_out(page, e.gradients_left_out, "parameter", f", because {reason}")
    for gradient in e.gradients:
        _write_gradient(page, gradient)
    agreeing = sum(g.agrees for g in e.gradients)
    worst = max(e.gradients, key=lambda g: abs(g.difference))
    sums = "1 path sum agrees" if len(e.gradients) == 1 else f"{len(e.gradients)} path sums agree"
    page.heading("Agreement", 3)
    page.paragraph(
        f"{agreeing} of {sums} with `backward` within the rounding of "
        f"float64. The largest difference is {abs(worst.difference):.1e} ({worst.ulps:.1f} units "
        f"in the last place), at `{worst.parameter.symbol.text}`; rounding may reach "
        f"{worst.bound:.1e} there."
    )
    if agreeing < len(e.gradients):
        page.paragraph(
            "A larger difference has one of three causes. The Backward block of a layer or of the "
            "loss defines another derivative on purpose (a bound, a kink). Or rounding decides on "
            "which side of a kink a number is. Or `backward` is wrong."
        )


def _write_gradient(page: TextPage, g: Gradient) -> None:
    name = g.parameter.symbol.text
    paths = _format_count(g.path_count, "path")
    page.heading(f"`{name}` = {page.number(g.parameter)}: {paths}", 3)
    if g.paths_left_out:
        strongest = "path" if len(g.paths) == 1 else f"{len(g.paths)} paths"
        page.paragraph(
            f"The strongest {strongest}, with {g.share:.1%} of the sum of all |products|; "
            f"{g.paths_left_out:,} more left out."
        )
    if all(any(factor.value == 0 for factor in path.factors) for path in g.paths):
        page.paragraph("There is a factor 0 on each of these paths, so the products are 0.")
    else:
        for path in g.paths:
            page.path(path)
    summed = "The sum of all paths" if g.path_count != 1 else "The only path"
    shown, engine = g.path_sum, g.backward
    agrees = "agrees" if g.agrees else "DIFFERS"
    precise = "In full precision, difference" if page.decimals is not None else "Difference"
    total = f"`{shown.symbol.text}` = {page.number(shown)}{_deviation(shown)}"
    page.paragraph(f"{summed}: {total}")
    page.paragraph("`backward` computed:")
    page.quantities([engine])
    page.paragraph(
        f"{precise}: {g.difference:.1e} ({g.ulps:.1f} ulp), and rounding may reach {g.bound:.1e}: "
        f"{agrees}"
    )


def _deviation(quantity: Quantity) -> str:
    return (
        "" if quantity.deviation is None else f" (deviation {format_deviation(quantity.deviation)})"
    )


def _write_update(page: TextPage, e: ExplanationData) -> None:
    page.heading("The update", 2)
    page.paragraph(f"The first step of `{e.rule}`:")
    page.code(e.rule_equations)
    if e.decimals is not None and not e.rule_rounded:
        page.paragraph(
            "This rule divides by roots of squared gradients, which rounding would turn into 0. "
            "So it is applied to the rounded gradient in full precision, and its state keeps full "
            "precision; only the new parameter is rounded."
        )
    if any(g.state for g in e.gradients):
        page.paragraph(
            "For each parameter: the rule's state by its name, and then the new value of the "
            "parameter:"
        )
    page.quantities([quantity for g in e.gradients for quantity in (*g.state, g.updated)])
    _add_left_out(page, e.gradients_left_out, "parameter", "; they are updated in the same way")


def _write_iterations(page: TextPage, e: ExplanationData) -> None:
    page.heading("The error after the update", 2)
    if len(e.errors) > 1:
        before, after = e.errors[:2]
        page.paragraph(
            f"Before the update the error was {page.number(before)}{_deviation(before)}, "
            f"after it {page.number(after)}{_deviation(after)}."
        )
    page.paragraph("The error after each update:")
    numbered = [[str(k), *_cells(page, error)] for k, error in enumerate(e.errors)]
    if len(numbered) > HEAD + TAIL + 1:
        gap = ["…", *[""] * (len(numbered[0]) - 1)]
        numbered = [*numbered[:HEAD], gap, *numbered[-TAIL:]]
    page.table(["updates", "error", "deviation"][: len(numbered[0])], numbered)
    updates = len(e.errors) - 1
    when = f"after {_format_count(updates, 'update')}"
    if e.stopped == "target_loss":
        page.paragraph(f"The target error is reached {when}.")
        return
    if e.stopped == "epochs":
        page.paragraph(f"The requested number of updates is done: {updates:,}.")
    first, last = e.errors[0], e.errors[-1]
    if last.value <= first.value or e.spec["optimizer"].get("maximize"):
        return
    state = "has grown" if e.stopped == "epochs" else f"is not finite {when}"
    if e.stopped_unrounded == "diverged" or _unrounded(last) > _unrounded(first):
        page.paragraph(f"The error {state}: try a smaller learning rate.")
    else:
        page.paragraph(f"The error {state} because of rounding: try more decimals.")


def _unrounded(quantity: Quantity) -> float:
    return quantity.value - (quantity.deviation or 0)


def _add_table(
    page: TextPage, name: str, quantities: list[Quantity], places: list[str] | None = None
) -> None:
    header = [name, "value", "deviation"][: 2 if page.decimals is None else 3]
    rows = [[f"`{quantity.symbol.text}`", *_cells(page, quantity)] for quantity in quantities]
    if places is not None:
        header.append("place")
        rows = [[*row, place] for row, place in zip(rows, places, strict=True)]
    page.table(header, rows)


def _cells(page: TextPage, quantity: Quantity) -> list[str]:
    """Return the value of a quantity, and with decimals its deviation."""
    cells = [page.number(quantity)]
    return cells if page.decimals is None else [*cells, format_deviation(quantity.deviation)]


def _add_quantities(page: TextPage, quantities: list[Quantity], left_out: int, noun: str) -> None:
    page.quantities(quantities)
    _add_left_out(page, left_out, noun)


def _add_left_out(page: TextPage, count: int, noun: str, reason: str = "") -> None:
    if count:
        page.paragraph(f"… {_format_count(count, f'more {noun}')} left out{reason}.")


def _format_count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
