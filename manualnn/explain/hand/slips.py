"""Likely slips: what a reader may have done who has a number that does not follow."""

import re
from collections.abc import Iterator

from manualnn.explain.formula import Formula, sum_terms
from manualnn.explain.hand.own import Carried, OwnNumbers, half_unit, leaves
from manualnn.explain.model import ExplanationData
from manualnn.explain.render.notation import Notation

LEAST_DIGITS = 2
"""Significant digits that a number must have: by chance, one digit agrees with many slips."""


def find_slip(e: ExplanationData, own: OwnNumbers, name: str) -> str:
    """Return a slip that gives the reader's number from the numbers before it, or ""."""
    formula, given = own.known[name].formula, own.given[name]
    if formula is None or len(given.normalize().as_tuple().digits) < LEAST_DIGITS:
        return ""
    right = own.evaluate(formula)
    for text, candidate in _candidates(e, own, name, formula):
        is_apart = abs(candidate.value - right.value) > candidate.error + right.error
        if is_apart and abs(candidate.value - given) <= half_unit(given) + candidate.error:
            return text
    return ""


def _candidates(
    e: ExplanationData, own: OwnNumbers, name: str, formula: Formula
) -> Iterator[tuple[str, Carried]]:
    """Yield slips in words, each with the number that it gives."""
    right = own.evaluate(formula)
    if name.endswith("′"):
        old = own.number(name.removesuffix("′"))
        yield "the step is added and not subtracted", old + old - right
        yield "lr is left out", own.evaluate(formula, {"lr": own.constant(1)})
    yield "the sign is wrong", -right
    for text, others in _confusions(e, sorted(leaves(formula))).items():
        if others := {a: b for a, b in others.items() if b in own.known and a != b}:
            confused = {leaf: own.number(other) for leaf, other in others.items()}
            leaf, other = next(iter(others.items()))
            yield f"{other} is taken for {leaf}, {text}", own.evaluate(formula, confused)
    yield f"a factor 2 is missing{_why_half(e, name)}", right / 2
    yield "there is a factor 2 too many", right * 2
    counts = {"N": e.loss.samples, "K": e.loss.width, "N·K": e.loss.samples * e.loss.width}
    for letter, count in counts.items():
        if count > 1:
            yield f"the division by {letter} = {count} is missing", right * count
            yield f"there is a division by {letter} = {count} too many", right / count
    terms = list(sum_terms(formula.without_symbol()))
    for sign, term in terms if len(terms) > 1 else []:
        number = own.evaluate(term)
        less = right + number if sign == "-" else right - number
        yield f"the term {Notation().formula(term, names=True)} is missing", less
    for leaf in leaves(formula):
        if leaf.startswith("∂L/∂"):
            yield f"{leaf} is not multiplied by the derivative", own.number(leaf)


def _why_half(e: ExplanationData, name: str) -> str:
    """Return what half of a squared error, or of its derivative, usually is."""
    is_of_the_loss = name == "L" or name.startswith(("e[", "L after", "∂L/∂y"))
    if not e.loss.loss.startswith("MSELoss") or not is_of_the_loss:
        return ""
    usual = ', usually since E is ½ Σ (t − y)² ("factor": 0.5 with "reduction": "sum")'
    if e.loss.width == 2 and e.loss.reduction != "mean" and not name.startswith("e["):
        usual += ' or the mean over the 2 outputs ("reduction": "mean")'
    return usual


def _confusions(e: ExplanationData, names: list[str]) -> dict[str, dict[str, str]]:
    """Return for each slip in words the names of a formula, and those to confuse them with."""
    units = [e.inputs, *(step.outputs for step in e.layers)]
    before = {
        after.symbol.text: unit.symbol.text
        for step, earlier, later in zip(e.layers, units, units[1:], strict=False)
        if len(earlier) == len(later) and not step.layer.startswith("Linear")
        for unit, after in zip(earlier, later, strict=True)
    }
    weights = [name for name in names if re.fullmatch(r"\d+\.weight\[\d+,\d+\]", name)]
    return {
        "which is the weight transposed": {
            name: re.sub(r"(\d+),(\d+)\]$", r"\2,\1]", name) for name in weights
        },
        "which is the weight after the update": {name: f"{name}′" for name in weights},
        "which is the activation's input and not its output": {
            name: before[name] for name in names if name in before
        },
    }
