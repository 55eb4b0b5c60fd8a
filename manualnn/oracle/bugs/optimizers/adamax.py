"""Bugs of Adamax, and further ones of Adam's corrections and averages."""

import numpy as np

from manualnn.oracle.bugs.bug import Method, Table, bug
from manualnn.oracle.bugs.edits import with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
NORM = "u ← max(β₂ u, |g| + ε)"


class AdamaxParts(Textbook):
    """Adamax with a method for each of its lines."""

    def norm(self, o: Options, u: Array, g: Array) -> Array:
        return self.larger(self.num(o.betas[1]) * u, np.abs(g) + self.num(o.eps))

    def below(self, o: Options, u: Array) -> Array:
        return u

    def adamax(self, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
        g = self.gradient(o, p, g)
        s["exp_avg"] = m = self.adam_mean(o, s["exp_avg"], g, t)
        s["exp_inf"] = u = self.norm(o, s["exp_inf"], g)
        rate = self.num(o.lr) / self.adam_correction1(o, t)
        return self.moved_by_quotient(o, p, m, self.below(o, u), rate)


BUGS["adamax-eps-after-maximum"] = bug(
    "ε is added to the norm after the maximum, or to the denominator.",
    lines=("u ← max(β₂ u, |g|) + ε, or d = m̂ / (u + ε)", NORM),
    base=AdamaxParts,
    stored=[0, 1],
    norm=lambda e, o, u, g: e.larger(e.num(o.betas[1]) * u, np.abs(g)) + e.stored * e.num(o.eps),
    below=lambda e, o, u: u + (1 - e.stored) * e.num(o.eps),
)
BUGS["adamax-eps-missing"] = bug(
    "ε is missing in the norm of Adamax.",
    lines=("u ← max(β₂ u, |g|)", NORM),
    base=AdamaxParts,
    norm=lambda e, o, u, g: e.larger(e.num(o.betas[1]) * u, np.abs(g)),
)
BUGS["adamax-minimum"] = bug(
    "The norm of Adamax is a minimum or a sum instead of a maximum.",
    lines=("u ← min(β₂ u, |g| + ε), or β₂ u + |g| + ε", NORM),
    base=AdamaxParts,
    join=[lambda e, a, b: np.minimum(a, b), lambda e, a, b: a + b],
    norm=lambda e, o, u, g: e.join(e.num(o.betas[1]) * u, np.abs(g) + e.num(o.eps)),
)
BUGS["adamax-without-absolute-value"] = bug(
    "The norm of Adamax lacks the absolute value, or squares the gradient.",
    lines=("u ← max(β₂ u, g + ε), or max(β₂ u, g² + ε)", NORM),
    base=AdamaxParts,
    size=[lambda e, g: g, lambda e, g: g * g],
    norm=lambda e, o, u, g: e.larger(e.num(o.betas[1]) * u, e.size(g) + e.num(o.eps)),
)
BUGS["adamax-norm-not-decayed"] = bug(
    "The norm of Adamax does not decay, or with 1 − β₂ or β₁ instead of β₂.",
    lines=("u ← max(u, |g| + ε), max((1 − β₂) u, …), or max(β₁ u, …)", NORM),
    base=AdamaxParts,
    share=[lambda e, o: 1, lambda e, o: 1 - e.num(o.betas[1]), lambda e, o: e.num(o.betas[0])],
    norm=lambda e, o, u, g: e.larger(e.share(o) * u, np.abs(g) + e.num(o.eps)),
)
BUGS["adamax-average"] = bug(
    "Adamax averages |g| instead of taking the maximum.",
    lines=("u ← β₂ u + (1 − β₂) |g| + ε", NORM),
    base=AdamaxParts,
    norm=lambda e, o, u, g: (
        e.num(o.betas[1]) * u + (1 - e.num(o.betas[1])) * np.abs(g) + e.num(o.eps)
    ),
)
BUGS["adamax-norm-corrected"] = bug(
    "Adamax corrects its norm, as Adam corrects its squares, or takes its root.",
    lines=("d = m̂ / (u / (1 − β₂ᵗ)), or m̂ / √u", "d = m̂ / u"),
    base=AdamaxParts,
    of=[lambda e, o, u: u / e.adam_correction2(o, e.now), lambda e, o, u: np.sqrt(u)],
    below=lambda e, o, u: e.of(o, u),
)


def _twice(i: int) -> Method:
    return lambda e, o, t: e.array((1 - e.num(o.betas[i]) ** t) ** 2)


BUGS["adam-corrected-twice"] = bug(
    "The bias correction of Adam's mean, or both, are applied twice: to the average and to lr.",
    lines=("m / (1 − β₁ᵗ)², or v / (1 − β₂ᵗ)² as well", "m / (1 − β₁ᵗ), v / (1 − β₂ᵗ)"),
    source="PennyLane #1928",
    adam_correction1=[_twice(0), _twice(0)],
    adam_correction2=[Textbook.adam_correction2, _twice(1)],
)
BUGS["adam-correction-power-outside"] = bug(
    "The power t of Adam's bias corrections is outside of the parenthesis.",
    lines=("m / (1 − β₁)ᵗ, v / (1 − β₂)ᵗ", "m / (1 − β₁ᵗ), v / (1 − β₂ᵗ)"),
    source="PennyLane #1928",
    adam_correction1=lambda e, o, t: e.array((1 - e.num(o.betas[0])) ** t),
    adam_correction2=lambda e, o, t: e.array((1 - e.num(o.betas[1])) ** t),
)
BUGS["adam-correction-of-other-beta"] = bug(
    "Both bias corrections of Adam use the same β, or each the other's.",
    lines=("1 − β₂ᵗ for m, or 1 − β₁ᵗ for v", "1 − β₁ᵗ for m, 1 − β₂ᵗ for v"),
    pair=[(0, 0), (1, 1), (1, 0)],
    adam_correction1=lambda e, o, t: Textbook.correction(e, o.betas[e.pair[0]], t),
    adam_correction2=lambda e, o, t: Textbook.correction(e, o.betas[e.pair[1]], t),
)
BUGS["adam-stores-corrected"] = bug(
    "Adam stores its corrected averages.",
    lines=("m ← m / (1 − β₁ᵗ), v ← v / (1 − β₂ᵗ)", "m, v stored, m̂, v̂ used"),
    adam_mean=lambda e, o, m, g, t: (
        Textbook.adam_mean(e, o, m, g, t) / Textbook.adam_correction1(e, o, t)
    ),
    adam_square=lambda e, o, v, g, t: (
        Textbook.adam_square(e, o, v, g, t) / Textbook.adam_correction2(e, o, t)
    ),
    adam_correction1=lambda e, o, t: 1,
    adam_correction2=lambda e, o, t: 1,
)
BUGS["adam-complement-missing-in-one"] = bug(
    "One of Adam's averages adds the new number without the factor 1 − β.",
    lines=("m ← β₁ m + g, or v ← β₂ v + g²", "m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²"),
    adam_mean=[
        lambda e, o, m, g, t: e.num(o.betas[0]) * m + g,
        Textbook.adam_mean,
    ],
    adam_square=[
        Textbook.adam_square,
        lambda e, o, v, g, t: e.num(o.betas[1]) * v + g * g,
    ],
)
BUGS["adam-complements-swapped-in-one"] = bug(
    "β and 1 − β are swapped in one of Adam's averages.",
    lines=("m ← (1 − β₁) m + β₁ g, or the same with v", "m ← β₁ m + (1 − β₁) g"),
    adam_mean=[
        lambda e, o, m, g, t: Textbook.average(e, m, g, 1 - e.num(o.betas[0])),
        Textbook.adam_mean,
    ],
    adam_square=[
        Textbook.adam_square,
        lambda e, o, v, g, t: Textbook.average(e, v, g * g, 1 - e.num(o.betas[1])),
    ],
)
BUGS["adam-same-beta"] = bug(
    "Both of Adam's averages use the same β.",
    lines=("β₂ = β₁, or β₁ = β₂", "β₁ for m, β₂ for v"),
    which=[0, 1],
    **with_options("adam_step", betas=lambda e, o: (o.betas[e.which],) * 2),
)


def _belief(e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
    s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], g, t)
    s["exp_avg_sq"] = v = e.adam_square(o, s["exp_avg_sq"], g - m, t)
    if o.amsgrad:
        s["max_exp_avg_sq"] = v = e.adam_maximum(o, s["max_exp_avg_sq"], v, t)
    rate = e.num(o.lr) / e.adam_correction1(o, t)
    return np.asarray(e.moved_by_quotient(o, p, m, e.adam_root(o, v, t), rate))


BUGS["adam-squares-centered"] = bug(
    "Adam averages squares of the distance to the mean, as AdaBelief does.",
    lines=("v ← β₂ v + (1 − β₂) (g − m)²", "v ← β₂ v + (1 − β₂) g²"),
    adam_step=_belief,
)


BUGS["adam-eps-inside-root-before-correction"] = bug(
    "ε is inside the root, before the bias correction.",
    lines=("d = m̂ / √((v + ε) / (1 − β₂ᵗ))", "d = m̂ / (√v̂ + ε)"),
    adam_root=lambda e, o, v, t: np.sqrt((v + e.num(o.eps)) / e.adam_correction2(o, t)),
)
BUGS["adam-square-of-sum"] = bug(
    "Adam squares the whole new average instead of the gradient.",
    lines=("v ← (β₂ v + (1 − β₂) g)²", "v ← β₂ v + (1 − β₂) g²"),
    adam_square=lambda e, o, v, g, t: Textbook.average(e, v, g, o.betas[1]) ** 2,
)
