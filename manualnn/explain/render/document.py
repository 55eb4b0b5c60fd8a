"""The document of an explanation: its headings, prose, equations and tables.

The text is written once, here, for every output format. A page decides how each block looks.
Words between backticks are names.
"""

from manualnn.explain.model import ExplanationData, Gradient, Quantity
from manualnn.explain.render.drawing import draw_network
from manualnn.explain.render.notation import format_deviation
from manualnn.explain.render.text import TextPage

MAX_SHOWN = 12
"""Most units, inputs or targets in one list, unless the document is full."""
HEAD, TAIL = 8, 3
"""A long list of errors shows its first and its last entries."""


def write_document(e: ExplanationData, page: TextPage, *, full: bool = False) -> str:
    """Write an explanation to an empty page; return the finished page.

    `full` shows every gradient with its paths, and complete lists.
    """
    return _Document(e, page, full=full).write()


class _Document:
    """The sections of a document, in their order."""

    def __init__(self, e: ExplanationData, page: TextPage, *, full: bool) -> None:
        self.e = e
        self.page = page
        self.full = full
        self.detailed = e.gradients if full else _strongest_weights(e.gradients)
        self._shown: list[list[str]] = []
        """Equations that the document has already."""

    def write(self) -> str:
        """Write all sections."""
        self._write_conventions()
        self._write_network()
        self._write_forward()
        self._write_error()
        self._write_derivatives()
        self._write_carried_back()
        self._write_gradients()
        self._write_update()
        self._write_iterations()
        return self.page.finish()

    def _write_conventions(self) -> None:
        e, page = self.e, self.page
        page.heading("Backpropagation, step by step", 1)
        samples = ""
        if e.loss.samples > 1:
            samples = (
                f" The first index of an input, unit or target is the sample: `x[2,1]` is input 1 "
                f"of sample 2. There are {e.loss.samples:,} samples."
            )
        page.paragraph(
            "All indices count from 0. `0.weight[1,2]` is a parameter of layer 0: it leads from "
            "input 2 into neuron 1, as in PyTorch's layout; `0.bias[1]` leads into neuron 1. "
            f"`∂L/∂q` is the derivative of the error L with respect to q.{samples}"
        )
        page.formula_names(
            "In formulas `0.weight[1,2]` is $`W^{(0)}_{1,2}`$, `0.bias[1]` is $`b^{(0)}_{1}`$, and "
            "`z0[1]` is $`z^{(0)}_{1}`$: the layer is the superscript, the index is the subscript."
        )
        if e.decimals is not None:
            page.paragraph(
                f"As in a hand computation, the numbers of the run and the result of every "
                f"operation are rounded to {e.decimals} decimals; a tie goes to the even digit. "
                f"The constants of the formulas are not rounded. A deviation is the rounded value "
                f"minus the value in full precision."
            )
        for note in e.notes:
            page.paragraph(note)

    def _write_network(self) -> None:
        e, page = self.e, self.page
        page.heading("The network", 2)
        units = [e.inputs, *(step.outputs for step in e.layers)]
        drawing = draw_network(e.spec, [self._names(quantities) for quantities in units])
        page.drawing(drawing)
        if self.full or not drawing:
            rows = [[f"{s.index}", f"`{s.layer}`", _output(s.outputs)] for s in e.layers]
            page.table(["layer", "", "output"], rows)
        factor = f", times {e.loss.factor:g}" if e.loss.factor != 1 else ""
        page.paragraph(f"Loss: `{e.loss.loss}`{factor}. Update rule: `{e.rule}`.")
        is_class = isinstance(e.spec["t"][0], int)
        for noun, quantities in (("Inputs", e.inputs), ("Targets", e.targets)):
            shown = self._most(quantities)
            values = [
                f"`{q.symbol.text}` = class {q.value:.0f}"
                if is_class and noun == "Targets"
                else f"`{q.symbol.text}` = {page.number(q)}{_deviation(q)}"
                for q in shown
            ]
            page.paragraph(f"{noun}: {', '.join(values)}.")
            self._add_left_out(len(quantities) - len(shown), noun.lower()[:-1])

    def _write_forward(self) -> None:
        self.page.heading("Forward pass", 2)
        for step in self.e.layers:
            self.page.heading(f"Layer {step.index}: `{step.layer}`", 3)
            self._add_equations(step.forward)
            self._add_quantities(step.outputs, "unit")

    def _write_error(self) -> None:
        page, loss = self.page, self.e.loss
        page.heading("The error", 2)
        page.code(loss.forward)
        factor = f", each with the factor {loss.factor:g}," if loss.factor != 1 else ""
        page.paragraph(
            f"Here D = {loss.divisor:g}: reduction {loss.reduction!r}, "
            f"N = {_format_count(loss.samples, 'sample')}, "
            f"K = {_format_count(loss.width, 'output')}. The terms{factor} before the division "
            f"by D:"
        )
        self._add_quantities(loss.terms, "output")
        page.paragraph("The sum of all terms, divided by D:")
        page.quantities([loss.total])
        if loss.loss.startswith("MSELoss") and loss.factor == 1:
            page.paragraph(
                f"An article's E = ½ Σ (t − y)² is {loss.divisor / 2:g} L: the reduction 'sum' "
                f'with `--loss-factor 0.5` (in JSON `"loss_factor": 0.5`) computes it, and all '
                f"its gradients."
            )

    def _write_derivatives(self) -> None:
        e, page = self.e, self.page
        page.heading("The local derivatives", 2)
        if e.decimals is None:
            page.paragraph(
                "The values come from the forward pass alone: every operation passes on its own "
                "slope, with 50 digits. The formulas are the layers' hand-written derivatives."
            )
        page.heading("The derivatives of the error with respect to the outputs", 3)
        page.code(e.loss.backward)
        self._add_quantities(e.loss.slopes, "output")
        left_out = 0
        factors = {f.symbol for g in self.detailed for path in g.paths for f in path.factors}
        for step in reversed(e.layers):
            shown = [d for d in step.derivatives if self.full or d.symbol in factors]
            if shown:
                page.heading(f"Layer {step.index}: `{step.layer}`", 3)
                self._add_equations(step.backward)
                page.quantities(shown)
            left_out += len(step.derivatives) - len(shown) + step.derivatives_left_out
        self._add_left_out(left_out, "derivative", ", on other paths" * (not self.full))

    def _write_carried_back(self) -> None:
        page = self.page
        carried = [step for step in reversed(self.e.layers) if step.carried]
        if not carried:
            return
        page.heading("The backward pass", 2)
        page.paragraph(
            "This is backpropagation: each layer computes ∂L/∂(its inputs) from ∂L/∂(its outputs), "
            "by the derivatives above. Its inputs are the outputs of the layer before."
        )
        for step in carried:
            page.heading(f"Through layer {step.index}: `{step.layer}`", 3)
            self._add_quantities(step.carried, "unit")

    def _write_gradients(self) -> None:
        e, page = self.e, self.page
        page.heading("The gradients, path by path", 2)
        page.paragraph(
            "A parameter acts on the error along every path through the neurons after it. The "
            "derivatives along a path are multiplied, and the products of all paths are added. "
            "`backward` computes the same sum without following each path, from ∂L/∂(the neuron) "
            "of the backward pass."
        )
        if e.decimals is not None:
            page.paragraph(
                "Paths and `backward` round in different orders: after each product along a path, "
                "or after each sum at a neuron. So their last decimals may differ. The update uses "
                "the result of `backward`."
            )
        for gradient in self.detailed:
            self._write_gradient(gradient)
        self._write_other_gradients()
        agreeing = sum(g.agrees for g in e.gradients)
        worst = max(e.gradients, key=lambda g: abs(g.difference))
        number = len(e.gradients)
        sums = "1 path sum agrees" if number == 1 else f"{number} path sums agree"
        page.paragraph(
            f"{agreeing} of {sums} with `backward` within the rounding of float64. The path sums "
            f"have 50 digits. The largest difference is {abs(worst.difference):.1e}, at "
            f"`{worst.parameter.symbol.text}`; rounding may reach {worst.bound:.1e} there."
        )
        if agreeing < number:
            page.paragraph(
                "A larger difference has one of three causes. The Backward block of a layer or of "
                "the loss defines another derivative on purpose (a bound, a kink). Or rounding "
                "decides on which side of a kink a number is. Or `backward` is wrong."
            )

    def _write_gradient(self, g: Gradient) -> None:
        page = self.page
        paths = _format_count(g.path_count, "path")
        page.heading(f"`{g.parameter.symbol.text}` = {page.number(g.parameter)}: {paths}", 3)
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
        precise = "In full precision, the" if page.decimals is not None else "The"
        total = f"`{g.path_sum.symbol.text}` = {page.number(g.path_sum)}{_deviation(g.path_sum)}"
        page.paragraph(f"{summed}: {total}. `backward` computed:")
        page.quantities([g.backward])
        page.paragraph(
            f"{precise} difference is {g.difference:.1e}, and rounding may reach {g.bound:.1e}: "
            f"{'agrees' if g.agrees else 'DIFFERS'}"
        )

    def _write_other_gradients(self) -> None:
        """Add a table of the parameters that are not shown in full."""
        e, page = self.e, self.page
        others = [g for g in e.gradients if not any(g is shown for shown in self.detailed)]
        if others:
            page.heading("The other parameters", 3)
            rows = [
                [f"`{g.parameter.symbol.text}`", g.place, *map(page.number, _numbers(g))]
                for g in others
            ]
            page.table(["parameter", "place", "value", "∂L/∂θ", "new value"], rows)
            if not self.full:
                page.paragraph("`--weight NAME` shows one path by path, `--full` all of them.")
        reason = "only one is selected" if len(e.gradients) == 1 else "their gradients are smaller"
        self._add_left_out(e.gradients_left_out, "parameter", f", because {reason}")

    def _write_update(self) -> None:
        e, page = self.e, self.page
        page.heading("The update", 2)
        page.paragraph(f"The first step of `{e.rule}`:")
        has_state = any(g.state for g in e.gradients)
        if has_state:
            page.code(e.rule_equations)
        if e.decimals is not None and not e.rule_rounded:
            page.paragraph(
                "This rule divides by roots of squared gradients, which rounding would turn into "
                "0. So it is applied to the rounded gradient in full precision, and its state "
                "keeps full precision; only the new parameter is rounded."
            )
        if has_state:
            page.paragraph(
                "For each parameter: the rule's state by its name, and then the new value of the "
                "parameter:"
            )
        page.quantities([quantity for g in self.detailed for quantity in (*g.state, g.updated)])
        others = len(e.gradients) - len(self.detailed) + e.gradients_left_out
        self._add_left_out(others, "parameter", "; they are updated in the same way")

    def _write_iterations(self) -> None:
        e, page = self.e, self.page
        page.heading("The error after the update", 2)
        numbered = [[str(k), *self._cells(error)] for k, error in enumerate(e.errors)]
        if not self.full and len(numbered) > HEAD + TAIL + 1:
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

    # ------------------------------------------------------------------ parts of sections

    def _names(self, units: list[Quantity]) -> list[str]:
        """Return the names of a layer's units, for any sample n."""
        samples = self.e.loss.samples
        names = [unit.symbol.text for unit in units[: len(units) // samples]]
        return names if samples == 1 else [name.replace("[0,", "[n,") for name in names]

    def _most(self, quantities: list[Quantity]) -> list[Quantity]:
        return quantities if self.full else quantities[:MAX_SHOWN]

    def _cells(self, quantity: Quantity) -> list[str]:
        """Return the value of a quantity, and with decimals its deviation."""
        cells = [self.page.number(quantity)]
        if self.page.decimals is not None:
            cells.append(format_deviation(quantity.deviation))
        return cells

    def _add_equations(self, lines: list[str]) -> None:
        """Add the equations of a layer, unless they have just been shown for another layer."""
        if self.full or lines not in self._shown:
            self.page.code(lines)
            self._shown.append(lines)

    def _add_quantities(self, quantities: list[Quantity], noun: str) -> None:
        shown = self._most(quantities)
        self.page.quantities(shown)
        self._add_left_out(len(quantities) - len(shown), noun)

    def _add_left_out(self, count: int, noun: str, reason: str = "") -> None:
        if count:
            self.page.paragraph(f"… {_format_count(count, f'more {noun}')} left out{reason}.")


def _strongest_weights(gradients: list[Gradient]) -> list[Gradient]:
    """Return the weights of the first and of the last layer that have the largest gradients."""
    strongest: dict[str, Gradient] = {}
    for g in sorted(gradients, key=lambda g: abs(g.backward.value)):
        layer, _, rest = g.parameter.symbol.text.partition(".")
        if rest.startswith("weight") or layer not in strongest:
            strongest[layer] = g
    chosen = {id(strongest[pick(strongest, key=int)]) for pick in (min, max)}
    return [g for g in gradients if id(g) in chosen]


def _numbers(g: Gradient) -> tuple[Quantity, Quantity, Quantity]:
    return g.parameter, g.backward, g.updated


def _output(outputs: list[Quantity]) -> str:
    names = [f"`{q.symbol.text}`" for q in outputs]
    return ", ".join(names if len(names) <= 3 else [names[0], "…", names[-1]])


def _deviation(quantity: Quantity) -> str:
    return (
        "" if quantity.deviation is None else f" (deviation {format_deviation(quantity.deviation)})"
    )


def _unrounded(quantity: Quantity) -> float:
    return quantity.value - (quantity.deviation or 0)


def _format_count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
