"""The document of an explanation: its headings, prose, equations and tables.

The text is written once, here, for every output format. A page decides how each block looks.
Words between backticks are names.
"""

from dataclasses import replace

from manualnn.explain.model import ExplanationData, Gradient, LossStep, Quantity
from manualnn.explain.render.drawing import draw_network
from manualnn.explain.render.text import TextPage, deviation, plural

HEAD, TAIL = 5, 3
"""A long list of errors shows its first and its last entries."""
FEW = 2
"""Most paths of a parameter that has some for each of several samples, unless the page is full."""


def write_document(e: ExplanationData, page: TextPage) -> str:
    """Write an explanation to an empty page; return the finished page."""
    detailed = e.gradients if page.full else _strongest_weights(e.gradients)
    _write_conventions(page, e)
    _write_network(page, e)
    page.heading("Forward pass", 2)
    for step in e.layers:
        page.heading(f"Layer {step.index}: `{step.layer}`", 3)
        page.equations(step.forward)
        page.first_sample(step.outputs, e.loss.samples, "unit")
    page.other_samples([step.outputs for step in e.layers], e.loss.samples)
    _write_error(page, e.loss)
    _write_derivatives(page, e, detailed)
    _write_carried_back(page, e)
    _write_gradients(page, e, detailed)
    _write_update(page, e, detailed)
    _write_iterations(page, e)
    return page.finish()


