"""The comparison of a calculation by hand with the numbers of an explanation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Any

from manualnn.explain.build import explain
from manualnn.explain.explanation import Explanation
from manualnn.explain.formula import Formula
from manualnn.explain.hand.own import OwnNumbers, hands, is_right, leaves
from manualnn.explain.hand.reading import read_numbers
from manualnn.explain.hand.slips import find_slip
from manualnn.explain.model import Quantity
from manualnn.explain.numbers import CONTEXT, Arithmetic
from manualnn.explain.render.notation import Notation
from manualnn.output.tables import align_columns

MAX_ROWS = 60
"""Most numbers in the table of those that are not right."""
RIGHT, ROUNDED, INHERITED, WRONG = "right", "rounded", "inherited", "wrong"


@dataclass(frozen=True)
class Comparison:
    """One number of the reader."""

    name: str
    given: Decimal
    value: float
    """The right number: with decimals, the one rounded by hand."""
    verdict: str
    """right; rounded (it follows from the reader's own rounded numbers); inherited (it follows from
    a wrong one); wrong."""
    causes: tuple[str, ...] = ()
    """If inherited: the names of the wrong numbers that it follows from."""
    formula: str = ""
    """If wrong: what the quantity is computed from, with names."""
    own: str = ""
    """If wrong: the same with the reader's numbers."""
    expected: float | None = None
    """If wrong: what follows from the reader's numbers."""
    missing: tuple[str, ...] = ()
    """If wrong: the names in the formula that the reader gives no number of."""
    slip: str = ""
    """If wrong: a likely slip, in words."""


@dataclass(frozen=True)
class HandCheck:
    """The result of `manualnn.explain.check`: a comparison for each number, in their order."""

    comparisons: list[Comparison]

    def with_verdict(self, verdict: str) -> list[Comparison]:
        """Return the comparisons with a verdict."""
        return [one for one in self.comparisons if one.verdict == verdict]

    @property
    def first(self) -> Comparison | None:
        """The first number that is wrong, in the order of computation."""
        return next(iter(self.with_verdict(WRONG)), None)

    @property
    def exit_code(self) -> int:
        """0 if no number is wrong, 1 if one is, 3 if none was compared."""
        return 3 if not self.comparisons else int(self.first is not None)

    def text(self) -> str:
        """Return the result as plain text."""
        total = len(self.comparisons)
        if not total:
            return "No number was compared: the calculation holds none.\n"
        counts = {
            "right": RIGHT,
            "right but for the rounding of the numbers before": ROUNDED,
            "wrong": WRONG,
            "computed rightly from wrong ones": INHERITED,
        }
        shown = [f"{n} {text}" for text, v in counts.items() if (n := len(self.with_verdict(v)))]
        lines = [f"{total} number{'' if total == 1 else 's'} compared: {', '.join(shown)}."]
        if first := self.first:
            lines += ["", *_explain_first(first)]
        rows = [
            [one.name, str(one.given), f"{one.value:.9g}", _in_words(one)]
            for one in self.comparisons
            if one.verdict != RIGHT
        ]
        if rows:
            table = align_columns([["number", "yours", "right", ""], *rows[:MAX_ROWS]])
            lines += ["", *(f"  {line}" for line in table)]
            lines += [f"  … {len(rows) - MAX_ROWS} more"] * (len(rows) > MAX_ROWS)
        return "\n".join(lines) + "\n"


def check(mine: Any, run: Any = None, **options: Any) -> HandCheck:
    """Compare a calculation by hand with the right numbers.

    Parameters
    ----------
    mine : path or mapping
        The numbers by the names of their quantities: {"z0": [0.42, 0.32], "a1[0]": 0.6035,
        "dL/dz0[1]": -0.361, "gradients": {"0.weight": …}, "updated": {…}}. A number is right if the
        true value rounds to it, or if it is the rounded one of `decimals`. A number that differs,
        but follows from the reader's own numbers before it, is no mistake of its own.
    run : mapping or path, optional
        The run, as `explain` takes it.
    **options
        Those of `explain`: decimals, epochs, lr, loss_factor, dropout_seed.

    Raises
    ------
    SpecError, ShapeError, DTypeError, DomainError, OSError
        If the run or a number does not fit, or if there is no quantity of a name.

    """
    e = explain(run, every=True, paths=1, **options)
    known = _quantities(e)
    inputs = {q.symbol.text for q in (*e.inputs, *e.targets, *(g.parameter for g in e.gradients))}
    with localcontext(CONTEXT):
        given = read_numbers(mine, known)
        owns = [OwnNumbers(known, inputs, given, hand) for hand in hands(given)]
        found: list[Comparison] = []
        tainted: dict[str, tuple[str, ...]] = {}
        for name in (name for name in known if name in given):
            one = _compare(e, owns, name, tainted)
            if one.verdict in {WRONG, INHERITED}:
                tainted[name] = one.causes or (name,)
            found.append(one)
    return HandCheck(found)