def _write_conventions(page: TextPage, e: ExplanationData) -> None:
    page.heading("Backpropagation, step by step", 1)
    samples = ""
    if e.loss.samples > 1:
        samples = (
            f" The first index of an input, unit or target is the sample: `x[2,1]` is input 1 of "
            f"sample 2. There are {e.loss.samples:,} samples."
        )
    page.paragraph(
        "All indices count from 0. `0.weight[1,2]` is a parameter of layer 0: it leads from input "
        "2 into neuron 1, as in PyTorch's layout; `0.bias[1]` leads into neuron 1. `∂L/∂q` is the "
        f"derivative of the error L with respect to q.{samples}"
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


def _write_network(page: TextPage, e: ExplanationData) -> None:
    page.heading("The network", 2)
    drawing = draw_network(e)
    page.drawing(drawing)
    if page.full or not drawing:
        outputs = [[f"`{q.symbol.text}`" for q in step.outputs] for step in e.layers]
        short = [names if len(names) <= 3 else [names[0], "…", names[-1]] for names in outputs]
        rows = zip(e.layers, map(", ".join, short), strict=True)
        page.table(
            ["layer", "", "output"], [[f"{s.index}", f"`{s.layer}`", names] for s, names in rows]
        )
    page.paragraph(f"Loss: `{e.loss.loss}`. Update rule: `{e.rule}`.")
    is_class = isinstance(e.spec["t"][0], int)
    for noun, quantities in (("input", e.inputs), ("target", e.targets)):
        shown = page.most(quantities)
        values = [f"{page.number(q)}{deviation(q)}" for q in shown]
        if noun == "target" and is_class:
            values = [f"class {q.value:.0f}" for q in shown]
        named = [f"`{q.symbol.text}` = {value}" for q, value in zip(shown, values, strict=True)]
        page.paragraph(f"{noun.title()}s: {', '.join(named)}.")
        page.left_out(len(quantities) - len(shown), noun)


def _write_error(page: TextPage, loss: LossStep) -> None:
    page.heading("The error", 2)
    page.equations(loss.forward)
    factor = f", each with the factor {loss.factor:g}," if loss.factor != 1 else ""
    page.paragraph(
        f"Here D = {loss.divisor:g}: reduction {loss.reduction!r}, "
        f"N = {plural(loss.samples, 'sample')}, K = {plural(loss.width, 'output')}. "
        f"The terms{factor} before the division by D:"
    )
    page.first_sample(loss.terms, loss.samples, "output")
    page.other_samples([loss.terms], loss.samples)
    page.paragraph("The sum of all terms, divided by D:")
    page.quantities([loss.total if loss.samples == 1 else replace(loss.total, formula=None)])
    if loss.loss.startswith("MSELoss") and loss.factor == 1:
        page.paragraph(
            f"An article's E = ½ Σ (t − y)² is {loss.divisor / 2:g} L: the reduction 'sum' with "
            f'`--loss-factor 0.5` (in JSON the option `"factor": 0.5` of the loss) computes it '
            f"and all its gradients."
        )


def _write_derivatives(page: TextPage, e: ExplanationData, detailed: list[Gradient]) -> None:
    page.heading("The local derivatives", 2)
    if e.decimals is None:
        page.paragraph(
            "The values come from the forward pass alone: every operation passes on its own slope, "
            "with 50 digits. The formulas are the layers' hand-written derivatives."
        )
    page.heading("The derivatives of the error with respect to the outputs", 3)
    page.equations(e.loss.backward)
    page.first_sample(e.loss.slopes, e.loss.samples, "output")
    factors = {f.symbol for g in detailed for path in g.paths for f in path.factors}
    left_out = 0
    for step in reversed(e.layers):
        shown = [
            d
            for d in step.derivatives
            if page.full or (d.symbol in factors and (e.loss.samples == 1 or _is_first(d)))
        ]
        if shown:
            page.heading(f"Layer {step.index}: `{step.layer}`", 3)
            page.equations(step.backward)
            page.quantities(shown)
        left_out += len(step.derivatives) - len(shown) + step.derivatives_left_out
    others = ", on other paths" if e.loss.samples == 1 else ", on other paths or of other samples"
    page.left_out(left_out, "derivative", others * (not page.full))


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
        page.first_sample(step.carried, e.loss.samples, "unit")
    page.other_samples([e.loss.slopes, *(step.carried for step in carried)], e.loss.samples)


def _write_gradients(page: TextPage, e: ExplanationData, detailed: list[Gradient]) -> None:
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
    for gradient in detailed:
        _write_gradient(page, gradient if page.full else _with_fewer_paths(gradient, e))
    shown = {g.parameter.symbol for g in detailed}
    if others := [g for g in e.gradients if g.parameter.symbol not in shown]:
        page.heading("The other parameters", 3)
        rows = [
            [f"`{g.parameter.symbol.text}`", g.place]
            + [page.number(q) for q in (g.parameter, g.backward, g.updated)]
            for g in others
        ]
        page.table(["parameter", "place", "value", "∂L/∂θ", "new value"], rows)
        page.paragraph("`--weight NAME` shows one path by path, `--full` all of them.")
    reason = "only one is selected" if len(e.gradients) == 1 else "their gradients are smaller"
    page.left_out(e.gradients_left_out, "parameter", f", because {reason}")
    agreeing = sum(g.agrees for g in e.gradients)
    worst = max(e.gradients, key=lambda g: abs(g.difference))
    number = len(e.gradients)
    sums = "1 path sum agrees" if number == 1 else f"{number} path sums agree"
    page.paragraph(
        f"{agreeing} of {sums} with `backward` within the rounding of float64. The path sums have "
        f"50 digits. The largest difference is {abs(worst.difference):.1e}, at "
        f"`{worst.parameter.symbol.text}`; rounding may reach {worst.bound:.1e} there."
    )
    if agreeing < number:
        page.paragraph(
            "A larger difference has one of three causes. The Backward block of a layer or of the "
            "loss defines another derivative on purpose (a bound, a kink). Or rounding decides on "
            "which side of a kink a number is. Or `backward` is wrong."
        )


def _write_gradient(page: TextPage, g: Gradient) -> None:
    name, paths = g.parameter.symbol.text, plural(g.path_count, "path")
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
    total = f"`{g.path_sum.symbol.text}` = {page.number(g.path_sum)}{deviation(g.path_sum)}"
    page.paragraph(f"{summed}: {total}. `backward` computed:")
    page.quantities([g.backward])
    page.paragraph(
        f"{'The' if page.decimals is None else 'In full precision, the'} difference is "
        f"{g.difference:.1e}, and rounding may reach {g.bound:.1e}: "
        f"{'agrees' if g.agrees else 'DIFFERS'}"
    )


def _write_update(page: TextPage, e: ExplanationData, detailed: list[Gradient]) -> None:
    page.heading("The update", 2)
    page.paragraph(f"The first step of `{e.rule}`:")
    has_state = any(g.state for g in e.gradients)
    if has_state:
        page.equations(e.rule_equations)
    if e.decimals is not None and not e.rule_rounded:
        page.paragraph(
            "This rule divides by roots of squared gradients, which rounding would turn into 0. "
            "So it is applied to the rounded gradient in full precision, and its state keeps full "
            "precision; only the new parameter is rounded."
        )
    if has_state:
        page.paragraph(
            "For each parameter: the rule's state by its name, and then the new value of the "
            "parameter:"
        )
    page.quantities([quantity for g in detailed for quantity in (*g.state, g.updated)])
    others = len(e.gradients) - len(detailed) + e.gradients_left_out
    page.left_out(others, "parameter", "; they are updated in the same way")


def _write_iterations(page: TextPage, e: ExplanationData) -> None:
    page.heading("The error after the update", 2)
    rows = [[str(k), *page.cells(error)] for k, error in enumerate(e.errors)]
    if not page.full and len(rows) > HEAD + TAIL + 1:
        rows = [*rows[:HEAD], ["…", *[""] * (len(rows[0]) - 1)], *rows[-TAIL:]]
    page.table(["updates", "error", "deviation"][: len(rows[0])], rows)
    updates = len(e.errors) - 1
    when = f"after {plural(updates, 'update')}"
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


def _strongest_weights(gradients: list[Gradient]) -> list[Gradient]:
    """Return the weights of the first and of the last layer that have the largest gradients."""
    strongest: dict[int, Gradient] = {}
    for g in sorted(gradients, key=lambda g: abs(g.backward.value)):
        layer, _, rest = g.parameter.symbol.text.partition(".")
        if rest.startswith("weight") or int(layer) not in strongest:
            strongest[int(layer)] = g
    ends = min(strongest), max(strongest)
    return [strongest[layer] for layer in sorted(set(ends))]


def _with_fewer_paths(g: Gradient, e: ExplanationData) -> Gradient:
    """Return a gradient with few paths if it has some for each sample: the strongest."""
    if e.loss.samples == 1 or len(g.paths) <= FEW:
        return g
    sizes = [abs(path.product.value) for path in g.paths]
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i])[:FEW]
    share = g.share * sum(sizes[i] for i in order) / (sum(sizes) or 1) if any(sizes) else g.share
    paths = [g.paths[i] for i in order]
    return replace(g, paths=paths, paths_left_out=g.path_count - FEW, share=share)


def _is_first(derivative: Quantity) -> bool:
    """Return True if a derivative is of a unit of the first sample."""
    return derivative.symbol.text.partition("[")[2].startswith("0,")


def _unrounded(quantity: Quantity) -> float:
    return quantity.value - (quantity.deviation or 0)