def _quantities(e: Explanation) -> dict[str, Quantity]:
    """Return all quantities by their names, in the order of computation."""
    order = [*e.inputs, *e.targets, *(g.parameter for g in e.gradients)]
    for step in e.layers:
        order += step.outputs
    order += [*e.loss.terms, replace(e.loss.total, formula=_sum_of_terms(e)), *e.loss.slopes]
    for step in reversed(e.layers):
        order += step.derivatives
        prefix = f"{step.index}."
        order += [g.backward for g in e.gradients if g.parameter.symbol.text.startswith(prefix)]
        order += step.carried
    order += [g.updated for g in e.gradients]
    return {q.symbol.text: q for q in (*order, *e.errors)}


def _sum_of_terms(e: Explanation) -> Formula:
    """Return the error as a formula of its terms, which a reader computes first."""
    arithmetic = Arithmetic()
    terms = [Formula(Decimal(q.value), arithmetic, q.symbol) for q in e.loss.terms]
    divisor = int(e.loss.divisor) if e.loss.divisor.is_integer() else e.loss.divisor
    return sum(terms[1:], start=terms[0]) / divisor


def _compare(
    e: Explanation, owns: list[OwnNumbers], name: str, tainted: Mapping[str, tuple[str, ...]]
) -> Comparison:
    own = owns[0]
    quantity, given = own.known[name], own.given[name]
    formula = None if name in own.inputs else quantity.formula
    if is_right(quantity, given):
        return Comparison(name, given, quantity.value, RIGHT)
    if formula is None:
        return Comparison(name, given, quantity.value, WRONG)
    if any(one.follows(name, formula) for one in owns):
        causes = [c for n in sorted(own.ancestors(formula)) for c in tainted.get(n, ())]
        verdict = INHERITED if causes else ROUNDED
        return Comparison(name, given, quantity.value, verdict, tuple(dict.fromkeys(causes)))
    return Comparison(
        name,
        given,
        quantity.value,
        WRONG,
        formula=Notation().formula(formula, names=True),
        own=_OwnNotation(own).formula(formula),
        expected=float(own.evaluate(formula).value),
        missing=tuple(sorted(leaves(formula) & own.known.keys() - own.inputs - own.given.keys())),
        slip=next(filter(None, (find_slip(e, one, name) for one in owns)), ""),
    )


class _OwnNotation(Notation):
    """Formulas with the reader's numbers in place of the right ones."""

    def __init__(self, own: OwnNumbers) -> None:
        super().__init__()
        self.own = own

    def format_leaf(self, formula: Formula) -> str:
        """Return the number of a formula, as the reader has it."""
        name = formula.symbol.text if formula.symbol else ""
        if name not in self.own.known:
            return super().format_leaf(formula)
        return self.format(self.own.number(name).value)


def _explain_first(one: Comparison) -> list[str]:
    lines = [
        f"The first wrong number is {one.name}: yours is {one.given}, right is {one.value:.9g}."
    ]
    if one.expected is not None:
        lines += [
            f"  It is computed from    {one.formula}",
            f"  with your own numbers  {one.own} = {one.expected:.9g}",
            f"The mistake is in this step, or in {', '.join(one.missing)}, which "
            f"{'is' if len(one.missing) == 1 else 'are'} not given."
            if one.missing
            else "The mistake is in this step: your numbers before it do not give yours.",
        ]
    if one.slip:
        lines.append(f"A likely slip: {one.slip}.")
    return lines


def _in_words(one: Comparison) -> str:
    if one.verdict == INHERITED:
        return f"follows from {', '.join(one.causes[:3])}"
    if one.verdict == ROUNDED:
        return "follows from your rounded numbers"
    return f"wrong: {one.slip.partition(', ')[0]}" if one.slip else "wrong"
